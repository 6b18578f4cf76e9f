//! Messages of formats v0 and v1, which data folders of Kafka before 0.11 still hold. They are
//! read, never written.
//!
//! ```text
//!  0 offset      i64   the message's own; for a compressed one, that of the last message inside
//!  8 size        i32   of all that follows
//! 12 crc         u32   CRC-32 of everything from the magic on
//! 16 magic       i8    0 or 1
//! 17 attributes  i8    bits 0-2 codec, 3 timestamp type (v1)
//! 18 timestamp   i64   v1 only; of a compressed message, the largest inside
//!    key, value        each an i32 length, -1 for null, and its bytes
//! ```
//!
//! The value of a compressed message is a set of messages of the same format. In v1 their offsets
//! are relative: the outer message's offset is that of the last one (KIP-31). In v0 they are
//! absolute, and the head of an LZ4 frame has a wrong checksum (KAFKA-3160).

use crate::batch::length_and_magic;
use crate::codec::Stream;
use crate::{BatchError, Codec, LOG_OVERHEAD, RECORD_BYTES_MAX, RecordError, TimestampType};
use model::{Offset, Timestamp};
use std::io;

const CRC: usize = 12;
const MAGIC: usize = 16;
const ATTRIBUTES: usize = 17;
const TIMESTAMP: usize = 18;

/// One message of format v0 or v1, compressed or not, as a slice of the bytes that hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LegacyMessage<'a> {
    bytes: &'a [u8],
    magic: i8,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
}

/// A record from a message, or from the set inside a compressed message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LegacyRecord<'a> {
    /// Its position in the log.
    pub offset: Offset,
    /// -1 in format v0.
    pub timestamp: Timestamp,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: Option<&'a [u8]>,
    /// The message that is the record: the inner one, if it was compressed.
    pub message: LegacyMessage<'a>,
}

impl<'a> LegacyMessage<'a> {
    /// Reads the message at the start of `bytes`. Other bytes may follow it. The checksum is not
    /// verified.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BatchError> {
        let (length, magic) = length_and_magic(bytes)?;
        let needed_bytes = length as usize + LOG_OVERHEAD;
        if magic > 1 {
            return Err(BatchError::Magic { magic });
        }
        let bytes = bytes.get(..needed_bytes).ok_or(BatchError::Incomplete { needed_bytes })?;
        let short = || BatchError::TooShort { size_bytes: bytes.len() };
        let mut rest = bytes.get(key_position(magic)..).ok_or_else(short)?;
        let key = take_nullable(&mut rest).ok_or_else(short)?;
        let value = take_nullable(&mut rest).ok_or_else(short)?;
        Ok(Self { bytes, magic, key, value })
    }

    /// Returns the bytes of the message and its log overhead.
    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the format: 0 or 1.
    pub fn magic(&self) -> i8 {
        self.magic
    }

    /// Returns the offset of its last record.
    pub fn last_offset(&self) -> Offset {
        Offset(read_i64(self.bytes))
    }

    /// Returns its largest timestamp, or -1 in format v0.
    pub fn max_timestamp(&self) -> Timestamp {
        if self.magic == 0 { Timestamp(-1) } else { Timestamp(read_i64(&self.bytes[TIMESTAMP..])) }
    }

    /// Returns the clock of its timestamps.
    pub fn timestamp_type(&self) -> TimestampType {
        let appended = self.magic == 1 && self.bytes[ATTRIBUTES] & 8 != 0;
        if appended { TimestampType::LogAppendTime } else { TimestampType::CreateTime }
    }

    /// Returns the compression of the inner messages.
    pub fn codec(&self) -> Result<Codec, RecordError> {
        Ok(Codec::from_id(self.bytes[ATTRIBUTES] & 7)?)
    }

    /// Returns the stored checksum.
    pub fn crc(&self) -> u32 {
        self.bytes[CRC..MAGIC].iter().fold(0, |crc, byte| crc << 8 | u32::from(*byte))
    }

    /// Computes the checksum and compares it with the stored one.
    pub fn verify_crc(&self) -> Result<(), BatchError> {
        let stored = self.crc();
        let computed = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, &self.bytes[MAGIC..]) as u32;
        if stored == computed { Ok(()) } else { Err(BatchError::Crc { stored, computed }) }
    }

    /// Calls `show` with every record in order. A compressed message is decompressed during the
    /// calls, in format v1 twice.
    pub fn records(&self, mut show: impl FnMut(LegacyRecord<'_>)) -> Result<(), RecordError> {
        let codec = self.codec()?;
        if codec == Codec::None {
            let (offset, timestamp) = (self.last_offset(), self.max_timestamp());
            show(LegacyRecord { offset, timestamp, key: self.key, value: self.value, message: *self });
            return Ok(());
        }
        let set = self.value.ok_or(RecordError::Structure)?;
        let base = match self.magic {
            0 => 0,
            _ => self.last_offset().0.wrapping_sub(last_inner_offset(codec, set)?),
        };
        let appended = (self.timestamp_type() == TimestampType::LogAppendTime).then(|| self.max_timestamp());
        let mut stream = Stream::open(codec, set, self.magic == 0).map_err(RecordError::Decompress)?;
        while let Some(size) = next_inner(&mut stream)? {
            if !fill(&mut stream, size)? {
                break;
            }
            let inner = LegacyMessage::parse(&stream.window()[..size]).map_err(|_| RecordError::Structure)?;
            if inner.magic != self.magic || inner.codec()? != Codec::None {
                return Err(RecordError::Structure);
            }
            let offset = Offset(inner.last_offset().0.wrapping_add(base));
            let timestamp = appended.unwrap_or_else(|| inner.max_timestamp());
            show(LegacyRecord { offset, timestamp, key: inner.key, value: inner.value, message: inner });
            stream.consume(size);
        }
        Ok(())
    }
}

