//! Builds batches of format v2.
//!
//! Records are compressed as they arrive, so an unfinished batch takes the memory of its compressed
//! form. A codec's error is kept and returned by `finish`, so `append` returns none.

use crate::batch::{Attributes, BATCH_OVERHEAD, BatchHeader, LOG_OVERHEAD, crc32c, field};
use crate::codec::Compressor;
use crate::varint::{len_i64, put_i32, put_i64};
use crate::{Compression, EndTransactionMarker, RecordView, TimestampType};
use bytes::Bytes;
use model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use std::io::{self, Write};

/// Why a batch cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// No record was appended.
    #[error("a batch needs a record")]
    Empty,
    /// Its length, its offsets or its keys do not fit their fields.
    #[error("the batch is too large for its format")]
    TooLarge,
    /// The codec failed, or refuses the level.
    #[error("the codec failed")]
    Compress(#[source] io::Error),
}

/// Collects records, then returns them as one batch.
///
/// Offsets are consecutive from the base offset on. Timestamps count from the first record's. By
/// default the batch has no leader epoch, no producer, no compression, and timestamps of the type
/// [`TimestampType::CreateTime`].
pub struct BatchBuilder {
    base_offset: Offset,
    leader_epoch: Option<LeaderEpoch>,
    attributes: Attributes,
    producer: Option<(ProducerId, ProducerEpoch)>,
    base_sequence: Option<i32>,
    append_time: Option<Timestamp>,
    base_timestamp: Option<Timestamp>,
    max_timestamp: Timestamp,
    record_count: i32,
    last_offset_delta: i32,
    /// Room for the header, then the codec's output.
    sink: io::Result<Compressor>,
    /// The record that is being written.
    scratch: Vec<u8>,
    size_bytes: usize,
    overflow: bool,
}

impl BatchBuilder {
    /// Creates a batch whose first record has this offset.
    pub fn new(base_offset: Offset) -> Self {
        Self {
            base_offset,
            leader_epoch: None,
            attributes: Attributes::default(),
            producer: None,
            base_sequence: None,
            append_time: None,
            base_timestamp: None,
            max_timestamp: Timestamp(-1),
            record_count: 0,
            last_offset_delta: -1,
            sink: Ok(Compressor::None(vec![0; BATCH_OVERHEAD])),
            scratch: Vec::new(),
            size_bytes: BATCH_OVERHEAD,
            overflow: false,
        }
    }

    /// Sets the leader epoch of the append.
    pub fn leader_epoch(mut self, epoch: LeaderEpoch) -> Self {
        self.leader_epoch = Some(epoch);
        self
    }

    /// Sets the codec, or the codec and its level. Call it before the first record is appended.
    pub fn compression(mut self, compression: impl Into<Compression>) -> Self {
        let compression = compression.into();
        self.attributes = self.attributes.with_codec(compression.codec);
        self.sink = Compressor::new(compression, vec![0; BATCH_OVERHEAD]);
        self
    }

    /// Sets the idempotent producer. Markers and other control batches have no sequence.
    pub fn producer(mut self, id: ProducerId, epoch: ProducerEpoch, base_sequence: Option<i32>) -> Self {
        self.producer = Some((id, epoch));
        self.base_sequence = base_sequence;
        self
    }

    /// Sets the base sequence of a batch without a producer. Kafka's group coordinator writes one.
    pub fn base_sequence(mut self, base_sequence: Option<i32>) -> Self {
        self.base_sequence = base_sequence;
        self
    }

    /// Marks the batch as part of a transaction.
    pub fn transactional(mut self) -> Self {
        self.attributes = self.attributes.with_transactional(true);
        self
    }

    /// Marks the batch as a control batch.
    pub fn control(mut self) -> Self {
        self.attributes = self.attributes.with_control(true);
        self
    }

    /// Gives every record the time of the append.
    pub fn log_append_time(mut self, now: Timestamp) -> Self {
        self.attributes = self.attributes.with_timestamp_type(TimestampType::LogAppendTime);
        self.append_time = Some(now);
        self
    }

    /// Sets the time from which compaction may drop the batch's tombstones or its marker (KIP-534).
    /// Timestamps then count from that time. Call it before the first record is appended.
    pub fn delete_horizon(mut self, horizon: Timestamp) -> Self {
        self.attributes = self.attributes.with_delete_horizon(true);
        self.base_timestamp = Some(horizon);
        self
    }

    /// Returns the number of records.
    pub fn record_count(&self) -> i32 {
        self.record_count
    }

    /// Returns the offset of the next record.
    pub fn next_offset(&self) -> Offset {
        Offset(self.base_offset.0.wrapping_add(i64::from(self.last_offset_delta)).wrapping_add(1))
    }

    /// Returns the bytes of the batch so far, before compression.
    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// Returns the bytes that the codec has written, and those of the header.
    pub(crate) fn written_bytes(&self) -> usize {
        self.sink.as_ref().map_or(0, Compressor::written_bytes)
    }

    /// Appends a record without headers at the next offset.
    pub fn append(&mut self, timestamp: Timestamp, key: Option<&[u8]>, value: Option<&[u8]>) {
        self.append_with_headers(timestamp, key, value, &[]);
    }

