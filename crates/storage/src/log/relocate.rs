//! Moves a log to another log dir: a copy follows the log and finally replaces it.
//!
//! | step | old log dir | new log dir | what a start finds |
//! | --- | --- | --- | --- |
//! | the copy follows the log | `t-0` | `t-0.<unique>-future` | the old log, and a copy that goes on following it |
//! | nobody appends; the copy has all and is flushed | `t-0` | `t-0.<unique>-future` | the same |
//! | the old folder is renamed, its dir synced | `t-0.<unique>-delete` | `t-0.<unique>-future` | a copy alone, which is whole: it is the log |
//! | the new folder is renamed, its dir synced | `t-0.<unique>-delete` | `t-0` | the new log |
//!
//! Invariants: two folders never have the partition's own name at once. From the first rename on
//! the copy holds, on disk, all that the log held.

use super::{FollowerAppend, Isolation, Log, LogRead, Mark, Writer};
use crate::error::{Error, Result};
use crate::index::Wait;
use crate::names;
use bytes::Bytes;
use model::{Offset, Timestamp, Uuid};
use std::path::PathBuf;
use std::sync::atomic::Ordering;

/// Bytes that are copied at once.
const READ_BYTES_MAX: u32 = 1 << 20;

impl Log {
    /// Copies batches from the log that this one is a copy of, up to about `bytes_max` bytes.
    /// Returns whether this one has all that the other had a moment ago. What was truncated from
    /// the other log, at either end, is truncated here first; that call copies nothing.
    pub fn follow(&self, original: &Log, bytes_max: u64, now: Timestamp) -> Result<bool> {
        // Noted first: what is read below belongs to the log as of `align`, or is not used.
        let (truncations, cuts) = (original.cuts(), self.cuts());
        self.align(original, now)?;
        if self.cuts() != cuts {
            return Ok(false);
        }
        let mut copied = 0;
        let is_all = loop {
            let offset = self.log_end_offset();
            let remaining_bytes = u32::try_from(bytes_max - copied).unwrap_or(u32::MAX);
            let max_bytes = READ_BYTES_MAX.min(self.config.load().segment_bytes).min(remaining_bytes);
            let (at_least_one_batch, isolation) = (true, Isolation::LogEnd);
            let read = LogRead { offset, max_bytes, at_least_one_batch, isolation, wait: Wait::Block };
            let Some(region) = original.read(read)?.region else { break true };
            let bytes = Bytes::from(region.read()?);
            if !region.is_intact() || original.cuts() != truncations {
                break false;
            }
            copied += bytes.len() as u64;
            self.append_copied(&bytes, now)?;
            if copied >= bytes_max {
                break false;
            }
        };
        self.advance_high_watermark(original.high_watermark());
        let start = original.log_start_offset().min(self.high_watermark());
        if start > self.log_start_offset() {
            self.delete_records(start)?;
        }
        Ok(is_all)
    }

    fn append_copied(&self, bytes: &Bytes, now: Timestamp) -> Result<()> {
        match self.append_as_follower(bytes, FollowerAppend { now }) {
            // The other log begins within a batch. This one must begin with that batch.
            Err(Error::UnexpectedOffset { found, expected, .. }) if expected == self.log_start_offset() => {
                self.truncate_fully_and_start_at(found, now)?;
                self.append_as_follower(bytes, FollowerAppend { now }).map(drop)
            }
            appended => appended.map(drop),
        }
    }

    /// Truncates what the other log does not have or has in another version (KIP-101). Begins anew
    /// if the other log starts after this one's end.
    fn align(&self, original: &Log, now: Timestamp) -> Result<()> {
        let offsets = original.offsets();
        self.truncate_to(offsets.log_end_offset, now)?;
        let mut is_of_original = true;
        while let Some(epoch) = self.latest_epoch().filter(|_| is_of_original) {
            match original.end_of_epoch(epoch) {
                Some((_, end)) if end < self.log_end_offset() => drop(self.truncate_to(end, now)?),
                Some((found, _)) if found == epoch => break,
                // This log has nothing left of that epoch, or the other knows nothing about it.
                Some(_) if self.log_end_offset() == self.log_start_offset() => break,
                _ => is_of_original = false,
            }
        }
        if !is_of_original || self.log_end_offset() < offsets.log_start_offset {
            self.truncate_fully_and_start_at(offsets.log_start_offset, now)?;
        }
        Ok(())
    }

