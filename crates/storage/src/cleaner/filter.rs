//! What the cleaner keeps of a batch.
//!
//! | what | is kept |
//! | --- | --- |
//! | a record above the last offset in the map of keys | yes |
//! | a record with a key | if the map has no later offset for its key |
//! | a record with a key and no value (a tombstone) | under the same condition, and only until the delete horizon of its batch, which the first cleaning that keeps it sets |
//! | a record without a key | no |
//! | a record of an aborted transaction | no, wherever it is |
//! | a transaction's marker | while the cleaning sees records of its transaction, and then until its delete horizon |
//! | the last batch of a known producer, the last batch below the end of the cleaning | yes; without records, if none of them is kept |
//!
//! A batch of which all records are kept is copied unchanged, unless it gets its delete horizon
//! now. Otherwise the kept records are rewritten with the same codec. The batch keeps its base
//! offset, last offset, sequence and leader epoch, and the records keep their timestamps. Messages
//! of formats v0 and v1 become batches of format v2, as in Kafka since 4.0.

use super::offset_map::OffsetMap;
use super::transactions::Transactions;
use model::{Offset, ProducerEpoch, ProducerId, Timestamp};
use records::{BatchBuilder, BatchHeader, BatchView, Codec, ControlType, LegacyMessage, RecordReader, TimestampType};
use std::borrow::Cow;
use std::collections::HashMap;

/// The last known state of a producer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LastRecord {
    /// The last offset of its newest batch, if its newest epoch has one.
    pub(crate) data: Option<Offset>,
    pub(crate) epoch: Option<ProducerEpoch>,
}

/// Counts of one cleaning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) records_read: u64,
    pub(super) records_kept: u64,
    pub(super) keyless: u64,
}

/// Filters batches, in the order of the log.
#[derive(Debug)]
pub(super) struct Filter<'a> {
    pub(super) map: &'a OffsetMap,
    pub(super) transactions: Transactions,
    /// The last known state of each producer when the rewrite of the current group began.
    pub(super) last_records: HashMap<ProducerId, LastRecord>,
    pub(super) now: Timestamp,
    pub(super) delete_retention_ms: i64,
    /// The end of the part that may be cleaned, exclusive. The map may end before it.
    pub(super) end: Offset,
    /// Whether tombstones in formats v0 and v1, which have no delete horizon, are kept.
    pub(super) keeps_legacy_tombstones: bool,
    pub(super) counts: Counts,
}

/// Why a batch cannot be cleaned.
pub(super) type Reason = String;

fn reason(error: impl std::fmt::Display) -> Reason {
    error.to_string()
}

impl Filter<'_> {
    /// Returns what is kept of a batch of format v2, or `None`.
    pub(super) fn batch<'b>(&mut self, batch: &BatchView<'b>) -> Result<Option<Cow<'b, [u8]>>, Reason> {
        let header = batch.header();
        let is_discarded = self.is_discarded(batch)?;
        let drops_records = match header.is_control() {
            true => is_discarded && header.delete_horizon().is_some_and(|horizon| horizon <= self.now),
            false => is_discarded,
        };
        let keeps_empty = self.is_last_of_producer(header) || header.next_offset() == self.end;
        let records = u64::try_from(header.record_count).unwrap_or(0);
        if drops_records {
            self.counts.records_read += records;
            return Ok(keeps_empty.then(|| Cow::Owned(header.emptied().to_vec())));
        }
        let mut kept = Vec::with_capacity(usize::try_from(header.record_count).unwrap_or(0).min(1 << 16));
        let mut has_tombstones = false;
        let mut reader = RecordReader::new(batch).map_err(reason)?;
        let keeps_tombstones = header.delete_horizon().is_none_or(|horizon| self.now < horizon);
        while let Some(record) = reader.next_record() {
            let record = record.map_err(reason)?;
            let stays =
                header.is_control() || self.keeps(record.key, record.offset, record.value.is_some(), keeps_tombstones);
            has_tombstones |= stays && record.value.is_none();
            kept.push(stays);
        }
        let count = kept.iter().filter(|stays| **stays).count();
        self.counts.records_read += kept.len() as u64;
        self.counts.records_kept += count as u64;
        if count == 0 {
            return Ok(keeps_empty.then(|| Cow::Owned(header.emptied().to_vec())));
        }
        let has_work = has_tombstones || (is_discarded && header.is_control());
        let new_horizon = (has_work && header.delete_horizon().is_none()).then(|| self.new_horizon());
        if count == kept.len() && new_horizon.is_none() {
            return Ok(Some(Cow::Borrowed(batch.bytes())));
        }
        rebuilt(batch, &kept, new_horizon.or(header.delete_horizon())).map(|bytes| Some(Cow::Owned(bytes)))
    }

    /// Returns what is kept of a message of format v0 or v1, as a batch of format v2.
    pub(super) fn legacy(&mut self, message: &LegacyMessage<'_>) -> Result<Option<Vec<u8>>, Reason> {
        let codec = message.codec().map_err(reason)?;
        // The delete horizon is part of the header, so everything that determines it is read before
        // anything is written.
        let (mut count, mut has_tombstones) = (0, false);
        let mut stays = Vec::new();
        message
            .records(|record| {
                let is_kept =
                    self.keeps(record.key, record.offset, record.value.is_some(), self.keeps_legacy_tombstones);
                has_tombstones |= is_kept && record.value.is_none();
                count += u64::from(is_kept);
                stays.push(is_kept);
            })
            .map_err(reason)?;
        self.counts.records_read += stays.len() as u64;
        self.counts.records_kept += count;
        let horizon = has_tombstones.then(|| self.new_horizon());
        let mut stays = stays.into_iter();
        let mut builder: Option<BatchBuilder> = None;
        message
            .records(|record| {
                if stays.next() == Some(true) {
                    let builder = builder.get_or_insert_with(|| legacy_builder(message, codec, record.offset, horizon));
                    builder.append_at(record.offset, record.timestamp, record.key, record.value, &[]);
                }
            })
            .map_err(reason)?;
        match builder {
            Some(builder) => builder.finish().map(|bytes| Some(bytes.to_vec())).map_err(reason),
            // Kafka stops cleaning the partition here, since it writes no empty batch in place of
            // an old message.
            None if message.last_offset().plus(1) == self.end => Ok(Some(empty_at(message.last_offset())?)),
            None => Ok(None),
        }
    }

    fn new_horizon(&self) -> Timestamp {
        Timestamp(self.now.0.saturating_add(self.delete_retention_ms))
    }

    /// Whether the batch's transaction was aborted, or its marker is no longer needed.
    fn is_discarded(&mut self, batch: &BatchView<'_>) -> Result<bool, Reason> {
        let header = batch.header();
        if !header.is_control() {
            return Ok(self.transactions.data(header));
        }
        let kind = control_type(batch)?;
        Ok(self.transactions.control(header, kind))
    }

    fn is_last_of_producer(&self, header: &BatchHeader) -> bool {
        let last = header.producer_id.and_then(|id| self.last_records.get(&id));
        last.is_some_and(|last| match last.data {
            Some(offset) => header.last_offset() == offset,
            // The newest known entry is a marker: it fences older epochs.
            None => header.is_control() && header.producer_epoch == last.epoch,
        })
    }

    fn keeps(&mut self, key: Option<&[u8]>, offset: Offset, has_value: bool, keeps_tombstones: bool) -> bool {
        if offset > self.map.latest() {
            return true;
        }
        let Some(key) = key else {
            self.counts.keyless += 1;
            return false;
        };
        let is_newest = self.map.get(key).is_none_or(|newest| offset >= newest);
        is_newest && (has_value || keeps_tombstones)
    }
}

