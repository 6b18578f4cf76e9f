//! What waits until its records are committed: replies, for at most the commit timeout, and
//! effects, for as long as the leadership lasts.
//!
//! Invariant: the offsets and the deadlines in each queue ascend. Each entry is added no earlier
//! than the one before it, and its shard has applied at least as much by then. So the first entry
//! is always the next to leave.

use coordinator::{ReplyId, ShardTypes};
use model::{Monotonic, Offset};
use std::collections::VecDeque;

#[derive(Debug)]
struct HeldReply<R> {
    /// The reply is sent when the high watermark reaches this offset.
    end: Offset,
    deadline: Monotonic,
    id: ReplyId,
    reply: R,
}

/// The held replies and effects of one shard.
#[derive(Debug)]
pub(super) struct Held<T: ShardTypes> {
    replies: VecDeque<HeldReply<T::Reply>>,
    effects: VecDeque<(Offset, T::Effect)>,
}

impl<T: ShardTypes> Held<T> {
    pub(super) fn new() -> Self {
        Self { replies: VecDeque::new(), effects: VecDeque::new() }
    }

    /// Holds a reply back until the high watermark reaches `end`, or until the deadline.
    pub(super) fn hold(&mut self, end: Offset, deadline: Monotonic, id: ReplyId, reply: T::Reply) {
        self.replies.push_back(HeldReply { end, deadline, id, reply });
    }

    /// Holds an effect back until the high watermark reaches `end`.
    pub(super) fn hold_effect(&mut self, end: Offset, effect: T::Effect) {
        self.effects.push_back((end, effect));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.replies.is_empty() && self.effects.is_empty()
    }

    /// Takes the first reply if its records are committed.
    pub(super) fn pop_committed(&mut self, high_watermark: Offset) -> Option<(ReplyId, T::Reply)> {
        self.replies.pop_front_if(|held| held.end <= high_watermark).map(|held| (held.id, held.reply))
    }

    /// Takes the first effect if its records are committed.
    pub(super) fn pop_effect(&mut self, high_watermark: Offset) -> Option<T::Effect> {
        self.effects.pop_front_if(|(end, _)| *end <= high_watermark).map(|(_, effect)| effect)
    }

    /// Takes the first reply if its deadline has passed.
    pub(super) fn pop_expired(&mut self, now: Monotonic) -> Option<(ReplyId, T::Reply)> {
        self.replies.pop_front_if(|held| held.deadline <= now).map(|held| (held.id, held.reply))
    }

    /// Drops the effects and takes all replies.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = (ReplyId, T::Reply)> {
        self.effects.clear();
        self.replies.drain(..).map(|held| (held.id, held.reply))
    }

    /// Returns the deadline of the first reply.
    pub(super) fn next_deadline(&self) -> Option<Monotonic> {
        self.replies.front().map(|held| held.deadline)
    }
}
