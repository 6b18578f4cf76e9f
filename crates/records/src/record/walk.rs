//! Walks over records without keeping them, and collects what validation needs of each, whatever
//! its size.

use super::RecordError;
use crate::codec::Stream;
use crate::varint::{take_i32, take_i64};

/// A source of records: the batch itself, or its decompressed stream.
pub(crate) trait Input {
    /// Takes the length of a record. Checks that the record fits, if the remaining size is known.
    fn length(&mut self) -> Result<i32, RecordError>;
    /// Takes one byte.
    fn byte(&mut self) -> Result<u8, RecordError>;
    /// Takes a varint.
    fn varint(&mut self) -> Result<i32, RecordError>;
    /// Takes a varlong.
    fn varlong(&mut self) -> Result<i64, RecordError>;
    /// Skips `count` bytes.
    fn skip(&mut self, count: usize) -> Result<(), RecordError>;
    /// Returns the bytes taken so far.
    fn position(&self) -> u64;
    /// Whether nothing is left.
    fn at_end(&mut self) -> Result<bool, RecordError>;
}

/// The facts about a record that validation needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordFacts {
    pub(crate) timestamp_delta: i64,
    pub(crate) offset_delta: i32,
    /// The length of the key, negative without a key.
    pub(crate) key_length: i32,
    /// The length of the value, negative without a value.
    pub(crate) value_length: i32,
}

/// Takes one record and checks its structure.
#[inline]
pub(crate) fn walk_record<I: Input>(input: &mut I) -> Result<RecordFacts, RecordError> {
    let length = input.length()?;
    let start = input.position();
    input.byte()?;
    let timestamp_delta = input.varlong()?;
    let offset_delta = input.varint()?;
    let key_length = skip_nullable(input)?;
    let value_length = skip_nullable(input)?;
    let header_count = input.varint()?;
    if header_count != 0 {
        walk_headers(input, header_count)?;
    }
    let read = input.position() - start;
    if i64::from(length) != read as i64 {
        return Err(RecordError::Size { expected: length, read });
    }
    Ok(RecordFacts { timestamp_delta, offset_delta, key_length, value_length })
}

fn walk_headers<I: Input>(input: &mut I, count: i32) -> Result<(), RecordError> {
    if count < 0 {
        return Err(RecordError::HeaderCount(count));
    }
    for _ in 0..count {
        let name_length = input.varint()?;
        input.skip(usize::try_from(name_length).map_err(|_| RecordError::HeaderName(name_length))?)?;
        skip_nullable(input)?;
    }
    Ok(())
}

#[inline]
fn skip_nullable<I: Input>(input: &mut I) -> Result<i32, RecordError> {
    let length = input.varint()?;
    if let Ok(count) = usize::try_from(length) {
        input.skip(count)?;
    }
    Ok(length)
}

/// An uncompressed body.
pub(crate) struct SliceInput<'a> {
    rest: &'a [u8],
    length: usize,
}

impl<'a> SliceInput<'a> {
    pub(crate) fn new(body: &'a [u8]) -> Self {
        Self { rest: body, length: body.len() }
    }
}

impl Input for SliceInput<'_> {
    #[inline]
    fn length(&mut self) -> Result<i32, RecordError> {
        take_length(&mut self.rest)
    }

    #[inline]
    fn byte(&mut self) -> Result<u8, RecordError> {
        let (byte, rest) = self.rest.split_first().ok_or(RecordError::Structure)?;
        self.rest = rest;
        Ok(*byte)
    }

    #[inline]
    fn varint(&mut self) -> Result<i32, RecordError> {
        take_i32(&mut self.rest).ok_or(RecordError::Structure)
    }

    #[inline]
    fn varlong(&mut self) -> Result<i64, RecordError> {
        take_i64(&mut self.rest).ok_or(RecordError::Structure)
    }

    #[inline]
    fn skip(&mut self, count: usize) -> Result<(), RecordError> {
        self.rest = self.rest.get(count..).ok_or(RecordError::Structure)?;
        Ok(())
    }

    #[inline]
    fn position(&self) -> u64 {
        (self.length - self.rest.len()) as u64
    }

    fn at_end(&mut self) -> Result<bool, RecordError> {
        Ok(self.rest.is_empty())
    }
}

/// A decompressed body.
pub(crate) struct StreamInput<'a>(pub(crate) Stream<'a>);

impl StreamInput<'_> {
    #[inline]
    fn number<T>(&mut self, length_max: usize, take: fn(&mut &[u8]) -> Option<T>) -> Result<Option<T>, RecordError> {
        if self.0.window().len() < length_max {
            self.0.fill(length_max).map_err(RecordError::Decompress)?;
        }
        let mut rest = self.0.window();
        let before = rest.len();
        let value = take(&mut rest);
        let taken = before - rest.len();
        self.0.consume(taken);
        Ok(value)
    }
}

impl Input for StreamInput<'_> {
    #[inline]
    fn length(&mut self) -> Result<i32, RecordError> {
        self.number(5, take_i32)?.ok_or(RecordError::Ends)
    }

    #[inline]
    fn byte(&mut self) -> Result<u8, RecordError> {
        self.0.fill(1).map_err(RecordError::Decompress)?;
        let byte = *self.0.window().first().ok_or(RecordError::Ends)?;
        self.0.consume(1);
        Ok(byte)
    }

    #[inline]
    fn varint(&mut self) -> Result<i32, RecordError> {
        self.number(5, take_i32)?.ok_or(RecordError::Structure)
    }

    #[inline]
    fn varlong(&mut self) -> Result<i64, RecordError> {
        self.number(10, take_i64)?.ok_or(RecordError::Structure)
    }

    #[inline]
    fn skip(&mut self, count: usize) -> Result<(), RecordError> {
        if self.0.skip(count).map_err(RecordError::Decompress)? { Ok(()) } else { Err(RecordError::Ends) }
    }

    #[inline]
    fn position(&self) -> u64 {
        self.0.position()
    }

    fn at_end(&mut self) -> Result<bool, RecordError> {
        Ok(!self.0.fill(1).map_err(RecordError::Decompress)?)
    }
}

/// Takes the length of the next record in an uncompressed body.
#[inline]
pub(super) fn take_length(rest: &mut &[u8]) -> Result<i32, RecordError> {
    let at_most = rest.len();
    let length = take_i32(rest).ok_or(if at_most < 5 { RecordError::Ends } else { RecordError::Varint })?;
    let remaining = rest.len();
    if i64::from(length) > remaining as i64 {
        return Err(RecordError::CutOff { expected: length, remaining });
    }
    Ok(length)
}