/// Starts a batch for the kept records of a message of format v0 or v1.
fn legacy_builder(
    message: &LegacyMessage<'_>,
    codec: Codec,
    base_offset: Offset,
    horizon: Option<Timestamp>,
) -> BatchBuilder {
    let mut builder = BatchBuilder::new(base_offset).compression(codec);
    if message.timestamp_type() == TimestampType::LogAppendTime {
        builder = builder.log_append_time(message.max_timestamp());
    }
    match horizon {
        Some(horizon) => builder.delete_horizon(horizon),
        None => builder,
    }
}

/// Returns the type of a control batch's record; `None` if compaction removed the record.
pub(super) fn control_type(batch: &BatchView<'_>) -> Result<Option<ControlType>, Reason> {
    let mut reader = RecordReader::new(batch).map_err(reason)?;
    let Some(record) = reader.next_record() else { return Ok(None) };
    ControlType::from_key(record.map_err(reason)?.key).map(Some).map_err(reason)
}

/// Returns the batch with the kept records only.
fn rebuilt(batch: &BatchView<'_>, kept: &[bool], horizon: Option<Timestamp>) -> Result<Vec<u8>, Reason> {
    let header = batch.header();
    let codec = header.attributes.codec().map_err(reason)?;
    let mut builder = BatchBuilder::new(header.base_offset).compression(codec);
    if let Some(epoch) = header.partition_leader_epoch {
        builder = builder.leader_epoch(epoch);
    }
    if let (Some(id), Some(epoch)) = (header.producer_id, header.producer_epoch) {
        builder = builder.producer(id, epoch, header.base_sequence);
    }
    if header.is_transactional() {
        builder = builder.transactional();
    }
    if header.is_control() {
        builder = builder.control();
    }
    if header.timestamp_type() == TimestampType::LogAppendTime {
        builder = builder.log_append_time(header.max_timestamp);
    }
    if let Some(horizon) = horizon {
        builder = builder.delete_horizon(horizon);
    }
    let mut reader = RecordReader::new(batch).map_err(reason)?;
    let mut stays = kept.iter();
    while let (Some(record), Some(stays)) = (reader.next_record(), stays.next()) {
        if *stays {
            builder.append_kept(&record.map_err(reason)?);
        }
    }
    builder.end_at(header.last_offset());
    builder.finish().map(|bytes| bytes.to_vec()).map_err(reason)
}

/// Returns a batch without records that ends at an offset.
fn empty_at(offset: Offset) -> Result<Vec<u8>, Reason> {
    let mut builder = BatchBuilder::new(offset);
    builder.append(Timestamp(-1), None, None);
    let bytes = builder.finish().map_err(reason)?;
    BatchHeader::parse(&bytes).map(|header| header.emptied().to_vec()).map_err(reason)
}
