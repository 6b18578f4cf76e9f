//! Committed offsets, by group, topic and partition.
//!
//! Invariant: no empty map is kept, so that a group with an entry has offsets. Offsets are stored
//! apart from groups, because a group can change its type and keep them.

use model::{LeaderEpoch, Offset, Timestamp, TopicId};
use protocol::Str;
use protocol::messages::offset_commit_value::OffsetCommitValue;
use std::collections::{BTreeMap, HashMap};

/// One committed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommittedOffset {
    /// The offset of its record in the log. Of two commits the later record wins, no matter when
    /// its transaction ends.
    pub(crate) record_offset: Offset,
    /// The committed offset as the client sent it. It is not compared with any log.
    pub(crate) offset: i64,
    pub(crate) leader_epoch: Option<LeaderEpoch>,
    pub(crate) metadata: Str,
    pub(crate) commit_timestamp: Timestamp,
    /// When it expires, if the client set a time (OffsetCommit v2 to v4).
    pub(crate) expire_timestamp: Option<Timestamp>,
    /// Zero if unknown.
    pub(crate) topic_id: TopicId,
}

/// Returns the leader epoch of a commit, as the client sent it. Only -1 means none, as in Kafka.
pub(crate) fn committed_epoch(epoch: i32) -> Option<LeaderEpoch> {
    (epoch != -1).then_some(LeaderEpoch(epoch))
}

impl CommittedOffset {
    pub(crate) fn from_value(record_offset: Offset, value: OffsetCommitValue) -> Self {
        Self {
            record_offset,
            offset: value.offset,
            leader_epoch: committed_epoch(value.leader_epoch),
            metadata: value.metadata,
            commit_timestamp: Timestamp(value.commit_timestamp),
            expire_timestamp: Timestamp::from_wire(value.expire_timestamp),
            topic_id: value.topic_id,
        }
    }
}

/// The offsets of one topic by partition.
pub(crate) type ByPartition = BTreeMap<i32, CommittedOffset>;
/// The offsets of one group by topic.
pub(crate) type ByTopic = BTreeMap<Str, ByPartition>;

/// The offsets of all groups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Offsets {
    groups: HashMap<Str, ByTopic>,
    count: usize,
}

impl Offsets {
    pub(crate) fn group(&self, group: &str) -> Option<&ByTopic> {
        self.groups.get(group)
    }

    pub(crate) fn groups(&self) -> impl Iterator<Item = (&Str, &ByTopic)> {
        self.groups.iter()
    }

    /// Returns the number of offsets of all groups.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn get(&self, group: &str, topic: &str, partition: i32) -> Option<&CommittedOffset> {
        self.groups.get(group)?.get(topic)?.get(&partition)
    }

    pub(crate) fn put(&mut self, group: Str, topic: Str, partition: i32, offset: CommittedOffset) {
        let partitions = self.groups.entry(group).or_default().entry(topic).or_default();
        if partitions.insert(partition, offset).is_none() {
            self.count += 1;
        }
    }

    pub(crate) fn remove(&mut self, group: &str, topic: &str, partition: i32) {
        let Some(topics) = self.groups.get_mut(group) else { return };
        let Some(partitions) = topics.get_mut(topic) else { return };
        if partitions.remove(&partition).is_some() {
            self.count -= 1;
        }
        if partitions.is_empty() {
            topics.remove(topic);
        }
        if topics.is_empty() {
            self.groups.remove(group);
        }
    }
}
