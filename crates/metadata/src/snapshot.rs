//! The snapshot: an image as records, in Kafka's order, and in the record versions of the finalized
//! `metadata.version`.
//!
//! Order: features with `metadata.version` first, brokers, controllers, topics each with its
//! partitions, configs, client quotas, producer ids, ACLs, SCRAM credentials, delegation tokens.
//! Like Kafka, it leaves out what the finalized version cannot hold: an image has such parts only
//! after a downgrade that accepted the loss. The log writes the control records around them.

use crate::acl::AccessControlEntry;
use crate::image::{Broker, Controller, Image, MIGRATING, Partition, Topic};
use crate::version::{METADATA_VERSION, MetadataVersion};
use model::{BrokerId, PartitionIndex, ProducerId, Uuid};
use protocol::MetadataRecord;
use protocol::messages::client_quota_record::{ClientQuotaRecord, EntityData};
use protocol::messages::config_record::ConfigRecord;
use protocol::messages::delegation_token_record::DelegationTokenRecord;
use protocol::messages::feature_level_record::FeatureLevelRecord;
use protocol::messages::partition_record::PartitionRecord;
use protocol::messages::producer_ids_record::ProducerIdsRecord;
use protocol::messages::register_broker_record::{BrokerEndpoint, BrokerFeature, RegisterBrokerRecord};
use protocol::messages::register_controller_record::{ControllerEndpoint, ControllerFeature, RegisterControllerRecord};
use protocol::messages::topic_record::TopicRecord;
use protocol::messages::user_scram_credential_record::UserScramCredentialRecord;
use protocol::messages::zk_migration_state_record::ZkMigrationStateRecord;

/// A record and the version in which it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct VersionedRecord {
    /// The record.
    pub record: MetadataRecord,
    /// The version of its kind.
    pub version: i16,
}

impl VersionedRecord {
    /// A record in version 0, the only one that most kinds have.
    pub fn v0(record: MetadataRecord) -> Self {
        Self { record, version: 0 }
    }

    /// Encodes the record as a record's value.
    pub fn encode(&self) -> Result<bytes::Bytes, protocol::EncodeError> {
        self.record.encode(self.version)
    }
}

impl Image {
    /// The records of a snapshot of this image.
    pub fn snapshot_records(&self) -> impl Iterator<Item = VersionedRecord> {
        let version = self.features.version();
        self.feature_records()
            .chain(self.cluster.brokers.values().map(move |broker| register_broker(broker, version)))
            .chain(self.controller_records(version))
            .chain(self.topics.iter().flat_map(move |topic| topic_records(topic, version)))
            .chain(self.config_records())
            .chain(self.quota_records())
            .chain(self.next_producer_id.map(producer_ids))
            .chain(self.acl_records())
            .chain(self.scram_records(version))
            .chain(self.token_records(version))
    }

    fn feature_records(&self) -> impl Iterator<Item = VersionedRecord> {
        let migration = self.features.zk_migration_state.filter(|_| self.features.version().has_zk_migration());
        let migration = migration.map(|zk_migration_state| {
            let record = ZkMigrationStateRecord { zk_migration_state, ..Default::default() };
            VersionedRecord::v0(MetadataRecord::ZkMigrationState(record))
        });
        self.features.finalized().map(|(name, level)| feature_level(name, level)).chain(migration)
    }

    fn controller_records(&self, version: MetadataVersion) -> impl Iterator<Item = VersionedRecord> {
        let controllers = self.cluster.controllers.values();
        controllers.filter(move |_| version.has_controller_registration()).map(|it| register_controller(it))
    }

    fn config_records(&self) -> impl Iterator<Item = VersionedRecord> {
        self.configs.iter().flat_map(|(resource, configs)| {
            configs.iter().map(|(name, value)| {
                VersionedRecord::v0(MetadataRecord::Config(ConfigRecord {
                    resource_type: resource.kind.code(),
                    resource_name: resource.name.clone(),
                    name: name.clone(),
                    value: Some(value.clone()),
                    ..Default::default()
                }))
            })
        })
    }

    fn quota_records(&self) -> impl Iterator<Item = VersionedRecord> {
        self.quotas.iter().flat_map(|(entity, quotas)| {
            let entity: Vec<EntityData> = entity
                .iter()
                .map(|(entity_type, entity_name)| EntityData {
                    entity_type: entity_type.clone(),
                    entity_name: entity_name.clone(),
                    ..Default::default()
                })
                .collect();
            quotas.iter().map(move |(key, value)| {
                VersionedRecord::v0(MetadataRecord::ClientQuota(ClientQuotaRecord {
                    entity: entity.clone(),
                    key: key.clone(),
                    value: *value,
                    remove: false,
                    ..Default::default()
                }))
            })
        })
    }

    fn acl_records(&self) -> impl Iterator<Item = VersionedRecord> {
        let record = |(id, acl): (&Uuid, &AccessControlEntry)| VersionedRecord::v0(acl.record(*id));
        self.security.acls.iter().map(record)
    }

    fn scram_records(&self, version: MetadataVersion) -> impl Iterator<Item = VersionedRecord> {
        self.security.scram.iter().filter(move |_| version.has_scram()).map(|((mechanism, name), it)| {
            VersionedRecord::v0(MetadataRecord::UserScramCredential(UserScramCredentialRecord {
                name: name.clone(),
                mechanism: mechanism.code(),
                salt: it.salt.clone(),
                stored_key: it.stored_key.clone(),
                server_key: it.server_key.clone(),
                iterations: it.iterations,
                ..Default::default()
            }))
        })
    }

