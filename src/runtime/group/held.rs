//! Replies that wait until their records are committed, for at most `offsets.commit.timeout.ms`.
//!
//! Invariant: both the offsets and the deadlines in the queue ascend. Each reply is added no
//! earlier than the one before it, and its shard has applied at least as much by then. So the first
//! reply is always the next to be sent.

use coordinator::{GroupReply, ReplyId};
use model::{Monotonic, Offset};
use std::collections::VecDeque;

#[derive(Debug)]
struct HeldReply {
    /// The reply is sent when the high watermark reaches this offset.
    end: Offset,
    deadline: Monotonic,
    id: ReplyId,
    reply: GroupReply,
}

/// The held replies of one shard.
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

    /// Takes the first reply if its records are committed.
    pub(super) fn pop_committed(&mut self, high_watermark: Offset) -> Option<(ReplyId, GroupReply)> {
        self.0.pop_front_if(|held| held.end <= high_watermark).map(|held| (held.id, held.reply))
    }

    /// Takes the first reply if its deadline has passed.
    pub(super) fn pop_expired(&mut self, now: Monotonic) -> Option<(ReplyId, GroupReply)> {
        self.0.pop_front_if(|held| held.deadline <= now).map(|held| (held.id, held.reply))
    }

    /// Takes all replies.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = (ReplyId, GroupReply)> {
        self.0.drain(..).map(|held| (held.id, held.reply))
    }

    /// Returns the deadline of the first reply.
    pub(super) fn next_deadline(&self) -> Option<Monotonic> {
        self.0.front().map(|held| held.deadline)
    }
}
