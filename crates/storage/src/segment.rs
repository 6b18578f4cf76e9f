//! One segment: the records from a base offset on, and the files that belong to them.
//!
//! The log serialises writers. Readers come at any time and see whole appends, since `size` changes
//! only after the write. No file is held open beyond the limit of `OpenFiles`. A truncation creates
//! a new `Segment` over the same files and marks the old one, so that a file region that was
//! planned before can tell whether its bytes changed.

use crate::disk::{DiskFile, OpenMode};
use crate::error::{Error, Result};
use crate::files::{Folder, Slot};
use crate::frames::{Frame, Scan, ScanError};
use crate::index::{Index, OffsetEntry, TimeEntry, Wait};
use crate::names;
use crate::planted::{Bug, is_planted};
use crate::txn_index::TxnIndex;
use model::{Offset, Timestamp};
use parking_lot::{Mutex, RwLock};
use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The number of batches whose places the active segment remembers, for readers near its end.
const RECENT_BATCHES: usize = 64;

/// The smallest size of a page. What is written back is a multiple of it.
const PAGE_BYTES: u64 = 4096;

/// A batch's place in its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) position: u32,
    pub(crate) size: u32,
}

#[derive(Clone, Copy, Debug)]
struct Recent {
    base_offset: Offset,
    last_offset: Offset,
    place: Place,
}

/// The largest timestamp so far and the last offset of the batch that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Newest {
    pub(crate) timestamp: i64,
    pub(crate) offset: Offset,
}

/// A batch that is being appended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AppendedBatch {
    pub(crate) base_offset: Offset,
    pub(crate) last_offset: Offset,
    pub(crate) max_timestamp: i64,
    pub(crate) size: u32,
}

/// One segment of a log.
#[derive(Debug)]
pub struct Segment {
    pub(crate) folder: Arc<Folder>,
    base_offset: Offset,
    pub(crate) created: Timestamp,
    log: Arc<Slot<dyn DiskFile>>,
    pub(crate) offsets: Index<OffsetEntry>,
    pub(crate) times: Index<TimeEntry>,
    pub(crate) aborted: TxnIndex,
    size: AtomicU32,
    /// Bytes below this have not changed since this object was created. A truncation lowers it.
    intact_below: AtomicU64,
    pub(crate) newest: Mutex<Option<Newest>>,
    first_timestamp: Mutex<Option<i64>>,
    bytes_since_entry: AtomicU32,
    /// The system was asked to begin writing back the records up to here.
    write_back_begun: AtomicU32,
    recent: RwLock<VecDeque<Recent>>,
}

/// A finished segment that waits to be swapped in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CleanedSegment {
    pub(crate) base_offset: Offset,
    pub(crate) size: u32,
    pub(crate) newest: Newest,
    pub(crate) has_aborted: bool,
}

impl Segment {
    fn with(folder: Arc<Folder>, base_offset: Offset, created: Timestamp, size: u32) -> Segment {
        Segment {
            base_offset,
            created,
            log: Slot::<dyn DiskFile>::new(),
            offsets: Index::new(folder.clone(), base_offset, names::INDEX),
            times: Index::new(folder.clone(), base_offset, names::TIME_INDEX),
            aborted: TxnIndex::new(folder.clone(), base_offset),
            size: AtomicU32::new(size),
            intact_below: AtomicU64::new(u64::MAX),
            newest: Mutex::new(None),
            first_timestamp: Mutex::new(None),
            bytes_since_entry: AtomicU32::new(0),
            write_back_begun: AtomicU32::new(size),
            recent: RwLock::new(VecDeque::new()),
            folder,
        }
    }

