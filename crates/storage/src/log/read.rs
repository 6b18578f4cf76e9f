//! Plans reads: where the records from an offset on are, without their bytes.

use super::{Log, LogOffsets, Mark, Marks};
use crate::error::{Error, Result};
use crate::index::Wait;
use crate::region::FileRegion;
use crate::segment::{Place, Segment};
use crate::txn_index::AbortedTxn;
use model::Offset;
use std::sync::Arc;

/// How far a reader may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// To the log end: replicas.
    LogEnd,
    /// To the high watermark: consumers.
    HighWatermark,
    /// To the last stable offset: consumers with `read_committed`.
    Committed,
}

/// The arguments of a read.
#[derive(Clone, Copy, Debug)]
pub struct LogRead {
    /// The first offset.
    pub offset: Offset,
    /// The most bytes to return.
    pub max_bytes: u32,
    /// Whether to return the first batch whole even if it is larger than that.
    pub at_least_one_batch: bool,
    /// How far the reader may read.
    pub isolation: Isolation,
    /// Whether the search may wait for the disk.
    pub wait: Wait,
}

/// The place of the records.
#[derive(Clone, Debug)]
pub struct ReadPlan {
    /// The bytes, from the first byte of the batch that holds the offset. They may end within a
    /// batch. `None` if there are no bytes for this reader.
    pub region: Option<FileRegion>,
    /// Whether the first batch does not fit into `max_bytes` and need not be returned whole.
    pub is_first_batch_cut: bool,
    /// The log's offsets at that time.
    pub offsets: LogOffsets,
    /// With `Isolation::Committed`: the aborted transactions that touch the bytes, by first offset.
    pub aborted: Option<Vec<AbortedTxn>>,
}

/// How often a plan is retried after a truncation.
const ATTEMPTS: usize = 3;

impl Log {
    /// Plans a read. Errors: `Error::OffsetOutOfRange` below the log start and above the log end.
    /// If there is nothing to read, the plan is empty.
    pub fn read(&self, read: LogRead) -> Result<ReadPlan> {
        // A log that is offline alone can still be read; a log in an offline dir cannot.
        if let Some(reason) = self.dir.fault() {
            return Err(Error::Offline { partition: self.partition.to_string(), reason: reason.to_owned() });
        }
        self.undisturbed(read.wait, || self.plan(read))
    }

    fn plan(&self, read: LogRead) -> Result<ReadPlan> {
        for _ in 0..ATTEMPTS {
            let marks = *self.marks.read();
            let offsets = marks.offsets();
            let LogOffsets { log_start_offset, log_end_offset, .. } = offsets;
            if read.offset < log_start_offset || read.offset > log_end_offset {
                return Err(Error::OffsetOutOfRange { offset: read.offset, log_start_offset, log_end_offset });
            }
            let segments = self.segments.load_full();
            let found = match self.find(&read, &marks, &segments) {
                // A truncation or deletion removed the segment meanwhile.
                Err(Error::Corrupt { .. } | Error::Io { .. }) if !Arc::ptr_eq(&segments, &*self.segments.load()) => {
                    continue;
                }
                found => found.map_err(|error| self.note_fault(error))?,
            };
            let committed = read.isolation == Isolation::Committed;
            let Some((region, place)) = found else {
                let aborted = committed.then(Vec::new);
                return Ok(ReadPlan { region: None, is_first_batch_cut: false, offsets, aborted });
            };
            if !region.is_intact() {
                continue;
            }
            let aborted = if committed { Some(self.aborted_in(read.offset, &region)?) } else { None };
            let is_first_batch_cut = !read.at_least_one_batch && read.max_bytes < place.size;
            return Ok(ReadPlan { region: Some(region), is_first_batch_cut, offsets, aborted });
        }
        let offsets = self.offsets();
        Ok(ReadPlan { region: None, is_first_batch_cut: false, offsets, aborted: None })
    }

    fn find(&self, read: &LogRead, marks: &Marks, segments: &[Arc<Segment>]) -> Result<Option<(FileRegion, Place)>> {
        let end = match read.isolation {
            Isolation::LogEnd => marks.log_end,
            Isolation::HighWatermark => marks.high_watermark,
            Isolation::Committed => marks.last_stable(),
        };
        if read.offset >= end.offset {
            return Ok(None);
        }
        let after = segments.partition_point(|segment| segment.base_offset() <= read.offset);
        for index in after.saturating_sub(1)..segments.len() {
            let segment = &segments[index];
            let Some(place) = segment.locate(read.offset, read.wait)? else { continue };
            let next_base = segments.get(index + 1).map(|next| next.base_offset());
            let end_position = self.end_position(segment, next_base, end, read.wait)?;
            let available = end_position.saturating_sub(place.position);
            let wanted = if read.at_least_one_batch { read.max_bytes.max(place.size) } else { read.max_bytes };
            let length = available.min(wanted);
            if length == 0 {
                return Ok(None);
            }
            let region = FileRegion {
                segment: segment.clone(),
                file: segment.file(read.wait)?,
                position: u64::from(place.position),
                length,
            };
            return Ok(Some((region, place)));
        }
        Ok(None)
    }

    /// Returns the position in a segment at which a reader must stop.
    fn end_position(&self, segment: &Arc<Segment>, next_base: Option<Offset>, end: Mark, wait: Wait) -> Result<u32> {
        match end.place {
            Some((base, position)) if base == segment.base_offset() => Ok(position),
            Some((base, _)) if base > segment.base_offset() => Ok(segment.size()),
            Some(_) => Ok(0),
            None if next_base.is_some_and(|next| end.offset >= next) => Ok(segment.size()),
            None => {
                let position = segment.locate(end.offset, wait)?.map_or(segment.size(), |place| place.position);
                let place = Some((segment.base_offset(), position));
                let mut marks = self.marks.write();
                let is_so = marks.high_watermark.offset == end.offset && segment.is_intact(u64::from(position));
                // The cleaner clears the places in segments that it replaces, after the
                // replacement.
                if is_so && self.is_current(segment) {
                    marks.high_watermark.place = place;
                }
                Ok(position)
            }
        }
    }

    /// Returns the aborted transactions that a reader of a region must skip from an offset on, by
    /// first offset.
    fn aborted_in(&self, offset: Offset, region: &FileRegion) -> Result<Vec<AbortedTxn>> {
        let segments = self.segments.load();
        let first = segments.partition_point(|segment| segment.base_offset() < region.segment.base_offset());
        let next_base = segments.get(first + 1).map_or_else(|| self.log_end_offset(), |next| next.base_offset());
        let bound = region.segment.offset_bound(region.position as u32, region.length).unwrap_or(next_base);
        let mut aborted = Vec::new();
        'segments: for segment in &segments[first.min(segments.len())..] {
            for txn in segment.aborted.entries()?.iter() {
                if txn.last_offset >= offset && txn.first_offset < bound {
                    aborted.push(*txn);
                }
                // All transactions that begin below the bound have ended by then.
                if txn.last_stable_offset >= bound {
                    break 'segments;
                }
            }
        }
        aborted.sort_by_key(|txn| (txn.first_offset, txn.last_offset));
        Ok(aborted)
    }
}