    /// Counts how often the recovery point moved back.
    pub(crate) fn cuts(&self) -> u64 {
        self.flushed.lock().truncations
    }

    /// Replaces this log by its copy in another log dir. `publish` is called when the copy is the
    /// partition's log, also on disk, and before anybody can append to either. Afterwards calls
    /// that change this log fail with `Error::Moved`; its regions stay valid. Returns the path of
    /// the old folder, which is removed like a deleted one. After an error this log is still the
    /// partition's; it is offline if that cannot be guaranteed.
    pub fn replace_with(&self, copy: &Log, unique: Uuid, now: Timestamp, publish: impl FnOnce()) -> Result<PathBuf> {
        let writer = &mut *self.writer.lock();
        self.check_online()?;
        let _held = self.held_over_sync();
        // Nothing is appended or truncated meanwhile, so this ends.
        while !copy.follow(self, u64::MAX, now)? {}
        copy.take_over(self, writer, now)?;
        let (old_folder, is_durable) = self.change_names(copy, unique)?;
        writer.closed = true;
        // In this order: a caller that finds this log moved finds the other one.
        publish();
        self.is_moved.store(true, Ordering::SeqCst);
        self.segments.load().iter().for_each(|segment| segment.close());
        if let Err(error) = is_durable {
            // A power cut may undo the new name; a start then uses the copy. But nobody knows what
            // else its disk has lost.
            copy.go_offline(error);
        }
        Ok(old_folder)
    }

    /// Copies what the batches do not contain, and makes all of this log survive a power cut.
    fn take_over(&self, original: &Log, original_writer: &Writer, now: Timestamp) -> Result<()> {
        let end = original.log_end_offset();
        {
            let writer = &mut *self.writer.lock();
            self.check_online()?;
            if self.log_end_offset() < end {
                self.end_at(writer, end, now)?;
            }
            let (known, start) = (original.leader_epochs(), self.log_start_offset());
            self.change_epochs(|epochs| {
                // A power cut may have removed records in the middle of the original that the copy
                // still has.
                let mut known = known.begun_by(epochs);
                known.truncate_from_start(start);
                let is_new = *epochs != known;
                *epochs = known;
                is_new
            })?;
            // Also those whose batches are gone.
            writer.producers = original_writer.producers.clone();
            writer.verifications = original_writer.verifications.clone();
            writer.least_epoch = original_writer.least_epoch;
            writer.producers.end_offset = end;
            writer.snapshots.remove(&end);
            self.take_snapshot(writer, true)?;
            self.publish_unstable(writer);
        }
        self.flush(end, now)?;
        self.folder.sync().map_err(|error| self.go_offline(error))
    }

    /// Moves the end to an offset without records before it: compaction or a crash removed the last
    /// records before an empty segment.
    fn end_at(&self, writer: &mut Writer, end: Offset, now: Timestamp) -> Result<()> {
        self.roll(writer, end, now)?;
        let mut marks = self.marks.write();
        let was_all_replicated = marks.high_watermark.offset == marks.log_end.offset;
        marks.log_end = Mark { offset: end, place: Some((end, 0)) };
        if was_all_replicated {
            marks.high_watermark = marks.log_end;
        }
        Ok(())
    }

    /// Renames both folders. Returns the new path of this log's folder, and whether the new name of
    /// the copy's folder is durable.
    fn change_names(&self, copy: &Log, unique: Uuid) -> Result<(PathBuf, Result<()>)> {
        let (own, live) = (self.path(), copy.path().with_file_name(self.partition.to_string()));
        let old_folder = own.with_file_name(names::deleted_folder(&self.partition, unique));
        self.folder.rename_to(&old_folder)?;
        let renamed = self.sync_parent().map_err(|error| self.go_offline(error));
        if let Err(error) = renamed.and_then(|()| copy.folder.rename_to(&live)) {
            // Durably, since the copy does not hold what is appended from here on.
            return match self.folder.rename_to(&own).and_then(|()| self.sync_parent()) {
                Ok(()) => Err(error),
                Err(_) => Err(self.go_offline(error)),
            };
        }
        Ok((old_folder, copy.sync_parent()))
    }

    fn sync_parent(&self) -> Result<()> {
        let path = self.path();
        let dir = path.parent().unwrap_or(&path);
        self.folder.disk.sync_dir(dir).map_err(Error::io("sync", dir))
    }

    /// Whether another log replaced this one.
    pub fn is_moved(&self) -> bool {
        self.is_moved.load(Ordering::SeqCst)
    }
}
