//! ACLs: their words, the rules of `StandardAuthorizer`, and the filters of administrators.
//!
//! [`Acls`] is part of the image. It shares structure between images, so that adding one ACL costs
//! that ACL. It decides from the ACLs alone. Who is a super user, what is allowed where no ACL is
//! found, and what is logged belong to the authorizer of a node.

mod filter;
mod index;
#[cfg(test)]
mod tests;
mod words;

pub use filter::AclFilter;
pub use index::{AclRule, AclVerdict, Acls, Subject};
pub use words::{
    AclOperation, AclResourceType, CLUSTER_NAME, PatternType, PermissionType, WILDCARD, WILDCARD_PRINCIPAL,
};

use model::Uuid;
use protocol::messages::access_control_entry_record::AccessControlEntryRecord;
use protocol::{MetadataRecord, Str};

/// One ACL, with Kafka's numbers as its records hold them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccessControlEntry {
    /// 2 topic, 3 group, 4 cluster, 5 transactional id, 6 delegation token, 7 user.
    pub resource_type: i8,
    /// The resource's name, or its prefix.
    pub resource_name: Str,
    /// 3 literal, 4 prefixed.
    pub pattern_type: i8,
    /// Kind and name, as `User:alice`.
    pub principal: Str,
    /// An address, or `*`.
    pub host: Str,
    /// What is done.
    pub operation: i8,
    /// 2 deny, 3 allow.
    pub permission_type: i8,
}

impl AccessControlEntry {
    /// Returns the record of this ACL.
    pub(crate) fn record(&self, id: Uuid) -> MetadataRecord {
        MetadataRecord::AccessControlEntry(AccessControlEntryRecord {
            id,
            resource_type: self.resource_type,
            resource_name: self.resource_name.clone(),
            pattern_type: self.pattern_type,
            principal: self.principal.clone(),
            host: self.host.clone(),
            operation: self.operation,
            permission_type: self.permission_type,
            ..Default::default()
        })
    }
}