    fn token_records(&self, version: MetadataVersion) -> impl Iterator<Item = VersionedRecord> {
        self.security.tokens.iter().filter(move |_| version.has_delegation_tokens()).map(|(id, token)| {
            VersionedRecord::v0(MetadataRecord::DelegationToken(DelegationTokenRecord {
                owner: token.owner.clone(),
                requester: token.requester.clone(),
                renewers: token.renewers.clone(),
                issue_timestamp: token.issue_timestamp.0,
                max_timestamp: token.max_timestamp.0,
                expiration_timestamp: token.expiration_timestamp.0,
                token_id: id.clone(),
                ..Default::default()
            }))
        })
    }
}

/// A finalized feature.
pub(crate) fn feature_level(name: &str, feature_level: i16) -> VersionedRecord {
    let record = FeatureLevelRecord { name: name.into(), feature_level, ..Default::default() };
    debug_assert!(name != METADATA_VERSION || feature_level > 0, "metadata.version is never removed");
    VersionedRecord::v0(MetadataRecord::FeatureLevel(record))
}

/// A broker's registration as one record.
pub(crate) fn register_broker(broker: &Broker, version: MetadataVersion) -> VersionedRecord {
    let record = RegisterBrokerRecord {
        broker_id: broker.id.0,
        is_migrating_zk_broker: broker.is_migrating_zk_broker && version.has_zk_migration(),
        incarnation_id: broker.incarnation_id,
        broker_epoch: broker.epoch.0,
        end_points: broker
            .listeners
            .iter()
            .map(|listener| BrokerEndpoint {
                name: listener.name.clone(),
                host: listener.host.clone(),
                port: listener.port,
                security_protocol: listener.security_protocol,
                ..Default::default()
            })
            .collect(),
        features: broker
            .features
            .iter()
            .map(|(name, range)| BrokerFeature {
                name: name.clone(),
                min_supported_version: range.min,
                max_supported_version: range.max,
                ..Default::default()
            })
            .collect(),
        rack: broker.rack.clone(),
        fenced: broker.fenced,
        in_controlled_shutdown: broker.in_controlled_shutdown,
        log_dirs: if version.has_directories() { broker.log_dirs.clone() } else { Vec::new() },
        cordoned_log_dirs: broker.cordoned_log_dirs.clone().filter(|_| version.has_cordoned_log_dirs()),
        ..Default::default()
    };
    VersionedRecord { record: MetadataRecord::RegisterBroker(record), version: version.register_broker_record() }
}

/// A controller's registration as a record.
pub(crate) fn register_controller(controller: &Controller) -> VersionedRecord {
    VersionedRecord::v0(MetadataRecord::RegisterController(RegisterControllerRecord {
        controller_id: controller.id.0,
        incarnation_id: controller.incarnation_id,
        zk_migration_ready: controller.zk_migration_ready,
        end_points: controller
            .listeners
            .iter()
            .map(|listener| ControllerEndpoint {
                name: listener.name.clone(),
                host: listener.host.clone(),
                port: listener.port,
                security_protocol: listener.security_protocol,
                ..Default::default()
            })
            .collect(),
        features: controller
            .features
            .iter()
            .map(|(name, range)| ControllerFeature {
                name: name.clone(),
                min_supported_version: range.min,
                max_supported_version: range.max,
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    }))
}

fn topic_records(topic: &Topic, version: MetadataVersion) -> impl Iterator<Item = VersionedRecord> {
    let record = TopicRecord { name: topic.name.clone(), topic_id: topic.id, ..Default::default() };
    let partitions = topic.partitions.iter().map(move |(index, it)| partition_record(topic, *index, it, version));
    std::iter::once(VersionedRecord::v0(MetadataRecord::Topic(record))).chain(partitions)
}

/// A partition's whole state as a record of its topic.
pub(crate) fn partition_record(
    topic: &Topic,
    index: PartitionIndex,
    partition: &Partition,
    version: MetadataVersion,
) -> VersionedRecord {
    let elr = |ids: &[BrokerId]| (version.has_elr() && !ids.is_empty()).then(|| numbers(ids));
    let record = PartitionRecord {
        partition_id: index.0,
        topic_id: topic.id,
        replicas: numbers(&partition.replicas),
        isr: numbers(&partition.isr),
        removing_replicas: numbers(&partition.removing_replicas),
        adding_replicas: numbers(&partition.adding_replicas),
        leader: BrokerId::to_wire(partition.leader),
        leader_recovery_state: partition.leader_recovery.code(),
        leader_epoch: partition.leader_epoch.0,
        partition_epoch: partition.partition_epoch.0,
        directories: if version.has_directories() { partition.directories.clone() } else { Vec::new() },
        eligible_leader_replicas: elr(&partition.elr),
        last_known_elr: elr(&partition.last_known_elr),
        ..Default::default()
    };
    debug_assert!(
        version.has_directories() || partition.directories.iter().all(|dir| *dir == MIGRATING),
        "directories are assigned only where the metadata version has them"
    );
    VersionedRecord { record: MetadataRecord::Partition(record), version: version.partition_record() }
}

fn producer_ids(next: ProducerId) -> VersionedRecord {
    VersionedRecord::v0(MetadataRecord::ProducerIds(ProducerIdsRecord {
        broker_id: -1,
        broker_epoch: -1,
        next_producer_id: next.0,
        ..Default::default()
    }))
}

/// The ids as numbers, as records hold them.
pub(crate) fn numbers(ids: &[BrokerId]) -> Vec<i32> {
    ids.iter().map(|id| id.0).collect()
}
