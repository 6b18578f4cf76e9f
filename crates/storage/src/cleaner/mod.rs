//! Log compaction: only the newest record of each key is kept.
//!
//! A cleaning of a log has two passes. The first reads the dirty part, which no cleaning has read,
//! and stores the newest offset of each key until the map is full ([`offset_map`]). The second
//! reads all segments from the log's start up to where the first pass ended, in groups, and writes
//! one segment with the kept records of each group ([`filter`], [`output`]); `log::swap` replaces
//! the group by it. The log is complete after each group, so a cleaning can be stopped anywhere.
//!
//! Everything here follows Kafka's rules: which segments ([`dirt`]), which records, in which
//! groups, with which attributes. The bytes of rewritten compressed batches, and the places of
//! index entries, may differ.

mod chunks;
mod dirt;
mod filter;
mod offset_map;
mod output;
mod transactions;

pub use dirt::Dirt;
pub(crate) use dirt::{LogBounds, between, look};
pub(crate) use filter::LastRecord;

use crate::config::LogConfig;
use crate::error::{Error, Result};
use crate::files::Folder;
use crate::segment::{CleanedSegment, Segment};
use crate::txn_index::AbortedTxn;
use chunks::Chunks;
use filter::{Counts, Filter};
use model::{Offset, ProducerId, Timestamp};
use offset_map::OffsetMap;
use output::Output;
use records::{BatchView, LegacyMessage, RecordReader};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use transactions::Transactions;

/// The resources that one cleaning may use.
#[derive(Clone, Copy, Debug)]
pub struct CleanerLimits {
    /// Bytes of the map of keys: this thread's part of `log.cleaner.dedupe.buffer.size`.
    pub dedupe_buffer_bytes: u64,
    /// `log.cleaner.io.buffer.load.factor`: how full the map may get.
    pub load_factor: f64,
    /// Bytes that are read or written at once: this thread's part of `log.cleaner.io.buffer.size`.
    /// A larger batch is still held whole.
    pub io_buffer_bytes: usize,
    /// Random numbers, which key the hashes of the map.
    pub seed: [u64; 2],
}

/// The outcome of a cleaning.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cleaned {
    /// The log is clean up to here, exclusive.
    pub up_to: Offset,
    /// Bytes read in the first pass.
    pub bytes_mapped: u64,
    /// Bytes read in the second pass.
    pub bytes_read: u64,
    /// Bytes of the kept records.
    pub bytes_written: u64,
    /// Records read in the second pass.
    pub records_read: u64,
    /// Records that were kept.
    pub records_kept: u64,
    /// Records without a key, which do not belong in a compacted log.
    pub keyless: u64,
    /// Keys in the map.
    pub keys: u64,
    /// How full the map got.
    pub map_utilization: f64,
    /// Segments before.
    pub segments_read: usize,
    /// Segments after.
    pub segments_written: usize,
}

/// Why a cleaning ended early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It was asked to stop, or its segments no longer belong to the log.
    GivenUp,
    /// It failed.
    Fault(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Fault(error)
    }
}

pub(crate) type Step<T> = std::result::Result<T, Stop>;

/// What a cleaning needs from the log.
pub(crate) trait Source {
    /// Returns the aborted transactions that touch these offsets.
    fn aborted(&self, from: Offset, to: Offset) -> Result<Vec<AbortedTxn>>;
    /// Returns the last known state of each producer.
    fn last_records(&self) -> HashMap<ProducerId, LastRecord>;
    /// Replaces a group by a cleaned segment. Errors: `GivenUp` if the group no longer belongs to
    /// the log.
    fn swap(&self, cleaned: CleanedSegment, group: &[Arc<Segment>]) -> Step<()>;
}

/// One cleaning.
pub(crate) struct Cleaning<'a> {
    pub(crate) source: &'a dyn Source,
    pub(crate) folder: &'a Arc<Folder>,
    pub(crate) segments: &'a [Arc<Segment>],
    pub(crate) config: &'a LogConfig,
    pub(crate) limits: CleanerLimits,
    pub(crate) now: Timestamp,
    /// Called with the bytes read and written. It may wait; `false` stops the cleaning.
    pub(crate) pace: &'a mut dyn FnMut(u64) -> bool,
    pub(crate) done: Cleaned,
}

