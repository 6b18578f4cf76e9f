//! One segment: the records from a base offset on, and the files that go with them.
//!
//! Writers are serialised by the log; readers come at any time and see whole appends, since `size` moves only after the write. No file is held
//! open beyond what `OpenFiles` allows. A truncation makes a new `Segment` over the same files and marks the old one, so that a file region that
//! was planned before can tell whether its bytes are still what they were.

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

/// How many batches' places the active segment remembers, for readers near its end.
const RECENT_BATCHES: usize = 64;

/// Bytes of a page, at least: what is written back is a multiple of it.
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

/// The largest timestamp up to now and the last offset of the batch that brought it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Newest {
    pub(crate) timestamp: i64,
    pub(crate) offset: Offset,
}

/// What is known of a batch that is being appended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Appended {
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
    /// Bytes below this are what they were when this object was made; lowered by a truncation.
    intact_below: AtomicU64,
    pub(crate) newest: Mutex<Option<Newest>>,
    first_timestamp: Mutex<Option<i64>>,
    bytes_since_entry: AtomicU32,
    /// Up to here the system was asked to begin writing the records back.
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

    /// A new, empty segment; files of its name that are in the way are emptied.
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

    /// A segment whose files are there. Opens none of them.
    pub(crate) fn open(folder: Arc<Folder>, base_offset: Offset, now: Timestamp) -> Result<Segment> {
        let path = folder.file(&names::segment_file(base_offset, names::LOG));
        let length = folder.disk.metadata(&path).map_err(Error::io("measure", &path))?.length;
        let size = u32::try_from(length).map_err(|_| Error::corrupt(&path, length, "larger than a segment can be"))?;
        Ok(Segment::with(folder, base_offset, now, size))
    }

    /// A segment that the cleaner wrote, whose files have this segment's names by now.
    pub(crate) fn cleaned(folder: Arc<Folder>, created: Timestamp, cleaned: &CleanedSegment) -> Segment {
        let segment = Segment::with(folder, cleaned.base_offset, created, cleaned.size);
        *segment.newest.lock() = Some(cleaned.newest);
        segment
    }

    /// When its records were last written to.
    pub(crate) fn modified(&self) -> Result<Timestamp> {
        let path = self.folder.file(&self.name(names::LOG));
        Ok(self.folder.disk.metadata(&path).map_err(Error::io("measure", &path))?.modified)
    }

    /// Bytes of the offset index and of the time index, as far as they are in their files.
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

    /// The first offset that it may hold, and its name.
    pub fn base_offset(&self) -> Offset {
        self.base_offset
    }

    /// Bytes of records.
    pub fn size(&self) -> u32 {
        self.size.load(Ordering::Acquire)
    }

    /// Whether bytes below `end` are still what they were.
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

    /// The newest timestamp, which is read from the time index where it is not in memory.
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

    /// The newest timestamp, whether or not the time index has an entry for it.
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

    /// The time that retention goes by: the newest record's, or the file's where records have none.
    pub fn largest_timestamp(&self) -> Result<Timestamp> {
        match self.newest()?.timestamp {
            timestamp if timestamp >= 0 => Ok(Timestamp(timestamp)),
            _ => self.modified(),
        }
    }

    /// The newest timestamp of the first batch, from which the segment's age is counted; `None` while it is empty or without timestamps.
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

    /// Writes batches that are laid out in `slices` behind what is there. Nothing of them is visible after an error.
    pub(crate) fn append(&self, batches: &[Appended], slices: &[IoSlice<'_>], index_interval: u32) -> Result<()> {
        let start = self.size();
        let mut newest = self.newest()?;
        // What has to be read is read first, so that nothing is left in the indexes of batches that were not written.
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

    /// How many bytes were appended since the system was last asked to begin writing them back.
    pub(crate) fn bytes_not_begun(&self) -> u32 {
        self.size().saturating_sub(self.write_back_begun.load(Ordering::Relaxed))
    }

    /// Asks the system to begin writing back what was appended since the last time.
    pub(crate) fn begin_write_back(&self) -> Result<()> {
        let (begun, size) = (self.write_back_begun.load(Ordering::Relaxed), self.size());
        if begun >= size {
            return Ok(());
        }
        // The last page is about to be written to again.
        let end = (u64::from(size) / PAGE_BYTES * PAGE_BYTES) as u32;
        let Some(length) = end.checked_sub(begun).filter(|length| *length > 0) else { return Ok(()) };
        self.write_back_begun.store(end, Ordering::Relaxed);
        self.file(Wait::Block)?.start_writeback(u64::from(begun), u64::from(length)).map_err(self.io("write back"))
    }

    pub(crate) fn add_offset_entry(&self, last_offset: Offset, position: u32) -> Result<()> {
        self.offsets.append(self.offset_entry(last_offset, position))
    }

    /// An entry of the offset index.
    pub(crate) fn offset_entry(&self, last_offset: Offset, position: u32) -> OffsetEntry {
        OffsetEntry { relative_offset: (last_offset.0 - self.base_offset.0) as u32, position }
    }

    /// An entry of the time index.
    pub(crate) fn time_entry(&self, newest: Newest) -> TimeEntry {
        TimeEntry { timestamp: newest.timestamp, relative_offset: (newest.offset.0 - self.base_offset.0) as u32 }
    }

    /// Notes the newest timestamp in the time index, unless the index has one as new.
    pub(crate) fn add_time_entry(&self, newest: Newest) -> Result<()> {
        if newest.timestamp > self.times.last()?.map_or(-1, |last| last.timestamp) {
            self.times.append(self.time_entry(newest))?;
        }
        Ok(())
    }

    fn remember(&self, batches: &[Appended], mut position: u32) {
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

    /// The batch that holds an offset, or else the first one after it. `None` when all are below.
    pub(crate) fn locate(&self, offset: Offset, wait: Wait) -> Result<Option<Place>> {
        let size = self.size();
        {
            let recent = self.recent.read();
            if recent.front().is_some_and(|first| first.base_offset <= offset) {
                // Batches beyond `size` are still on their way.
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
            // The entry led astray: an index is never trusted over the records.
            Err(Error::Corrupt { .. }) if start > 0 && !is_planted(Bug::IndexTrusted) => {
                self.locate_from(0, offset, size, wait)
            }
            place => place,
        }
    }

    /// Whether there is a batch at or after an offset, as far as batches can be read.
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

    /// The frames from a position on, to be walked with the file held open.
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

    /// Where to begin to look for an offset, as far as the index knows.
    pub(crate) fn position_hint(&self, offset: Offset) -> u32 {
        let relative = offset.0 - self.base_offset.0;
        let entry = self.offsets.split(|entry| i64::from(entry.relative_offset) <= relative, Wait::Block);
        entry.ok().and_then(|(entry, _)| entry).map_or(0, |entry| entry.position)
    }

    /// The offset after the last record; the base offset when there is none.
    pub(crate) fn next_offset(&self) -> Result<Offset> {
        self.end().map(|(next, _)| next)
    }

    /// The same, and where in the file the last whole batch ends.
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

    /// An offset that is at or after all records in the next `bytes` from a position: from the index alone, `None` where it knows none.
    pub(crate) fn offset_bound(&self, position: u32, bytes: u32) -> Option<Offset> {
        let end = position.saturating_add(bytes);
        let (_, next) = self.offsets.split(|entry| entry.position < end, Wait::Block).ok()?;
        next.map(|entry| self.base_offset.plus(i64::from(entry.relative_offset)))
    }

    /// Ends a segment's time as the active one: the indexes are complete in their files or, where there is no room, in memory.
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

    /// Whether nothing of the indexes is in memory alone.
    pub(crate) fn is_complete(&self) -> bool {
        self.offsets.is_written() && self.times.is_written() && self.aborted.is_written()
    }

    /// Brings what is in memory of the indexes to their files, the time index last: while it is empty, nobody takes the offset index for complete. Only the
    /// log's writer calls it.
    pub(crate) fn complete(&self) -> Result<()> {
        self.aborted.write_rest()?;
        self.offsets.trim()?;
        self.times.trim()
    }

    /// Makes records and indexes outlive a power cut.
    pub(crate) fn sync(&self) -> Result<()> {
        self.sync_records()?;
        self.offsets.sync()?;
        self.times.sync()
    }

    /// Makes the records outlive a power cut. The indexes by offset and by time may be lost: whoever opens the segment must build them anew.
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

    /// Cuts the batch that holds `end` and all after it. The result stands for this segment from now on.
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
        // What was cut must not come back with a power cut: other replicas hold something else in its place.
        file.sync().map_err(self.io("sync"))?;
        let created = if size == 0 { now } else { self.created };
        self.close();
        let cut = Segment::with(self.folder.clone(), self.base_offset, created, size);
        let cut = Segment { offsets, times, aborted, ..cut };
        // The time index has an entry for some batches only, and the one of the last roll is gone.
        let newest = cut.newest_of_records()?;
        *cut.newest.lock() = Some(newest);
        Ok(cut)
    }

    /// Marks every region of this segment as stale: its records are going.
    pub(crate) fn invalidate(&self) {
        self.intact_below.store(0, Ordering::Release);
    }

    /// Cuts the file to a size that recovery found, and adds the last entry of the time index.
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

    /// Completes indexes that were built anew from empty ones. The time index comes last and at once: while it is empty, nobody takes the offset index for
    /// complete either.
    pub(crate) fn complete_recovered(&self, times: Vec<TimeEntry>) -> Result<()> {
        match self.offsets.trim() {
            Err(error) if error.is_refusal() => {
                self.times.keep(times);
                Ok(())
            }
            trimmed => trimmed.and_then(|()| self.times.replace(times)),
        }
    }

    /// Lets go of everything that can be read again.
    pub(crate) fn close(&self) {
        self.log.clear();
        self.offsets.close();
        self.times.close();
        self.aborted.close();
    }

    /// The names of all files that a segment may have.
    pub(crate) fn file_names(&self) -> impl Iterator<Item = String> {
        [names::LOG, names::INDEX, names::TIME_INDEX, names::TXN_INDEX].into_iter().map(|suffix| self.name(suffix))
    }
}
