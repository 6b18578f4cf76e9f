//! The commands of a shard, and its decisions.

use crate::entry::NewRecord;
use crate::reply::GroupReply;
use crate::request::{GroupRequest, ReplyId};
use crate::state::{ClassicGroup, SoftChange};
use model::{ErrorCode, TopicId};
use protocol::Str;

/// An input that a shard decides about.
#[derive(Clone, Debug)]
pub enum Command {
    /// A client's request. Its reply, now or later, has this id.
    Request(ReplyId, GroupRequest),
    /// The log has been replayed to its end, and this broker leads the partition.
    PartitionLoaded,
    /// A deadline has passed; the earliest one is handled. The driver repeats this while
    /// `next_deadline` is not after the current time.
    TimerDue,
    /// Topics were deleted from the image: their committed offsets are deleted too.
    TopicsDeleted(Vec<(TopicId, Str)>),
    /// The records of a decision could not be appended.
    AppendFailed(Box<Unappended>, ErrorCode),
}

/// The result of a command.
#[derive(Clone, Debug, Default)]
pub struct Decision {
    /// The records to append, in this order.
    pub records: Vec<NewRecord>,
    /// Whether the records must be one batch. Otherwise they may be split into several.
    pub atomic: bool,
    /// The changes for `GroupShard::apply_soft`, after the records are applied.
    pub soft: Vec<SoftChange>,
    /// Replies to this command and to parked requests.
    pub replies: Vec<(ReplyId, GroupReply)>,
    /// What to do if the append fails.
    pub(crate) on_failure: OnFailure,
}

/// What to do if the records of a decision cannot be appended.
#[derive(Clone, Debug, Default)]
pub(crate) enum OnFailure {
    /// Only answer the request with an error.
    #[default]
    Refuse,
    /// Keep the group as empty, although the log does not say so.
    KeepSoft(Box<ClassicGroup>),
    /// The leader's assignment is lost: its group's members are told, and rejoin.
    Rebalance { group: Str, leader: Str, reply: ReplyId },
}

/// A decision whose records could not be appended.
#[derive(Clone, Debug)]
pub struct Unappended {
    pub(crate) decision: Decision,
    pub(crate) asked: Option<(ReplyId, GroupRequest)>,
}

impl Decision {
    /// Converts a decision that could not be appended, with its command, into the argument of
    /// `Command::AppendFailed`.
    pub fn into_unappended(self, command: Command) -> Box<Unappended> {
        let asked = match command {
            Command::Request(id, request) => Some((id, request)),
            Command::PartitionLoaded | Command::TimerDue | Command::TopicsDeleted(_) | Command::AppendFailed(..) => {
                None
            }
        };
        Box::new(Unappended { decision: self, asked })
    }
}
