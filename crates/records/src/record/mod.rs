//! Records within a batch of format v2.
//!
//! ```text
//! length          varint  of all that follows
//! attributes      i8      unused
//! timestamp_delta varlong from the batch's base timestamp
//! offset_delta    varint  from the batch's base offset
//! key_length      varint  negative: null; then the key
//! value_length    varint  negative: null; then the value
//! header_count    varint  then for each: name_length, name, value_length (negative: null), value
//! ```

mod reader;
mod view;
mod walk;

pub use reader::{RECORD_BYTES_MAX, RecordReader};
pub use view::{Headers, RecordView};

pub(crate) use walk::{Input, RecordFacts, SliceInput, StreamInput, walk_record};

use crate::UnknownCodec;
use std::io;

/// Why a batch's records cannot be read. The texts are Kafka's, if Kafka has one.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The header has a negative record count.
    #[error("Found invalid record count {0} in magic v2 batch")]
    Count(i32),
    /// The body ends before the last record does.
    #[error("Incorrect declared batch size, premature EOF reached")]
    Ends,
    /// The body continues after the last record.
    #[error("Incorrect declared batch size, records still remaining in file")]
    GoesOn,
    /// A record claims more bytes than are left.
    #[error(
        "Invalid record size: expected {expected} bytes in record payload, but instead the buffer has only {remaining} remaining bytes."
    )]
    CutOff {
        /// The record's length field.
        expected: i32,
        /// The bytes left of the body.
        remaining: usize,
    },
    /// A record's fields do not fill its length.
    #[error("Invalid record size: expected to read {expected} bytes in record payload, but instead read {read}")]
    Size {
        /// The record's length field.
        expected: i32,
        /// The bytes of its fields.
        read: u64,
    },
    /// A field claims more bytes than its record has.
    #[error("Found invalid record structure")]
    Structure,
    /// A negative number of headers.
    #[error("Found invalid number of record headers {0}")]
    HeaderCount(i32),
    /// More headers than bytes left.
    #[error("Found invalid number of record headers. {0} is larger than the remaining size of the buffer")]
    HeaderCountTooLarge(i32),
    /// A header with a null name.
    #[error("Invalid negative header key size {0}")]
    HeaderName(i32),
    /// A length of a record that has too many bytes.
    #[error("Varint is too long, the most significant bit in the 5th byte is set")]
    Varint,
    /// An unknown codec.
    #[error(transparent)]
    Codec(#[from] UnknownCodec),
    /// The body is not valid for its codec.
    #[error("Failed to decompress record stream")]
    Decompress(#[source] io::Error),
    /// One record is larger than [`RECORD_BYTES_MAX`] once decompressed.
    #[error("a record of {0} bytes is larger than this broker reads")]
    TooLarge(i32),
}

#[cfg(test)]
mod tests;
