//! Deletes old segments, and later their files and folders.

use super::{Log, Writer};
use crate::error::Result;
use crate::names;
use crate::segment::Segment;
use model::{Offset, Timestamp, Uuid};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What retention deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    /// Segments.
    pub segments: usize,
    /// Bytes of their records.
    pub bytes: u64,
}

impl Log {
    /// Deletes the segments that are below the log start offset or, if `cleanup.policy` has
    /// `delete`, are too old or exceed the size. Nothing at or above the high watermark is deleted.
    /// An active segment that is too old is rolled first and then deleted.
    pub fn delete_old_segments(&self, now: Timestamp) -> Result<Expired> {
        let expired = self.delete_expired(now).map_err(|error| self.note_fault(error))?;
        // Appends do not wait for this: the files are removed only now.
        if expired.segments > 0 {
            self.sync_folder()?;
        }
        Ok(expired)
    }

    fn delete_expired(&self, now: Timestamp) -> Result<Expired> {
        let writer = &mut *self.writer.lock();
        self.check_online()?;
        let config = self.config.load();
        let log_start = self.log_start_offset();
        let mut expired = self.delete_while(writer, now, |_, next| Ok(next.is_some_and(|next| next <= log_start)))?;
        if !config.cleanup_policy.delete {
            return Ok(expired);
        }
        if let Some(limit) = config.retention_bytes {
            let mut surplus = self.size_bytes().saturating_sub(limit);
            expired += self.delete_while(writer, now, |segment, _| {
                let size = u64::from(segment.size());
                let goes = size <= surplus;
                surplus = surplus.saturating_sub(size);
                Ok(goes && size > 0)
            })?;
        }
        if let Some(limit_ms) = config.retention_ms {
            expired += self.delete_while(writer, now, |segment, _| {
                Ok(now.0.saturating_sub(segment.largest_timestamp()?.0) > limit_ms)
            })?;
        }
        Ok(expired)
    }

    /// Deletes segments, from the oldest on, while `goes` returns true. It gets the base offset of
    /// the next segment.
    fn delete_while(
        &self,
        writer: &mut Writer,
        now: Timestamp,
        mut goes: impl FnMut(&Segment, Option<Offset>) -> Result<bool>,
    ) -> Result<Expired> {
        let segments = self.segments.load_full();
        let (high_watermark, end) = (self.high_watermark(), self.log_end_offset());
        let mut count = 0;
        while let Some(segment) = segments.get(count) {
            let next = segments.get(count + 1).map(|next| next.base_offset());
            let is_empty_active = next.is_none() && segment.size() == 0;
            if is_empty_active || high_watermark < next.unwrap_or(end) || !goes(segment, next)? {
                break;
            }
            count += 1;
        }
        if count == 0 {
            return Ok(Expired::default());
        }
        if count == segments.len() {
            match self.roll(writer, end, now) {
                // If there is no space for a new segment, the last one stays and those before it
                // are deleted.
                Err(error) if error.is_refusal() && count > 1 => count -= 1,
                rolled => drop(rolled?),
            }
        }
        let kept = self.segments.load()[count..].to_vec();
        let start = kept.first().map_or(end, |segment| segment.base_offset());
        self.deletions.fetch_add(1, Ordering::AcqRel);
        self.raise_log_start(writer, start);
        self.segments.store(Arc::new(kept));
        let mut expired = Expired::default();
        for segment in &segments[..count] {
            expired += Expired { segments: 1, bytes: u64::from(segment.size()) };
            self.doom(writer, segment, now)?;
        }
        Ok(expired)
    }

    /// Renames a segment's files to `.deleted`; they are removed after `file.delete.delay.ms`.
    pub(super) fn doom(&self, writer: &mut Writer, segment: &Segment, now: Timestamp) -> Result<()> {
        let mut names: Vec<String> = segment.file_names().collect();
        // The active segment's snapshot is needed as long as that segment exists. It has the name
        // of the segment that begins there.
        names.push(segment.name(names::SNAPSHOT));
        writer.snapshots.remove(&segment.base_offset());
        self.doom_files(writer, names, now)?;
        segment.close();
        Ok(())
    }

    /// Removes the files of deleted segments whose delay has passed. Returns how many files remain.
    pub fn remove_deleted_files(&self, now: Timestamp) -> Result<usize> {
        let writer = &mut *self.writer.lock();
        while let Some(index) = writer.doomed.iter().position(|(due, _)| *due <= now) {
            self.remove_files(writer.doomed[index].1.clone())?;
            writer.doomed.swap_remove(index);
        }
        Ok(writer.doomed.iter().map(|(_, names)| names.len()).sum())
    }

    pub(super) fn remove_files(&self, names: Vec<String>) -> Result<()> {
        names.iter().try_for_each(|name| self.folder.remove_file(name).map(|_| ()))
    }

    /// Renames the folder to `topic-0.<unique>-delete`. Later calls that change the log fail.
    /// Returns the new path; `remove_folder` removes it later. The new name survives a power cut
    /// only after `LogDir::sync`, which must be called before a log with the old name is created.
    pub fn delete(&self, unique: Uuid) -> Result<PathBuf> {
        let writer = &mut *self.writer.lock();
        writer.closed = true;
        let _ = self.fault.set("it is deleted".to_owned());
        let path = self.folder.path();
        let renamed = path.with_file_name(names::deleted_folder(&self.partition, unique));
        self.folder.rename_to(&renamed)?;
        self.segments.load().iter().for_each(|segment| segment.close());
        Ok(renamed)
    }
}

impl std::ops::AddAssign for Expired {
    fn add_assign(&mut self, other: Self) {
        self.segments += other.segments;
        self.bytes += other.bytes;
    }
}