    /// Appends a record at the next offset.
    pub fn append_with_headers(
        &mut self,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&[u8], Option<&[u8]>)],
    ) {
        let Some(delta) = self.last_offset_delta.checked_add(1) else {
            self.overflow = true;
            return;
        };
        self.append_at_delta(delta, timestamp, key, value, headers);
    }

    /// Appends a record of another batch at the next offset, with this timestamp instead of its
    /// own.
    pub fn append_view(&mut self, record: &RecordView<'_>, timestamp: Timestamp) {
        let headers = &record.headers;
        match self.last_offset_delta.checked_add(1) {
            Some(delta) => {
                self.append_encoded(delta, timestamp, record.key, record.value, headers.len(), headers.encoded());
            }
            None => self.overflow = true,
        }
    }

    /// Appends a record at `offset`, as compaction does, which leaves gaps. The offset must be
    /// higher than all before.
    pub fn append_at(
        &mut self,
        offset: Offset,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&[u8], Option<&[u8]>)],
    ) {
        match self.delta_of(offset).filter(|delta| *delta > self.last_offset_delta) {
            Some(delta) => self.append_at_delta(delta, timestamp, key, value, headers),
            None => self.overflow = true,
        }
    }

    /// Appends a record of another batch with its own offset and timestamp, as compaction does.
    pub fn append_kept(&mut self, record: &RecordView<'_>) {
        let headers = &record.headers;
        match self.delta_of(record.offset).filter(|delta| *delta > self.last_offset_delta) {
            Some(delta) => {
                let (timestamp, key, value) = (record.timestamp, record.key, record.value);
                self.append_encoded(delta, timestamp, key, value, headers.len(), headers.encoded());
            }
            None => self.overflow = true,
        }
    }

    /// Ends the batch at an offset after its last record, as compaction does, so that its
    /// producer's last sequence stays known.
    pub fn end_at(&mut self, last_offset: Offset) {
        match self.delta_of(last_offset).filter(|delta| *delta >= self.last_offset_delta) {
            Some(delta) => self.last_offset_delta = delta,
            None => self.overflow = true,
        }
    }

    fn delta_of(&self, offset: Offset) -> Option<i32> {
        offset.0.checked_sub(self.base_offset.0).and_then(|delta| i32::try_from(delta).ok())
    }

    /// Makes the batch a transactional control batch and appends the marker that ends a
    /// transaction.
    pub fn append_end_transaction(&mut self, timestamp: Timestamp, marker: EndTransactionMarker) {
        self.attributes = self.attributes.with_control(true).with_transactional(true);
        self.append(timestamp, Some(&marker.control_type().key()), Some(&marker.value()));
    }

    fn append_at_delta(
        &mut self,
        offset_delta: i32,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&[u8], Option<&[u8]>)],
    ) {
        let mut encoded = Vec::new();
        for (name, value) in headers {
            put_nullable(&mut encoded, Some(name));
            put_nullable(&mut encoded, *value);
        }
        self.append_encoded(offset_delta, timestamp, key, value, headers.len(), &encoded);
    }

    fn append_encoded(
        &mut self,
        offset_delta: i32,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        header_count: usize,
        headers: &[u8],
    ) {
        let base = *self.base_timestamp.get_or_insert(timestamp);
        let timestamp_delta = timestamp.0.wrapping_sub(base.0);
        let length = 1
            + len_i64(timestamp_delta)
            + len_i64(i64::from(offset_delta))
            + nullable_length(key)
            + nullable_length(value)
            + len_i64(header_count as i64)
            + headers.len();
        let Ok(length) = i32::try_from(length) else {
            self.overflow = true;
            return;
        };
        let mut out = std::mem::take(&mut self.scratch);
        out.clear();
        put_i32(&mut out, length);
        out.push(0);
        put_i64(&mut out, timestamp_delta);
        put_i32(&mut out, offset_delta);
        put_nullable(&mut out, key);
        put_nullable(&mut out, value);
        put_i64(&mut out, header_count as i64);
        out.extend_from_slice(headers);
        if let Ok(sink) = &mut self.sink
            && let Err(error) = sink.write_all(&out)
        {
            self.sink = Err(error);
        }
        self.size_bytes = self.size_bytes.saturating_add(out.len());
        self.scratch = out;
        self.max_timestamp = self.max_timestamp.max(timestamp);
        self.last_offset_delta = offset_delta;
        self.record_count += 1;
    }

    /// Returns the batch. Its checksum is correct. Nothing else is checked.
    pub fn finish(self) -> Result<Bytes, BuildError> {
        if self.overflow {
            return Err(BuildError::TooLarge);
        }
        let base_timestamp = self.base_timestamp.filter(|_| self.record_count > 0).ok_or(BuildError::Empty)?;
        let mut out = self.sink.and_then(Compressor::finish).map_err(BuildError::Compress)?;
        let mut header = BatchHeader {
            base_offset: self.base_offset,
            batch_length: i32::try_from(out.len() - LOG_OVERHEAD).map_err(|_| BuildError::TooLarge)?,
            partition_leader_epoch: self.leader_epoch,
            magic: 2,
            crc: 0,
            attributes: self.attributes,
            last_offset_delta: self.last_offset_delta,
            base_timestamp,
            max_timestamp: self.append_time.unwrap_or(self.max_timestamp),
            producer_id: self.producer.map(|(id, _)| id),
            producer_epoch: self.producer.map(|(_, epoch)| epoch),
            base_sequence: self.base_sequence,
            record_count: self.record_count,
        };
        out[..BATCH_OVERHEAD].copy_from_slice(&header.to_bytes());
        header.crc = crc32c(&out[field::ATTRIBUTES..]);
        out[field::CRC..field::ATTRIBUTES].copy_from_slice(&header.crc.to_be_bytes());
        Ok(out.into())
    }
}

fn nullable_length(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(1, |bytes| len_i64(bytes.len() as i64) + bytes.len())
}

fn put_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => put_i32(out, -1),
        Some(bytes) => {
            put_i32(out, bytes.len() as i32);
            out.extend_from_slice(bytes);
        }
    }
}
