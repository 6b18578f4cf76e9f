//! The header of a batch: its first 61 bytes.

use super::BatchError;
use super::crc::crc32c;
use crate::{Codec, TimestampType, UnknownCodec};
use model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};

/// The bytes of a batch before its records.
pub const BATCH_OVERHEAD: usize = 61;
/// The bytes of the base offset and the length, which the length itself does not count. They are
/// the same in every format.
pub const LOG_OVERHEAD: usize = 12;

/// The smallest length that any format allows: a message of format v0 without key and value.
const LENGTH_MIN: i32 = 14;

/// The positions of the fields.
pub(crate) mod field {
    pub(crate) const LENGTH: usize = 8;
    pub(crate) const LEADER_EPOCH: usize = 12;
    pub(crate) const MAGIC: usize = 16;
    pub(crate) const CRC: usize = 17;
    pub(crate) const ATTRIBUTES: usize = 21;
    pub(crate) const LAST_OFFSET_DELTA: usize = 23;
    pub(crate) const BASE_TIMESTAMP: usize = 27;
    pub(crate) const MAX_TIMESTAMP: usize = 35;
    pub(crate) const PRODUCER_ID: usize = 43;
    pub(crate) const PRODUCER_EPOCH: usize = 51;
    pub(crate) const BASE_SEQUENCE: usize = 53;
    pub(crate) const RECORD_COUNT: usize = 57;
}

/// The attributes of a batch: 16 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Attributes(pub i16);

impl Attributes {
    const CODEC: i16 = 0b111;
    const LOG_APPEND_TIME: i16 = 1 << 3;
    const TRANSACTIONAL: i16 = 1 << 4;
    const CONTROL: i16 = 1 << 5;
    const DELETE_HORIZON: i16 = 1 << 6;

    /// Returns the codec. Three of the eight ids are not assigned.
    pub fn codec(self) -> Result<Codec, UnknownCodec> {
        Codec::from_id((self.0 & Self::CODEC) as u8)
    }

    /// Returns the clock of the timestamps.
    pub fn timestamp_type(self) -> TimestampType {
        if self.0 & Self::LOG_APPEND_TIME == 0 { TimestampType::CreateTime } else { TimestampType::LogAppendTime }
    }

    /// Whether the records belong to a transaction.
    pub fn is_transactional(self) -> bool {
        self.0 & Self::TRANSACTIONAL != 0
    }

    /// Whether the records are control records: a transaction marker, or raft's.
    pub fn is_control(self) -> bool {
        self.0 & Self::CONTROL != 0
    }

    /// Whether the base timestamp is the time from which compaction may drop tombstones and markers
    /// (KIP-534).
    pub fn has_delete_horizon(self) -> bool {
        self.0 & Self::DELETE_HORIZON != 0
    }

    /// Returns a copy with another codec.
    pub fn with_codec(self, codec: Codec) -> Self {
        Self(self.0 & !Self::CODEC | i16::from(codec.id()))
    }

    /// Returns a copy with another timestamp type.
    pub fn with_timestamp_type(self, kind: TimestampType) -> Self {
        self.with(Self::LOG_APPEND_TIME, kind == TimestampType::LogAppendTime)
    }

    /// Returns a copy that is transactional or not.
    pub fn with_transactional(self, on: bool) -> Self {
        self.with(Self::TRANSACTIONAL, on)
    }

    /// Returns a copy that is a control batch or not.
    pub fn with_control(self, on: bool) -> Self {
        self.with(Self::CONTROL, on)
    }

    /// Returns a copy with or without a delete horizon.
    pub fn with_delete_horizon(self, on: bool) -> Self {
        self.with(Self::DELETE_HORIZON, on)
    }

    /// Returns a copy without the unassigned bits, as Kafka writes attributes.
    pub(crate) fn without_unknown(self) -> Self {
        Self(self.0 & 0x7f)
    }

    fn with(self, bit: i16, on: bool) -> Self {
        Self(if on { self.0 | bit } else { self.0 & !bit })
    }
}

