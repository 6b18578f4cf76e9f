//! The machine of one partition of `__consumer_offsets`: its inputs, and the dispatch of each
//! command to its file.

use crate::entry::{BatchContext, Entry};
use crate::group::builder::DecisionBuilder;
use crate::group::classic::{expiry, heartbeat, join, leave, sync};
use crate::group::config::GroupConfig;
use crate::group::decision::{GroupEvent, GroupTypes};
use crate::group::offsets::{commit, delete, expire, fetch, transactional};
use crate::group::reply::{GroupReply, join_error, sync_error};
use crate::group::request::GroupRequest;
use crate::group::state::{ReplicatedState, SoftChange, SoftState, StoredGroup, TimerKey};
use crate::group::{admin, load};
use crate::shard::{BatchForm, Command, CoordinatorShard, Decision, DecisionContext, ReplyId};
use model::{ErrorCode, Monotonic};
use protocol::{DecodeError, Str};

/// The groups of one partition. See the crate's documentation for how it is driven.
#[derive(Clone, Debug, Default)]
pub struct GroupShard {
    pub(crate) state: ReplicatedState,
    pub(crate) soft: SoftState,
}

/// The number of groups by type, including groups that are forming, and the number of offsets: for
/// metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Classic groups.
    pub classic_groups: usize,
    /// Groups of the other types.
    pub carried_groups: usize,
    /// Committed offsets.
    pub offsets: usize,
}

impl GroupShard {
    /// Creates a shard before the first entry of its log.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the replicated state equals that of another shard: one that replays the same log.
    pub fn has_state_of(&self, other: &Self) -> bool {
        self.state == other.state
    }

    /// Returns the committed offsets of every group as (group, topic, partition, offset): for the
    /// lag metrics.
    pub fn committed_offsets(&self) -> impl Iterator<Item = (&Str, &Str, i32, i64)> {
        self.state.offsets.groups().flat_map(|(group, topics)| {
            topics.iter().flat_map(move |(topic, partitions)| {
                partitions.iter().map(move |(partition, offset)| (group, topic, *partition, offset.offset))
            })
        })
    }

    /// Counts the groups and offsets.
    pub fn census(&self) -> Census {
        let carried = self.state.groups.values().filter(|group| matches!(group, StoredGroup::Carried(_))).count();
        let forming = self.soft.groups.keys().filter(|group| !self.state.groups.contains_key(*group)).count();
        Census {
            classic_groups: self.state.groups.len() - carried + forming,
            carried_groups: carried,
            offsets: self.state.offsets.count(),
        }
    }
}

impl CoordinatorShard for GroupShard {
    type Types = GroupTypes;
    const BASE_SEQUENCE: Option<i32> = Some(0);

    fn apply(&mut self, at: &BatchContext, entry: Entry) -> Result<(), DecodeError> {
        self.state.apply(at, entry)
    }

    fn apply_soft(&mut self, changes: Vec<SoftChange>) {
        self.soft.apply(changes);
    }

    fn next_deadline(&self) -> Option<Monotonic> {
        self.soft.timers.earliest().map(|(deadline, _)| *deadline)
    }

    fn decide(
        &self,
        context: &DecisionContext<'_, GroupConfig>,
        command: &Command<GroupTypes>,
    ) -> Decision<GroupTypes> {
        let mut builder = DecisionBuilder::new(&self.state, &self.soft, context);
        match command {
            Command::Request(id, request) => {
                request_of(&mut builder, *id, request);
                return builder.finish(Some((*id, request)));
            }
            Command::PartitionLoaded => load::loaded(&mut builder),
            Command::TimerDue => tick(&mut builder),
            Command::Event(GroupEvent::TopicsDeleted(topics)) => delete::topics_deleted(&mut builder, topics),
            Command::AppendFailed(unappended, error) => load::append_failed(&mut builder, unappended, *error),
        }
        builder.finish(None)
    }

    fn resign(self) -> Vec<(ReplyId, GroupReply)> {
        let mut replies = Vec::new();
        for member in self.soft.groups.values().flat_map(|group| group.members.values()) {
            replies.extend(member.awaiting_join.map(|id| (id, join_error(&member.id, ErrorCode::NotCoordinator))));
            replies.extend(member.awaiting_sync.map(|id| (id, sync_error(ErrorCode::NotCoordinator))));
        }
        replies
    }

    fn refused(request: &GroupRequest, code: ErrorCode) -> GroupReply {
        request.refused(code)
    }

    fn needs_session(reply: &GroupReply) -> bool {
        reply.needs_session()
    }

    fn into_error(reply: GroupReply, code: ErrorCode) -> GroupReply {
        reply.into_error(code)
    }
}

fn request_of(builder: &mut DecisionBuilder<'_>, id: ReplyId, request: &GroupRequest) {
    match request {
        GroupRequest::JoinGroup { client, request, require_known_member_id, supports_skipping_assignment } => {
            let attempt = join::JoinAttempt {
                id,
                client,
                request,
                require_known_member_id: *require_known_member_id,
                supports_skipping_assignment: *supports_skipping_assignment,
            };
            join::join_group(builder, &attempt);
        }
        GroupRequest::SyncGroup(request) => sync::sync_group(builder, id, request),
        GroupRequest::Heartbeat(request) => heartbeat::heartbeat(builder, id, request),
        GroupRequest::LeaveGroup(request) => leave::leave_group(builder, id, request),
        GroupRequest::OffsetCommit { request, supports_member_epochs } => {
            commit::commit_offsets(builder, id, request, *supports_member_epochs);
        }
        GroupRequest::TxnOffsetCommit { request, guard } => transactional::commit_offsets(builder, id, request, *guard),
        GroupRequest::EndTransaction { producer_id, producer_epoch, marker, transaction_version } => {
            let form = BatchForm::Marker {
                producer_id: *producer_id,
                producer_epoch: *producer_epoch,
                end: *marker,
                transaction_version: *transaction_version,
            };
            transactional::end_transaction(builder, id, form);
        }
        GroupRequest::OffsetFetch { group, require_stable } => {
            fetch::fetch_offsets(builder, id, group, *require_stable)
        }
        GroupRequest::OffsetDelete(request) => delete::delete_offsets(builder, id, request),
        GroupRequest::DescribeGroups { groups, report_missing } => {
            admin::describe_groups(builder, id, groups, *report_missing);
        }
        GroupRequest::ListGroups { states, types } => admin::list_groups(builder, id, states, types),
        GroupRequest::DeleteGroups(groups) => admin::delete_groups(builder, id, groups),
    }
}

/// Handles the earliest timer if it is due.
fn tick(builder: &mut DecisionBuilder<'_>) {
    let Some((deadline, key)) = builder.soft.timers.earliest() else { return };
    if *deadline > builder.monotonic() {
        return;
    }
    builder.cancel(key.clone());
    match key {
        TimerKey::Session(group, member) => expiry::session_ended(builder, group, member),
        TimerKey::Join(group) => expiry::join_phase_ended(builder, group),
        TimerKey::Sync(group) => expiry::sync_phase_ended(builder, group),
        TimerKey::Expire => expire::expire(builder),
    }
}