impl Cleaning<'_> {
    /// Cleans, and returns the outcome.
    pub(crate) fn run(&mut self, dirt: &Dirt) -> Step<()> {
        let map = self.map(dirt.from, dirt.end)?;
        self.done.keys = map.len() as u64;
        self.done.map_utilization = map.utilization();
        // Without a segment to read there is nothing to clean.
        let up_to = map.latest().plus(1).max(dirt.from);
        let horizon = match between(self.segments, Offset(0), dirt.from).last() {
            Some(last) => last.modified()?.0.saturating_sub(self.config.delete_retention_ms),
            None => 0,
        };
        let mut filter = Filter {
            map: &map,
            transactions: Transactions::default(),
            last_records: HashMap::new(),
            now: self.now,
            delete_retention_ms: self.config.delete_retention_ms,
            end: dirt.end,
            keeps_legacy_tombstones: true,
            counts: Counts::default(),
        };
        for group in dirt::groups(between(self.segments, Offset(0), up_to), self.config, dirt.end)? {
            let base_offset = group[0].base_offset();
            if let Err(stop) = self.clean_group(&group, &mut filter, Timestamp(horizon)) {
                output::discard(self.folder, base_offset);
                return Err(stop);
            }
        }
        let Counts { records_read, records_kept, keyless } = filter.counts;
        self.done = Cleaned { up_to, records_read, records_kept, keyless, ..self.done };
        Ok(())
    }

    fn tell(&mut self, bytes: u64) -> Step<()> {
        if (self.pace)(bytes) { Ok(()) } else { Err(Stop::GivenUp) }
    }

    /// Stores the newest offset of each key from an offset up to another, until the map is full.
    fn map(&mut self, from: Offset, end: Offset) -> Step<OffsetMap> {
        let CleanerLimits { dedupe_buffer_bytes, load_factor, seed, .. } = self.limits;
        let records = u64::try_from(end.0 - from.0).unwrap_or(0);
        let mut map = OffsetMap::new(dedupe_buffer_bytes, load_factor, records, seed);
        let dirty = between(self.segments, from, end);
        let mut transactions = Transactions::default();
        if !dirty.is_empty() {
            transactions.announce(self.source.aborted(from, end)?);
        }
        for (number, segment) in dirty.iter().enumerate() {
            let next = dirty.get(number + 1).map_or(end, |next| next.base_offset());
            if !self.map_segment(segment, from, &mut map, &mut transactions)? {
                break;
            }
            // Offsets without a record count as read too.
            map.set_latest(next.plus(-1));
        }
        Ok(map)
    }

    /// Returns whether all keys of the segment fit.
    fn map_segment(
        &mut self,
        segment: &Segment,
        from: Offset,
        map: &mut OffsetMap,
        transactions: &mut Transactions,
    ) -> Step<bool> {
        self.tell(0)?;
        let hint = if from > segment.base_offset() { segment.position_hint(from) } else { 0 };
        let mut chunks = Chunks::new(segment, hint, self.limits.io_buffer_bytes)?;
        loop {
            let Some((start, bytes)) = chunks.next()? else { return Ok(true) };
            let length = bytes.len() as u64;
            let mut fits = true;
            let mut failed = None;
            let mut position = 0;
            while position < bytes.len() && fits && failed.is_none() {
                match map_batch(&bytes[position..], from, map, transactions) {
                    Ok((size, all)) => (position, fits) = (position + size, all),
                    Err(reason) => failed = Some((start + position as u32, reason)),
                }
            }
            if let Some((at, reason)) = failed {
                return Err(chunks.corrupt(at, &reason).into());
            }
            self.done.bytes_mapped += length;
            self.tell(length)?;
            if !fits {
                return Ok(false);
            }
        }
    }

    /// Writes what is kept of a group and replaces the group by it.
    fn clean_group(&mut self, group: &[Arc<Segment>], filter: &mut Filter<'_>, horizon: Timestamp) -> Step<()> {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { return Ok(()) };
        filter.last_records = self.source.last_records();
        let (interval, buffer_bytes) = (self.config.index_interval_bytes, self.limits.io_buffer_bytes);
        let mut output = Output::create(self.folder.clone(), first.base_offset(), interval, buffer_bytes)?;
        for (number, segment) in group.iter().enumerate() {
            let next = match group.get(number + 1) {
                Some(next) => next.base_offset(),
                None => segment.next_offset()?,
            };
            filter.transactions.announce(self.source.aborted(segment.base_offset(), next)?);
            filter.keeps_legacy_tombstones = segment.modified()? > horizon;
            self.clean_segment(segment, filter, &mut output)?;
        }
        self.tell(0)?;
        let aborted = filter.transactions.take_kept();
        let cleaned = output.finish(&aborted, last.modified()?)?;
        self.source.swap(cleaned, group)?;
        self.done.bytes_written += u64::from(cleaned.size);
        self.done.segments_read += group.len();
        self.done.segments_written += 1;
        Ok(())
    }

    fn clean_segment(&mut self, segment: &Segment, filter: &mut Filter<'_>, output: &mut Output) -> Step<()> {
        let mut chunks = Chunks::new(segment, 0, self.limits.io_buffer_bytes)?;
        loop {
            let Some((start, bytes)) = chunks.next()? else { return Ok(()) };
            let length = bytes.len() as u64;
            let mut written = 0;
            let mut failed = None;
            let mut position = 0;
            while position < bytes.len() {
                match clean_batch(&bytes[position..], filter) {
                    Ok((size, kept)) => {
                        position += size;
                        if let Some(kept) = kept {
                            written += output.append(&kept)?;
                        }
                    }
                    Err(reason) => {
                        failed = Some((start + position as u32, reason));
                        break;
                    }
                }
            }
            if let Some((at, reason)) = failed {
                return Err(chunks.corrupt(at, &reason).into());
            }
            self.done.bytes_read += length;
            self.tell(length + written)?;
        }
    }
}