/// The parsed header of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// The offset of the batch's first record when it was built.
    pub base_offset: Offset,
    /// The bytes after the length field: 49 and the records.
    pub batch_length: i32,
    /// The leader epoch in which it was appended.
    pub partition_leader_epoch: Option<LeaderEpoch>,
    /// The format: always 2.
    pub magic: i8,
    /// CRC-32C of everything from the attributes on, as stored.
    pub crc: u32,
    /// Codec, timestamp type and flags.
    pub attributes: Attributes,
    /// The last record's offset minus the base offset. Compaction keeps it when it drops records.
    pub last_offset_delta: i32,
    /// The base of the records' timestamps, or the delete horizon. -1 if a producer gave no time.
    pub base_timestamp: Timestamp,
    /// The largest timestamp, or the time of the append.
    pub max_timestamp: Timestamp,
    /// Set for idempotent and transactional producers.
    pub producer_id: Option<ProducerId>,
    /// Set with the producer id.
    pub producer_epoch: Option<ProducerEpoch>,
    /// The sequence of the first record. Control batches have none.
    pub base_sequence: Option<i32>,
    /// The number of records in the body. 0 only after compaction, negative only in corrupt
    /// batches.
    pub record_count: i32,
}

impl BatchHeader {
    /// Reads the header of the batch at the start of `bytes`. The body may be missing, and the
    /// checksum is not verified.
    ///
    /// [`BatchError::Incomplete`] if the header itself is cut off.
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        let length = check_prefix(bytes)?;
        if (length as usize) + LOG_OVERHEAD < BATCH_OVERHEAD {
            return Err(BatchError::TooShort { size_bytes: length as usize + LOG_OVERHEAD });
        }
        let needed_bytes = BATCH_OVERHEAD;
        let header: &[u8; BATCH_OVERHEAD] = bytes.first_chunk().ok_or(BatchError::Incomplete { needed_bytes })?;
        Ok(Self::read(header))
    }

    /// Reads the fields of a header whose length and magic were checked before.
    pub(crate) fn read(bytes: &[u8; BATCH_OVERHEAD]) -> Self {
        Self {
            base_offset: Offset(i64::from_be_bytes(take(bytes, 0))),
            batch_length: i32::from_be_bytes(take(bytes, field::LENGTH)),
            partition_leader_epoch: LeaderEpoch::from_wire(i32::from_be_bytes(take(bytes, field::LEADER_EPOCH))),
            magic: bytes[field::MAGIC] as i8,
            crc: u32::from_be_bytes(take(bytes, field::CRC)),
            attributes: Attributes(i16::from_be_bytes(take(bytes, field::ATTRIBUTES))),
            last_offset_delta: i32::from_be_bytes(take(bytes, field::LAST_OFFSET_DELTA)),
            base_timestamp: Timestamp(i64::from_be_bytes(take(bytes, field::BASE_TIMESTAMP))),
            max_timestamp: Timestamp(i64::from_be_bytes(take(bytes, field::MAX_TIMESTAMP))),
            producer_id: ProducerId::from_wire(i64::from_be_bytes(take(bytes, field::PRODUCER_ID))),
            producer_epoch: ProducerEpoch::from_wire(i16::from_be_bytes(take(bytes, field::PRODUCER_EPOCH))),
            base_sequence: Some(i32::from_be_bytes(take(bytes, field::BASE_SEQUENCE))).filter(|first| *first >= 0),
            record_count: i32::from_be_bytes(take(bytes, field::RECORD_COUNT)),
        }
    }

    /// Returns the header's bytes, with the checksum of the field `crc`.
    pub fn to_bytes(&self) -> [u8; BATCH_OVERHEAD] {
        let mut bytes = [0; BATCH_OVERHEAD];
        put(&mut bytes, 0, self.base_offset.0.to_be_bytes());
        put(&mut bytes, field::LENGTH, self.batch_length.to_be_bytes());
        put(&mut bytes, field::LEADER_EPOCH, LeaderEpoch::to_wire(self.partition_leader_epoch).to_be_bytes());
        put(&mut bytes, field::MAGIC, self.magic.to_be_bytes());
        put(&mut bytes, field::CRC, self.crc.to_be_bytes());
        put(&mut bytes, field::ATTRIBUTES, self.attributes.0.to_be_bytes());
        put(&mut bytes, field::LAST_OFFSET_DELTA, self.last_offset_delta.to_be_bytes());
        put(&mut bytes, field::BASE_TIMESTAMP, self.base_timestamp.0.to_be_bytes());
        put(&mut bytes, field::MAX_TIMESTAMP, self.max_timestamp.0.to_be_bytes());
        put(&mut bytes, field::PRODUCER_ID, ProducerId::to_wire(self.producer_id).to_be_bytes());
        put(&mut bytes, field::PRODUCER_EPOCH, ProducerEpoch::to_wire(self.producer_epoch).to_be_bytes());
        put(&mut bytes, field::BASE_SEQUENCE, self.base_sequence.unwrap_or(-1).to_be_bytes());
        put(&mut bytes, field::RECORD_COUNT, self.record_count.to_be_bytes());
        bytes
    }

    /// Returns the batch without its records. Compaction leaves it so that its offsets or its
    /// producer's last sequence stay known.
    pub fn emptied(&self) -> [u8; BATCH_OVERHEAD] {
        let mut emptied = Self {
            batch_length: (BATCH_OVERHEAD - LOG_OVERHEAD) as i32,
            magic: 2,
            attributes: self.attributes.with_codec(Codec::None).with_delete_horizon(false).without_unknown(),
            base_timestamp: Timestamp(-1),
            record_count: 0,
            ..*self
        };
        emptied.crc = crc32c(&emptied.to_bytes()[field::ATTRIBUTES..]);
        emptied.to_bytes()
    }

    /// Returns the offset of the batch's last record when it was built.
    pub fn last_offset(&self) -> Offset {
        Offset(self.base_offset.0.wrapping_add(i64::from(self.last_offset_delta)))
    }

    /// Returns the offset after the last one.
    pub fn next_offset(&self) -> Offset {
        Offset(self.last_offset().0.wrapping_add(1))
    }

    /// Returns the sequence of the last record. After `i32::MAX` comes 0.
    pub fn last_sequence(&self) -> Option<i32> {
        self.base_sequence.map(|first| increment_sequence(first, self.last_offset_delta))
    }

    /// Returns the delete horizon, if the batch has one.
    pub fn delete_horizon(&self) -> Option<Timestamp> {
        self.attributes.has_delete_horizon().then_some(self.base_timestamp)
    }

    /// Returns the bytes of the whole batch, header and records.
    pub fn size_bytes(&self) -> usize {
        LOG_OVERHEAD + self.batch_length as usize
    }

    /// Returns the clock of the timestamps.
    pub fn timestamp_type(&self) -> TimestampType {
        self.attributes.timestamp_type()
    }

    /// Whether the records belong to a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes.is_transactional()
    }

    /// Whether the records are control records.
    pub fn is_control(&self) -> bool {
        self.attributes.is_control()
    }
}

