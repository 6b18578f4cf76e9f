//! Flushes in three steps, so that one flush can serve many appends (`crate::commit`), and the
//! clean close of a log.

use super::{Flushed, Log};
use crate::error::Result;
use crate::names;
use crate::planted::{Bug, is_planted};
use crate::segment::Segment;
use model::{Offset, Timestamp};
use std::sync::Arc;

/// A flush that has begun. It covers nothing that is appended from now on.
#[derive(Debug)]
pub struct Flush {
    segments: Arc<Vec<Arc<Segment>>>,
    up_to: Offset,
    before: Flushed,
}

/// A flush whose syncs are done.
#[derive(Debug)]
pub struct SyncedFlush {
    up_to: Offset,
    /// Whether a segment began at or after `up_to` when the flush began, so that the indexes of all
    /// segments below are on disk too.
    is_passed: bool,
    truncations: u64,
}

impl Flush {
    fn is_needed(&self) -> bool {
        self.up_to > self.before.recovery_point
    }

    fn synced(&self) -> SyncedFlush {
        let is_passed = self.segments.last().is_some_and(|last| last.base_offset() >= self.up_to);
        SyncedFlush { up_to: self.up_to, is_passed, truncations: self.before.truncations }
    }

    /// Whether the recovery point will be at or after the end of a segment, given by its index: a
    /// start then trusts its indexes.
    fn passes(&self, number: usize) -> bool {
        self.segments.get(number + 1).is_some_and(|next| next.base_offset() <= self.up_to)
    }
}

impl Log {
    /// Makes all records below an offset survive a power cut, and moves the recovery point there.
    /// Appends continue meanwhile. A failed sync takes the log offline: nobody knows what the
    /// system still holds, and a retry would succeed without having written anything.
    pub fn flush(&self, up_to: Offset, now: Timestamp) -> Result<()> {
        let synced = self.sync(self.begin_flush(up_to)?)?;
        self.finish_flush(synced, now).map(|_| ())
    }

    /// Step 1 of a flush: determines what it covers, which is all that is appended by now and is
    /// below an offset.
    pub fn begin_flush(&self, up_to: Offset) -> Result<Flush> {
        self.check_online()?;
        let before = *self.flushed.lock();
        // In this order: all below the end is in these segments, whatever is appended and rolled
        // meanwhile.
        let up_to = up_to.min(self.log_end_offset());
        Ok(Flush { segments: self.segments.load_full(), up_to, before })
    }

    /// Step 2: syncs. A log has one flush in this step at a time, since the system reports a
    /// failure to only one of two.
    pub fn sync(&self, flush: Flush) -> Result<SyncedFlush> {
        if flush.is_needed() {
            let _alone = self.syncing.lock();
            self.check_online()?;
            self.complete_passed(&flush)?;
            self.write_noted_epochs()?;
            self.sync_files(&flush).map_err(|error| self.go_offline(error))?;
        }
        Ok(flush.synced())
    }

    /// Step 3: moves the recovery point to the offset determined in step 1, unless the log was
    /// truncated meanwhile. Returns the end of the flushed records. If the log was rolled
    /// meanwhile, the recovery point stays inside the segment that ended: a start must rebuild its
    /// indexes.
    pub fn finish_flush(&self, synced: SyncedFlush, now: Timestamp) -> Result<Offset> {
        self.check_online()?;
        let mut flushed = self.flushed.lock();
        if flushed.truncations == synced.truncations {
            let reached = if is_planted(Bug::RecoveryPointAheadOfFsync) { self.log_end_offset() } else { synced.up_to };
            let is_rolled = !synced.is_passed && flushed.rolled_at >= synced.up_to;
            let sure = if is_rolled { reached.plus(-1) } else { reached };
            flushed.recovery_point = flushed.recovery_point.max(sure);
            flushed.end = flushed.end.max(reached);
            flushed.at = now;
        }
        Ok(flushed.end)
    }

    fn sync_files(&self, flush: &Flush) -> Result<()> {
        let (segments, from, up_to) = (&*flush.segments, flush.before.recovery_point, flush.up_to);
        let is_new = self.settle()?;
        let first = Self::first_unflushed(segments, from);
        for (number, segment) in segments.iter().enumerate().skip(first) {
            if segment.base_offset() >= up_to {
                break;
            }
            // After a crash, a recovery point inside a segment makes a start rebuild its indexes
            // from the records.
            let synced = if flush.passes(number) { segment.sync() } else { segment.sync_records() };
            match synced {
                // Retention or a truncation removed it meanwhile (KAFKA-19571).
                Err(error) if error.is_not_found() && !self.is_current_after(segment) => {}
                synced => synced?,
            }
        }
        let is_begun_since = |segment: &Arc<Segment>| segment.base_offset() >= from && segment.base_offset() <= up_to;
        if is_new || segments.iter().any(is_begun_since) {
            self.sync_snapshots(from, up_to)?;
            self.sync_folder()?;
        }
        Ok(())
    }

