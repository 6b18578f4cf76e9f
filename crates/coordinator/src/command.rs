//! What goes into a shard and what comes out of it.

use crate::group::classic::ClassicGroup;
use crate::soft::TimerKey;
use bytes::Bytes;
use model::{ErrorCode, LeaderEpoch, Monotonic, Now, Offset, ProducerId, Timestamp, TopicId};
use protocol::Str;
use protocol::messages::delete_groups_response::DeletableGroupResult;
use protocol::messages::describe_groups_response::DescribedGroup;
use protocol::messages::heartbeat_request::HeartbeatRequest;
use protocol::messages::heartbeat_response::HeartbeatResponse;
use protocol::messages::join_group_request::JoinGroupRequest;
use protocol::messages::join_group_response::JoinGroupResponse;
use protocol::messages::leave_group_request::LeaveGroupRequest;
use protocol::messages::leave_group_response::LeaveGroupResponse;
use protocol::messages::list_groups_response::ListedGroup;
use protocol::messages::offset_commit_request::OffsetCommitRequest;
use protocol::messages::offset_commit_response::OffsetCommitResponse;
use protocol::messages::offset_delete_request::OffsetDeleteRequest;
use protocol::messages::offset_delete_response::OffsetDeleteResponse;
use protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use protocol::messages::offset_fetch_response::OffsetFetchResponseGroup;
use protocol::messages::sync_group_request::SyncGroupRequest;
use protocol::messages::sync_group_response::SyncGroupResponse;

/// Where an entry stands in the log of the state partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchContext {
    /// The entry's own offset.
    pub offset: Offset,
    /// The leader epoch of its batch.
    pub leader_epoch: LeaderEpoch,
    /// Its timestamp.
    pub timestamp: Timestamp,
    /// Who wrote its batch; set for transactional batches and for markers only. Idempotent batches that are not transactional count as plain.
    pub producer: Option<ProducerId>,
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A record; one without a value is a tombstone.
    Record {
        /// The key, which opens with the kind.
        key: Bytes,
        /// The value, which opens with its version.
        value: Option<Bytes>,
    },
    /// The end of a producer's transaction.
    Marker {
        /// Whether it committed.
        committed: bool,
    },
}

/// A record to be appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRecord {
    /// The key.
    pub key: Bytes,
    /// The value; `None` writes a tombstone.
    pub value: Option<Bytes>,
}