/// Returns the sequence `increment` records after `sequence`. After `i32::MAX` comes 0.
pub fn increment_sequence(sequence: i32, increment: i32) -> i32 {
    if sequence > i32::MAX.wrapping_sub(increment) {
        increment.wrapping_sub(i32::MAX.wrapping_sub(sequence)).wrapping_sub(1)
    } else {
        sequence.wrapping_add(increment)
    }
}

/// Checks what all formats have in common, and that the format is v2. Returns the length field.
pub(super) fn check_prefix(bytes: &[u8]) -> Result<i32, BatchError> {
    let (length, magic) = length_and_magic(bytes)?;
    match magic {
        2 => Ok(length),
        _ => Err(BatchError::OldFormat { magic, size_bytes: length as usize + LOG_OVERHEAD }),
    }
}

/// Reads the length field and the magic, which is 0, 1 or 2.
pub(crate) fn length_and_magic(bytes: &[u8]) -> Result<(i32, i8), BatchError> {
    let needed_bytes = field::MAGIC + 1;
    let length = bytes.get(field::LENGTH..LOG_OVERHEAD).ok_or(BatchError::Incomplete { needed_bytes })?;
    let length = length.iter().fold(0, |value, byte| value << 8 | i32::from(*byte));
    if length < LENGTH_MIN {
        return Err(BatchError::Length { length, length_min: LENGTH_MIN });
    }
    match bytes.get(field::MAGIC) {
        None => Err(BatchError::Incomplete { needed_bytes }),
        Some(magic @ 0..=2) => Ok((length, *magic as i8)),
        Some(magic) => Err(BatchError::Magic { magic: *magic as i8 }),
    }
}

fn take<const N: usize>(bytes: &[u8; BATCH_OVERHEAD], at: usize) -> [u8; N] {
    std::array::from_fn(|index| bytes[at + index])
}

pub(crate) fn put<const N: usize>(bytes: &mut [u8; BATCH_OVERHEAD], at: usize, value: [u8; N]) {
    bytes[at..at + N].copy_from_slice(&value);
}
