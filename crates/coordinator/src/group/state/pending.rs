//! Offsets of open transactions. They are committed with the commit marker, and dropped with an
//! abort marker.

use super::offsets::{CommittedOffset, Offsets};
use crate::planted::{Bug, is_planted};
use model::ProducerId;
use protocol::Str;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The partitions of one group with pending offsets, and the producers of those.
type OpenPartitions = BTreeMap<(Str, i32), BTreeSet<ProducerId>>;

/// All pending offsets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pending {
    by_producer: HashMap<ProducerId, HashMap<(Str, Str, i32), CommittedOffset>>,
    /// The reverse index: the producers with an open transaction, by group and partition.
    open: HashMap<Str, OpenPartitions>,
}

impl Pending {
    pub(crate) fn add(
        &mut self,
        producer: ProducerId,
        group: Str,
        topic: Str,
        partition: i32,
        offset: CommittedOffset,
    ) {
        let open = self.open.entry(group.clone()).or_default();
        open.entry((topic.clone(), partition)).or_default().insert(producer);
        self.by_producer.entry(producer).or_default().insert((group, topic, partition), offset);
    }

    /// Whether an open transaction has an offset for this partition.
    pub(crate) fn contains(&self, group: &str, topic: &Str, partition: i32) -> bool {
        self.open.get(group).is_some_and(|open| open.contains_key(&(topic.clone(), partition)))
    }

    /// Whether an open transaction has an offset in this group.
    pub(crate) fn contains_group(&self, group: &str) -> bool {
        self.open.contains_key(group)
    }

    /// Returns the partitions of a group with pending offsets.
    pub(crate) fn partitions(&self, group: &str) -> impl Iterator<Item = &(Str, i32)> {
        self.open.get(group).into_iter().flat_map(|open| open.keys())
    }

    /// Returns the pending offsets of all groups, with their topics and partitions.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&(Str, Str, i32), &CommittedOffset)> {
        self.by_producer.values().flatten()
    }

    /// Applies a tombstone, which removes the pending offsets too.
    pub(crate) fn remove(&mut self, group: &str, topic: &Str, partition: i32) {
        let Some(open) = self.open.get_mut(group) else { return };
        for producer in open.remove(&(topic.clone(), partition)).into_iter().flatten() {
            if let Some(offsets) = self.by_producer.get_mut(&producer) {
                offsets.remove(&(Str::from(group), topic.clone(), partition));
                if offsets.is_empty() {
                    self.by_producer.remove(&producer);
                }
            }
        }
        if open.is_empty() {
            self.open.remove(group);
        }
    }

    /// Ends a producer's transaction. Its offset replaces a committed one only if its record is
    /// later in the log.
    pub(crate) fn end(&mut self, producer: ProducerId, committed: bool, offsets: &mut Offsets) {
        for ((group, topic, partition), offset) in self.by_producer.remove(&producer).into_iter().flatten() {
            self.close(producer, &group, &topic, partition);
            let older = offsets.get(&group, &topic, partition);
            if (committed || is_planted(Bug::PendingCommittedByAbort))
                && older.is_none_or(|older| offset.record_offset > older.record_offset)
            {
                offsets.put(group, topic, partition, offset);
            }
        }
    }

    fn close(&mut self, producer: ProducerId, group: &Str, topic: &Str, partition: i32) {
        let Some(open) = self.open.get_mut(group) else { return };
        let key = (topic.clone(), partition);
        if let Some(producers) = open.get_mut(&key) {
            producers.remove(&producer);
            if producers.is_empty() {
                open.remove(&key);
            }
        }
        if open.is_empty() {
            self.open.remove(group);
        }
    }
}
