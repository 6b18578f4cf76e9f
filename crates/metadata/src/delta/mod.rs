//! The delta: records applied to a copy of an image, and a note of the changes.
//!
//! Only a delta changes the image: live operation, replay after a restart and snapshots all use it.
//! Since images share structure, the delta works on its own copy, and to take the new image out of
//! it costs nothing. A record that contradicts the image (a partition of a topic that does not
//! exist) is an error: a node that went on after it would diverge from the rest of the cluster.

mod changes;
mod cluster;
mod diff;
mod topics;

pub(crate) use topics::merge;

pub use changes::Changes;

use crate::acl::AccessControlEntry;
use crate::image::{
    ConfigResource, DelegationToken, Image, Provenance, QuotaEntity, ResourceType, ScramCredential, ScramMechanism,
};
use crate::version::{METADATA_VERSION, MetadataVersion};
use model::{ProducerId, Timestamp};
use protocol::MetadataRecord;
use protocol::messages::access_control_entry_record::AccessControlEntryRecord;
use protocol::messages::client_quota_record::ClientQuotaRecord;
use protocol::messages::config_record::ConfigRecord;
use protocol::messages::delegation_token_record::DelegationTokenRecord;
use protocol::messages::feature_level_record::FeatureLevelRecord;
use protocol::messages::user_scram_credential_record::UserScramCredentialRecord;

