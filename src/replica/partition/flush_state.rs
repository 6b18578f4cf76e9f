//! Decides when a partition's batches count and what must be flushed, from the log's offsets and
//! the topic's settings. Nothing here flushes or waits.
//!
//! `flush.messages=1` makes a partition durable: a batch counts once it is flushed. In other
//! partitions a batch counts once it is appended. It is flushed when its segment is closed, after
//! `flush.messages` records, or after `flush.ms`.
//!
//! | event | not durable | durable |
//! | --- | --- | --- |
//! | append | it counts at once; if a flush is due by count or time, the committer flushes, and by count the answer waits | it counts, and is answered, once the committer has flushed it |
//! | a flush has ended | more may count | what is flushed counts, and is answered |
//! | a full disk refuses a flush | requests that wait below its end fail; the records stay in the log, and the partition is noted | the same |
//! | the background task looks | flushes closed segments, and everything once `flush.ms` is over; the partition is noted again while more is to be flushed | the committer flushes what is not flushed |
//! | a leader epoch begins | refusals of the last epoch are forgotten | the same, and the committer flushes what is not flushed |
//!
//! Invariant: a partition with something to flush that nobody else flushes is noted, or the
//! background task is about to look at it.

use model::Offset;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use storage::{Log, LogConfig};

/// The end of a log, and the ends of what is flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LogEnds {
    /// The log end offset.
    pub(super) log_end: Offset,
    /// The end of the flushed records.
    pub(super) flushed_end: Offset,
    /// Never above the flushed end.
    pub(super) recovery_point: Offset,
    /// The end of the closed segments.
    pub(super) closed_end: Offset,
}

impl LogEnds {
    pub(super) fn of(log: &Log) -> LogEnds {
        // In this order, so that none of the others is above the log end.
        let (flushed_end, recovery_point) = (log.flushed_end(), log.recovery_point());
        let closed_end = log.segments().last().map_or(Offset(0), |active| active.base_offset());
        LogEnds { log_end: log.log_end_offset(), flushed_end, recovery_point, closed_end }
    }

    fn is_flushed(self) -> bool {
        self.recovery_point >= self.log_end
    }
}

/// What follows an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AfterAppend {
    /// The end of this replica's records that count.
    pub(super) counting_end: Offset,
    /// Whether the committer must flush.
    pub(super) asks_for_flush: bool,
    /// Whether the answer waits for the flush.
    pub(super) awaits_flush: bool,
}

/// What the background task must flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DueFlush {
    /// Nothing.
    Nothing,
    /// The committer flushes, and wakes the waiters.
    ByCommitter,
    /// The task itself flushes the records below this offset.
    UpTo(Offset),
}

/// The result of a flush that an append waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FlushOutcome {
    /// Not known yet.
    Pending,
    /// The records are on disk.
    Flushed,
    /// The disk refused the flush. The records stay in the log, and a later flush may still cover
    /// them.
    Refused,
}

/// The state of one partition's flushes.
#[derive(Debug)]
pub(super) struct FlushState {
    /// Whether a batch counts only once it is flushed (`flush.messages=1`).
    is_durable: AtomicBool,
    /// Whether `flush.ms` is set, so that records are flushed after that time.
    is_flushed_by_time: AtomicBool,
    /// The end of a refused flush. The records below it may still be unflushed.
    refused_end: AtomicI64,
    /// Whether the background task was asked to look and has not looked yet.
    is_noted: AtomicBool,
}

impl FlushState {
    /// Creates the state of a new partition.
    pub(super) fn new(config: &LogConfig) -> FlushState {
        let state = FlushState {
            is_durable: AtomicBool::new(false),
            is_flushed_by_time: AtomicBool::new(false),
            refused_end: AtomicI64::new(0),
            is_noted: AtomicBool::new(false),
        };
        state.set_config(config);
        state
    }

    /// Applies the topic's settings.
    pub(super) fn set_config(&self, config: &LogConfig) {
        self.is_durable.store(config.flush_messages.is_some_and(|count| count <= 1), Ordering::Release);
        self.is_flushed_by_time.store(config.flush_ms.is_some(), Ordering::Release);
    }

    fn is_durable(&self) -> bool {
        self.is_durable.load(Ordering::Acquire)
    }

    /// Whether `flush.ms` is set.
    pub(super) fn is_flushed_by_time(&self) -> bool {
        self.is_flushed_by_time.load(Ordering::Acquire)
    }

    /// Forgets refused flushes, since a leader epoch begins and nobody waits yet.
    pub(super) fn begin_epoch(&self) {
        self.refused_end.store(0, Ordering::Release);
    }

    /// Returns the end of the records that count.
    pub(super) fn counting_end(&self, ends: LogEnds) -> Offset {
        if self.is_durable() { ends.flushed_end } else { ends.log_end }
    }

    /// Decides what follows an append that ends at `end`. `is_due` says that the log needs a flush
    /// by count or time, `is_counted` that a count is set. `flushed_end` is read after the append.
    pub(super) fn appended(
        &self,
        end: Offset,
        flushed_end: impl Fn() -> Offset,
        is_due: bool,
        is_counted: impl Fn() -> bool,
    ) -> AfterAppend {
        // Read after the append. So the append counts only its own records and none of a later
        // append that must wait.
        if self.is_durable() {
            let counting_end = flushed_end();
            let is_pending = counting_end < end;
            return AfterAppend { counting_end, asks_for_flush: is_pending, awaits_flush: is_pending };
        }
        // Kafka flushes by count before it answers, and by time in the background.
        AfterAppend { counting_end: end, asks_for_flush: is_due, awaits_flush: is_due && is_counted() }
    }

    /// Notes that a flush of the records below `end` was refused.
    pub(super) fn refused(&self, end: Offset) {
        self.refused_end.fetch_max(end.0, Ordering::AcqRel);
    }

    /// Returns the result of the flush of a record.
    pub(super) fn outcome(&self, last_offset: Offset, flushed_end: Offset) -> FlushOutcome {
        if flushed_end > last_offset {
            return FlushOutcome::Flushed;
        }
        match last_offset.0 < self.refused_end.load(Ordering::Acquire) {
            true => FlushOutcome::Refused,
            false => FlushOutcome::Pending,
        }
    }

    /// Notes that the background task must look. Returns whether it was not noted before.
    pub(super) fn note(&self) -> bool {
        !self.is_noted.swap(true, Ordering::AcqRel)
    }

    /// Starts a look of the background task. Called before the task reads the log's offsets, so
    /// that later events note the partition again.
    pub(super) fn begin_look(&self) {
        self.is_noted.swap(false, Ordering::AcqRel);
    }

    /// Returns what the background task must flush.
    pub(super) fn due(&self, ends: LogEnds, is_time_over: bool) -> DueFlush {
        if self.is_durable() {
            return if ends.is_flushed() { DueFlush::Nothing } else { DueFlush::ByCommitter };
        }
        let up_to = if is_time_over { ends.log_end } else { ends.closed_end };
        if up_to > ends.recovery_point { DueFlush::UpTo(up_to) } else { DueFlush::Nothing }
    }

    /// Whether the background task must look again after it flushed, even if nothing happens.
    pub(super) fn must_look_again(&self, ends: LogEnds) -> bool {
        if self.is_durable() {
            // The committer notes the partition if the flush fails.
            return false;
        }
        (self.is_flushed_by_time() && !ends.is_flushed()) || ends.recovery_point < ends.closed_end
    }
}

#[cfg(test)]
mod tests;
