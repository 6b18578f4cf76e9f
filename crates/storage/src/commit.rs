//! Group commit: a batch is flushed once a sync that began after its append has ended. One sync
//! serves all batches that a log holds when the sync begins.
//!
//! ```text
//! add     a batch was appended: its log waits                 appends go on during every step
//! begin   takes the next log and notes where it ends
//! sync    of that log's files; blocks
//! finish  what was noted is flushed; what came since waits for another round
//! ```
//! Only `sync` waits for the disk, and nothing runs by itself: the driver decides on which thread
//! each step runs, and how many logs are between `begin` and `finish` at a time. Concurrent syncs
//! of several logs share the writes of the file system's journal.
//!
//! Invariants: no log is in two rounds at once. A round acknowledges nothing that was appended
//! after it began. A log whose files could not be synced is offline, and every later round of it
//! fails too: a repeated sync would succeed without having written anything.

use crate::error::Result;
use crate::log::{Flush, Log, SyncedFlush};
use crate::planted::{Bug, is_planted};
use model::{Offset, Timestamp};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// The logs, or their owners, with batches that no sync has covered.
#[derive(Debug)]
pub struct GroupCommit<M> {
    queue: Mutex<Queue<M>>,
}

#[derive(Debug)]
struct Queue<M> {
    waiting: VecDeque<Arc<M>>,
    /// The state of every log that waits or is in a round, by address.
    stages: HashMap<usize, Stage>,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// With this many batches.
    Waiting(u64),
    /// In a round, and this many batches were added since it began.
    Syncing(u64),
}

/// A round of one log.
#[derive(Debug)]
pub struct Round<M, S> {
    member: Arc<M>,
    log: Arc<Log>,
    batches: u64,
    end: Offset,
    state: Result<S>,
}

/// The outcome of a round.
#[derive(Debug)]
pub struct RoundOutcome<M> {
    /// The member whose round it was.
    pub member: Arc<M>,
    /// The number of batches that waited for it.
    pub batches: u64,
    /// The log end offset when the round began.
    pub end: Offset,
    /// All below it is flushed. After an error, none of the batches is known to be on disk. If the
    /// error is a refusal (`Error::is_refusal`), a later round may succeed. If it is
    /// `Error::is_moved`, another log replaced this one, and the batches wait for a round of that
    /// log. After any other error the log is offline.
    pub flushed: Result<Offset>,
    /// The member waits for another round, since batches were added meanwhile or this round did not
    /// cover all of its batches.
    pub is_waiting: bool,
}

impl<M> Default for GroupCommit<M> {
    fn default() -> Self {
        GroupCommit { queue: Mutex::new(Queue { waiting: VecDeque::new(), stages: HashMap::new() }) }
    }
}

fn address<M>(member: &Arc<M>) -> usize {
    Arc::as_ptr(member).addr()
}

impl<M> GroupCommit<M> {
    /// Notes an appended batch. Returns whether its log was neither waiting nor in a round: then
    /// the caller must see to it that a round begins.
    pub fn add(&self, member: &Arc<M>) -> bool {
        let queue = &mut *self.queue.lock();
        match queue.stages.get_mut(&address(member)) {
            Some(Stage::Waiting(count) | Stage::Syncing(count)) => {
                *count += 1;
                false
            }
            None => {
                queue.stages.insert(address(member), Stage::Waiting(1));
                queue.waiting.push_back(member.clone());
                true
            }
        }
    }

    /// Whether a log waits for a round.
    pub fn has_waiting(&self) -> bool {
        !self.queue.lock().waiting.is_empty()
    }

    /// Begins a round of the log that has waited longest; it covers all that the log holds now.
    /// Returns `None` if no log waits. `log_of` returns a member's current log, which the round
    /// syncs.
    pub fn begin(&self, log_of: impl FnOnce(&Arc<M>) -> Arc<Log>) -> Option<Round<M, Flush>> {
        let (member, batches) = {
            let queue = &mut *self.queue.lock();
            let member = queue.waiting.pop_front()?;
            // Before the end is read: a batch added from here on may be in this round, but waits
            // for the next.
            let stage = queue.stages.insert(address(&member), Stage::Syncing(0));
            (member, stage.map_or(0, |(Stage::Waiting(count) | Stage::Syncing(count))| count))
        };
        let log = log_of(&member);
        let end = log.log_end_offset();
        let state = log.begin_flush(end);
        Some(Round { member, log, batches, end, state })
    }

    /// Ends a round. If its sync succeeded, the recovery point moves, and the caller may
    /// acknowledge what is below `RoundOutcome::flushed`.
    pub fn finish(&self, round: Round<M, SyncedFlush>, now: Timestamp) -> RoundOutcome<M> {
        let Round { member, log, batches, end, state } = round;
        let flushed = state.and_then(|synced| log.finish_flush(synced, now));
        let is_early = is_planted(Bug::LateBatchCommitted);
        let flushed = if is_early { flushed.map(|_| log.log_end_offset()) } else { flushed };
        // The log was truncated, a segment could not be completed, or another log replaced this
        // one: the batches need another round.
        let is_short = match &flushed {
            Ok(flushed) => *flushed < end.min(log.log_end_offset()),
            Err(error) => error.is_moved(),
        };
        let uncovered_batches = if is_short { batches } else { 0 };
        let queue = &mut *self.queue.lock();
        let is_waiting = match queue.stages.remove(&address(&member)) {
            Some(Stage::Waiting(count) | Stage::Syncing(count)) if count + uncovered_batches > 0 => {
                queue.stages.insert(address(&member), Stage::Waiting(count + uncovered_batches));
                queue.waiting.push_back(member.clone());
                true
            }
            _ => false,
        };
        RoundOutcome { member, batches, end, flushed, is_waiting }
    }
}

impl<M> Round<M, Flush> {
    /// Syncs what the round covers. `finish` returns the error.
    pub fn sync(self) -> Round<M, SyncedFlush> {
        let Round { member, log, batches, end, state } = self;
        let state = state.and_then(|flush| log.sync(flush));
        Round { member, log, batches, end, state }
    }
}

#[cfg(test)]
mod tests;
