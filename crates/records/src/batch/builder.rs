//! Building batches of format v2.

use super::header::{Attributes, BATCH_OVERHEAD, BatchHeader, LOG_OVERHEAD, field};
use super::view::crc32c;
use crate::codec::Compressor;
use crate::varint::{len_i64, put_i32, put_i64};
use crate::{Compression, ControlType, EndTransactionMarker, TimestampType};
use bytes::Bytes;
use model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use std::io::{self, Write};

/// Why there is no batch.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Nothing was appended.
    #[error("a batch needs a record")]
    Empty,
    /// Its length does not fit the field, or its offsets or keys do not.
    #[error("the batch is too large for its format")]
    TooLarge,
    /// The codec failed, or does not know the level.
    #[error("the codec failed")]
    Compress(#[source] io::Error),
}

/// Collects records, then gives them as one batch.
///
/// Offsets are consecutive from the base offset on; the timestamps count from the first record's. Without further calls the batch has no
/// leader epoch, no producer, no compression and timestamps of the kind [`TimestampType::CreateTime`].
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    base_offset: Offset,
    leader_epoch: Option<LeaderEpoch>,
    compression: Compression,
    attributes: Attributes,
    producer: Option<(ProducerId, ProducerEpoch)>,
    base_sequence: Option<i32>,
    append_time: Option<Timestamp>,
    base_timestamp: Option<Timestamp>,
    max_timestamp: Timestamp,
    record_count: i32,
    last_offset_delta: i32,
    /// The header's place, then the records as they are.
    out: Vec<u8>,
    overflow: bool,
}

impl BatchBuilder {
    /// A batch whose first record has this offset.
    pub fn new(base_offset: Offset) -> Self {
        Self {
            base_offset,
            leader_epoch: None,
            compression: Compression::default(),
            attributes: Attributes::default(),
            producer: None,
            base_sequence: None,
            append_time: None,
            base_timestamp: None,
            max_timestamp: Timestamp(-1),
            record_count: 0,
            last_offset_delta: -1,
            out: vec![0; BATCH_OVERHEAD],
            overflow: false,
        }
    }

    /// The leader epoch it is appended in.
    pub fn leader_epoch(mut self, epoch: LeaderEpoch) -> Self {
        self.leader_epoch = Some(epoch);
        self
    }

    /// A codec, or a codec with its level.
    pub fn compression(mut self, compression: impl Into<Compression>) -> Self {
        self.compression = compression.into();
        self
    }

    /// The idempotent producer it comes from; markers and other control batches have no sequence.
    pub fn producer(mut self, id: ProducerId, epoch: ProducerEpoch, base_sequence: Option<i32>) -> Self {
        self.producer = Some((id, epoch));
        self.base_sequence = base_sequence;
        self
    }

    /// Marks it as part of a transaction.
    pub fn transactional(mut self) -> Self {
        self.attributes = self.attributes.with_transactional(true);
        self
    }

    /// Marks it as a control batch.
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

    /// How many records it has.
    pub fn record_count(&self) -> i32 {
        self.record_count
    }

    /// The offset that the next record gets.
    pub fn next_offset(&self) -> Offset {
        Offset(self.base_offset.0.wrapping_add(i64::from(self.last_offset_delta)).wrapping_add(1))
    }

    /// Bytes of the batch so far, before compression.
    pub fn size_bytes(&self) -> usize {
        self.out.len()
    }

    /// Bytes that the batch would have with one record more, before compression: an upper bound that leaves the varints their full width.
    pub fn size_bytes_with(&self, key: Option<&[u8]>, value: Option<&[u8]>) -> usize {
        const RECORD_OVERHEAD_MAX: usize = 5 + 1 + 10 + 5 + 5 + 5 + 1;
        let payload = key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len);
        self.out.len().saturating_add(payload).saturating_add(RECORD_OVERHEAD_MAX)
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

