//! What a shard is told, and what it decides.

use crate::entry::NewRecord;
use crate::reply::GroupReply;
use crate::request::{GroupRequest, ReplyId};
use crate::state::{ClassicGroup, SoftChange};
use model::{ErrorCode, TopicId};
use protocol::Str;

/// Something to decide about.
#[derive(Clone, Debug)]
pub enum Command {
    /// A client's request, answered under this ticket, at once or later.
    Request(ReplyId, GroupRequest),
    /// The log has been replayed to its end and this broker leads the partition.
    PartitionLoaded,
    /// A deadline has passed: the earliest one is handled. Given again while `next_deadline` is not
    /// above now.
    TimerDue,
    /// Topics are gone from the image: their committed offsets go too.
    TopicsDeleted(Vec<(TopicId, Str)>),
    /// The records of a decision could not be appended.
    AppendFailed(Box<Unappended>, ErrorCode),
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
    pub replies: Vec<(ReplyId, GroupReply)>,
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
    pub(crate) asked: Option<(ReplyId, GroupRequest)>,
}

impl Decision {
    /// Gives back a decision that could not be appended, with the command it came from; the result
    /// goes into `Command::AppendFailed`.
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
