//! Truncates at either end: to an earlier end, to a new beginning, and to a later start
//! (DeleteRecords).

use super::{Flushed, Log, Mark, Writer};
use crate::error::{Error, Result};
use crate::names;
use crate::planted::{Bug, is_planted};
use crate::producer::{Producers, read_snapshot};
use crate::segment::Segment;
use model::{Offset, Timestamp};
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Log {
    /// Removes the records at and above an offset. Returns whether there were any. Lowers the log's
    /// entries in the checkpoints of its dir. Errors: among others a full disk, if it refuses that;
    /// then nothing is removed.
    pub fn truncate_to(&self, end: Offset, now: Timestamp) -> Result<bool> {
        self.truncate(&mut self.writer.lock(), end, now)
    }

    pub(super) fn truncate(&self, writer: &mut Writer, end: Offset, now: Timestamp) -> Result<bool> {
        self.check_online()?;
        let log_end = self.log_end_offset();
        if end >= log_end {
            // A leader that appended nothing has left its epoch here. The next leader may not know
            // that epoch.
            self.change_epochs(|epochs| epochs.truncate_from_end(log_end))?;
            return Ok(false);
        }
        let _held = self.held_over_sync();
        self.lower_to(end)?;
        let segments = self.segments.load_full();
        let kept = segments.partition_point(|segment| segment.base_offset() <= end);
        let Some(last) = kept.checked_sub(1) else {
            return self.start_anew(writer, end, now).map(|()| true);
        };
        // After a fault in the middle, files and memory differ: opening the log again repairs it.
        let cut = self.cut(writer, &segments, last, end, now);
        cut.map_err(|error| self.go_offline(error)).map(|()| true)
    }

    /// Lowers what is known of the records above an offset, before they are removed: that they are
    /// flushed, committed, or not read any more. First in the checkpoints, or a start would believe
    /// it of the records that follow. The files are read each time: what they say may be above what
    /// is known here.
    fn lower_to(&self, end: Offset) -> Result<()> {
        let lower = || {
            {
                let mut marks = self.marks.write();
                if marks.high_watermark.offset > end {
                    marks.high_watermark = Mark { offset: end, place: None };
                }
                marks.log_start = marks.log_start.min(end);
            }
            let flushed = &mut *self.flushed.lock();
            let (recovery_point, flushed_end) = (flushed.recovery_point.min(end), flushed.end.min(end));
            let truncations = flushed.truncations + 1;
            *flushed = Flushed { recovery_point, end: flushed_end, truncations, rolled_at: Offset(0), ..*flushed };
        };
        match self.checkpoints.as_ref().filter(|_| !is_planted(Bug::CheckpointsNotLowered)) {
            Some(checkpoints) => checkpoints.lower(&self.partition, end, lower),
            None => {
                lower();
                Ok(())
            }
        }
    }

    fn cut(
        &self,
        writer: &mut Writer,
        segments: &[Arc<Segment>],
        last: usize,
        end: Offset,
        now: Timestamp,
    ) -> Result<()> {
        // Readers must not see offsets whose records are about to be removed.
        let lowered = {
            let mut marks = self.marks.write();
            marks.log_end = Mark { offset: end, place: None };
            *marks
        };
        segments[last..].iter().for_each(|segment| {
            if segment.base_offset() >= end {
                segment.invalidate()
            }
        });
        self.lower_cleaned_up_to(segments[last].base_offset());
        // The newest is removed first, and durably: if this is interrupted, the log ends earlier
        // but has no hole.
        for segment in segments[last + 1..].iter().rev() {
            self.doom(writer, segment, now)?;
        }
        if segments.len() > last + 1 {
            self.folder.sync()?;
        }
        let active = Arc::new(segments[last].truncate(end, now)?);
        let mut kept = segments[..last].to_vec();
        kept.push(active.clone());
        self.segments.store(Arc::new(kept));
        if !is_planted(Bug::LeaderEpochsNotCut) {
            self.change_epochs(|epochs| epochs.truncate_from_end(end))?;
        }
        // Batches are removed whole, so the log may now end before the given offset.
        let next = active.next_offset()?.max(active.base_offset());
        let log_end = Mark { offset: end.max(next), place: Some((active.base_offset(), active.size())) };
        self.reload_producers(writer, lowered.log_start, end, now)?;
        // A power cut must not bring back segments or snapshots of the removed part.
        self.folder.sync()?;
        let mut marks = self.marks.write();
        marks.log_end = log_end;
        if marks.high_watermark.offset >= log_end.offset {
            marks.high_watermark = log_end;
        }
        let high_watermark = marks.high_watermark.offset;
        drop(marks);
        // What the high watermark passed stays decided.
        writer.producers.high_watermark_moved(high_watermark);
        self.publish_unstable(writer);
        Ok(())
    }

    fn reload_producers(&self, writer: &mut Writer, start: Offset, end: Offset, now: Timestamp) -> Result<()> {
        let gone: Vec<Offset> = writer.snapshots.iter().copied().filter(|offset| *offset > end).collect();
        for offset in gone {
            self.folder.remove_file(&names::segment_file(offset, names::SNAPSHOT))?;
            writer.snapshots.remove(&offset);
        }
        let mut producers = Producers::at(start);
        for offset in writer.snapshots.iter().rev().copied().take_while(|offset| *offset > start) {
            let path = self.folder.file(&names::segment_file(offset, names::SNAPSHOT));
            if let Ok(read) = read_snapshot(&*self.folder.disk, &path, offset) {
                producers = read;
                producers.expire(now, self.config.load().producer_id_expiration_ms);
                break;
            }
        }
        let segments = self.segments.load();
        let from = segments.partition_point(|segment| segment.base_offset() <= producers.end_offset).saturating_sub(1);
        for segment in &segments[from..] {
            super::recover::replay_segment(&mut producers, segment, end)?;
        }
        if is_planted(Bug::ProducersForgottenAtTruncation) {
            producers = Producers::at(start);
        }
        producers.end_offset = end;
        writer.producers = producers;
        match self.take_snapshot(writer, false) {
            Err(error) if error.is_refusal() => Ok(()),
            taken => taken,
        }
    }

    /// Removes everything and continues at an offset.
    pub fn truncate_fully_and_start_at(&self, start: Offset, now: Timestamp) -> Result<()> {
        self.start_over(&mut self.writer.lock(), start, now)
    }

    pub(super) fn start_over(&self, writer: &mut Writer, start: Offset, now: Timestamp) -> Result<()> {
        self.check_online()?;
        let _held = self.held_over_sync();
        self.lower_to(start)?;
        self.start_anew(writer, start, now)
    }

    fn start_anew(&self, writer: &mut Writer, start: Offset, now: Timestamp) -> Result<()> {
        let old = self.segments.load_full();
        let result = (|| {
            old.iter().for_each(|segment| segment.invalidate());
            // Until the folder is synced, a power cut may bring back the old segments, whose names
            // do not say where the log started.
            self.deletions.fetch_add(1, Ordering::AcqRel);
            // First, so that they never contain more than the segments.
            for offset in std::mem::take(&mut writer.snapshots) {
                self.folder.remove_file(&names::segment_file(offset, names::SNAPSHOT))?;
            }
            for segment in old.iter() {
                self.doom(writer, segment, now)?;
            }
            let active = Arc::new(Segment::create(self.folder.clone(), start, now)?);
            self.segments.store(Arc::new(vec![active]));
            self.change_epochs(|epochs| {
                epochs.clear();
                true
            })?;
            // The recovery point is about to move to the new start.
            self.settling.begin();
            if !is_planted(Bug::NewBeginningUnsettled) {
                self.finish_settling()?;
            }
            self.sync_folder()?;
            writer.producers = Producers::at(start);
            writer.leftovers = false;
            self.lower_cleaned_up_to(start);
            let flushed = &mut *self.flushed.lock();
            let truncations = flushed.truncations + 1;
            *flushed = Flushed { recovery_point: start, end: start, at: now, truncations, rolled_at: Offset(0) };
            let mut marks = self.marks.write();
            marks.log_start = start;
            marks.log_end = Mark { offset: start, place: Some((start, 0)) };
            marks.high_watermark = marks.log_end;
            marks.first_unstable = None;
            marks.awaits_high_watermark = false;
            Ok(())
        })();
        result.map_err(|error| self.go_offline(error))
    }

    /// Raises the log start offset in memory; writes and syncs nothing. The next retention removes
    /// whole segments below it. Returns whether it moved.
    pub fn delete_records(&self, before: Offset) -> Result<bool> {
        let writer = &mut *self.writer.lock();
        self.check_online()?;
        let high_watermark = self.high_watermark();
        if before > high_watermark {
            return Err(Error::AboveHighWatermark {
                to: before,
                partition: self.partition.to_string(),
                high_watermark,
            });
        }
        Ok(self.raise_log_start(writer, before))
    }

    pub(super) fn raise_log_start(&self, writer: &mut Writer, to: Offset) -> bool {
        if to <= self.log_start_offset() {
            return false;
        }
        // Their file is written with a flush: a start removes from what it reads all that is below
        // the log start.
        if self.epochs.write().truncate_from_start(to) {
            self.epochs_unwritten.store(true, Ordering::Release);
        }
        writer.producers.log_start_moved(to);
        self.marks.write().log_start = to;
        self.publish_unstable(writer);
        true
    }
}
