//! The group coordinators of this broker.

use super::coordinator::{CoordinatorParts, Coordinators};
use crate::replica::Partition;
use coordinator::group::GroupEvent;
use coordinator::{GroupConfig, GroupReply, GroupRequest, GroupShard};
use model::{ErrorCode, LeaderEpoch, PartitionIndex, TopicId};
use protocol::Str;
use std::sync::Arc;

/// All group coordinators of this broker.
#[derive(Debug)]
pub struct GroupCoordinators(Coordinators<GroupShard>);

/// The state of this broker's coordinators at one moment.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// The number of groups of every type.
    pub group_count: usize,
    /// The number of committed offsets of all groups.
    pub offset_count: usize,
    /// The committed offsets, up to the requested maximum.
    pub offsets: Vec<Committed>,
}

/// A group's committed offset in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The group.
    pub group: Str,
    /// The topic.
    pub topic: Str,
    /// The partition.
    pub partition: PartitionIndex,
    /// The committed offset, as the client sent it.
    pub offset: i64,
}

impl GroupCoordinators {
    /// Creates the set of coordinators. It is empty.
    pub(crate) fn new(parts: CoordinatorParts<GroupShard>) -> Self {
        Self(Coordinators::new(parts))
    }

    /// Sets the configuration of the shards.
    pub fn set_config(&self, config: GroupConfig) {
        self.0.set_config(config);
    }

    /// Sets the number of partitions of the offsets topic.
    pub fn set_partition_count(&self, count: i32) {
        self.0.set_partition_count(count);
    }

    /// Starts to lead a partition of the offsets topic.
    pub fn lead(&self, partition: Arc<Partition>, epoch: LeaderEpoch) {
        self.0.lead(partition, epoch);
    }

    /// Stops to lead a partition.
    pub fn resign(&self, index: i32) {
        self.0.resign(index);
    }

    /// Stops to lead every partition.
    pub fn resign_all(&self) {
        self.0.resign_all();
    }

    /// Tells every shard to delete the offsets of deleted topics.
    pub fn topics_deleted(&self, topics: Vec<(TopicId, Str)>) {
        self.0.tell_all(&GroupEvent::TopicsDeleted(topics));
    }

    /// Sends a request to the coordinator of the group that it names.
    pub async fn request(&self, request: GroupRequest) -> GroupReply {
        match request.group_id().cloned() {
            Some(group) => self.request_for(&group, request).await,
            None => request.refused(ErrorCode::InvalidRequest),
        }
    }

    /// Sends a request to the coordinator of a group.
    pub async fn request_for(&self, group: &str, request: GroupRequest) -> GroupReply {
        if group.is_empty() && needs_group_id(&request) {
            return request.refused(ErrorCode::InvalidGroupId);
        }
        self.0.request(group, request).await
    }

    /// Sends a request to the coordinator of a partition of the offsets topic.
    pub async fn request_at(&self, partition: PartitionIndex, request: GroupRequest) -> GroupReply {
        self.0.request_at(partition.0, request).await
    }

    /// Sends a request to every coordinator of this broker.
    pub async fn request_all(&self, request: impl Fn() -> GroupRequest) -> Vec<GroupReply> {
        self.0.request_all(request).await
    }

    /// Returns the current state of every loaded coordinator, with at most `offsets_max` committed
    /// offsets. It waits for neither requests nor the disk.
    pub fn survey(&self, offsets_max: usize) -> Survey {
        let mut survey = Survey::default();
        self.0.read_loaded(|groups| {
            let census = groups.census();
            survey.group_count += census.classic_groups + census.carried_groups;
            survey.offset_count += census.offsets;
            let left = offsets_max - survey.offsets.len();
            survey.offsets.extend(groups.committed_offsets().take(left).map(|(group, topic, partition, offset)| {
                Committed { group: group.clone(), topic: topic.clone(), partition: PartitionIndex(partition), offset }
            }));
        });
        survey
    }
}

/// Whether a request must name a group. Commits and fetches of offsets may have an empty group id,
/// as from Kafka's simple consumers.
fn needs_group_id(request: &GroupRequest) -> bool {
    matches!(
        request,
        GroupRequest::JoinGroup { .. }
            | GroupRequest::SyncGroup(_)
            | GroupRequest::Heartbeat(_)
            | GroupRequest::LeaveGroup(_)
            | GroupRequest::OffsetDelete(_)
    )
}
