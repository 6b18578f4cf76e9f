//! Recovers a segment after a crash: checks every batch, removes the first bad one and all after
//! it, and rebuilds the indexes.

use super::append::{checked, note_completed};
use crate::disk::DiskFile;
use crate::epochs::LeaderEpochs;
use crate::error::{Error, Result};
use crate::frames::Frame;
use crate::index::{Index, OffsetEntry, TimeEntry, Wait};
use crate::planted::{Bug, is_planted};
use crate::producer::{Known, Origin, ProducerAppend, Producers, Verifications};
use crate::segment::{Newest, Segment};
use crate::txn_index::AbortedTxn;
use crc_fast::{CrcAlgorithm, Digest};
use model::Offset;
use records::BATCH_OVERHEAD;
use std::sync::atomic::{AtomicBool, Ordering};

/// The smallest batch: a message of the first format, without key and value.
const BATCH_BYTES_MIN: u32 = 26;

/// Bytes read at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// What is derived from the records besides the indexes.
pub(super) struct Derived<'a> {
    pub(super) producers: &'a mut Producers,
    pub(super) epochs: &'a mut LeaderEpochs,
}

/// How a segment is recovered.
#[derive(Clone, Copy)]
pub(super) struct Recovering<'a> {
    /// `index.interval.bytes`
    pub(super) index_interval: u32,
    /// Set when the broker stops: the recovery is then interrupted.
    pub(super) interrupted: &'a AtomicBool,
    /// Whether it is the last segment, whose indexes may stay in memory.
    pub(super) is_active: bool,
    /// Called before anything is cut off.
    pub(super) before_cut: &'a dyn Fn() -> Result<()>,
}

/// Entries for the offset index: collected in memory if there will be few, otherwise written to the
/// index at once.
enum OffsetEntries {
    Few(Vec<OffsetEntry>),
    Many,
}

/// Checks a segment and rebuilds its indexes; with `derived` also its aborted transactions, the
/// producers and the leader epochs. Returns the number of bytes that were cut.
pub(super) fn recover(segment: &Segment, how: Recovering<'_>, mut derived: Option<Derived<'_>>) -> Result<u32> {
    let is_indexed = is_planted(Bug::IndexTrusted) && segment.offsets.count().is_ok_and(|count| count > 0);
    // The indexes of an unflushed segment are never trusted. Those of others are not trusted while
    // the time index is empty.
    let entries_most = segment.size() / how.index_interval.max(BATCH_BYTES_MIN) + 1;
    let are_few = entries_most as usize <= Index::<TimeEntry>::FEW_ENTRIES;
    let mut offsets = match derived.is_some() && are_few {
        true => OffsetEntries::Few(Vec::new()),
        false => OffsetEntries::Many,
    };
    if matches!(offsets, OffsetEntries::Many) {
        if !is_indexed {
            segment.offsets.reset()?;
        }
        segment.times.reset()?;
    }
    let size = segment.size();
    let file = segment.file(Wait::Block)?;
    let mut reader = Reader { file: &*file, end: size, chunk: Vec::new(), start: 0 };
    let mut position = 0;
    let mut newest = Newest { timestamp: -1, offset: segment.base_offset() };
    let mut next = segment.base_offset();
    let mut last_entry_at = 0;
    let mut times: Vec<TimeEntry> = Vec::new();
    let mut aborted = Vec::new();
    while let Some(frame) = reader.frame(position).map_err(segment.io("read"))? {
        if how.interrupted.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        if !frame.continues(next) || !segment.can_hold(frame.last_offset) {
            break;
        }
        if frame.max_timestamp > newest.timestamp {
            newest = Newest { timestamp: frame.max_timestamp, offset: frame.last_offset };
        }
        if position - last_entry_at > how.index_interval {
            match &mut offsets {
                _ if is_indexed => {}
                OffsetEntries::Few(entries) => entries.push(segment.offset_entry(frame.last_offset, position)),
                OffsetEntries::Many => segment.add_offset_entry(frame.last_offset, position)?,
            }
            if newest.timestamp > times.last().map_or(-1, |last| last.timestamp) {
                times.push(segment.time_entry(newest));
            }
            last_entry_at = position;
        }
        if let Some(derived) = &mut derived {
            derived.note(&mut aborted, &frame, reader.prefix(&frame).map_err(segment.io("read"))?)?;
        }
        next = frame.last_offset.plus(1);
        position += frame.size;
    }
    if position < size {
        (how.before_cut)()?;
    }
    segment.set_recovered(position, newest, &mut times)?;
    if derived.is_some() {
        segment.aborted.replace(aborted)?;
    }
    match offsets {
        OffsetEntries::Few(entries) => {
            let may_wait = how.is_active;
            if is_indexed || segment.offsets.hold(entries, may_wait)? {
                segment.times.hold(times, may_wait)?;
            } else {
                segment.times.reset()?;
                segment.times.keep(times);
            }
        }
        OffsetEntries::Many => segment.complete_recovered(times)?,
    }
    Ok(size - position)
}

impl Derived<'_> {
    fn note(&mut self, aborted: &mut Vec<AbortedTxn>, frame: &Frame, bytes: &[u8]) -> Result<()> {
        let Some(header) = &frame.header else { return Ok(()) };
        if let Some(epoch) = header.partition_leader_epoch
            && self.epochs.latest().is_none_or(|latest| epoch > latest)
        {
            self.epochs.assign(epoch, header.base_offset);
        }
        replay(self.producers, frame, bytes, Some(aborted))
    }
}

