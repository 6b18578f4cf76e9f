//! Finds offsets by timestamp.

use super::Log;
use crate::disk::DiskFile;
use crate::error::{Error, Result};
use crate::frames::Frame;
use crate::index::Wait;
use crate::names;
use crate::segment::Segment;
use model::{LeaderEpoch, Offset, Timestamp};
use records::{BatchView, LegacyMessage, LegacyRecord, RecordReader};
use std::sync::Arc;

/// A record's timestamp and place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampAndOffset {
    /// The record's timestamp.
    pub timestamp: Timestamp,
    /// Its offset.
    pub offset: Offset,
    /// The leader epoch of its append, if its format stores one.
    pub leader_epoch: Option<LeaderEpoch>,
}

impl Log {
    /// Returns the first record, by offset, whose timestamp is at or after `timestamp`.
    pub fn offset_for_timestamp(&self, target: Timestamp) -> Result<Option<TimestampAndOffset>> {
        self.undisturbed(Wait::Block, || self.first_at_or_after(target)).map_err(|error| self.note_fault(error))
    }

    fn first_at_or_after(&self, target: Timestamp) -> Result<Option<TimestampAndOffset>> {
        let (start, end) = (self.log_start_offset(), self.log_end_offset());
        for segment in self.segments.load_full().iter() {
            if segment.newest()?.timestamp < target.0 {
                continue;
            }
            let entry = segment.times.split(|entry| entry.timestamp <= target.0, Wait::Block)?.0;
            let reached = entry
                .map_or(segment.base_offset(), |entry| segment.base_offset().plus(i64::from(entry.relative_offset)));
            let position = segment.position_hint(reached.max(start));
            let found = find(
                segment,
                position,
                |frame| frame.max_timestamp >= target.0,
                |offset, timestamp| timestamp >= target && (start..end).contains(&offset),
            )?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Returns the record with the largest timestamp; of several, the first.
    pub fn offset_of_max_timestamp(&self) -> Result<Option<TimestampAndOffset>> {
        self.undisturbed(Wait::Block, || self.find_max_timestamp())
    }

    fn find_max_timestamp(&self) -> Result<Option<TimestampAndOffset>> {
        let mut best: Option<(Arc<Segment>, crate::segment::Newest)> = None;
        for segment in self.segments.load_full().iter() {
            let newest = segment.newest()?;
            if newest.timestamp >= 0 && best.as_ref().is_none_or(|(_, best)| newest.timestamp > best.timestamp) {
                best = Some((segment.clone(), newest));
            }
        }
        let Some((segment, newest)) = best else { return Ok(None) };
        let position = segment.position_hint(newest.offset);
        let is_it = |frame: &Frame| frame.max_timestamp == newest.timestamp;
        find(&segment, position, is_it, |_, timestamp| timestamp.0 == newest.timestamp)
    }
}

/// Returns the first matching record of the first matching batch.
fn find(
    segment: &Segment,
    position: u32,
    is_batch: impl Fn(&Frame) -> bool,
    is_record: impl Fn(Offset, Timestamp) -> bool,
) -> Result<Option<TimestampAndOffset>> {
    let mut found = None;
    segment.frames_from(position, |frame, file| {
        if !is_batch(frame) {
            return Ok(true);
        }
        found = in_batch(segment, frame, file, &is_record)?;
        Ok(found.is_none())
    })?;
    Ok(found)
}

fn in_batch(
    segment: &Segment,
    frame: &Frame,
    file: &dyn DiskFile,
    is_record: &impl Fn(Offset, Timestamp) -> bool,
) -> Result<Option<TimestampAndOffset>> {
    let mut bytes = vec![0; frame.size as usize];
    file.read_at(u64::from(frame.position), &mut bytes).map_err(segment.io("read"))?;
    let path = || segment.folder.file(&segment.name(names::LOG));
    let corrupt = |reason: String| Error::corrupt(path(), u64::from(frame.position), reason);
    let Some(header) = &frame.header else {
        let message = LegacyMessage::parse(&bytes).map_err(|error| corrupt(error.to_string()))?;
        let mut found = None;
        let show = |record: LegacyRecord<'_>| {
            if found.is_none() && is_record(record.offset, record.timestamp) {
                let (timestamp, offset) = (record.timestamp, record.offset);
                found = Some(TimestampAndOffset { timestamp, offset, leader_epoch: None });
            }
        };
        message.records(show).map_err(|error| corrupt(error.to_string()))?;
        return Ok(found);
    };
    let view = BatchView::parse(&bytes).map_err(|error| corrupt(error.to_string()))?;
    let mut reader = RecordReader::new(&view).map_err(|error| corrupt(error.to_string()))?;
    while let Some(record) = reader.next_record() {
        let record = record.map_err(|error| corrupt(error.to_string()))?;
        let (offset, timestamp) = (record.offset, record.timestamp);
        if is_record(offset, timestamp) {
            let leader_epoch = header.partition_leader_epoch;
            return Ok(Some(TimestampAndOffset { timestamp, offset, leader_epoch }));
        }
    }
    Ok(None)
}
