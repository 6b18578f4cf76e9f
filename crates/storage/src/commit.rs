//! Group commit: a batch counts once a sync that began after its append has ended, and one sync serves all batches that a log has by then.
//!
//! ```text
//! add     a batch was appended: its log waits                 appends go on during every step
//! begin   takes the next log and notes where it ends
//! sync    of that log's files; blocks
//! finish  what was noted is flushed; what came since waits for another round
//! ```
//! Nothing here waits, and nothing happens by itself: whoever drives it decides on which thread each step runs, and how many logs are between `begin` and
//! `finish` at a time. Syncs of several logs that run side by side share the writes of the file system's journal.
//!
//! Invariants: no log is in two rounds at once. A round acknowledges nothing that was appended after it began. A log whose sync failed is offline, and every
//! later round of it fails too: a sync that is tried again would succeed without having written anything.

use crate::error::Result;
use crate::log::{Flush, Log, Synced};
use crate::planted::{Bug, is_planted};
use model::{Offset, Timestamp};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// The logs, or what holds them, that have batches which no sync has covered.
#[derive(Debug)]
pub struct GroupCommit<M> {
    queue: Mutex<Queue<M>>,
}

#[derive(Debug)]
struct Queue<M> {
    waiting: VecDeque<Arc<M>>,
    /// Of every log that waits or is in a round, by address.
    stages: HashMap<usize, Stage>,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// With so many batches.
    Waiting(u64),
    /// In a round, and so many batches have come since it began.
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

/// What a round has come to.
#[derive(Debug)]
pub struct Committed<M> {
    /// Whose round it was.
    pub member: Arc<M>,
    /// How many batches waited for it.
    pub batches: u64,
    /// Where its log ended when the round began.
    pub end: Offset,
    /// All below it is flushed. After an error none of the batches is known to be on disk, and the log is offline; but where the error is a refusal
    /// (`Error::is_refusal`) nothing was synced, and a later round may do it.
    pub flushed: Result<Offset>,
    /// Batches have come meanwhile: it waits for another round.
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
    /// Notes a batch that was appended. Whether its log began to wait with it, so that somebody has to begin a round.
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

    /// Begins a round of the log that has waited longest: all that it holds by now will be covered. `None` where none waits.
    /// `log_of` gives a member's log as of now, which the round is of.
    pub fn begin(&self, log_of: impl FnOnce(&Arc<M>) -> Arc<Log>) -> Option<Round<M, Flush>> {
        let (member, batches) = {
            let queue = &mut *self.queue.lock();
            let member = queue.waiting.pop_front()?;
            // Before the end is read: a batch that is added from here on may be in this round, and waits for the next.
            let stage = queue.stages.insert(address(&member), Stage::Syncing(0));
            (member, stage.map_or(0, |(Stage::Waiting(count) | Stage::Syncing(count))| count))
        };
        let log = log_of(&member);
        let end = log.log_end_offset();
        let state = log.begin_flush(end);
        Some(Round { member, log, batches, end, state })
    }

    /// Ends a round: the recovery point moves. Those who waited may be told when this has returned.
    pub fn finish(&self, round: Round<M, Synced>, now: Timestamp) -> Committed<M> {
        let Round { member, log, batches, end, state } = round;
        let flushed = state.and_then(|synced| log.finish_flush(synced, now));
        let is_early = is_planted(Bug::LateBatchCommitted);
        let flushed = if is_early { flushed.map(|_| log.log_end_offset()) } else { flushed };
        // A truncation came between, a segment that could not be completed, or another log in its place: what is left of the batches needs another round.
        let is_short = match &flushed {
            Ok(flushed) => *flushed < end.min(log.log_end_offset()),
            Err(error) => error.is_moved(),
        };
        let left = if is_short { batches } else { 0 };
        let queue = &mut *self.queue.lock();
        let is_waiting = match queue.stages.remove(&address(&member)) {
            Some(Stage::Waiting(count) | Stage::Syncing(count)) if count + left > 0 => {
                queue.stages.insert(address(&member), Stage::Waiting(count + left));
                queue.waiting.push_back(member.clone());
                true
            }
            _ => false,
        };
        Committed { member, batches, end, flushed, is_waiting }
    }
}

impl<M> Round<M, Flush> {
    /// Syncs what the round covers. A failure takes the log offline; it is told by `finish`.
    pub fn sync(self) -> Round<M, Synced> {
        let Round { member, log, batches, end, state } = self;
        let state = state.and_then(|flush| log.sync(flush));
        Round { member, log, batches, end, state }
    }
}

#[cfg(test)]
mod tests;
