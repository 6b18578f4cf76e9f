//! Replies that wait until what they say is committed, for as long as `offsets.commit.timeout.ms`
//! at most.
//!
//! Invariant: both the offsets and the deadlines of the queue ascend, since each reply is held when
//! its shard has applied at least as much, and no earlier, than the one before. The first one is
//! always the next to go.

use coordinator::{GroupReply, ReplyId};
use model::{Monotonic, Offset};
use std::collections::VecDeque;

#[derive(Debug)]
struct HeldReply {
    /// The high watermark at which it goes out.
    end: Offset,
    deadline: Monotonic,
    id: ReplyId,
    reply: GroupReply,
}

/// The replies of one shard that are held back.
#[derive(Debug, Default)]
pub(super) struct HeldReplies(VecDeque<HeldReply>);

impl HeldReplies {
    /// Holds a reply back until the high watermark reaches `end`, or until the deadline.
    pub(super) fn hold(&mut self, end: Offset, deadline: Monotonic, id: ReplyId, reply: GroupReply) {
        self.0.push_back(HeldReply { end, deadline, id, reply });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes the first reply if all that it says is committed.
    pub(super) fn pop_committed(&mut self, high_watermark: Offset) -> Option<(ReplyId, GroupReply)> {
        self.0.pop_front_if(|held| held.end <= high_watermark).map(|held| (held.id, held.reply))
    }

    /// Takes the first reply if its time is over.
    pub(super) fn pop_expired(&mut self, now: Monotonic) -> Option<(ReplyId, GroupReply)> {
        self.0.pop_front_if(|held| held.deadline <= now).map(|held| (held.id, held.reply))
    }

    /// Takes all replies.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = (ReplyId, GroupReply)> {
        self.0.drain(..).map(|held| (held.id, held.reply))
    }

    /// When the time of the first reply is over.
    pub(super) fn next_deadline(&self) -> Option<Monotonic> {
        self.0.front().map(|held| held.deadline)
    }
}