    /// Appends a record at `offset`, as compaction does, which leaves gaps. It must be later than every offset before.
    pub fn append_at(
        &mut self,
        offset: Offset,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&[u8], Option<&[u8]>)],
    ) {
        let delta = offset.0.checked_sub(self.base_offset.0).and_then(|delta| i32::try_from(delta).ok());
        match delta.filter(|delta| *delta > self.last_offset_delta) {
            Some(delta) => self.append_at_delta(delta, timestamp, key, value, headers),
            None => self.overflow = true,
        }
    }

    /// Makes it a control batch and appends the marker that ends a transaction.
    pub fn append_end_transaction(&mut self, timestamp: Timestamp, marker: EndTransactionMarker) {
        self.attributes = self.attributes.with_control(true).with_transactional(true);
        self.append(timestamp, Some(&marker.control_type().key()), Some(&marker.value()));
    }

    /// Makes it a control batch and appends one of the broker's own records.
    pub fn append_control(&mut self, timestamp: Timestamp, kind: ControlType, value: &[u8]) {
        self.attributes = self.attributes.with_control(true);
        self.append(timestamp, Some(&kind.key()), Some(value));
    }

    fn append_at_delta(
        &mut self,
        offset_delta: i32,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&[u8], Option<&[u8]>)],
    ) {
        let base = *self.base_timestamp.get_or_insert(timestamp);
        let timestamp_delta = timestamp.0.wrapping_sub(base.0);
        let length = record_length(timestamp_delta, offset_delta, key, value, headers);
        let Some(length) = i32::try_from(length).ok().filter(|_| self.out.len() + length < i32::MAX as usize) else {
            self.overflow = true;
            return;
        };
        put_i32(&mut self.out, length);
        self.out.push(0);
        put_i64(&mut self.out, timestamp_delta);
        put_i32(&mut self.out, offset_delta);
        put_nullable(&mut self.out, key);
        put_nullable(&mut self.out, value);
        put_i32(&mut self.out, headers.len() as i32);
        for (name, value) in headers {
            put_nullable(&mut self.out, Some(name));
            put_nullable(&mut self.out, *value);
        }
        self.max_timestamp = self.max_timestamp.max(timestamp);
        self.last_offset_delta = offset_delta;
        self.record_count += 1;
    }

    /// The batch. Its checksum is right; nothing else is checked.
    pub fn finish(self) -> Result<Bytes, BuildError> {
        if self.overflow {
            return Err(BuildError::TooLarge);
        }
        let base_timestamp = self.base_timestamp.ok_or(BuildError::Empty)?;
        let codec = self.compression.codec;
        let mut out = self.out;
        if codec != crate::Codec::None {
            let mut compressed = Vec::with_capacity(BATCH_OVERHEAD + out.len() / 2);
            compressed.resize(BATCH_OVERHEAD, 0);
            let mut compressor = Compressor::new(self.compression, compressed).map_err(BuildError::Compress)?;
            compressor.write_all(&out[BATCH_OVERHEAD..]).map_err(BuildError::Compress)?;
            out = compressor.finish().map_err(BuildError::Compress)?;
        }
        let mut header = BatchHeader {
            base_offset: self.base_offset,
            batch_length: i32::try_from(out.len() - LOG_OVERHEAD).map_err(|_| BuildError::TooLarge)?,
            partition_leader_epoch: self.leader_epoch,
            magic: 2,
            crc: 0,
            attributes: self.attributes.with_codec(codec),
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

fn record_length(
    timestamp_delta: i64,
    offset_delta: i32,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &[(&[u8], Option<&[u8]>)],
) -> usize {
    let headers_bytes: usize =
        headers.iter().map(|(name, value)| nullable_length(Some(name)) + nullable_length(*value)).sum();
    1 + len_i64(timestamp_delta)
        + len_i64(i64::from(offset_delta))
        + nullable_length(key)
        + nullable_length(value)
        + len_i64(headers.len() as i64)
        + headers_bytes
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
