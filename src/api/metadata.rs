//! Metadata (key 3), versions 0-13: lists brokers and topics.
//!
//! - 1: tells null (all topics) from an empty list (no topic); answers the controller, racks,
//!   whether a topic is internal, and also the replicas that are offline.
//! - 2: answers the cluster id (KIP-78).
//! - 3: adds the throttle time.
//! - 4: lets the client forbid the creation of topics.
//! - 5: says which replicas are offline (KIP-112).
//! - 7: answers leader epochs (KIP-320).
//! - 8: may answer authorized operations (KIP-430).
//! - 9: is flexible.
//! - 10: answers topic ids (KIP-516).
//! - 11: drops the cluster's authorized operations, which DescribeCluster answers (KIP-700).
//! - 12: may name topics by id (KIP-516).
//! - 13: has an error of the whole request (KIP-1102).

use super::Context;
use super::authorization::{Operation, Resource};
use super::context::is_internal;
use metadata::image::{Image, Partition, Topic};
use model::{ErrorCode, PartitionIndex, TopicId, TopicIdPartition};
use protocol::Str;
use protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use protocol::messages::metadata_response::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use std::sync::Arc;

/// Facts about the request that the version gives.
struct Facts {
    /// In version 0, an empty list asks for all topics.
    empty_means_all: bool,
    /// Before version 4, the request has no field for it, and topics are created.
    creates_topics: bool,
    /// From version 12 on.
    topics_may_have_ids: bool,
    /// Version 0 hides offline replicas.
    hides_offline_replicas: bool,
}

/// Answers the brokers and the topics that the request names. Unknown topics are created if that is
/// allowed.
pub(super) async fn handle(context: Context, request: MetadataRequest) -> MetadataResponse {
    let facts = Facts {
        empty_means_all: context.version == 0,
        creates_topics: context.version < 4,
        topics_may_have_ids: context.version >= 12,
        hides_offline_replicas: context.version == 0,
    };
    let image = context.broker.image();
    let view = View {
        context: &context,
        image: &image,
        facts: &facts,
        operations: request.include_topic_authorized_operations,
    };
    let asked = request.topics.filter(|topics| !(facts.empty_means_all && topics.is_empty()));
    let topics = match asked {
        None => view.all(),
        Some(asked) => match view.check(&asked) {
            Ok(()) => view.asked(asked, facts.creates_topics || request.allow_auto_topic_creation),
            Err(error) => return refused(asked, error),
        },
    };
    let operations =
        if request.include_cluster_authorized_operations { context.operations_on_cluster() } else { i32::MIN };
    MetadataResponse {
        brokers: view.brokers(),
        cluster_id: Some(context.broker.node.cluster_id.clone()),
        controller_id: context.any_broker(),
        topics,
        cluster_authorized_operations: operations,
        ..Default::default()
    }
}

struct View<'a> {
    context: &'a Context,
    image: &'a Image,
    facts: &'a Facts,
    operations: bool,
}