/// The settings of the group coordinator, by Kafka's property names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupConfig {
    /// `group.initial.rebalance.delay.ms`
    pub initial_rebalance_delay_ms: i32,
    /// `group.min.session.timeout.ms`
    pub min_session_timeout_ms: i32,
    /// `group.max.session.timeout.ms`
    pub max_session_timeout_ms: i32,
    /// `group.max.size`, in members.
    pub max_size: usize,
    /// `offset.metadata.max.bytes`, which Kafka counts in UTF-16 code units.
    pub offset_metadata_max: usize,
    /// `offsets.retention.minutes`, in milliseconds.
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`
    pub offsets_retention_check_interval_ms: i64,
}

impl Default for GroupConfig {
    fn default() -> Self {
        Self {
            initial_rebalance_delay_ms: 3000,
            min_session_timeout_ms: 6000,
            max_session_timeout_ms: 1_800_000,
            max_size: 2_147_483_647,
            offset_metadata_max: 4096,
            offsets_retention_ms: 10_080 * 60_000,
            offsets_retention_check_interval_ms: 600_000,
        }
    }
}

/// What a decision may know of the world.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The time: deadlines are set on the monotonic clock, and what is written has the wall clock's.
    pub now: Now,
    /// Fresh random bytes: a new member's id is made of them, at most one for each decision.
    pub random: [u8; 16],
    /// The settings in force.
    pub config: &'a GroupConfig,
}

/// A ticket for one reply, chosen by the driver and never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplyId(pub u64);

/// Who sent a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// The client id of the request's header.
    pub id: Str,
    /// The address as Java prints it: `/127.0.0.1`.
    pub host: Str,
}

/// A request of a client, as its API file hands it over. Facts that hang on the version have names.
#[derive(Clone, Debug)]
pub enum Request {
    /// JoinGroup.
    JoinGroup {
        /// The sender.
        client: Client,
        /// The request. The rebalance timeout is the session timeout where the version has none (v0).
        request: JoinGroupRequest,
        /// A dynamic member without an id gets one with MEMBER_ID_REQUIRED and joins with it (KIP-394, v4 and up).
        require_known_member_id: bool,
        /// A static leader that comes back can be told to skip the assignment (KIP-814, v9 and up).
        supports_skipping_assignment: bool,
    },
    /// SyncGroup.
    SyncGroup(SyncGroupRequest),
    /// Heartbeat.
    Heartbeat(HeartbeatRequest),
    /// LeaveGroup; versions 0 to 2 name their one member in `members` too.
    LeaveGroup(LeaveGroupRequest),
    /// OffsetCommit, with names and ids of topics both filled in where they are known.
    OffsetCommit {
        /// The request.
        request: OffsetCommitRequest,
        /// The client knows the consumer protocol's errors (KIP-848, v9 and up).
        supports_member_epochs: bool,
    },
    /// One group of an OffsetFetch, with names and ids of topics both filled in; topics of `None` are all topics.
    OffsetFetch {
        /// The group.
        group: OffsetFetchRequestGroup,
        /// Offsets of open transactions are not passed over (v7 and up).
        require_stable: bool,
    },
    /// OffsetDelete.
    OffsetDelete(OffsetDeleteRequest),
    /// The groups of a DescribeGroups that this partition keeps.
    DescribeGroups {
        /// Their ids.
        groups: Vec<Str>,
        /// A group that does not exist is an error (KIP-1043, v6 and up); before, it is a dead group.
        report_missing: bool,
    },
    /// ListGroups.
    ListGroups {
        /// Names of states, in any case; empty for all.
        states: Vec<Str>,
        /// Names of types, in any case; empty for all.
        types: Vec<Str>,
    },
    /// The groups of a DeleteGroups that this partition keeps.
    DeleteGroups(Vec<Str>),
}

/// Something to decide about.
#[derive(Clone, Debug)]
pub enum Command {
    /// A client's request, answered under this ticket, at once or later.
    Request(ReplyId, Request),
    /// The log has been replayed to its end and this broker leads the partition.
    Loaded,
    /// A deadline has passed: the earliest one is handled. Given again while `next_deadline` is not above now.
    Tick,
    /// Topics are gone from the image: their committed offsets go too.
    TopicsDeleted(Vec<(TopicId, Str)>),
    /// The records of a decision could not be appended.
    AppendFailed(Box<Unappended>, ErrorCode),
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "each is the answer to the request of its name")]
pub enum Reply {
    JoinGroup(JoinGroupResponse),
    SyncGroup(SyncGroupResponse),
    Heartbeat(HeartbeatResponse),
    LeaveGroup(LeaveGroupResponse),
    OffsetCommit(OffsetCommitResponse),
    OffsetFetch(OffsetFetchResponseGroup),
    OffsetDelete(OffsetDeleteResponse),
    DescribeGroups(Vec<DescribedGroup>),
    ListGroups(Result<Vec<ListedGroup>, ErrorCode>),
    DeleteGroups(Vec<DeletableGroupResult>),
}

/// A change of soft state: of what is not in the log.
#[derive(Clone, Debug)]
pub enum SoftChange {
    /// A classic group between two records.
    Group(Box<ClassicGroup>),
    /// The log says all there is to know of a group.
    Forget(Str),
    /// A timer starts, or starts anew.
    SetTimer(TimerKey, Monotonic),
    /// A timer ends.
    CancelTimer(TimerKey),
}

/// What a command leads to.
#[derive(Clone, Debug, Default)]
pub struct Decision {
    /// To be appended, in this order.
    pub records: Vec<NewRecord>,
    /// Whether the records are one batch; otherwise they may be cut into several.
    pub atomic: bool,
    /// For `GroupShard::apply_soft`, after the records are applied.
    pub soft: Vec<SoftChange>,
    /// Answers, of this command and of parked ones.
    pub replies: Vec<(ReplyId, Reply)>,
    /// How to go on when the append fails.
    pub(crate) on_failure: OnFailure,
}

/// What is to happen when the records of a decision cannot be appended.
#[derive(Clone, Debug, Default)]
pub(crate) enum OnFailure {
    /// Nothing but an error to whoever asked.
    #[default]
    Refuse,
    /// A group is empty now, whether or not the log can say so.
    KeepSoft(Box<ClassicGroup>),
    /// The leader's assignment is lost: its group's members are told, and join again.
    Rebalance { group: Str, leader: Str, reply: ReplyId },
}

/// A decision whose records could not be appended.
#[derive(Clone, Debug)]
pub struct Unappended {
    pub(crate) decision: Decision,
    pub(crate) asked: Option<(ReplyId, Request)>,
}

impl Decision {
    /// Gives back a decision that could not be appended, with the command it came from; the result goes into `Command::AppendFailed`.
    pub fn into_unappended(self, command: Command) -> Box<Unappended> {
        let asked = match command {
            Command::Request(id, request) => Some((id, request)),
            Command::Loaded | Command::Tick | Command::TopicsDeleted(_) | Command::AppendFailed(..) => None,
        };
        Box::new(Unappended { decision: self, asked })
    }
}
