//! When a partition's batches count, and what has to be flushed of them: decided from the log's offsets
//! and the topic's settings. Nothing here flushes or waits.
//!
//! `flush.messages=1` makes a partition durable: a batch counts once it is flushed. In every other
//! partition a batch counts once it is appended, and is flushed when its segment is closed, when
//! `flush.messages` records have come together, or when `flush.ms` is over.
//!
//! | event | not durable | durable |
//! | --- | --- | --- |
//! | append | it counts at once; where a flush is due by count or time, the committer flushes, and by count the answer waits | it counts, and is answered, when the committer has flushed it |
//! | a flush has ended | more may count | what is flushed counts, and is answered |
//! | a full disk refuses a flush | who waits below its end is refused; it stays in the log and is noted | the same |
//! | the background task looks | closed segments are flushed, everything where `flush.ms` is over; noted again while something is to come | the committer flushes again what is not flushed |
//! | a leader epoch begins | refusals of the last epoch are forgotten | the same, and the committer flushes what is not flushed |
//!
//! Invariant: a partition with something to flush that nobody else flushes is noted, or is about to be
//! looked at.

use model::Offset;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use storage::{Log, LogConfig};

/// How far a log goes, and how far it is flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LogEnds {
    /// The next offset to be written.
    pub(super) log_end: Offset,
    /// Where the flushed records end.
    pub(super) flushed_end: Offset,
    /// Never above it.
    pub(super) recovery_point: Offset,
    /// Where the closed segments end.
    pub(super) closed_end: Offset,
}

impl LogEnds {
    pub(super) fn of(log: &Log) -> LogEnds {
        // In this order: none of the others is above the log's end.
        let (flushed_end, recovery_point) = (log.flushed_end(), log.recovery_point());
        let closed_end = log.segments().last().map_or(Offset(0), |active| active.base_offset());
        LogEnds { log_end: log.log_end_offset(), flushed_end, recovery_point, closed_end }
    }

    fn is_flushed(self) -> bool {
        self.recovery_point >= self.log_end
    }
}

/// What an append asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AfterAppend {
    /// Where what counts of this replica ends.
    pub(super) counting_end: Offset,
    /// The committer has to flush.
    pub(super) asks_for_flush: bool,
    /// The answer waits for the flush.
    pub(super) awaits_flush: bool,
}

/// What the background task has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DueFlush {
    /// Nothing.
    Nothing,
    /// The committer flushes, and tells who waits.
    ByCommitter,
    /// The task itself flushes what is below an offset.
    UpTo(Offset),
}

/// What a flush that an append waits for came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FlushOutcome {
    /// Nothing is known yet.
    Pending,
    /// The records are on disk.
    Flushed,
    /// The disk refused. The records stay where they are, and a later flush may still cover them.
    Refused,
}

/// The state of one partition's flushes.
#[derive(Debug)]
pub(super) struct FlushState {
    /// A batch counts only once it is flushed (`flush.messages=1`).
    is_durable: AtomicBool,
    /// `flush.ms` is set: what is appended is flushed when it is over.
    is_flushed_by_time: AtomicBool,
    /// A flush of what is below it was refused, and it may not be flushed since.
    refused_end: AtomicI64,
    /// The background task was asked to look, and has not done so since.
    is_noted: AtomicBool,
}

impl FlushState {
    /// Of a partition in which nothing has happened.
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

    /// Takes the topic's settings over.
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

    /// A leader epoch begins: nobody waits yet.
    pub(super) fn begin_epoch(&self) {
        self.refused_end.store(0, Ordering::Release);
    }

    /// Where the records end that count.
    pub(super) fn counting_end(&self, ends: LogEnds) -> Offset {
        if self.is_durable() { ends.flushed_end } else { ends.log_end }
    }

    /// A batch was appended that ends at `end`. `is_due` says that the log wants a flush by count or time,
    /// `is_counted` that a count is set. `flushed_end` is read after the append.
    pub(super) fn appended(
        &self,
        end: Offset,
        flushed_end: impl Fn() -> Offset,
        is_due: bool,
        is_counted: impl Fn() -> bool,
    ) -> AfterAppend {
        // Read after the append, which then counts its own records and none of a later one that has to wait.
        if self.is_durable() {
            let counting_end = flushed_end();
            let is_pending = counting_end < end;
            return AfterAppend { counting_end, asks_for_flush: is_pending, awaits_flush: is_pending };
        }
        // Kafka flushes by count before it answers, and by time beside.
        AfterAppend { counting_end: end, asks_for_flush: is_due, awaits_flush: is_due && is_counted() }
    }

    /// A flush of what is below an offset was refused.
    pub(super) fn refused(&self, end: Offset) {
        self.refused_end.fetch_max(end.0, Ordering::AcqRel);
    }

    /// What the flush of a record came to.
    pub(super) fn outcome(&self, last_offset: Offset, flushed_end: Offset) -> FlushOutcome {
        if flushed_end > last_offset {
            return FlushOutcome::Flushed;
        }
        match last_offset.0 < self.refused_end.load(Ordering::Acquire) {
            true => FlushOutcome::Refused,
            false => FlushOutcome::Pending,
        }
    }

    /// Asks the background task to look. Whether it does not know yet.
    pub(super) fn note(&self) -> bool {
        !self.is_noted.swap(true, Ordering::AcqRel)
    }

    /// The background task looks: before it reads the log's offsets, so that what happens from here on
    /// notes the partition again.
    pub(super) fn begin_look(&self) {
        self.is_noted.swap(false, Ordering::AcqRel);
    }

    /// What the background task has to flush.
    pub(super) fn due(&self, ends: LogEnds, is_time_over: bool) -> DueFlush {
        if self.is_durable() {
            return if ends.is_flushed() { DueFlush::Nothing } else { DueFlush::ByCommitter };
        }
        let up_to = if is_time_over { ends.log_end } else { ends.closed_end };
        if up_to > ends.recovery_point { DueFlush::UpTo(up_to) } else { DueFlush::Nothing }
    }

    /// Whether the background task has to look again, although nothing happens: after it has flushed.
    pub(super) fn must_look_again(&self, ends: LogEnds) -> bool {
        if self.is_durable() {
            // The committer notes it if it fails.
            return false;
        }
        (self.is_flushed_by_time() && !ends.is_flushed()) || ends.recovery_point < ends.closed_end
    }
}

#[cfg(test)]
mod tests;
