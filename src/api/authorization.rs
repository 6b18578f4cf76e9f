//! What a client may do. Each request's file asks here, with the operation and the resource that
//! Apache Kafka asks for. Without an authorizer everybody may do everything, at no cost.

use super::{Context, Refused};
use crate::security::Action;
pub(super) use metadata::acl::AclOperation as Operation;
use metadata::acl::{AclResourceType, CLUSTER_NAME};
use metadata::image::ResourceType;
use model::{ApiError, ErrorCode};
use protocol::{ApiKey, Str};
use std::collections::{BTreeSet, HashSet};

/// A resource that a request is about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Resource<'a> {
    /// The cluster.
    Cluster,
    /// A topic.
    Topic(&'a str),
    /// A group of any kind.
    Group(&'a str),
    /// A transactional id.
    TransactionalId(&'a str),
}

impl<'a> Resource<'a> {
    fn parts(self) -> (AclResourceType, &'a str) {
        match self {
            Resource::Cluster => (AclResourceType::Cluster, CLUSTER_NAME),
            Resource::Topic(name) => (AclResourceType::Topic, name),
            Resource::Group(name) => (AclResourceType::Group, name),
            Resource::TransactionalId(name) => (AclResourceType::TransactionalId, name),
        }
    }

    /// Returns the resource that the configs of a resource belong to.
    pub(super) fn of_config(kind: ResourceType, name: &'a str) -> Self {
        match kind {
            ResourceType::Topic => Resource::Topic(name),
            ResourceType::Group => Resource::Group(name),
            ResourceType::Broker | ResourceType::BrokerLogger | ResourceType::ClientMetrics => Resource::Cluster,
        }
    }

    /// Returns the error of a client that may not do what it wants.
    pub(super) fn refusal(self) -> ErrorCode {
        match self {
            Resource::Cluster => ErrorCode::ClusterAuthorizationFailed,
            Resource::Topic(_) => ErrorCode::TopicAuthorizationFailed,
            Resource::Group(_) => ErrorCode::GroupAuthorizationFailed,
            Resource::TransactionalId(_) => ErrorCode::TransactionalIdAuthorizationFailed,
        }
    }
}

/// Returns the error of a client that may not alter the configs of a resource.
pub(super) fn refusal(resource_type: i8) -> ErrorCode {
    let kind = ResourceType::from_code(resource_type).unwrap_or(ResourceType::Broker);
    Resource::of_config(kind, "").refusal()
}

/// Returns the names that are given more than once.
pub(super) fn names_twice<'a>(names: impl Iterator<Item = &'a Str>) -> HashSet<Str> {
    let mut seen = HashSet::new();
    names.filter(|name| !seen.insert(*name)).cloned().collect()
}

impl Context {
    /// Whether the client may do an operation on a resource that it asks for. A denial is logged.
    pub(super) fn may(&self, operation: Operation, resource: Resource<'_>) -> bool {
        self.decide(operation, resource, true)
    }

    /// The same where the client did not ask for this resource: the answer leaves out what it may
    /// not see, or another right is enough.
    pub(super) fn may_also(&self, operation: Operation, resource: Resource<'_>) -> bool {
        self.decide(operation, resource, false)
    }

    /// Returns the error if the client may not do an operation on a resource.
    pub(super) fn need(&self, operation: Operation, resource: Resource<'_>) -> Result<(), ErrorCode> {
        if self.may(operation, resource) { Ok(()) } else { Err(resource.refusal()) }
    }

    /// Returns the error if the client may not do an operation on the cluster.
    pub(super) fn need_of_cluster(&self, operation: Operation) -> Result<(), ErrorCode> {
        self.need(operation, Resource::Cluster)
    }

    /// The same with a message for the client.
    pub(super) fn need_or_say(&self, operation: Operation) -> Result<(), ApiError> {
        self.need_of_cluster(operation).map_err(|code| ApiError::new(code, code.message()))
    }

    /// Waits for a decision of the controller, if the client may do an operation on the cluster.
    pub(super) async fn if_permitted<T>(
        &self,
        operation: Operation,
        decided: impl Future<Output = Result<T, ApiError>>,
    ) -> Result<T, ApiError> {
        self.need_or_say(operation)?;
        decided.await
    }

    /// Whether the client may do an operation on at least one topic.
    pub(super) fn may_on_any_topic(&self, operation: Operation) -> bool {
        let Some(authorizer) = &self.broker.authorizer else { return true };
        let (subject, image) = (self.connection.subject(), self.broker.image());
        authorizer.may_on_any(&image, subject, operation, AclResourceType::Topic, self.key.name())
    }

    /// Returns the names that the client may not use in an operation on topics, each asked once.
    pub(super) fn forbidden_topics<'a>(
        &self,
        operation: Operation,
        names: impl Iterator<Item = &'a Str>,
    ) -> HashSet<Str> {
        if self.broker.authorizer.is_none() {
            return Default::default();
        }
        let names: BTreeSet<&Str> = names.collect();
        names.into_iter().filter(|name| !self.may(operation, Resource::Topic(name))).cloned().collect()
    }

    /// Returns the error if the client may not alter the configs of a resource. Whether there is
    /// such a type, the controller says.
    pub(super) fn need_to_alter_configs(&self, kind: i8, name: &str) -> Result<(), ErrorCode> {
        let kind = ResourceType::from_code(kind);
        kind.map_or(Ok(()), |kind| self.need(Operation::AlterConfigs, Resource::of_config(kind, name)))
    }

    /// Returns the operations that the client may do on a resource, as bits (KIP-430).
    pub(super) fn operations(&self, resource: Resource<'_>) -> i32 {
        let operations = resource.parts().0.operations().iter();
        let allowed = operations.filter(|operation| self.may_also(**operation, resource));
        allowed.fold(0, |bits, operation| bits | 1 << operation.code())
    }

    /// Returns the operations on the cluster; none for a client that may not describe it.
    pub(super) fn operations_on_cluster(&self) -> i32 {
        if self.may(Operation::Describe, Resource::Cluster) { self.operations(Resource::Cluster) } else { 0 }
    }

    fn decide(&self, operation: Operation, resource: Resource<'_>, is_asked_for: bool) -> bool {
        let Some(authorizer) = &self.broker.authorizer else { return true };
        let (resource_type, name) = resource.parts();
        let action = Action { operation, resource_type, name, request: self.key.name(), is_asked_for };
        authorizer.may(&self.broker.image(), self.connection.subject(), &action)
    }

    /// Refuses a client while the ACLs are not loaded. Super users need none: they are the nodes
    /// that help to load them.
    pub(super) fn wait_for_acls(&self) -> Result<(), Refused> {
        let Some(authorizer) = &self.broker.authorizer else { return Ok(()) };
        let needs_none = matches!(self.key, ApiKey::ApiVersions | ApiKey::SaslHandshake | ApiKey::SaslAuthenticate);
        let is_loaded = || self.broker.image().provenance.last_offset.is_some();
        if needs_none || is_loaded() || authorizer.is_super_user(self.connection.subject()) {
            return Ok(());
        }
        Err(Refused::Meaningless("a request before the ACLs are loaded"))
    }
}