    /// Returns the index of the first segment that a flush must visit. It includes the one that
    /// ends at the recovery point, whose indexes were incomplete when the recovery point got there.
    fn first_unflushed(segments: &[Arc<Segment>], recovery_point: Offset) -> usize {
        segments.partition_point(|segment| segment.base_offset() < recovery_point).saturating_sub(1)
    }

    /// Writes what a full disk kept in memory of segments that the flush passes. It comes before
    /// their records count as flushed, since a start then trusts their indexes. A disk that is
    /// still full refuses the flush, and the log stays online.
    fn complete_passed(&self, flush: &Flush) -> Result<()> {
        let first = Self::first_unflushed(&flush.segments, flush.before.recovery_point);
        for (number, segment) in flush.segments.iter().enumerate().skip(first) {
            if flush.passes(number) && !segment.is_complete() {
                let _writer = self.writer.lock();
                if self.is_current(segment) {
                    segment.complete()?;
                }
            }
        }
        Ok(())
    }

    /// Notes that the segment that ends at an offset was rolled but could not be completed. A start
    /// must read its records, so the recovery point stays below its end.
    pub(super) fn keep_unsure(&self, end: Offset) {
        let flushed = &mut *self.flushed.lock();
        flushed.recovery_point = flushed.recovery_point.min(end.plus(-1));
        flushed.truncations += 1;
    }

    /// Whether a segment belongs to the log after the change in progress: files are renamed before
    /// the list of segments changes.
    fn is_current_after(&self, segment: &Arc<Segment>) -> bool {
        let _writer = self.writer.lock();
        self.is_current(segment)
    }

    /// Asks the system to begin writing back what was appended to the active segment, so that no
    /// later append waits for all of it at once: in a flush, or at the system's own limit on dirty
    /// pages. It does not say what is on disk.
    pub fn begin_write_back(&self) -> Result<()> {
        self.check_online()?;
        self.active().begin_write_back()
    }

    pub(super) fn is_current(&self, segment: &Arc<Segment>) -> bool {
        self.segments.load().iter().any(|current| Arc::ptr_eq(current, segment))
    }

    fn sync_snapshots(&self, from: Offset, to: Offset) -> Result<()> {
        let offsets: Vec<Offset> = self.writer.lock().snapshots.range(from..=to).copied().collect();
        for offset in offsets {
            let name = names::segment_file(offset, names::SNAPSHOT);
            self.folder.sync_file(&name)?;
        }
        Ok(())
    }

    /// Whether `flush.messages` or `flush.ms` asks for a flush.
    pub fn is_flush_due(&self, now: Timestamp) -> bool {
        let config = self.config.load();
        if config.flush_messages.is_none() && config.flush_ms.is_none() {
            return false;
        }
        let flushed = *self.flushed.lock();
        let unflushed = self.log_end_offset().0 - flushed.recovery_point.0;
        let waited_ms = now.0.saturating_sub(flushed.at.0);
        config.flush_messages.is_some_and(|limit| unflushed >= limit)
            || (unflushed > 0 && config.flush_ms.is_some_and(|limit| waited_ms >= limit))
    }

    /// Closes the log so that the next start need not read it: flushes everything, completes the
    /// indexes and writes the producers. Later calls that change the log fail.
    pub fn close(&self, now: Timestamp) -> Result<()> {
        {
            let writer = &mut *self.writer.lock();
            self.check_online()?;
            if writer.closed {
                return Ok(());
            }
            let _held = self.held_over_sync();
            let active = self.active();
            active.cut_leftovers()?;
            active.seal()?;
            self.segments.load().iter().filter(|segment| !segment.is_complete()).try_for_each(|it| it.complete())?;
            writer.leftovers = false;
            writer.producers.end_offset = self.log_end_offset();
            self.take_snapshot(writer, true)?;
            self.folder.sync()?;
        }
        self.flush(self.log_end_offset(), now)?;
        // After a clean stop the indexes of the last segment are trusted, so they must be as
        // durable as the marker of the clean stop.
        self.active().sync()?;
        if self.active().base_offset() > self.log_end_offset() {
            // An append that rolled and was refused left it behind a gap, which the flush did not
            // pass.
            self.segments.load().iter().rev().nth(1).map_or(Ok(()), |before| before.sync())?;
        }
        let mut writer = self.writer.lock();
        writer.closed = true;
        let _ = self.fault.set("it is closed".to_owned());
        self.segments.load().iter().for_each(|segment| segment.close());
        Ok(())
    }
}