/// Whether `count` bytes are there. As in Kafka, a set that is cut off ends before its last
/// message, even if it is cut within a frame of its codec.
fn fill(stream: &mut Stream<'_>, count: usize) -> Result<bool, RecordError> {
    match stream.fill(count) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        filled => filled.map_err(RecordError::Decompress),
    }
}

/// Returns the bytes of the next inner message, or `None` at the end.
fn next_inner(stream: &mut Stream<'_>) -> Result<Option<usize>, RecordError> {
    if !fill(stream, MAGIC + 1)? {
        return Ok(None);
    }
    let (length, _) = length_and_magic(stream.window()).map_err(|_| RecordError::Structure)?;
    match length as usize + LOG_OVERHEAD {
        size if size > RECORD_BYTES_MAX => Err(RecordError::TooLarge(length)),
        size => Ok(Some(size)),
    }
}

fn last_inner_offset(codec: Codec, set: &[u8]) -> Result<i64, RecordError> {
    let mut stream = Stream::open(codec, set, false).map_err(RecordError::Decompress)?;
    let mut last = None;
    while let Some(size) = next_inner(&mut stream)? {
        let offset = read_i64(stream.window());
        match stream.skip(size) {
            Ok(true) => last = Some(offset),
            Ok(false) => break,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(RecordError::Decompress(error)),
        }
    }
    // As in Kafka, a compressed message without inner messages is an error.
    last.ok_or(RecordError::Ends)
}

fn key_position(magic: i8) -> usize {
    if magic == 0 { TIMESTAMP } else { TIMESTAMP + 8 }
}

/// Reads the first eight bytes as a number. The caller has checked that they exist.
fn read_i64(bytes: &[u8]) -> i64 {
    bytes.iter().take(8).fold(0, |value, byte| value << 8 | i64::from(*byte))
}

fn take_nullable<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let (length, after) = rest.split_first_chunk()?;
    *rest = after;
    let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else { return Some(None) };
    let (bytes, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(Some(bytes))
}