/// Stores the keys of the batch at the start of `bytes`. Returns its size, and whether all keys
/// fit.
fn map_batch(
    bytes: &[u8],
    from: Offset,
    map: &mut OffsetMap,
    transactions: &mut Transactions,
) -> std::result::Result<(usize, bool), filter::Reason> {
    let Ok(batch) = BatchView::parse(bytes) else { return map_legacy(bytes, from, map) };
    let header = *batch.header();
    let size = header.size_bytes();
    if header.is_control() {
        transactions.control(&header, filter::control_type(&batch)?);
    } else if !transactions.data(&header) {
        let mut reader = RecordReader::new(&batch).map_err(|error| error.to_string())?;
        while let Some(record) = reader.next_record() {
            let record = record.map_err(|error| error.to_string())?;
            if let Some(key) = record.key.filter(|_| record.offset >= from) {
                if map.is_full() {
                    return Ok((size, false));
                }
                map.put(key, record.offset);
            }
        }
    }
    if header.last_offset() >= from {
        map.set_latest(header.last_offset());
    }
    Ok((size, true))
}

fn map_legacy(bytes: &[u8], from: Offset, map: &mut OffsetMap) -> std::result::Result<(usize, bool), filter::Reason> {
    let message = LegacyMessage::parse(bytes).map_err(|error| error.to_string())?;
    let mut fits = true;
    let note = |record: records::LegacyRecord<'_>| {
        if let Some(key) = record.key.filter(|_| record.offset >= from && fits) {
            fits = !map.is_full();
            if fits {
                map.put(key, record.offset);
            }
        }
    };
    message.records(note).map_err(|error| error.to_string())?;
    if fits && message.last_offset() >= from {
        map.set_latest(message.last_offset());
    }
    Ok((message.size_bytes(), fits))
}

/// Returns what is kept of the batch at the start of `bytes`, and its size.
#[allow(clippy::type_complexity, reason = "a size and perhaps bytes")]
fn clean_batch<'b>(
    bytes: &'b [u8],
    filter: &mut Filter<'_>,
) -> std::result::Result<(usize, Option<Cow<'b, [u8]>>), filter::Reason> {
    match BatchView::parse(bytes) {
        Ok(batch) => Ok((batch.header().size_bytes(), filter.batch(&batch)?)),
        Err(_) => {
            let message = LegacyMessage::parse(bytes).map_err(|error| error.to_string())?;
            Ok((message.size_bytes(), filter.legacy(&message)?.map(Cow::Owned)))
        }
    }
}
