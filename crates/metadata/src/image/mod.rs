//! The image: the whole metadata of a cluster at an offset of its log.
//!
//! It holds every kind of metadata record, including those that nothing acts on yet: a snapshot is
//! written from it, and would lose what it lacks. Every map shares structure with the images before
//! it: a clone costs a few pointers, a change copies its path in a tree. Maps are ordered, so that
//! two nodes that applied the same records iterate alike.

mod cluster;
mod configs;
mod features;
mod index;
mod partition;
mod quotas;
mod security;
mod topics;

pub use cluster::{
    Broker, BrokerListener, Cluster, Controller, LOST, MIGRATING, SupportedVersions, UNASSIGNED, is_reserved_directory,
};
pub use configs::{ConfigResource, Configs, ResourceType};
pub use features::Features;
pub use partition::{LeaderRecovery, Partition};
pub use quotas::{ClientQuotas, EntityType, QuotaEntity};
pub use security::{DelegationToken, ScramCredential, ScramMechanism, Security};
pub use topics::{Topic, Topics};

use model::{LeaderEpoch, Offset, ProducerId, Timestamp};

/// The place of an image in the metadata log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    /// The offset of the last record in the image; `None` for an empty image.
    pub last_offset: Option<Offset>,
    /// That record's epoch.
    pub epoch: LeaderEpoch,
    /// The append time of the last batch that is in the image.
    pub last_timestamp: Timestamp,
}

/// The whole metadata at an offset. Cloning is cheap.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Image {
    /// The image's place in the log.
    pub provenance: Provenance,
    /// Finalized features, `metadata.version` among them.
    pub features: Features,
    /// Registered brokers and controllers.
    pub cluster: Cluster,
    /// Topics and their partitions.
    pub topics: Topics,
    /// Dynamic configs by resource.
    pub configs: Configs,
    /// Client quotas by entity.
    pub quotas: ClientQuotas,
    /// The first producer id that was not allocated; `None` before the first block.
    pub next_producer_id: Option<ProducerId>,
    /// ACLs, SCRAM credentials and delegation tokens.
    pub security: Security,
}