impl View<'_> {
    fn brokers(&self) -> Vec<MetadataResponseBroker> {
        let listener = &self.context.connection.listener.name;
        let active = self.image.cluster.brokers.values().filter(|broker| !broker.fenced);
        let brokers = active.filter_map(|broker| {
            let at = broker.listener(listener)?;
            Some(MetadataResponseBroker {
                node_id: broker.id.0,
                host: at.host.clone(),
                port: i32::from(at.port),
                rack: broker.rack.clone(),
                ..Default::default()
            })
        });
        brokers.collect()
    }

    /// Returns all topics that the client may describe.
    fn all(&self) -> Vec<MetadataResponseTopic> {
        let topics = self.image.topics.iter();
        let may_describe =
            |topic: &&Arc<Topic>| self.context.may_also(Operation::Describe, Resource::Topic(&topic.name));
        topics.filter(may_describe).map(|topic| self.topic(topic)).collect()
    }

    /// Checks for the errors with which Kafka refuses the whole request.
    fn check(&self, asked: &[MetadataRequestTopic]) -> Result<(), ErrorCode> {
        let is_by_id = asked.iter().any(|one| !one.topic_id.is_zero());
        let is_unnamed = asked.iter().any(|one| one.name.is_none());
        match (self.facts.topics_may_have_ids, is_by_id) {
            (false, true) => Err(ErrorCode::InvalidRequest),
            (false, false) if is_unnamed => Err(ErrorCode::InvalidRequest),
            (true, false) if is_unnamed => Err(ErrorCode::UnknownServerError),
            _ => Ok(()),
        }
    }

    /// Returns the topics by id if the request names any topic by id, else by name, as in Kafka.
    fn asked(&self, asked: Vec<MetadataRequestTopic>, may_create: bool) -> Vec<MetadataResponseTopic> {
        if asked.iter().any(|one| !one.topic_id.is_zero()) {
            let ids = asked.into_iter().map(|one| one.topic_id).filter(|id| !id.is_zero());
            return ids
                .map(|id| match self.image.topics.by_id(id) {
                    // An id tells nothing: as in Kafka, it is answered, but its name is not.
                    Some(topic) if !self.context.may(Operation::Describe, Resource::Topic(&topic.name)) => {
                        forbidden(None, id)
                    }
                    Some(topic) => self.topic(topic),
                    None => self.failed(None, id, ErrorCode::UnknownTopicId),
                })
                .collect();
        }
        let may_create = may_create && self.context.broker.settings().auto_create_topics_enable;
        let mut seen = std::collections::HashSet::new();
        let names = asked.into_iter().filter_map(|one| one.name).filter(|name| seen.insert(name.clone()));
        let may_describe = |name: &Str| self.context.may(Operation::Describe, Resource::Topic(name));
        let (names, unseen): (Vec<Str>, Vec<Str>) = names.partition(may_describe);
        let (names, uncreated) = if may_create { self.split_by_right_to_create(names) } else { (names, Vec::new()) };
        let mut unknown = Vec::new();
        let mut topics: Vec<MetadataResponseTopic> = names
            .into_iter()
            .map(|name| match self.image.topics.by_name(&name) {
                Some(topic) => self.topic(topic),
                None if metadata::decide::validate_topic_name(&name).is_err() => {
                    self.failed(Some(name), TopicId::ZERO, ErrorCode::InvalidTopicException)
                }
                None => {
                    unknown.push(name.clone());
                    self.failed(Some(name), TopicId::ZERO, ErrorCode::UnknownTopicOrPartition)
                }
            })
            .collect();
        topics.extend(uncreated.into_iter().chain(unseen).map(|name| forbidden(Some(name), TopicId::ZERO)));
        if may_create && !unknown.is_empty() {
            self.context.broker.create_topics_later(unknown);
        }
        topics
    }

    /// Splits off the names of topics that do not exist and that the client may not create.
    fn split_by_right_to_create(&self, names: Vec<Str>) -> (Vec<Str>, Vec<Str>) {
        let is_unknown = |name: &Str| self.image.topics.by_name(name).is_none();
        if !names.iter().any(is_unknown) || self.context.may_also(Operation::Create, Resource::Cluster) {
            return (names, Vec::new());
        }
        let may_create = |name: &Str| !is_unknown(name) || self.context.may(Operation::Create, Resource::Topic(name));
        names.into_iter().partition(may_create)
    }

    fn topic(&self, topic: &Topic) -> MetadataResponseTopic {
        let partitions = topic.partitions.iter().map(|(index, partition)| self.partition(topic.id, *index, partition));
        MetadataResponseTopic {
            name: Some(topic.name.clone()),
            topic_id: topic.id,
            is_internal: is_internal(&topic.name),
            partitions: partitions.collect(),
            topic_authorized_operations: self.operations(&topic.name),
            ..Default::default()
        }
    }

    fn failed(&self, name: Option<Str>, topic_id: TopicId, error: ErrorCode) -> MetadataResponseTopic {
        MetadataResponseTopic {
            error_code: error.code(),
            is_internal: name.as_deref().is_some_and(is_internal),
            // An error about a topic id carries no operations.
            topic_authorized_operations: name.as_deref().map_or(i32::MIN, |name| self.operations(name)),
            name,
            topic_id,
            ..Default::default()
        }
    }

    fn operations(&self, name: &str) -> i32 {
        if self.operations { self.context.operations(Resource::Topic(name)) } else { i32::MIN }
    }

    fn partition(
        &self,
        topic_id: TopicId,
        partition_index: PartitionIndex,
        partition: &Partition,
    ) -> MetadataResponsePartition {
        let id_partition = TopicIdPartition { topic_id, partition: partition_index };
        let is_offline = |id| self.context.broker.is_offline(self.image, id, (id_partition, partition));
        let shown = |ids: &[model::BrokerId]| {
            let ids = ids.iter().filter(|id| !(self.facts.hides_offline_replicas && is_offline(**id)));
            ids.map(|id| id.0).collect::<Vec<i32>>()
        };
        let listener = &self.context.connection.listener.name;
        let leader = partition.leader.filter(|id| !is_offline(*id) && self.context.broker.is_ready(*id, id_partition));
        let error = match leader.and_then(|id| self.image.cluster.brokers.get(&id)) {
            None => ErrorCode::LeaderNotAvailable,
            Some(broker) if broker.listener(listener).is_none() => ErrorCode::ListenerNotFound,
            Some(_) => ErrorCode::None,
        };
        MetadataResponsePartition {
            error_code: error.code(),
            partition_index: partition_index.0,
            leader_id: if error.is_error() { -1 } else { leader.map_or(-1, |id| id.0) },
            leader_epoch: partition.leader_epoch.0,
            replica_nodes: shown(&partition.replicas),
            isr_nodes: shown(&partition.isr),
            offline_replicas: partition.replicas.iter().filter(|id| is_offline(**id)).map(|id| id.0).collect(),
            ..Default::default()
        }
    }
}

/// Returns the answer for a topic that the client may not see, or not create.
fn forbidden(name: Option<Str>, topic_id: TopicId) -> MetadataResponseTopic {
    let error_code = ErrorCode::TopicAuthorizationFailed.code();
    MetadataResponseTopic { error_code, name, topic_id, ..Default::default() }
}

/// Returns the answer to a request that is refused as a whole.
fn refused(asked: Vec<MetadataRequestTopic>, error: ErrorCode) -> MetadataResponse {
    let topics = asked.into_iter().map(|one| MetadataResponseTopic {
        error_code: error.code(),
        name: Some(one.name.unwrap_or_default()),
        topic_id: one.topic_id,
        ..Default::default()
    });
    MetadataResponse { topics: topics.collect(), error_code: error.code(), ..Default::default() }
}