    /// Creates a new, empty segment. Existing files with its names are emptied.
    pub(crate) fn create(folder: Arc<Folder>, base_offset: Offset, now: Timestamp) -> Result<Segment> {
        let segment = Segment::with(folder, base_offset, now, 0);
        let file = segment.folder.open(&segment.name(names::LOG), OpenMode::Truncate)?;
        segment.log.put(&segment.folder.open_files, file);
        segment.offsets.reset()?;
        segment.times.reset()?;
        segment.aborted.reset()?;
        *segment.newest.lock() = Some(Newest { timestamp: -1, offset: base_offset });
        Ok(segment)
    }

    /// Returns a segment whose files exist. Opens none of them.
    pub(crate) fn open(folder: Arc<Folder>, base_offset: Offset, now: Timestamp) -> Result<Segment> {
        let path = folder.file(&names::segment_file(base_offset, names::LOG));
        let length = folder.disk.metadata(&path).map_err(Error::io("measure", &path))?.length;
        let size = u32::try_from(length).map_err(|_| Error::corrupt(&path, length, "larger than a segment can be"))?;
        Ok(Segment::with(folder, base_offset, now, size))
    }

    /// Returns a segment that the cleaner wrote and whose files have their final names.
    pub(crate) fn cleaned(folder: Arc<Folder>, created: Timestamp, cleaned: &CleanedSegment) -> Segment {
        let segment = Segment::with(folder, cleaned.base_offset, created, cleaned.size);
        *segment.newest.lock() = Some(cleaned.newest);
        segment
    }

    /// Returns when its records were last written to.
    pub(crate) fn modified(&self) -> Result<Timestamp> {
        let path = self.folder.file(&self.name(names::LOG));
        Ok(self.folder.disk.metadata(&path).map_err(Error::io("measure", &path))?.modified)
    }

    /// Returns the bytes of the offset index and of the time index that are in their files.
    pub(crate) fn index_bytes(&self) -> Result<(u64, u64)> {
        let length = |suffix| {
            let path = self.folder.file(&self.name(suffix));
            match self.folder.disk.metadata(&path) {
                Ok(metadata) => Ok(metadata.length),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
                Err(error) => Err(Error::io("measure", &path)(error)),
            }
        };
        Ok((length(names::INDEX)?, length(names::TIME_INDEX)?))
    }

    /// Returns its base offset, which is also its name.
    pub fn base_offset(&self) -> Offset {
        self.base_offset
    }

    /// Returns the bytes of its records.
    pub fn size(&self) -> u32 {
        self.size.load(Ordering::Acquire)
    }

    /// Whether bytes below `end` are unchanged.
    pub(crate) fn is_intact(&self, end: u64) -> bool {
        end <= self.intact_below.load(Ordering::Acquire)
    }

    pub(crate) fn name(&self, suffix: &str) -> String {
        names::segment_file(self.base_offset, suffix)
    }

    pub(crate) fn io(&self, operation: &'static str) -> impl FnOnce(std::io::Error) -> Error {
        Error::io(operation, self.folder.file(&self.name(names::LOG)))
    }

    pub(crate) fn scan_error(&self, error: ScanError) -> Error {
        match error {
            ScanError::Io(error) => self.io("read")(error),
            ScanError::Bad { position, error } => {
                Error::corrupt(self.folder.file(&self.name(names::LOG)), u64::from(position), error.to_string())
            }
        }
    }

    pub(crate) fn file(&self, wait: Wait) -> Result<Arc<dyn DiskFile>> {
        if wait == Wait::Try {
            return self.log.get().ok_or(Error::WouldBlock);
        }
        self.log.get_or_open(&self.folder.open_files, || self.folder.open(&self.name(names::LOG), OpenMode::Write))
    }

    /// Whether an offset is close enough to the base to be indexed.
    pub(crate) fn can_hold(&self, offset: Offset) -> bool {
        (0..=i64::from(i32::MAX)).contains(&(offset.0 - self.base_offset.0))
    }

    /// Returns the newest timestamp and reads it from the time index if it is not in memory.
    pub(crate) fn newest(&self) -> Result<Newest> {
        if let Some(newest) = *self.newest.lock() {
            return Ok(newest);
        }
        let newest = self.newest_indexed()?;
        Ok(*self.newest.lock().get_or_insert(newest))
    }

