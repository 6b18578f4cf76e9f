//! The types of a group shard's commands and decisions.

use crate::group::config::GroupConfig;
use crate::group::reply::GroupReply;
use crate::group::request::GroupRequest;
use crate::group::state::{ClassicGroup, SoftChange};
use crate::shard::{ReplyId, ShardTypes};
use model::TopicId;
use protocol::Str;
use std::convert::Infallible;

/// The types of the group coordinator.
#[derive(Clone, Copy, Debug)]
pub enum GroupTypes {}

impl ShardTypes for GroupTypes {
    type Config = GroupConfig;
    type Request = GroupRequest;
    type Reply = GroupReply;
    type Event = GroupEvent;
    type SoftChange = SoftChange;
    /// Groups want nothing done elsewhere.
    type Effect = Infallible;
    type OnFailure = OnFailure;
}

/// Something that happened outside of a group shard.
#[derive(Clone, Debug)]
pub enum GroupEvent {
    /// Topics were deleted from the image: their committed offsets are deleted too.
    TopicsDeleted(Vec<(TopicId, Str)>),
}

/// What to do if the records of a decision cannot be appended.
#[derive(Clone, Debug, Default)]
pub enum OnFailure {
    /// Only answer the request with an error.
    #[default]
    Refuse,
    /// Keep the group as empty, although the log does not say so.
    KeepSoft(Box<ClassicGroup>),
    /// The leader's assignment is lost: its group's members are told, and rejoin.
    Rebalance {
        /// The group.
        group: Str,
        /// Its leader.
        leader: Str,
        /// The leader's request.
        reply: ReplyId,
    },
}
