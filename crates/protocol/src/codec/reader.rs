//! Reads values out of a frame.
//!
//! Invariants: no read passes the frame's end; every length is held against the bytes that are left before anything is allocated; and what
//! one frame makes the decoder allocate is bounded by its allowance, a small multiple of the frame. Bytes and records are slices of the frame.

use super::{DecodeError, Str};
use bytes::Bytes;
use model::Uuid;

/// Memory that a frame of no length may take, in bytes.
const ALLOWANCE_BASE: usize = 64 * 1024;
/// Memory that each byte of a frame may take, in bytes. Real messages stay below a third of it.
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
    /// A reader at the start of a frame.
    pub fn new(frame: Bytes) -> Self {
        let allowance = frame.len().saturating_mul(ALLOWANCE_PER_BYTE).saturating_add(ALLOWANCE_BASE);
        Self { frame, position: 0, allowance }
    }

    /// Bytes not read yet.
    pub fn remaining(&self) -> usize {
        self.frame.len() - self.position
    }

    /// Bytes read.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Whether the frame has been read to its end. Errors: `Trailing`.
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
        /// An int8.
        i8: i8;
        /// An int16, big-endian like all that follow.
        i16: i16;
        /// A uint16.
        u16: u16;
        /// An int32.
        i32: i32;
        /// A uint32.
        u32: u32;
        /// An int64.
        i64: i64;
        /// A float64.
        f64: f64;
    }

    /// A bool: any byte but zero is true, as in Kafka.
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        Ok(self.i8()? != 0)
    }

    /// A UUID.
    pub fn uuid(&mut self) -> Result<Uuid, DecodeError> {
        Ok(Uuid(self.array_of()?))
    }

    /// An unsigned number of at most five bytes, seven bits each, the lowest first.
    pub fn unsigned_varint(&mut self) -> Result<u32, DecodeError> {
        let mut value = 0u32;
        for shift in (0..35).step_by(7) {
            let [byte] = self.array_of::<1>()?;
            // The fifth byte's upper bits fall off, as they do in Kafka.
            value |= u32::from(byte & 0x7f).wrapping_shl(shift);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::Varint)
    }

    /// The next `len` bytes, as a slice of the frame.
    pub fn raw(&mut self, len: usize) -> Result<Bytes, DecodeError> {
        self.need(len)?;
        let bytes = self.frame.slice(self.position..self.position + len);
        self.position += len;
        Ok(bytes)
    }

    /// Takes memory that is about to be allocated off the allowance.
    fn allow(&mut self, bytes: usize) -> Result<(), DecodeError> {
        self.allowance = self.allowance.checked_sub(bytes).ok_or(DecodeError::Allowance)?;
        Ok(())
    }

    /// A length, held against what is left: `None` for null.
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

    /// A text; `None` for null. Bytes that are not UTF-8 are replaced, as Java replaces them.
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

    /// Bytes; `None` for null.
    pub fn bytes(&mut self, flexible: bool) -> Result<Option<Bytes>, DecodeError> {
        match self.length(flexible, false)? {
            Some(len) => self.raw(len).map(Some),
            None => Ok(None),
        }
    }

    /// A list; `None` for null. Every element takes at least a byte, so that a count above the bytes left is refused.
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

    /// The mark before a nullable structure: whether it is null.
    pub fn is_null(&mut self) -> Result<bool, DecodeError> {
        Ok(self.i8()? < 0)
    }

    /// The number of tagged fields that follow.
    pub(crate) fn tag_count(&mut self) -> Result<u32, DecodeError> {
        self.unsigned_varint()
    }

    /// A tagged field's number, and its length in bytes.
    pub(crate) fn tag(&mut self) -> Result<(u32, usize), DecodeError> {
        let tag = self.unsigned_varint()?;
        let size = self.unsigned_varint()? as usize;
        // An unknown field is kept, with its number and a slice, for its two bytes.
        self.allow(size_of::<(u32, Bytes)>())?;
        Ok((tag, size))
    }
}