/// Applies one batch to the producers. If an aborted transaction ends in it, adds it to `aborted`.
fn replay(
    producers: &mut Producers,
    frame: &Frame,
    bytes: &[u8],
    mut aborted: Option<&mut Vec<AbortedTxn>>,
) -> Result<()> {
    producers.end_offset = frame.last_offset.plus(1);
    let Some(header) = &frame.header else { return Ok(()) };
    // A batch with a valid checksum was accepted once. A marker that cannot be read ends nothing.
    let Ok(Some(batch)) = checked(header, bytes.get(BATCH_OVERHEAD..).unwrap_or_default(), 0) else { return Ok(()) };
    let mut append = ProducerAppend::new(Origin::Replication);
    let verifications = Verifications::default();
    let (verifications, partition) = (&verifications, &"");
    append.add(Known { producers, verifications, guard: None, is_guard_required: false, partition }, &batch)?;
    let completed = append.completed.clone();
    producers.apply(append);
    for txn in &completed {
        let ended = note_completed(producers, txn);
        if let Some(aborted) = &mut aborted {
            aborted.extend(ended);
        }
    }
    Ok(())
}

/// Applies the batches of a segment to the producers, from their end offset up to `end`. The
/// batches were checked before.
pub(super) fn replay_segment(producers: &mut Producers, segment: &Segment, end: Offset) -> Result<()> {
    let from = producers.end_offset;
    segment.frames_from(segment.position_hint(from), |frame, file| {
        if frame.last_offset < from {
            return Ok(true);
        }
        if frame.base_offset >= end {
            return Ok(false);
        }
        let is_marker = frame.header.is_some_and(|header| header.is_control() && header.producer_id.is_some());
        let mut bytes = vec![0; if is_marker { frame.size.min(CHUNK_BYTES as u32) as usize } else { 0 }];
        file.read_at(u64::from(frame.position), &mut bytes).map_err(segment.io("read"))?;
        replay(producers, frame, &bytes, None)?;
        Ok(true)
    })
}

/// Reads a file from start to end in large chunks and verifies checksums.
struct Reader<'a> {
    file: &'a dyn DiskFile,
    end: u32,
    chunk: Vec<u8>,
    start: u32,
}

impl Reader<'_> {
    /// Returns the complete and valid batch at a position, or `None`.
    fn frame(&mut self, position: u32) -> std::io::Result<Option<Frame>> {
        self.fill(position, BATCH_OVERHEAD)?;
        let Ok(frame) = Frame::parse(self.bytes(position), position) else { return Ok(None) };
        if frame.size > self.end - position {
            return Ok(None);
        }
        self.fill(position, frame.size as usize)?;
        Ok(self.is_sound(&frame)?.then_some(frame))
    }

    /// Returns the part of a batch that fits into a chunk.
    fn prefix(&mut self, frame: &Frame) -> std::io::Result<&[u8]> {
        self.fill(frame.position, frame.size as usize)?;
        let bytes = self.bytes(frame.position);
        Ok(&bytes[..bytes.len().min(frame.size as usize)])
    }

    fn bytes(&self, position: u32) -> &[u8] {
        position.checked_sub(self.start).and_then(|at| self.chunk.get(at as usize..)).unwrap_or_default()
    }

    /// Makes sure that `needed` bytes from a position on are in the chunk, or as many as it can
    /// hold.
    fn fill(&mut self, position: u32, needed: usize) -> std::io::Result<()> {
        let remaining_bytes = (self.end - position) as usize;
        if self.bytes(position).len() >= needed.min(remaining_bytes).min(CHUNK_BYTES) {
            return Ok(());
        }
        self.chunk.resize(remaining_bytes.min(CHUNK_BYTES), 0);
        self.start = position;
        let read = self.file.read_at(u64::from(position), &mut self.chunk)?;
        self.chunk.truncate(read);
        Ok(())
    }

    fn is_sound(&self, frame: &Frame) -> std::io::Result<bool> {
        let (stored_at, covered_from, algorithm) = match &frame.header {
            Some(_) => (17, 21, CrcAlgorithm::Crc32Iscsi),
            None => (12, 16, CrcAlgorithm::Crc32IsoHdlc),
        };
        let inside = self.bytes(frame.position);
        let Some(stored) = inside.get(stored_at..stored_at + 4) else { return Ok(false) };
        let stored = stored.iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
        let inside = &inside[..inside.len().min(frame.size as usize)];
        let mut digest = Digest::new(algorithm);
        digest.update(inside.get(covered_from..).unwrap_or_default());
        // A batch larger than a chunk is read through a second buffer, so that no length in a file
        // decides how much memory is allocated.
        let mut done = inside.len();
        let mut buffer = vec![0; if done < frame.size as usize { CHUNK_BYTES } else { 0 }];
        while done < frame.size as usize {
            let wanted = buffer.len().min(frame.size as usize - done);
            match self.file.read_at(u64::from(frame.position) + done as u64, &mut buffer[..wanted])? {
                0 => return Ok(false),
                read => {
                    digest.update(&buffer[..read]);
                    done += read;
                }
            }
        }
        Ok(digest.finalize() == stored)
    }
}

/// Whether an error means wrong contents of a file, not a disk error.
pub(super) fn is_damage(error: &Error) -> bool {
    matches!(error, Error::Corrupt { .. })
}