/// A record that cannot be applied. It ends the node: the metadata log contradicts what this code
/// expects.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// It names a broker that is not registered, or with another epoch.
    #[error("{record} names broker {id}, which is not registered with epoch {epoch}")]
    UnknownBroker {
        /// The record's kind.
        record: &'static str,
        /// The broker.
        id: i32,
        /// The epoch in the record.
        epoch: i64,
    },
    /// It names a topic or partition that does not exist.
    #[error("{record} names {what}, which does not exist")]
    Unknown {
        /// The record's kind.
        record: &'static str,
        /// What it names.
        what: String,
    },
    /// A number has no known meaning.
    #[error("{record} holds {field} {value}, which is not known")]
    UnknownValue {
        /// The record's kind.
        record: &'static str,
        /// The field.
        field: &'static str,
        /// Its number.
        value: i64,
    },
    /// The lists of a partition's replicas and directories differ in length.
    #[error("{0} has {1} replicas and {2} directories")]
    Directories(&'static str, usize, usize),
    /// A topic's name or id is taken.
    #[error("topic {0} exists already")]
    DuplicateTopic(String),
    /// A level of `metadata.version` that this node cannot read.
    #[error("metadata.version {0} is not supported: this node reads {oldest} to {latest}", oldest = MetadataVersion::OLDEST.level(), latest = MetadataVersion::LATEST.level())]
    MetadataVersion(i16),
    /// A record of a metadata transaction in a place where none is allowed.
    #[error("{0} is out of place")]
    Transaction(&'static str),
}

/// Records applied to a copy of an image.
#[derive(Clone, Debug)]
pub struct Delta {
    image: Image,
    changes: Changes,
    /// The image before, where a snapshot replaces it: the changes are found by comparing the two.
    replaced: Option<Image>,
}

impl Delta {
    /// Starts without changes.
    pub fn new(image: &Image) -> Self {
        Self { image: image.clone(), changes: Changes::default(), replaced: None }
    }

    /// Starts the load of a snapshot that replaces `image`: the records start from an empty image,
    /// and `finish` compares the two.
    pub fn for_snapshot(image: &Image) -> Self {
        Self { image: Image::default(), changes: Changes::default(), replaced: Some(image.clone()) }
    }

    /// The image with all that was applied.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// What changed so far. For a snapshot this is known only at the end.
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Sets the image's place in the log.
    pub fn set_provenance(&mut self, provenance: Provenance) {
        self.image.provenance = provenance;
    }

    /// Forgets the changes so far, as if the image had been this from the start.
    pub(crate) fn forget_changes(&mut self) {
        self.changes = Changes::default();
        self.replaced = None;
    }

    /// The new image and what changed.
    pub fn finish(self) -> (Image, Changes) {
        match self.replaced {
            None => (self.image, self.changes),
            Some(before) => {
                let changes = diff::between(&before, &self.image);
                (self.image, changes)
            }
        }
    }

    /// Applies one record. Errors: one that contradicts the image; begin, end and abort of a
    /// transaction, which the [`crate::Loader`] handles.
    pub fn apply(&mut self, record: &MetadataRecord) -> Result<(), ApplyError> {
        match record {
            MetadataRecord::RegisterBroker(record) => self.register_broker(record),
            MetadataRecord::UnregisterBroker(record) => return self.unregister_broker(record),
            MetadataRecord::FenceBroker(record) => return self.fence_broker(record.id, record.epoch, true),
            MetadataRecord::UnfenceBroker(record) => return self.fence_broker(record.id, record.epoch, false),
            MetadataRecord::BrokerRegistrationChange(record) => return self.change_broker(record),
            MetadataRecord::RegisterController(record) => self.register_controller(record),
            MetadataRecord::Topic(record) => return self.create_topic(record),
            MetadataRecord::RemoveTopic(record) => return self.remove_topic(record),
            MetadataRecord::Partition(record) => return self.set_partition(record),
            MetadataRecord::PartitionChange(record) => return self.change_partition(record),
            MetadataRecord::ClearElr(record) => return self.clear_elr(&record.topic_name),
            MetadataRecord::Config(record) => return self.set_config(record),
            MetadataRecord::FeatureLevel(record) => return self.set_feature(record),
            MetadataRecord::ClientQuota(record) => self.set_quota(record),
            MetadataRecord::ProducerIds(record) => {
                self.image.next_producer_id = ProducerId::from_wire(record.next_producer_id);
                self.changes.producer_ids = true;
            }
            MetadataRecord::AccessControlEntry(record) => self.set_acl(record),
            MetadataRecord::RemoveAccessControlEntry(record) => {
                if self.image.security.acls.remove(record.id).is_none() {
                    let what = format!("ACL {}", record.id);
                    return Err(ApplyError::Unknown { record: "RemoveAccessControlEntryRecord", what });
                }
                self.changes.acls.insert(record.id);
            }
            MetadataRecord::UserScramCredential(record) => return self.set_scram(record),
            MetadataRecord::RemoveUserScramCredential(record) => {
                let mechanism = mechanism("RemoveUserScramCredentialRecord", record.mechanism)?;
                let key = (mechanism, record.name.clone());
                self.image.security.scram.remove(&key);
                self.changes.scram.insert(key);
            }
            MetadataRecord::DelegationToken(record) => self.set_token(record),
            MetadataRecord::RemoveDelegationToken(record) => {
                self.image.security.tokens.remove(&record.token_id);
                self.changes.tokens.insert(record.token_id.clone());
            }
            MetadataRecord::NoOp(_) => {}
            MetadataRecord::ZkMigrationState(record) => {
                self.image.features.zk_migration_state = Some(record.zk_migration_state);
            }
            MetadataRecord::BeginTransaction(_)
            | MetadataRecord::EndTransaction(_)
            | MetadataRecord::AbortTransaction(_) => return Err(ApplyError::Transaction(record.name())),
        }
        Ok(())
    }

    fn set_config(&mut self, record: &ConfigRecord) -> Result<(), ApplyError> {
        let kind = ResourceType::from_code(record.resource_type).ok_or(ApplyError::UnknownValue {
            record: "ConfigRecord",
            field: "resourceType",
            value: record.resource_type.into(),
        })?;
        let resource = ConfigResource::new(kind, record.resource_name.clone());
        self.image.configs.set(&resource, &record.name, record.value.as_ref());
        self.changes.configs.insert(resource);
        Ok(())
    }

    fn set_feature(&mut self, record: &FeatureLevelRecord) -> Result<(), ApplyError> {
        let level = record.feature_level;
        if record.name == METADATA_VERSION {
            let version = MetadataVersion::from_level(level).ok_or(ApplyError::MetadataVersion(level))?;
            self.image.features.metadata_version = Some(version);
        } else if level == 0 {
            self.image.features.others.remove(&record.name);
        } else {
            self.image.features.others.insert(record.name.clone(), level);
        }
        self.changes.features.insert(record.name.clone());
        Ok(())
    }

    fn set_quota(&mut self, record: &ClientQuotaRecord) {
        let mut entity: QuotaEntity =
            record.entity.iter().map(|part| (part.entity_type.clone(), part.entity_name.clone())).collect();
        entity.sort();
        let value = (!record.remove).then_some(record.value);
        self.image.quotas.set(&entity, &record.key, value);
        self.changes.quotas.insert(entity);
    }

    fn set_acl(&mut self, record: &AccessControlEntryRecord) {
        let entry = AccessControlEntry {
            resource_type: record.resource_type,
            resource_name: record.resource_name.clone(),
            pattern_type: record.pattern_type,
            principal: record.principal.clone(),
            host: record.host.clone(),
            operation: record.operation,
            permission_type: record.permission_type,
        };
        self.image.security.acls.insert(record.id, entry);
        self.changes.acls.insert(record.id);
    }

    fn set_scram(&mut self, record: &UserScramCredentialRecord) -> Result<(), ApplyError> {
        let key = (mechanism("UserScramCredentialRecord", record.mechanism)?, record.name.clone());
        let credential = ScramCredential {
            salt: record.salt.clone(),
            stored_key: record.stored_key.clone(),
            server_key: record.server_key.clone(),
            iterations: record.iterations,
        };
        self.image.security.scram.insert(key.clone(), credential);
        self.changes.scram.insert(key);
        Ok(())
    }

    fn set_token(&mut self, record: &DelegationTokenRecord) {
        let token = DelegationToken {
            owner: record.owner.clone(),
            requester: record.requester.clone(),
            renewers: record.renewers.clone(),
            issue_timestamp: Timestamp(record.issue_timestamp),
            max_timestamp: Timestamp(record.max_timestamp),
            expiration_timestamp: Timestamp(record.expiration_timestamp),
        };
        self.image.security.tokens.insert(record.token_id.clone(), token);
        self.changes.tokens.insert(record.token_id.clone());
    }
}

fn mechanism(record: &'static str, code: i8) -> Result<ScramMechanism, ApplyError> {
    ScramMechanism::from_code(code).ok_or(ApplyError::UnknownValue { record, field: "mechanism", value: code.into() })
}

#[cfg(test)]
mod tests;
