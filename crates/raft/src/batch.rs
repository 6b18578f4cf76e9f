//! Batches of the metadata log and of snapshots: format v2, create time, no compression, no producer.

use crate::control::{ControlRecord, ControlRecordError};
use crate::event::Fault;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use model::{LeaderEpoch, Offset, Timestamp};

/// The bytes before the length's end, which the length does not count.
const LENGTH_END: usize = 12;
const HEADER_BYTES: usize = 61;
/// Where the checksum ends and what it covers begins.
const CRC_END: usize = 21;
const CONTROL: i16 = 0x20;
const COMPRESSION: i16 = 0x07;

/// A batch that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// More bytes, or fewer, than its header says.
    #[error("its length is wrong")]
    Length,
    /// The checksum does not fit.
    #[error("its checksum is wrong")]
    Checksum,
    /// A magic or an attribute that the metadata log does not have.
    #[error("magic {magic}, attributes {attributes:#x} are not those of the metadata log")]
    Kind {
        /// The magic byte.
        magic: i8,
        /// The attributes.
        attributes: i16,
    },
    /// Lengths or counts that contradict each other.
    #[error("its records do not fit its header")]
    Records,
    /// More records, or larger ones, than a batch can hold.
    #[error("it is too large")]
    TooLarge,
}

/// A batch, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedBatch {
    /// The offset of its first record.
    pub base: Offset,
    /// The offset of its last record.
    pub last: Offset,
    /// The epoch it was written in.
    pub epoch: LeaderEpoch,
    /// Whether its records are raft's own.
    pub is_control: bool,
    /// The largest timestamp in it.
    pub max_timestamp: Timestamp,
    records: Vec<(Offset, Bytes, Bytes)>,
}

impl ParsedBatch {
    /// The records' values.
    pub fn values(&self) -> Vec<Bytes> {
        self.records.iter().map(|(_, _, value)| value.clone()).collect()
    }

    /// The records of a control batch with their offsets; none of a data batch.
    pub fn control_records(&self) -> Result<Vec<(Offset, ControlRecord)>, ControlRecordError> {
        let records = self.records.iter().filter(|_| self.is_control);
        records.map(|(offset, key, value)| Ok((*offset, ControlRecord::decode(key, value.clone())?))).collect()
    }
}

/// A batch of metadata records.
pub fn data_batch(base: Offset, epoch: LeaderEpoch, now: Timestamp, values: &[Bytes]) -> Result<Bytes, BatchError> {
    build(base, epoch, now, 0, values.iter().map(|value| (None, value.clone())))
}

/// A batch of control records.
pub fn control_batch(
    base: Offset,
    epoch: LeaderEpoch,
    now: Timestamp,
    records: &[ControlRecord],
) -> Result<Bytes, Fault> {
    let encoded = records.iter().map(ControlRecord::encode).collect::<Result<Vec<_>, _>>()?;
    Ok(build(base, epoch, now, CONTROL, encoded.into_iter().map(|(key, value)| (Some(key), value)))?)
}

fn build(
    base: Offset,
    epoch: LeaderEpoch,
    now: Timestamp,
    attributes: i16,
    records: impl Iterator<Item = (Option<Bytes>, Bytes)>,
) -> Result<Bytes, BatchError> {
    let mut out = BytesMut::zeroed(HEADER_BYTES);
    let mut count = 0i32;
    for (key, value) in records {
        let mut body = BytesMut::with_capacity(value.len() + 16);
        body.put_u8(0);
        put_varint(&mut body, 0);
        put_varint(&mut body, count);
        put_length(&mut body, key.as_ref().map(Bytes::len))?;
        body.extend_from_slice(&key.unwrap_or_default());
        put_length(&mut body, Some(value.len()))?;
        body.extend_from_slice(&value);
        put_varint(&mut body, 0);
        put_length(&mut out, Some(body.len()))?;
        out.extend_from_slice(&body);
        count = count.checked_add(1).ok_or(BatchError::TooLarge)?;
    }
    let length = i32::try_from(out.len() - LENGTH_END).map_err(|_| BatchError::TooLarge)?;
    let mut after_crc = BytesMut::with_capacity(HEADER_BYTES);
    after_crc.put_i16(attributes);
    after_crc.put_i32(count - 1);
    after_crc.put_i64(now.0);
    after_crc.put_i64(now.0);
    after_crc.put_i64(-1);
    after_crc.put_i16(-1);
    after_crc.put_i32(-1);
    after_crc.put_i32(count);
    out[CRC_END..HEADER_BYTES].copy_from_slice(&after_crc);
    let crc = checksum(&out[CRC_END..]);
    let mut header = &mut out[..CRC_END];
    header.put_i64(base.0);
    header.put_i32(length);
    header.put_i32(epoch.0);
    header.put_i8(2);
    header.put_u32(crc);
    Ok(out.freeze())
}

