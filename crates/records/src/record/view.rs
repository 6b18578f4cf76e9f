//! One record as slices.

use super::RecordError;
use crate::varint::{take_i32, take_i64};
use crate::{BatchHeader, TimestampType};
use model::{Offset, Timestamp};

/// A record of a batch, borrowed from the batch or from its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordView<'a> {
    /// Its position in the log.
    pub offset: Offset,
    /// Its own timestamp, or the batch's if that is the time of the append. -1 if the producer gave
    /// none.
    pub timestamp: Timestamp,
    /// The key. Compaction keeps the last record of each key.
    pub key: Option<&'a [u8]>,
    /// The value. `None` deletes the key in a compacted topic.
    pub value: Option<&'a [u8]>,
    /// The headers: names and values.
    pub headers: Headers<'a>,
}

/// A record's headers, whose structure has been checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Headers<'a> {
    count: usize,
    bytes: &'a [u8],
}

impl<'a> Headers<'a> {
    /// Returns the number of headers.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Returns the headers in encoded form.
    pub(crate) fn encoded(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether there are no headers.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Iterates over names and values. By Kafka's convention a name is UTF-8, but nothing checks
    /// it.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        let mut rest = self.bytes;
        (0..self.count).map_while(move |_| {
            let name = take_nullable(&mut rest).ok()??;
            Some((name, take_nullable(&mut rest).ok()?))
        })
    }
}

impl<'a> RecordView<'a> {
    /// Reads a record of the batch with this header. `fields` is exactly what follows the record's
    /// length field.
    pub(crate) fn parse(batch: &BatchHeader, fields: &'a [u8]) -> Result<Self, RecordError> {
        let mut rest = fields.get(1..).ok_or(RecordError::Structure)?;
        let timestamp_delta = take_i64(&mut rest).ok_or(RecordError::Structure)?;
        let offset_delta = take_i32(&mut rest).ok_or(RecordError::Structure)?;
        let key = take_nullable(&mut rest)?;
        let value = take_nullable(&mut rest)?;
        let headers = take_headers(&mut rest)?;
        if !rest.is_empty() {
            let read = (fields.len() - rest.len()) as u64;
            return Err(RecordError::Size { expected: fields.len() as i32, read });
        }
        let timestamp = match batch.timestamp_type() {
            TimestampType::CreateTime => Timestamp(batch.base_timestamp.0.wrapping_add(timestamp_delta)),
            TimestampType::LogAppendTime => batch.max_timestamp,
        };
        let offset = Offset(batch.base_offset.0.wrapping_add(i64::from(offset_delta)));
        Ok(Self { offset, timestamp, key, value, headers })
    }
}

fn take_headers<'a>(rest: &mut &'a [u8]) -> Result<Headers<'a>, RecordError> {
    let claimed = take_i32(rest).ok_or(RecordError::Structure)?;
    let count = usize::try_from(claimed).map_err(|_| RecordError::HeaderCount(claimed))?;
    if count > rest.len() {
        return Err(RecordError::HeaderCountTooLarge(claimed));
    }
    let bytes = *rest;
    for _ in 0..count {
        let name_length = take_i32(&mut { *rest }).ok_or(RecordError::Structure)?;
        take_nullable(rest)?.ok_or(RecordError::HeaderName(name_length))?;
        take_nullable(rest)?;
    }
    Ok(Headers { count, bytes: &bytes[..bytes.len() - rest.len()] })
}

/// Takes the bytes after a length. A negative length is null.
pub(super) fn take_nullable<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, RecordError> {
    let length = take_i32(rest).ok_or(RecordError::Structure)?;
    let Ok(length) = usize::try_from(length) else { return Ok(None) };
    let (bytes, after) = rest.split_at_checked(length).ok_or(RecordError::Structure)?;
    *rest = after;
    Ok(Some(bytes))
}