    fn newest_indexed(&self) -> Result<Newest> {
        let none = Newest { timestamp: -1, offset: self.base_offset };
        let last = self.times.last()?;
        Ok(last.map_or(none, |entry| Newest {
            timestamp: entry.timestamp,
            offset: self.base_offset.plus(i64::from(entry.relative_offset)),
        }))
    }

    /// Returns the newest timestamp, even if the time index has no entry for it.
    fn newest_of_records(&self) -> Result<Newest> {
        let mut newest = self.newest_indexed()?;
        self.frames_from(self.position_hint(newest.offset), |frame, _| {
            if frame.max_timestamp > newest.timestamp {
                newest = Newest { timestamp: frame.max_timestamp, offset: frame.last_offset };
            }
            Ok(true)
        })?;
        Ok(newest)
    }

    /// Returns the time that retention uses: the newest record's, or the file's if records have
    /// none.
    pub fn largest_timestamp(&self) -> Result<Timestamp> {
        match self.newest()?.timestamp {
            timestamp if timestamp >= 0 => Ok(Timestamp(timestamp)),
            _ => self.modified(),
        }
    }

    /// Returns the newest timestamp of the first batch, from which the segment's age counts. `None`
    /// if the segment is empty or has no timestamps.
    pub(crate) fn first_timestamp(&self) -> Result<Option<i64>> {
        if let Some(first) = *self.first_timestamp.lock() {
            return Ok((first >= 0).then_some(first));
        }
        if self.size() == 0 {
            return Ok(None);
        }
        let file = self.file(Wait::Block)?;
        let first = Scan::new(&*file, 0, self.size(), Wait::Block).next().map_err(|error| self.scan_error(error))?;
        let first = first.map_or(-1, |frame| frame.max_timestamp);
        *self.first_timestamp.lock() = Some(first);
        Ok((first >= 0).then_some(first))
    }

