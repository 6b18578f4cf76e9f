//! Flushes, and the clean end of a log.

use super::Log;
use crate::error::Result;
use crate::names;
use crate::segment::Segment;
use model::{Offset, Timestamp};
use std::sync::Arc;

impl Log {
    /// Makes all records below an offset outlive a power cut, and moves the recovery point there. Appends go on beside it. A failed sync takes the
    /// log offline: what the system then still holds nobody knows, and trying again would succeed without having written anything.
    pub fn flush(&self, up_to: Offset, now: Timestamp) -> Result<()> {
        let segments = self.segments.load_full();
        self.flush_segments(&segments, up_to, now)
    }

    pub(super) fn flush_segments(&self, segments: &[Arc<Segment>], up_to: Offset, now: Timestamp) -> Result<()> {
        self.check_online()?;
        let before = *self.flushed.lock();
        let up_to = up_to.min(self.log_end_offset());
        if up_to <= before.recovery_point {
            self.flushed.lock().at = now;
            return Ok(());
        }
        let is_new = self.settle()?;
        let first =
            segments.partition_point(|segment| segment.base_offset() <= before.recovery_point).saturating_sub(1);
        let unflushed: Vec<_> = segments[first..].iter().filter(|segment| segment.base_offset() < up_to).collect();
        for segment in &unflushed {
            self.complete(segment)?;
            match segment.sync() {
                Ok(()) => {}
                // Retention or a truncation took it away in the meantime (KAFKA-19571).
                Err(error) if error.is_not_found() && !self.is_current_after(segment) => {}
                Err(error) => return Err(self.go_offline(error)),
            }
        }
        let is_begun_since =
            |segment: &Arc<Segment>| segment.base_offset() >= before.recovery_point && segment.base_offset() <= up_to;
        if is_new || segments.iter().any(is_begun_since) {
            self.sync_snapshots(before.recovery_point, up_to)?;
            self.folder.sync().map_err(|error| self.go_offline(error))?;
        }
        let mut flushed = self.flushed.lock();
        if flushed.truncations == before.truncations {
            flushed.recovery_point = flushed.recovery_point.max(up_to);
            flushed.at = now;
        }
        Ok(())
    }

    /// Brings to their files what a full disk kept in memory of a segment that is not the active one: before its records count as flushed, since a start
    /// then takes its indexes as they are.
    fn complete(&self, segment: &Arc<Segment>) -> Result<()> {
        if segment.is_complete() || Arc::ptr_eq(segment, &self.active()) {
            return Ok(());
        }
        let _writer = self.writer.lock();
        if self.is_current(segment) { segment.complete() } else { Ok(()) }
    }

    /// A segment that ends at an offset was rolled and could not be completed: a start must read its records, so the recovery point stays below its end.
    pub(super) fn keep_unsure(&self, end: Offset) {
        let flushed = &mut *self.flushed.lock();
        flushed.recovery_point = flushed.recovery_point.min(end.plus(-1));
        flushed.truncations += 1;
    }

    /// Whether a segment is the log's once whoever changes it now is done: files are renamed before the list of segments says so.
    fn is_current_after(&self, segment: &Arc<Segment>) -> bool {
        let _writer = self.writer.lock();
        self.is_current(segment)
    }

    pub(super) fn is_current(&self, segment: &Arc<Segment>) -> bool {
        self.segments.load().iter().any(|current| Arc::ptr_eq(current, segment))
    }

    fn sync_snapshots(&self, from: Offset, to: Offset) -> Result<()> {
        let offsets: Vec<Offset> = self.writer.lock().snapshots.range(from..=to).copied().collect();
        for offset in offsets {
            let name = names::segment_file(offset, names::SNAPSHOT);
            self.folder.sync_file(&name).map_err(|error| self.go_offline(error))?;
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

    /// Ends the log so that the next start need not read it: everything is flushed, indexes are complete, the producers are written. Later calls that
    /// change it fail.
    pub fn close(&self, now: Timestamp) -> Result<()> {
        {
            let writer = &mut *self.writer.lock();
            self.check_online()?;
            if writer.closed {
                return Ok(());
            }
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
        // The last segment's indexes are read as they are after a clean stop, so they must be as durable as the marker that will say so.
        self.active().sync()?;
        let mut writer = self.writer.lock();
        writer.closed = true;
        let _ = self.fault.set("it is closed".to_owned());
        self.segments.load().iter().for_each(|segment| segment.close());
        Ok(())
    }
}
