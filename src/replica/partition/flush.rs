//! Flushes of one partition: what an append, an ended flush and a look of the background task lead to.
//! What is decided is decided by `flush_state`.

use super::flush_state::{DueFlush, FlushOutcome, LogEnds};
use super::{AppendInfo, Partition, may_join};
use ::replica::Leader;
use model::{ErrorCode, Offset, Timestamp};
use std::sync::Arc;
use storage::Error;

impl Partition {
    /// The log has grown: the high watermark follows, at once or when the records are flushed, and whoever
    /// waits is woken. Whether the append is answered only after a flush.
    pub(super) fn after_append(self: &Arc<Self>, done: &storage::Appended, now: Timestamp) -> bool {
        let end = Offset(done.last_offset.0.saturating_add(1));
        if done.is_write_back_due {
            self.committer.load().begin_write_back(&self.log());
        }
        let flushed_end = || self.log.load().flushed_end();
        let is_counted = || self.log.load().config().flush_messages.is_some();
        let after = self.flush_state.appended(end, flushed_end, done.is_flush_due, is_counted);
        self.advance(|leader| leader.appended(end, after.counting_end, now, &may_join));
        // Followers read to the log's end. While the batch does not count, nobody else has anything new to see.
        if after.counting_end >= end || self.leader.read().as_ref().is_some_and(Leader::has_followers) {
            self.watchers.wake();
        }
        if after.asks_for_flush {
            self.committer.load().add(self);
        }
        after.awaits_flush
    }

    /// A flush has ended: the high watermark follows it, and whoever waits is woken.
    pub(in crate::replica) fn flushed(&self, now: Timestamp) {
        let flushed = self.log.load().flushed_end();
        if self.advance(|leader| leader.appended(flushed, flushed, now, &may_join)) {
            self.watchers.wake();
        }
        self.flush_watchers.wake();
    }

    /// A flush of what is below an offset has failed: whoever waits for it is told so. After a fault the
    /// log is offline, and nobody leads here any more.
    pub(in crate::replica) fn flush_failed(self: &Arc<Self>, end: Offset) {
        self.flush_state.refused(end);
        if self.log.load().fault().is_some() {
            return self.resign();
        }
        self.flush_watchers.wake();
        // There may be room later.
        self.note();
    }

    pub(super) fn note(self: &Arc<Self>) {
        if self.flush_state.note() {
            self.committer.load().note(self);
        }
    }

    /// Asks the background task to look at what is not flushed, if there is anything.
    pub(in crate::replica) fn note_unflushed(self: &Arc<Self>) {
        let log = self.log.load();
        if log.recovery_point() < log.log_end_offset() {
            self.note();
        }
    }

    /// Flushes what is due, or asks the committer to flush where batches count only then, which a full disk
    /// may have refused before. It is noted again as long as there is something to come.
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

    /// What is known of the flush that an append waits for, if it waits for one; `None` while nothing is.
    /// Errors: KAFKA_STORAGE_ERROR when it failed, NOT_LEADER_OR_FOLLOWER when its epoch has ended.
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
