//! Where the controller finds the partitions that an event concerns, without a look at all others.
//!
//! The index counts by topic, so it costs a few bytes for each topic of a broker. Who uses it reads
//! the topics that it names. It is a function of the partitions: two images with the same
//! partitions have the same index.

use super::partition::Partition;
use imbl::OrdMap;
use model::{BrokerId, TopicId};
use std::collections::BTreeSet;

/// How many partitions of each topic there are. A topic without any is absent.
type TopicCounts = OrdMap<TopicId, usize>;

/// Topics by what their partitions have in common.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct TopicIndex {
    /// Partitions of which a broker has a replica, or is in the ISR or the ELR.
    by_broker: OrdMap<BrokerId, TopicCounts>,
    /// How many partitions a broker leads.
    leaderships: OrdMap<BrokerId, usize>,
    leaderless: TopicCounts,
    /// Partitions that their first replica does not lead.
    imbalanced: TopicCounts,
    reassigning: TopicCounts,
    partitions: usize,
}

impl TopicIndex {
    /// A partition of a topic was set: it was `before` and is `after`, where it was and is.
    pub(super) fn update(&mut self, topic: TopicId, before: Option<&Partition>, after: Option<&Partition>) {
        self.update_members(topic, before, after);
        let leader = |it: Option<&Partition>| it.and_then(|it| it.leader);
        if leader(before) != leader(after) {
            if let Some(broker) = leader(after) {
                add(&mut self.leaderships, broker);
            }
            if let Some(broker) = leader(before) {
                remove(&mut self.leaderships, broker);
            }
        }
        let mut count = |topics: fn(&mut Self) -> &mut TopicCounts, holds: fn(&Partition) -> bool| match (
            before.is_some_and(holds),
            after.is_some_and(holds),
        ) {
            (false, true) => add(topics(self), topic),
            (true, false) => remove(topics(self), topic),
            _ => {}
        };
        count(|it| &mut it.leaderless, |it| it.leader.is_none());
        count(|it| &mut it.imbalanced, |it| it.leader != it.preferred_leader());
        count(|it| &mut it.reassigning, Partition::is_reassigning);
        self.partitions += usize::from(after.is_some());
        self.partitions -= usize::from(before.is_some());
    }

    fn update_members(&mut self, topic: TopicId, before: Option<&Partition>, after: Option<&Partition>) {
        if let (Some(before), Some(after)) = (before, after)
            && before.replicas == after.replicas
            && has_plain_members(before)
            && has_plain_members(after)
        {
            return;
        }
        let members = |it: Option<&Partition>| it.map(members).unwrap_or_default();
        let (old, new) = (members(before), members(after));
        for broker in new.difference(&old) {
            add(self.by_broker.entry(*broker).or_default(), topic);
        }
        for broker in old.difference(&new) {
            if let Some(topics) = self.by_broker.get_mut(broker) {
                remove(topics, topic);
                if topics.is_empty() {
                    self.by_broker.remove(broker);
                }
            }
        }
    }

    pub(super) fn of_broker(&self, broker: BrokerId) -> impl Iterator<Item = TopicId> {
        self.by_broker.get(&broker).into_iter().flat_map(|topics| topics.keys().copied())
    }

    pub(super) fn leaderships(&self, broker: BrokerId) -> usize {
        self.leaderships.get(&broker).copied().unwrap_or(0)
    }

    pub(super) fn leaderless(&self) -> impl Iterator<Item = TopicId> {
        self.leaderless.keys().copied()
    }

    pub(super) fn imbalanced(&self) -> impl Iterator<Item = TopicId> {
        self.imbalanced.keys().copied()
    }

    pub(super) fn reassigning(&self) -> impl Iterator<Item = TopicId> {
        self.reassigning.keys().copied()
    }

    pub(super) fn partition_count(&self) -> usize {
        self.partitions
    }
}

/// Whether the replicas are all members, as nearly always.
fn has_plain_members(partition: &Partition) -> bool {
    partition.isr.iter().chain(&partition.elr).all(|id| partition.replicas.contains(id))
}

fn members(partition: &Partition) -> BTreeSet<BrokerId> {
    partition.replicas.iter().chain(&partition.isr).chain(&partition.elr).copied().collect()
}

fn add<K: Ord + Clone>(counts: &mut OrdMap<K, usize>, key: K) {
    *counts.entry(key).or_insert(0) += 1;
}

fn remove<K: Ord + Clone>(counts: &mut OrdMap<K, usize>, key: K) {
    let left = counts.get(&key).map_or(0, |count| count - 1);
    if left == 0 {
        counts.remove(&key);
    } else {
        counts.insert(key, left);
    }
}