/// The length of the batch that these bytes begin with, `None` while there are fewer than 12 of them or they are no batch.
pub fn batch_len(prefix: &[u8]) -> Option<usize> {
    let length: [u8; 4] = prefix.get(8..LENGTH_END)?.try_into().ok()?;
    let length = usize::try_from(i32::from_be_bytes(length)).ok()?;
    (length >= HEADER_BYTES - LENGTH_END).then_some(length + LENGTH_END)
}

/// Takes one whole batch apart, and checks it.
pub fn parse_batch(bytes: Bytes) -> Result<ParsedBatch, BatchError> {
    if batch_len(&bytes) != Some(bytes.len()) {
        return Err(BatchError::Length);
    }
    let mut header = &bytes[..HEADER_BYTES];
    let base = Offset(header.get_i64());
    header.advance(4);
    let epoch = LeaderEpoch(header.get_i32());
    let magic = header.get_i8();
    let crc = header.get_u32();
    let attributes = header.get_i16();
    if magic != 2 || attributes & COMPRESSION != 0 {
        return Err(BatchError::Kind { magic, attributes });
    }
    if checksum(&bytes[CRC_END..]) != crc {
        return Err(BatchError::Checksum);
    }
    let last = base.plus(i64::from(header.get_i32()));
    header.advance(8);
    let max_timestamp = Timestamp(header.get_i64());
    header.advance(14);
    let count = header.get_i32();
    let mut rest = bytes.slice(HEADER_BYTES..);
    let mut records = Vec::new();
    for _ in 0..count {
        records.push(take_record(base, &mut rest)?);
    }
    if !rest.is_empty() || records.last().is_none_or(|(offset, ..)| *offset != last) {
        return Err(BatchError::Records);
    }
    let is_control = attributes & CONTROL != 0;
    Ok(ParsedBatch { base, last, epoch, is_control, max_timestamp, records })
}

fn take_record(base: Offset, rest: &mut Bytes) -> Result<(Offset, Bytes, Bytes), BatchError> {
    let mut body = take(rest)?;
    if body.is_empty() {
        return Err(BatchError::Records);
    }
    body.advance(1);
    take_varint(&mut body)?;
    let offset = base.plus(take_varint(&mut body)?);
    let key = take(&mut body)?;
    let value = take(&mut body)?;
    Ok((offset, key, value))
}

/// A length and so many bytes; a null is nothing.
fn take(rest: &mut Bytes) -> Result<Bytes, BatchError> {
    let len = usize::try_from(take_varint(rest)?.max(0)).map_err(|_| BatchError::Records)?;
    if len > rest.len() {
        return Err(BatchError::Records);
    }
    Ok(rest.split_to(len))
}

fn take_varint(rest: &mut Bytes) -> Result<i64, BatchError> {
    let mut zigzag = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = if rest.has_remaining() { rest.get_u8() } else { return Err(BatchError::Records) };
        zigzag |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64));
        }
    }
    Err(BatchError::Records)
}

fn put_length(out: &mut BytesMut, len: Option<usize>) -> Result<(), BatchError> {
    let len = len.map_or(Ok(-1), i32::try_from).map_err(|_| BatchError::TooLarge)?;
    put_varint(out, len);
    Ok(())
}

fn put_varint(out: &mut BytesMut, value: i32) {
    let mut zigzag = ((value << 1) ^ (value >> 31)) as u32;
    while zigzag >= 0x80 {
        out.put_u8(zigzag as u8 | 0x80);
        zigzag >>= 7;
    }
    out.put_u8(zigzag as u8);
}

fn checksum(bytes: &[u8]) -> u32 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes) as u32
}
