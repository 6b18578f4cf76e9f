//! A log's way to another log dir: a copy that follows it, and the moment in which the copy takes its place.
//!
//! | step | old log dir | new log dir | what a start finds |
//! | --- | --- | --- | --- |
//! | the copy follows the log | `t-0` | `t-0.<unique>-future` | the old log, and a copy that goes on following it |
//! | nobody appends; the copy has all and is flushed | `t-0` | `t-0.<unique>-future` | the same |
//! | the old folder is renamed, its dir synced | `t-0.<unique>-delete` | `t-0.<unique>-future` | a copy alone, which is whole: it is the log |
//! | the new folder is renamed, its dir synced | `t-0.<unique>-delete` | `t-0` | the new log |
//!
//! Invariant: no two folders ever have the partition's own name, and from the first rename on the copy holds all that the log held, on disk.

use super::{FollowerAppend, Isolation, Log, Mark, Read, Writer};
use crate::error::{Error, Result};
use crate::index::Wait;
use crate::names;
use bytes::Bytes;
use model::{Offset, Timestamp, Uuid};
use std::path::PathBuf;
use std::sync::atomic::Ordering;

/// How many bytes are copied at a time.
const READ_BYTES_MAX: u32 = 1 << 20;

impl Log {
    /// Copies batches from the log that this one is a copy of, up to about so many bytes. Whether all was copied that there was a moment ago. What was cut
    /// from the other log is cut from this one first, at either end; then nothing is copied by this call (`cuts`).
    pub fn follow(&self, original: &Log, bytes_max: u64, now: Timestamp) -> Result<bool> {
        // Noted first: what is read below is of the log as it was aligned to, or not used.
        let (truncations, cuts) = (original.cuts(), self.cuts());
        self.align(original, now)?;
        if self.cuts() != cuts {
            return Ok(false);
        }
        let mut copied = 0;
        let is_all = loop {
            let offset = self.log_end_offset();
            let left = u32::try_from(bytes_max - copied).unwrap_or(u32::MAX);
            let max_bytes = READ_BYTES_MAX.min(self.config.load().segment_bytes).min(left);
            let (at_least_one_batch, isolation) = (true, Isolation::LogEnd);
            let read = Read { offset, max_bytes, at_least_one_batch, isolation, wait: Wait::Block };
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
            // The other log begins within a batch, which this one has to begin with.
            Err(Error::UnexpectedOffset { found, expected, .. }) if expected == self.log_start_offset() => {
                self.truncate_fully_and_start_at(found, now)?;
                self.append_as_follower(bytes, FollowerAppend { now }).map(drop)
            }
            appended => appended.map(drop),
        }
    }

    /// Cuts what the other log does not have, or has otherwise since (KIP-101); begins anew where it begins later than this one ends.
    fn align(&self, original: &Log, now: Timestamp) -> Result<()> {
        let offsets = original.offsets();
        self.truncate_to(offsets.log_end_offset, now)?;
        let mut is_of_original = true;
        while let Some(epoch) = self.latest_epoch().filter(|_| is_of_original) {
            match original.end_of_epoch(epoch) {
                Some((_, end)) if end < self.log_end_offset() => drop(self.truncate_to(end, now)?),
                Some((found, _)) if found == epoch => break,
                // Nothing is left of that epoch here, or nothing is known of it there.
                Some(_) if self.log_end_offset() == self.log_start_offset() => break,
                _ => is_of_original = false,
            }
        }
        if !is_of_original || self.log_end_offset() < offsets.log_start_offset {
            self.truncate_fully_and_start_at(offsets.log_start_offset, now)?;
        }
        Ok(())
    }

    /// Counts the times that the recovery point went back. Whoever keeps a checkpoint of it has to write it then, before more is appended: one that is ahead
    /// of the log would count as flushed what comes next, and its epochs as written.
    pub fn cuts(&self) -> u64 {
        self.flushed.lock().truncations
    }

    /// Puts a copy in another log dir in this log's place: `publish` is called when the copy is the partition's log, on disk too, and before anybody can
    /// append to either. This log then takes no more calls that change it (`Error::Moved`); regions of it stay valid. Gives the folder that it leaves, which
    /// is removed like a deleted one. After an error this log is the partition's still, and offline where that cannot be promised.
    pub fn replace_with(&self, copy: &Log, unique: Uuid, now: Timestamp, publish: impl FnOnce()) -> Result<PathBuf> {
        let writer = &mut *self.writer.lock();
        self.check_online()?;
        let _held = self.held_over_sync();
        // Nothing is appended or cut meanwhile, so that this ends.
        while !copy.follow(self, u64::MAX, now)? {}
        copy.take_over(self, writer, now)?;
        let (left, is_durable) = self.change_names(copy, unique)?;
        writer.closed = true;
        // In this order: who finds that this log has moved finds the other one.
        publish();
        self.is_moved.store(true, Ordering::SeqCst);
        self.segments.load().iter().for_each(|segment| segment.close());
        if let Err(error) = is_durable {
            // A power cut may take back the new name, and a start then goes by the copy's. But nobody knows what else its disk has lost.
            copy.go_offline(error);
        }
        Ok(left)
    }

    /// Takes over what the batches do not tell, and makes all of this log outlive a power cut.
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
                // A power cut may have taken records from the midst of the original that the copy still has.
                let mut known = known.begun_by(epochs);
                known.truncate_from_start(start);
                let is_new = *epochs != known;
                *epochs = known;
                is_new
            })?;
            // Also of those whose batches are gone.
            writer.producers = original_writer.producers.clone();
            writer.least_epoch = original_writer.least_epoch;
            writer.producers.end_offset = end;
            writer.snapshots.remove(&end);
            self.take_snapshot(writer, true)?;
            self.publish_unstable(writer);
        }
        self.flush(end, now)?;
        self.folder.sync().map_err(|error| self.go_offline(error))
    }

    /// Moves the end to an offset to which there are no records: compaction or a crash has taken the last ones from before an empty segment.
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

    /// Renames both folders. Gives what this log's is called now, and whether the new name of the copy's is known to outlive a power cut.
    fn change_names(&self, copy: &Log, unique: Uuid) -> Result<(PathBuf, Result<()>)> {
        let (own, live) = (self.path(), copy.path().with_file_name(self.partition.to_string()));
        let left = own.with_file_name(names::deleted_folder(&self.partition, unique));
        self.folder.rename_to(&left)?;
        let renamed = self.sync_parent().map_err(|error| self.go_offline(error));
        if let Err(error) = renamed.and_then(|()| copy.folder.rename_to(&live)) {
            // Durably, since the copy does not hold what is appended from here on.
            return match self.folder.rename_to(&own).and_then(|()| self.sync_parent()) {
                Ok(()) => Err(error),
                Err(_) => Err(self.go_offline(error)),
            };
        }
        Ok((left, copy.sync_parent()))
    }

    fn sync_parent(&self) -> Result<()> {
        let path = self.path();
        let dir = path.parent().unwrap_or(&path);
        self.folder.disk.sync_dir(dir).map_err(Error::io("sync", dir))
    }

    /// Whether another log took this one's place.
    pub fn is_moved(&self) -> bool {
        self.is_moved.load(Ordering::SeqCst)
    }
}
