//! Reads values from a frame.
//!
//! Invariants: no read passes the frame's end. Every length is compared with the bytes left before
//! memory is allocated. An allowance, a small multiple of the frame's size, limits what one frame
//! makes the decoder allocate. Bytes and records are slices of the frame.

use super::{DecodeError, Str};
use bytes::Bytes;
use model::Uuid;

/// Memory that an empty frame may take, in bytes.
const ALLOWANCE_BASE: usize = 64 * 1024;
/// Memory that each byte of a frame may take, in bytes. Real messages take less than a third of it.
const ALLOWANCE_PER_BYTE: usize = 32;

/// A cursor over one frame.
#[derive(Clone, Debug)]
pub struct Reader {
    frame: Bytes,
    position: usize,
    allowance: usize,
}

macro_rules! fixed {
    ($($(#[$doc:meta])* $name:ident: $type:ty;)*) => {$(
        $(#[$doc])*
        #[inline]
        pub fn $name(&mut self) -> Result<$type, DecodeError> {
            Ok(<$type>::from_be_bytes(self.array_of()?))
        }
    )*};
}

impl Reader {
    /// Creates a reader at the start of a frame.
    pub fn new(frame: Bytes) -> Self {
        let allowance = frame.len().saturating_mul(ALLOWANCE_PER_BYTE).saturating_add(ALLOWANCE_BASE);
        Self { frame, position: 0, allowance }
    }

    /// Returns the number of bytes not read yet.
    pub fn remaining(&self) -> usize {
        self.frame.len() - self.position
    }

    /// Returns the number of bytes read.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Checks that the frame was read to its end. Errors: `Trailing`.
    pub fn finish(&self) -> Result<(), DecodeError> {
        if self.remaining() == 0 { Ok(()) } else { Err(DecodeError::Trailing(self.remaining())) }
    }

    fn need(&self, len: usize) -> Result<(), DecodeError> {
        let left = self.remaining();
        if len <= left { Ok(()) } else { Err(DecodeError::Short(len - left)) }
    }

    fn array_of<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let bytes = self.frame.get(self.position..).and_then(|rest| rest.first_chunk::<N>());
        let Some(bytes) = bytes else { return Err(DecodeError::Short(N - self.remaining())) };
        self.position += N;
        Ok(*bytes)
    }

    fixed! {
        /// Reads an int8.
        i8: i8;
        /// Reads an int16, big-endian like all that follow.
        i16: i16;
        /// Reads a uint16.
        u16: u16;
        /// Reads an int32.
        i32: i32;
        /// Reads a uint32.
        u32: u32;
        /// Reads an int64.
        i64: i64;
        /// Reads a float64.
        f64: f64;
    }

    /// Reads a bool. As in Kafka, any byte but zero is true.
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        Ok(self.i8()? != 0)
    }

    /// Reads a UUID.
    pub fn uuid(&mut self) -> Result<Uuid, DecodeError> {
        Ok(Uuid(self.array_of()?))
    }

    /// Reads an unsigned number of at most five bytes, with seven bits in each, the lowest first.
    pub fn unsigned_varint(&mut self) -> Result<u32, DecodeError> {
        let mut value = 0u32;
        for shift in (0..35).step_by(7) {
            let [byte] = self.array_of::<1>()?;
            // As in Kafka, the upper bits of the fifth byte are dropped.
            value |= u32::from(byte & 0x7f).wrapping_shl(shift);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::Varint)
    }

    /// Reads the next `len` bytes as a slice of the frame.
    pub fn raw(&mut self, len: usize) -> Result<Bytes, DecodeError> {
        self.need(len)?;
        let bytes = self.frame.slice(self.position..self.position + len);
        self.position += len;
        Ok(bytes)
    }

    /// Subtracts memory that is about to be allocated from the allowance.
    fn allow(&mut self, bytes: usize) -> Result<(), DecodeError> {
        self.allowance = self.allowance.checked_sub(bytes).ok_or(DecodeError::Allowance)?;
        Ok(())
    }

    /// Reads a length, `None` for null. It must not exceed the bytes left.
    fn length(&mut self, flexible: bool, short: bool) -> Result<Option<usize>, DecodeError> {
        let length = match (flexible, short) {
            (true, _) => i64::from(self.unsigned_varint()?.cast_signed()) - 1,
            (false, true) => i64::from(self.i16()?),
            (false, false) => i64::from(self.i32()?),
        };
        match usize::try_from(length) {
            Err(_) => Ok(None),
            Ok(length) if length <= self.remaining() => Ok(Some(length)),
            Ok(_) => Err(DecodeError::Length(length, self.remaining())),
        }
    }

    /// Reads a text, `None` for null. As in Java, bytes that are not UTF-8 are replaced.
    pub fn string(&mut self, flexible: bool) -> Result<Option<Str>, DecodeError> {
        let Some(len) = self.length(flexible, true)? else { return Ok(None) };
        if len > 0x7fff {
            return Err(DecodeError::Length(len as i64, self.remaining()));
        }
        self.allow(len)?;
        let bytes = &self.frame[self.position..self.position + len];
        let text = Str::from_utf8_lossy(bytes);
        self.position += len;
        Ok(Some(text))
    }

    /// Reads bytes, `None` for null.
    pub fn bytes(&mut self, flexible: bool) -> Result<Option<Bytes>, DecodeError> {
        match self.length(flexible, false)? {
            Some(len) => self.raw(len).map(Some),
            None => Ok(None),
        }
    }

    /// Reads a list, `None` for null. Every element takes at least a byte, so a count above the
    /// bytes left is an error.
    pub fn array<T>(
        &mut self,
        flexible: bool,
        mut element: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<Vec<T>>, DecodeError> {
        let Some(count) = self.length(flexible, false)? else { return Ok(None) };
        self.allow(count.saturating_mul(size_of::<T>()))?;
        let mut list = Vec::with_capacity(count);
        for _ in 0..count {
            list.push(element(self)?);
        }
        Ok(Some(list))
    }

    /// Reads the byte before a nullable structure. Returns whether the structure is null.
    pub fn is_null(&mut self) -> Result<bool, DecodeError> {
        Ok(self.i8()? < 0)
    }

    /// Reads the number of tagged fields that follow.
    pub(crate) fn tag_count(&mut self) -> Result<u32, DecodeError> {
        self.unsigned_varint()
    }

    /// Reads a tagged field's number and its length in bytes.
    pub(crate) fn tag(&mut self) -> Result<(u32, usize), DecodeError> {
        let tag = self.unsigned_varint()?;
        let size = self.unsigned_varint()? as usize;
        // Even a tag of two bytes takes this memory if it is unknown: its number and a slice are
        // kept.
        self.allow(size_of::<(u32, Bytes)>())?;
        Ok((tag, size))
    }
}