    /// Writes batches, laid out in `slices`, after the existing ones. After an error none of them
    /// is visible.
    pub(crate) fn append(&self, batches: &[AppendedBatch], slices: &[IoSlice<'_>], index_interval: u32) -> Result<()> {
        let start = self.size();
        let mut newest = self.newest()?;
        // All reads come first, so that the indexes keep no entries of batches that were not
        // written.
        let mut last_time = self.times.last()?.map_or(-1, |last| last.timestamp);
        let mut position = start;
        let mut since = self.bytes_since_entry.load(Ordering::Relaxed);
        let mut entries = Vec::new();
        for batch in batches {
            if batch.max_timestamp > newest.timestamp {
                newest = Newest { timestamp: batch.max_timestamp, offset: batch.last_offset };
            }
            if since > index_interval {
                let time = (newest.timestamp > last_time).then(|| self.time_entry(newest));
                last_time = last_time.max(newest.timestamp);
                entries.push((batch.last_offset, position, time));
                since = 0;
            }
            position += batch.size;
            since += batch.size;
        }
        self.file(Wait::Block)?.write_at(u64::from(start), slices).map_err(self.io("write"))?;
        for (last_offset, position, time) in entries {
            self.add_offset_entry(last_offset, position)?;
            time.map_or(Ok(()), |time| self.times.append(time))?;
        }
        *self.newest.lock() = Some(newest);
        if start == 0 {
            *self.first_timestamp.lock() = batches.first().map(|batch| batch.max_timestamp);
        }
        self.bytes_since_entry.store(since, Ordering::Relaxed);
        self.remember(batches, start);
        self.size.store(position, Ordering::Release);
        Ok(())
    }

    /// Returns the number of bytes that were appended since the last request to begin a write-back.
    pub(crate) fn bytes_not_begun(&self) -> u32 {
        self.size().saturating_sub(self.write_back_begun.load(Ordering::Relaxed))
    }

    /// Asks the system to begin writing back what was appended since the last request.
    pub(crate) fn begin_write_back(&self) -> Result<()> {
        let (begun, size) = (self.write_back_begun.load(Ordering::Relaxed), self.size());
        if begun >= size {
            return Ok(());
        }
        // The last page is about to be written again.
        let end = (u64::from(size) / PAGE_BYTES * PAGE_BYTES) as u32;
        let Some(length) = end.checked_sub(begun).filter(|length| *length > 0) else { return Ok(()) };
        self.write_back_begun.store(end, Ordering::Relaxed);
        self.file(Wait::Block)?.start_writeback(u64::from(begun), u64::from(length)).map_err(self.io("write back"))
    }

    pub(crate) fn add_offset_entry(&self, last_offset: Offset, position: u32) -> Result<()> {
        self.offsets.append(self.offset_entry(last_offset, position))
    }

    /// Returns an entry of the offset index.
    pub(crate) fn offset_entry(&self, last_offset: Offset, position: u32) -> OffsetEntry {
        OffsetEntry { relative_offset: (last_offset.0 - self.base_offset.0) as u32, position }
    }

    /// Returns an entry of the time index.
    pub(crate) fn time_entry(&self, newest: Newest) -> TimeEntry {
        TimeEntry { timestamp: newest.timestamp, relative_offset: (newest.offset.0 - self.base_offset.0) as u32 }
    }

    /// Adds the newest timestamp to the time index, unless the index has one at least as new.
    pub(crate) fn add_time_entry(&self, newest: Newest) -> Result<()> {
        if newest.timestamp > self.times.last()?.map_or(-1, |last| last.timestamp) {
            self.times.append(self.time_entry(newest))?;
        }
        Ok(())
    }

    fn remember(&self, batches: &[AppendedBatch], mut position: u32) {
        let mut recent = self.recent.write();
        for batch in batches {
            if recent.len() == RECENT_BATCHES {
                recent.pop_front();
            }
            let place = Place { position, size: batch.size };
            recent.push_back(Recent { base_offset: batch.base_offset, last_offset: batch.last_offset, place });
            position += batch.size;
        }
    }

    /// Returns the batch that holds an offset, or else the first one after it. `None` if all are
    /// below.
    pub(crate) fn locate(&self, offset: Offset, wait: Wait) -> Result<Option<Place>> {
        let size = self.size();
        {
            let recent = self.recent.read();
            if recent.front().is_some_and(|first| first.base_offset <= offset) {
                // Batches beyond `size` are being written.
                let found = recent.get(recent.partition_point(|batch| batch.last_offset < offset));
                return Ok(found.map(|batch| batch.place).filter(|place| place.position < size));
            }
        }
        let relative = offset.0 - self.base_offset.0;
        let start = match self.offsets.split(|entry| i64::from(entry.relative_offset) <= relative, wait) {
            Ok((entry, _)) => entry.map_or(0, |entry| entry.position),
            Err(Error::WouldBlock) => return Err(Error::WouldBlock),
            Err(_) => 0,
        };
        match self.locate_from(start, offset, size, wait) {
            // The entry was wrong: the records count, not the index.
            Err(Error::Corrupt { .. }) if start > 0 && !is_planted(Bug::IndexTrusted) => {
                self.locate_from(0, offset, size, wait)
            }
            place => place,
        }
    }

    /// Whether a readable batch is at or after an offset.
    pub(crate) fn holds_from(&self, offset: Offset) -> bool {
        self.locate(offset, Wait::Block).is_ok_and(|place| place.is_some())
    }

    fn locate_from(&self, start: u32, offset: Offset, size: u32, wait: Wait) -> Result<Option<Place>> {
        if start > size {
            let path = self.folder.file(&self.name(names::INDEX));
            return Err(Error::corrupt(path, 0, "points beyond the records"));
        }
        let file = self.file(wait)?;
        let mut scan = Scan::new(&*file, start, size, wait);
        while let Some(frame) = scan.next().map_err(|error| self.scan_error(error))? {
            if frame.last_offset >= offset {
                return Ok(Some(Place { position: frame.position, size: frame.size }));
            }
        }
        Ok(None)
    }

    /// Calls `each` with the frames from a position on, with the file held open.
    pub(crate) fn frames_from(
        &self,
        position: u32,
        mut each: impl FnMut(&Frame, &dyn DiskFile) -> Result<bool>,
    ) -> Result<()> {
        let file = self.file(Wait::Block)?;
        let mut scan = Scan::new(&*file, position, self.size(), Wait::Block);
        while let Some(frame) = scan.next().map_err(|error| self.scan_error(error))? {
            if !each(&frame, &*file)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Returns where to start the search for an offset, from the index.
    pub(crate) fn position_hint(&self, offset: Offset) -> u32 {
        let relative = offset.0 - self.base_offset.0;
        let entry = self.offsets.split(|entry| i64::from(entry.relative_offset) <= relative, Wait::Block);
        entry.ok().and_then(|(entry, _)| entry).map_or(0, |entry| entry.position)
    }

    /// Returns where the last batch of the index begins that does not begin after a position.
    pub(crate) fn indexed_position(&self, position: u32) -> u32 {
        let entry = self.offsets.split(|entry| entry.position <= position, Wait::Block);
        entry.ok().and_then(|(entry, _)| entry).map_or(0, |entry| entry.position)
    }

    /// Returns the offset after the last record, or the base offset if there are no records.
    pub(crate) fn next_offset(&self) -> Result<Offset> {
        self.end().map(|(next, _)| next)
    }

    /// Returns the same, and the end of the last complete batch in the file.
    pub(crate) fn end(&self) -> Result<(Offset, u32)> {
        let hint = self.offsets.last().ok().flatten().map_or(0, |entry| entry.position);
        let from = |position| {
            let mut end = None;
            self.frames_from(position, |frame, _| {
                end = Some((frame.last_offset.plus(1), frame.position + frame.size));
                Ok(true)
            })?;
            Ok(end)
        };
        let end = match from(hint) {
            Err(Error::Corrupt { .. }) | Ok(None) if hint > 0 => from(0)?,
            other => other?,
        };
        Ok(end.unwrap_or((self.base_offset, 0)))
    }

    /// Returns an offset at or after all records in the next `bytes` from a position. Uses only the
    /// index; `None` if it has no such offset.
    pub(crate) fn offset_bound(&self, position: u32, bytes: u32) -> Option<Offset> {
        let end = position.saturating_add(bytes);
        let (_, next) = self.offsets.split(|entry| entry.position < end, Wait::Block).ok()?;
        next.map(|entry| self.base_offset.plus(i64::from(entry.relative_offset)))
    }

    /// Ends the segment's time as the active one: completes the indexes in their files or, if the
    /// disk has no space, in memory.
    pub(crate) fn seal(&self) -> Result<()> {
        if self.size() > 0 {
            self.add_time_entry(self.newest()?)?;
        }
        *self.recent.write() = VecDeque::new();
        match self.complete() {
            Err(error) if error.is_refusal() => Ok(()),
            completed => completed,
        }
    }

    /// Whether the indexes are completely in their files.
    pub(crate) fn is_complete(&self) -> bool {
        self.offsets.is_written() && self.times.is_written() && self.aborted.is_written()
    }

    /// Writes to their files what the indexes have only in memory, the time index last: while it is
    /// empty, a start does not trust the offset index. Only the log's writer calls it.
    pub(crate) fn complete(&self) -> Result<()> {
        self.aborted.write_rest()?;
        self.offsets.trim()?;
        self.times.trim()
    }

    /// Makes records and indexes survive a power cut.
    pub(crate) fn sync(&self) -> Result<()> {
        self.sync_records()?;
        self.offsets.sync()?;
        self.times.sync()
    }

    /// Makes the records survive a power cut. The offset index and the time index may be lost: the
    /// next open must rebuild them.
    pub(crate) fn sync_records(&self) -> Result<()> {
        self.file(Wait::Block)?.sync().map_err(self.io("sync"))?;
        self.aborted.sync()
    }

    /// Removes bytes beyond `size` that a failed write left.
    pub(crate) fn cut_leftovers(&self) -> Result<()> {
        let size = u64::from(self.size());
        let file = self.file(Wait::Block)?;
        if file.length().map_err(self.io("measure"))? > size {
            file.truncate(size).map_err(self.io("cut"))?;
        }
        Ok(())
    }

    /// Removes the batch that holds `end` and all after it. The returned segment replaces this one.
    pub(crate) fn truncate(&self, end: Offset, now: Timestamp) -> Result<Segment> {
        let size = self.locate(end, Wait::Block)?.map_or(self.size(), |place| place.position);
        self.intact_below.fetch_min(u64::from(size), Ordering::AcqRel);
        let relative = end.0 - self.base_offset.0;
        let offsets = self.offsets.cut(|entry| i64::from(entry.relative_offset) < relative)?;
        let times = self.times.cut(|entry| i64::from(entry.relative_offset) < relative)?;
        let aborted = self.aborted.cut(end)?;
        let file = self.file(Wait::Block)?;
        if !is_planted(Bug::TruncationSkipped) {
            file.truncate(u64::from(size)).map_err(self.io("cut"))?;
        }
        // A power cut must not bring back what was removed: other replicas hold other records
        // there.
        file.sync().map_err(self.io("sync"))?;
        let created = if size == 0 { now } else { self.created };
        self.close();
        let cut = Segment::with(self.folder.clone(), self.base_offset, created, size);
        let cut = Segment { offsets, times, aborted, ..cut };
        // The time index has entries for some batches only, and the entry of the last roll is gone.
        let newest = cut.newest_of_records()?;
        *cut.newest.lock() = Some(newest);
        Ok(cut)
    }

    /// Marks every region of this segment as stale, because its records are being removed.
    pub(crate) fn invalidate(&self) {
        self.intact_below.store(0, Ordering::Release);
    }

    /// Cuts the file to the size that recovery found, and adds the last entry of the time index.
    pub(crate) fn set_recovered(&self, size: u32, newest: Newest, times: &mut Vec<TimeEntry>) -> Result<()> {
        if self.size() > size {
            let file = self.file(Wait::Block)?;
            file.truncate(u64::from(size)).map_err(self.io("cut"))?;
            file.sync().map_err(self.io("sync"))?;
        }
        self.size.store(size, Ordering::Release);
        *self.newest.lock() = Some(newest);
        if newest.timestamp > times.last().map_or(-1, |last| last.timestamp) {
            times.push(self.time_entry(newest));
        }
        Ok(())
    }

    /// Completes indexes that were rebuilt from empty ones. The time index is written last and at
    /// once: while it is empty, a start does not trust the offset index either.
    pub(crate) fn complete_recovered(&self, times: Vec<TimeEntry>) -> Result<()> {
        match self.offsets.trim() {
            Err(error) if error.is_refusal() => {
                self.times.keep(times);
                Ok(())
            }
            trimmed => trimmed.and_then(|()| self.times.replace(times)),
        }
    }

    /// Drops from memory what can be read again.
    pub(crate) fn close(&self) {
        self.log.clear();
        self.offsets.close();
        self.times.close();
        self.aborted.close();
    }

    /// Returns the names of all files that a segment may have.
    pub(crate) fn file_names(&self) -> impl Iterator<Item = String> {
        [names::LOG, names::INDEX, names::TIME_INDEX, names::TXN_INDEX].into_iter().map(|suffix| self.name(suffix))
    }
}
