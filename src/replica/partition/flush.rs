//! The flushes of one partition: what follows an append, a flush that ended, and a pass of the
//! background task. `flush_state` decides.

use super::flush_state::{DueFlush, FlushOutcome, LogEnds};
use super::{AppendInfo, Partition};
use model::{ErrorCode, Offset, Timestamp};
use std::sync::Arc;
use storage::Error;

impl Partition {
    /// Follows up an append. The high watermark advances now or when the records are flushed, and
    /// waiters are woken. Returns whether the append is answered only after a flush.
    pub(super) fn after_append(self: &Arc<Self>, done: &storage::AppendOutcome) -> bool {
        let end = Offset(done.last_offset.0.saturating_add(1));
        if done.is_write_back_due {
            self.committer.load().begin_write_back(&self.log());
        }
        let flushed_end = || self.log.load().flushed_end();
        let is_counted = || self.log.load().config().flush_messages.is_some();
        let after = self.flush_state.appended(end, flushed_end, done.is_flush_due, is_counted);
        if self.advance(|leader| leader.appended(end, after.counting_end, &|id| self.standing(id))) {
            self.watchers.wake();
        }
        self.end_watchers.wake();
        if after.asks_for_flush {
            self.committer.load().add(self);
        }
        after.awaits_flush
    }

    /// Follows up a flush: advances the high watermark and wakes the waiters.
    pub(in crate::replica) fn flushed(&self) {
        let flushed = self.log.load().flushed_end();
        if self.advance(|leader| leader.appended(flushed, flushed, &|id| self.standing(id))) {
            self.watchers.wake();
        }
        self.flush_watchers.wake();
    }

    /// Fails the appends that wait for a flush of records below `end`. After a fault the log is
    /// offline, and this broker resigns.
    pub(in crate::replica) fn flush_failed(self: &Arc<Self>, end: Offset) {
        self.flush_state.refused(end);
        if self.log.load().fault().is_some() {
            return self.resign();
        }
        self.flush_watchers.wake();
        // There may be space later.
        self.note();
    }

    pub(super) fn note(self: &Arc<Self>) {
        if self.flush_state.note() {
            self.committer.load().note(self);
        }
    }

    /// Asks the background task to look at unflushed records, if there are any.
    pub(in crate::replica) fn note_unflushed(self: &Arc<Self>) {
        let log = self.log.load();
        if log.recovery_point() < log.log_end_offset() {
            self.note();
        }
    }

    /// Flushes what is due. If batches count only once they are flushed, asks the committer
    /// instead, since a full disk may have refused a flush before. The partition is noted again
    /// while more is to be flushed.
    pub(in crate::replica) fn flush_due(self: &Arc<Self>, now: Timestamp) -> Result<(), Error> {
        self.flush_state.begin_look();
        let log = self.log();
        if log.fault().is_some() {
            return Ok(());
        }
        let flushed = match self.flush_state.due(LogEnds::of(&log), log.is_flush_due(now)) {
            DueFlush::Nothing => Ok(()),
            DueFlush::ByCommitter => {
                self.committer.load().add(self);
                Ok(())
            }
            DueFlush::UpTo(end) => log.flush(end, now),
        };
        if flushed.is_err() || self.flush_state.must_look_again(LogEnds::of(&self.log.load())) {
            self.note();
        }
        flushed
    }

    /// Returns the result of the flush that an append waits for, or `None` if it is not known yet.
    /// Errors: KAFKA_STORAGE_ERROR if the flush failed, NOT_LEADER_OR_FOLLOWER if the epoch ended.
    pub(super) fn flush_result(&self, appended: &AppendInfo) -> Option<Result<(), ErrorCode>> {
        if !appended.awaits_flush {
            return Some(Ok(()));
        }
        match self.flush_state.outcome(appended.last_offset, self.log.load().flushed_end()) {
            FlushOutcome::Flushed => Some(Ok(())),
            FlushOutcome::Refused => Some(Err(ErrorCode::KafkaStorageError)),
            FlushOutcome::Pending => (self.leader_epoch() != Some(appended.epoch)).then(|| Err(self.not_leading())),
        }
    }
}
