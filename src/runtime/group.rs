//! The group coordinators of this broker.

use super::coordinator::Coordinators;
use coordinator::group::GroupEvent;
use coordinator::{GroupReply, GroupRequest, GroupShard};
use model::{ErrorCode, PartitionIndex, TopicId};
use protocol::Str;

/// All group coordinators of this broker.
pub type GroupCoordinators = Coordinators<GroupShard>;

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

impl Coordinators<GroupShard> {
    /// Tells every shard to delete the offsets of deleted topics.
    pub fn topics_deleted(&self, topics: Vec<(TopicId, Str)>) {
        self.tell_all(&GroupEvent::TopicsDeleted(topics));
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
        self.ask(group, request).await
    }

    /// Returns the current state of every loaded coordinator, with at most `offsets_max` committed
    /// offsets. It waits for neither requests nor the disk.
    pub fn survey(&self, offsets_max: usize) -> Survey {
        let mut survey = Survey::default();
        self.read_loaded(|groups| {
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
