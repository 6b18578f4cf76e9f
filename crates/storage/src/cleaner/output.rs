//! The segment that a cleaning writes: `….cleaned` files beside the log's own. They are ignored
//! until they are swapped in.
//!
//! Records are written as they come. The indexes, a few thousandths of the records' size, stay in
//! memory and are written at the end in one piece each.

use super::Stop;
use crate::disk::{DiskFile, OpenMode};
use crate::error::{Error, Result};
use crate::files::Folder;
use crate::frames::Frame;
use crate::index::{Entry, OffsetEntry, TimeEntry};
use crate::names::{self, CLEANED};
use crate::planted::{Bug, is_planted};
use crate::segment::{CleanedSegment, Newest};
use crate::txn_index::AbortedTxn;
use model::{Offset, Timestamp};
use std::io::IoSlice;
use std::sync::Arc;

/// A segment that is being written.
#[derive(Debug)]
pub(super) struct Output {
    folder: Arc<Folder>,
    base_offset: Offset,
    file: Arc<dyn DiskFile>,
    /// Bytes that are not in the file yet.
    buffer: Vec<u8>,
    buffer_bytes: usize,
    written: u32,
    index_interval: u32,
    since_entry: u32,
    newest: Newest,
    offsets: Vec<OffsetEntry>,
    times: Vec<TimeEntry>,
}

/// The largest segment that Kafka can open.
const SIZE_MAX: u32 = i32::MAX as u32;

impl Output {
    /// Creates an empty segment. Files with its names from an earlier cleaning are overwritten.
    pub(super) fn create(
        folder: Arc<Folder>,
        base_offset: Offset,
        index_interval: u32,
        buffer_bytes: usize,
    ) -> Result<Output> {
        let file = folder.open(&cleaned_name(base_offset, names::LOG), OpenMode::Truncate)?;
        Ok(Output {
            folder,
            base_offset,
            file,
            buffer: Vec::new(),
            buffer_bytes: buffer_bytes.max(4096),
            written: 0,
            index_interval,
            since_entry: 0,
            newest: Newest { timestamp: -1, offset: base_offset },
            offsets: Vec::new(),
            times: Vec::new(),
        })
    }

    /// Adds a batch. Returns the number of bytes that were written to the file.
    pub(super) fn append(&mut self, batch: &[u8]) -> std::result::Result<u64, Stop> {
        let position = self.written + self.buffer.len() as u32;
        let corrupt = |reason: String| Error::corrupt(self.path(names::LOG), u64::from(position), reason);
        let frame = Frame::parse(batch, position).map_err(|error| corrupt(error.to_string()))?;
        let relative = frame.last_offset.0 - self.base_offset.0;
        if u64::from(position) + batch.len() as u64 > u64::from(SIZE_MAX)
            || !(0..=i64::from(i32::MAX)).contains(&relative)
        {
            return Err(corrupt("the cleaned segment would be larger than one can be".to_owned()).into());
        }
        if frame.max_timestamp > self.newest.timestamp {
            self.newest = Newest { timestamp: frame.max_timestamp, offset: frame.last_offset };
        }
        if self.since_entry > self.index_interval {
            self.offsets.push(OffsetEntry { relative_offset: relative as u32, position });
            self.add_time_entry();
            self.since_entry = 0;
        }
        self.since_entry += batch.len() as u32;
        self.buffer.extend_from_slice(batch);
        if self.buffer.len() < self.buffer_bytes { Ok(0) } else { Ok(self.write()?) }
    }

    fn add_time_entry(&mut self) {
        if self.newest.timestamp > self.times.last().map_or(-1, |last| last.timestamp) {
            let relative_offset = (self.newest.offset.0 - self.base_offset.0) as u32;
            self.times.push(TimeEntry { timestamp: self.newest.timestamp, relative_offset });
        }
    }

    fn write(&mut self) -> Result<u64> {
        let length = self.buffer.len() as u64;
        if length > 0 {
            let (path, position) = (self.path(names::LOG), u64::from(self.written));
            self.file.write_at(position, &[IoSlice::new(&self.buffer)]).map_err(Error::io("write", &path))?;
            // An early write-back makes the sync short, and other logs' syncs wait for it.
            self.file.start_writeback(position, length).map_err(Error::io("write back", &path))?;
            self.written += length as u32;
            self.buffer.clear();
        }
        Ok(length)
    }

    /// Writes the rest and the indexes, and makes them survive a power cut. The file gets the
    /// modification time of the newest file that it replaces.
    pub(super) fn finish(mut self, aborted: &[AbortedTxn], modified: Timestamp) -> Result<CleanedSegment> {
        self.write()?;
        if self.written > 0 {
            self.add_time_entry();
        }
        self.write_index(names::INDEX, &self.offsets)?;
        self.write_index(names::TIME_INDEX, &self.times)?;
        if !aborted.is_empty() {
            self.write_file(names::TXN_INDEX, &aborted.iter().flat_map(AbortedTxn::encode).collect::<Vec<u8>>())?;
        }
        let path = self.path(names::LOG);
        self.file.set_modified(modified).map_err(Error::io("date", &path))?;
        if !is_planted(Bug::SwapRenamedBeforeFsync) {
            self.file.sync().map_err(Error::io("sync", &path))?;
        }
        Ok(CleanedSegment {
            base_offset: self.base_offset,
            size: self.written,
            newest: self.newest,
            has_aborted: !aborted.is_empty(),
        })
    }

    fn write_index<E: Entry>(&self, suffix: &str, entries: &[E]) -> Result<()> {
        let mut bytes = Vec::with_capacity(entries.len() * E::BYTES);
        entries.iter().for_each(|entry| entry.encode(&mut bytes));
        self.write_file(suffix, &bytes)
    }

    fn write_file(&self, suffix: &str, bytes: &[u8]) -> Result<()> {
        let file = self.folder.open(&cleaned_name(self.base_offset, suffix), OpenMode::Truncate)?;
        let path = self.path(suffix);
        if !bytes.is_empty() {
            file.write_at(0, &[IoSlice::new(bytes)]).map_err(Error::io("write", &path))?;
        }
        file.sync().map_err(Error::io("sync", &path))
    }

    fn path(&self, suffix: &str) -> std::path::PathBuf {
        self.folder.file(&cleaned_name(self.base_offset, suffix))
    }
}

/// Returns the name of the file that is written in place of a segment's.
fn cleaned_name(base_offset: Offset, suffix: &str) -> String {
    format!("{}{CLEANED}", names::segment_file(base_offset, suffix))
}

/// Removes what a stopped cleaning has written.
pub(super) fn discard(folder: &Folder, base_offset: Offset) {
    for suffix in [names::LOG, names::INDEX, names::TIME_INDEX, names::TXN_INDEX] {
        // What cannot be removed now is removed at the next start.
        let _ = folder.remove_file(&cleaned_name(base_offset, suffix));
    }
}
