//! The changes that a delta made, for the publisher, the replicas and the coordinators.

use crate::image::{ConfigResource, QuotaEntity, ScramMechanism, Topic};
use model::{BrokerId, PartitionIndex, TopicId, Uuid};
use protocol::Str;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The parts of an image that differ from the image before. The new image has their values; a name
/// or id that it lacks was removed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// Topics that did not exist before.
    pub topics_created: BTreeSet<TopicId>,
    /// Deleted topics, as they were before. A topic that was created and deleted within the delta
    /// is in neither list.
    pub topics_deleted: BTreeMap<TopicId, Arc<Topic>>,
    /// Partitions that are new or changed, by topic, those of created topics included.
    pub partitions: BTreeMap<TopicId, BTreeSet<PartitionIndex>>,
    /// Elections whose leader may lack records, as Kafka's metric counts them: those that set a
    /// partition to recovering. A snapshot that replaces an image counts none.
    pub unclean_elections: u64,
    /// Elections of eligible leader replicas outside the ISR.
    pub elr_elections: u64,
    /// Resources whose configs changed.
    pub configs: BTreeSet<ConfigResource>,
    /// Brokers that registered, changed or were removed.
    pub brokers: BTreeSet<BrokerId>,
    /// Controllers that registered.
    pub controllers: BTreeSet<BrokerId>,
    /// Features whose level was set.
    pub features: BTreeSet<Str>,
    /// Entities whose quotas changed.
    pub quotas: BTreeSet<QuotaEntity>,
    /// Whether a block of producer ids was allocated.
    pub producer_ids: bool,
    /// ACLs added or removed.
    pub acls: BTreeSet<Uuid>,
    /// SCRAM credentials set or removed.
    pub scram: BTreeSet<(ScramMechanism, Str)>,
    /// Delegation tokens set or removed.
    pub tokens: BTreeSet<Str>,
}

impl Changes {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn partition(&mut self, topic: TopicId, index: PartitionIndex) {
        self.partitions.entry(topic).or_default().insert(index);
    }
}
