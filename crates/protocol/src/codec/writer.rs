//! Writes values into a frame.
//!
//! Small values go into one buffer. Records are not copied: the buffer remembers their place, and
//! the finished frame is a list of parts.

use super::{EncodeError, Records};
use bytes::{BufMut, Bytes, BytesMut};
use model::Uuid;

/// Records below this size, in bytes, are cheaper to copy than to send as a separate part.
const COPIED_RECORDS_MAX: usize = 512;

/// A part of a frame, in sending order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FramePart {
    /// Bytes in memory.
    Bytes(Bytes),
    /// Bytes that the sender supplies: the next of the records that are `Elsewhere`.
    Elsewhere {
        /// The length in bytes.
        len: u32,
    },
}

/// A frame that is being written.
#[derive(Debug, Default)]
pub struct Writer {
    buffer: BytesMut,
    /// Parts between the buffer's bytes, each with the number of buffer bytes before it.
    between: Vec<(usize, FramePart)>,
    between_bytes: usize,
}

macro_rules! fixed {
    ($($(#[$doc:meta])* $name:ident($put:ident): $type:ty;)*) => {$(
        $(#[$doc])*
        #[inline]
        pub fn $name(&mut self, value: $type) {
            self.buffer.$put(value);
        }
    )*};
}

impl Writer {
    /// Creates an empty writer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates an empty writer with room for `bytes` bytes, records not counted.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { buffer: BytesMut::with_capacity(bytes), ..Self::default() }
    }

    /// Returns the bytes written, records included.
    pub fn len(&self) -> usize {
        self.buffer.len() + self.between_bytes
    }

    /// Whether nothing has been written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fixed! {
        /// Writes an int8.
        i8(put_i8): i8;
        /// Writes an int16, big-endian like all that follow.
        i16(put_i16): i16;
        /// Writes a uint16.
        u16(put_u16): u16;
        /// Writes an int32.
        i32(put_i32): i32;
        /// Writes a uint32.
        u32(put_u32): u32;
        /// Writes an int64.
        i64(put_i64): i64;
        /// Writes a float64.
        f64(put_f64): f64;
    }

    /// Writes a bool.
    pub fn bool(&mut self, value: bool) {
        self.buffer.put_u8(u8::from(value));
    }

    /// Writes a UUID.
    pub fn uuid(&mut self, value: Uuid) {
        self.buffer.put_slice(&value.0);
    }

    /// Writes bytes without a length.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.buffer.put_slice(bytes);
    }

    /// Writes an unsigned number, seven bits in each byte, the lowest first.
    pub fn unsigned_varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.buffer.put_u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.buffer.put_u8(value as u8);
    }

    pub(crate) fn unsigned_varint_of(&mut self, value: usize) -> Result<(), EncodeError> {
        self.unsigned_varint(u32::try_from(value).map_err(|_| EncodeError::TooLong(value))?);
        Ok(())
    }

    /// Writes a length: compact (one more than its value) or as an int32.
    fn length(&mut self, flexible: bool, len: usize) -> Result<(), EncodeError> {
        let plain = i32::try_from(len).ok().filter(|len| *len < i32::MAX).ok_or(EncodeError::TooLong(len))?;
        if flexible {
            self.unsigned_varint(plain.cast_unsigned() + 1)
        } else {
            self.i32(plain)
        }
        Ok(())
    }

    /// Writes a text. Errors: more than 32,767 bytes.
    pub fn string(&mut self, flexible: bool, text: &str) -> Result<(), EncodeError> {
        let len = i16::try_from(text.len()).map_err(|_| EncodeError::TooLong(text.len()))?;
        if flexible {
            self.unsigned_varint(u32::from(len.cast_unsigned()) + 1)
        } else {
            self.i16(len)
        }
        self.raw(text.as_bytes());
        Ok(())
    }

    /// Writes a null text.
    pub fn null_string(&mut self, flexible: bool) {
        if flexible { self.unsigned_varint(0) } else { self.i16(-1) }
    }

    /// Writes bytes as a copy.
    pub fn bytes(&mut self, flexible: bool, bytes: &Bytes) -> Result<(), EncodeError> {
        self.length(flexible, bytes.len())?;
        self.raw(bytes);
        Ok(())
    }

    /// Writes null bytes or a null list.
    pub fn null_length(&mut self, flexible: bool) {
        if flexible { self.unsigned_varint(0) } else { self.i32(-1) }
    }

    /// Writes the count before a list's elements.
    pub fn array_length(&mut self, flexible: bool, count: usize) -> Result<(), EncodeError> {
        self.length(flexible, count)
    }

    /// Writes records: the length into the buffer, the bytes as a separate part.
    pub fn records(&mut self, flexible: bool, records: &Records) -> Result<(), EncodeError> {
        self.length(flexible, records.len())?;
        let part = match records {
            Records::Bytes(bytes) if bytes.len() <= COPIED_RECORDS_MAX => {
                self.raw(bytes);
                return Ok(());
            }
            Records::Bytes(bytes) => FramePart::Bytes(bytes.clone()),
            Records::Elsewhere { len: 0 } => return Ok(()),
            Records::Elsewhere { len } => FramePart::Elsewhere { len: *len },
        };
        self.between.push((self.buffer.len(), part));
        self.between_bytes += records.len();
        Ok(())
    }

    /// Starts a tagged field. `close_tag` fills in its length. No tagged field of the protocol
    /// holds records.
    pub(crate) fn open_tag(&mut self, tag: u32) -> usize {
        self.unsigned_varint(tag);
        self.buffer.len()
    }

    pub(crate) fn close_tag(&mut self, at: usize) -> Result<(), EncodeError> {
        let content = self.buffer.split_off(at);
        self.unsigned_varint_of(content.len())?;
        self.buffer.unsplit(content);
        Ok(())
    }

    /// Overwrites four bytes that were written at `position`. The frame's length is filled in this
    /// way.
    pub fn patch_i32(&mut self, position: usize, value: i32) {
        if let Some(bytes) = self.buffer.get_mut(position..position + 4) {
            bytes.copy_from_slice(&value.to_be_bytes());
        }
    }

    /// Returns the parts, in sending order.
    pub fn finish(self) -> Vec<FramePart> {
        let buffer = self.buffer.freeze();
        let mut parts = Vec::with_capacity(2 * self.between.len() + 1);
        let mut sent = 0;
        for (at, part) in self.between {
            if at > sent {
                parts.push(FramePart::Bytes(buffer.slice(sent..at)));
            }
            parts.push(part);
            sent = at;
        }
        if sent < buffer.len() {
            parts.push(FramePart::Bytes(buffer.slice(sent..)));
        }
        parts
    }

    /// Returns the whole frame in one piece. Errors: records that are `Elsewhere`.
    pub fn into_bytes(self) -> Result<Bytes, EncodeError> {
        if self.between.is_empty() {
            return Ok(self.buffer.freeze());
        }
        let mut whole = BytesMut::with_capacity(self.len());
        for part in self.finish() {
            match part {
                FramePart::Bytes(bytes) => whole.put_slice(&bytes),
                FramePart::Elsewhere { .. } => return Err(EncodeError::Elsewhere),
            }
        }
        Ok(whole.freeze())
    }
}
