//! The machine of one partition of `__consumer_offsets`: what goes in, and which file decides about it.

use crate::command::{BatchContext, Command, Context, Decision, Entry, Reply, ReplyId, Request, SoftChange};
use crate::group::admin;
use crate::group::classic::{expiry, heartbeat, join, leave, load, sync};
use crate::group::kind::StoredGroup;
use crate::offsets::{commit, delete, expire, fetch};
use crate::reply::{join_error, sync_error};
use crate::soft::{Soft, TimerKey};
use crate::state::State;
use crate::turn::Turn;
use model::{ErrorCode, Monotonic};
use protocol::{DecodeError, Str};

/// The groups of one partition. See the crate's documentation for how it is driven.
#[derive(Clone, Debug, Default)]
pub struct GroupShard {
    pub(crate) state: State,
    pub(crate) soft: Soft,
}

/// How many groups there are, by type, those that are only forming included, and how many offsets: for metrics.
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
    /// A shard before the first entry of its log.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in one entry of the log: the only place where replicated state changes, at a load as in live operation. Errors: bytes that are no
    /// record of Kafka's.
    pub fn apply(&mut self, at: &BatchContext, entry: Entry) -> Result<(), DecodeError> {
        self.state.apply(at, entry)
    }

    /// Makes the soft changes of a decision whose records have been applied.
    pub fn apply_soft(&mut self, changes: Vec<SoftChange>) {
        self.soft.apply(changes);
    }

    /// When `Command::Tick` is due next, on the monotonic clock.
    pub fn next_deadline(&self) -> Option<Monotonic> {
        self.soft.timers.earliest().map(|(deadline, _)| *deadline)
    }

    /// Decides what a command leads to. Changes nothing.
    pub fn decide(&self, context: &Context<'_>, command: &Command) -> Decision {
        let mut turn = Turn::new(self, context);
        match command {
            Command::Request(id, request) => {
                request_of(&mut turn, *id, request);
                return turn.finish(Some((*id, request)));
            }
            Command::Loaded => load::loaded(&mut turn),
            Command::Tick => tick(&mut turn),
            Command::TopicsDeleted(topics) => delete::topics_deleted(&mut turn, topics),
            Command::AppendFailed(unappended, error) => load::append_failed(&mut turn, unappended, *error),
        }
        turn.finish(None)
    }

    /// The leadership has ended: every parked request is answered NOT_COORDINATOR, and the shard is gone. What the driver itself holds back goes
    /// through `Reply::into_error`.
    pub fn resign(self) -> Vec<(ReplyId, Reply)> {
        let mut replies = Vec::new();
        for member in self.soft.groups.values().flat_map(|group| group.members.values()) {
            replies.extend(member.awaiting_join.map(|id| (id, join_error(&member.id, ErrorCode::NotCoordinator))));
            replies.extend(member.awaiting_sync.map(|id| (id, sync_error(ErrorCode::NotCoordinator))));
        }
        replies
    }

    /// The committed offsets of every group: for the lag of groups in metrics. Gives (group, topic, partition, offset).
    pub fn committed_offsets(&self) -> impl Iterator<Item = (&Str, &Str, i32, i64)> {
        self.state.offsets.groups().flat_map(|(group, topics)| {
            topics.iter().flat_map(move |(topic, partitions)| {
                partitions.iter().map(move |(partition, offset)| (group, topic, *partition, offset.offset))
            })
        })
    }

    /// How much there is.
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

fn request_of(turn: &mut Turn<'_>, id: ReplyId, request: &Request) {
    match request {
        Request::JoinGroup { client, request, require_known_member_id, supports_skipping_assignment } => {
            let ask = join::Ask {
                id,
                client,
                request,
                require_known_member_id: *require_known_member_id,
                supports_skipping_assignment: *supports_skipping_assignment,
            };
            join::join_group(turn, &ask);
        }
        Request::SyncGroup(request) => sync::sync_group(turn, id, request),
        Request::Heartbeat(request) => heartbeat::heartbeat(turn, id, request),
        Request::LeaveGroup(request) => leave::leave_group(turn, id, request),
        Request::OffsetCommit { request, supports_member_epochs } => {
            commit::commit_offsets(turn, id, request, *supports_member_epochs);
        }
        Request::OffsetFetch { group, require_stable } => fetch::fetch_offsets(turn, id, group, *require_stable),
        Request::OffsetDelete(request) => delete::delete_offsets(turn, id, request),
        Request::DescribeGroups { groups, report_missing } => {
            admin::describe_groups(turn, id, groups, *report_missing);
        }
        Request::ListGroups { states, types } => admin::list_groups(turn, id, states, types),
        Request::DeleteGroups(groups) => admin::delete_groups(turn, id, groups),
    }
}

/// Handles the earliest timer if it is due.
fn tick(turn: &mut Turn<'_>) {
    let Some((deadline, key)) = turn.shard.soft.timers.earliest() else { return };
    if *deadline > turn.monotonic() {
        return;
    }
    turn.cancel(key.clone());
    match key {
        TimerKey::Session(group, member) => expiry::session_ended(turn, group, member),
        TimerKey::Join(group) => expiry::join_phase_ended(turn, group),
        TimerKey::Sync(group) => expiry::sync_phase_ended(turn, group),
        TimerKey::Expire => expire::expire(turn),
    }
}
