//! Validates the records of a producer for one partition as Kafka's leader does, before the offset
//! is known.
//!
//! There are three steps, so that little happens under the log's lock. [`begins_transactional`] and
//! [`check_produce_request`] look only at the framing, before the API looks up the leader.
//! [`validate`] does everything that needs no offset. [`Validated::assign`] patches the header. The
//! body of a valid batch is the received slice, unless the topic has another codec.
//!
//! These quirks are Kafka's:
//!
//! - The offsets within an uncompressed batch are not checked.
//! - A wrong maximum timestamp is corrected.
//! - A `CreateTime` topic accepts a `LogAppendTime` batch if its time is in range.
//! - Bytes after the batch that are not a whole batch are dropped.
//!
//! One difference: a record in a compressed batch whose length field disagrees with its content is
//! refused. Kafka notices it only when it rebuilds the batch. Such a batch would stop every
//! consumer.

mod batch;
mod rebuild;
mod records;
mod validated;

pub use batch::{begins_transactional, check_produce_request, validate};
pub use validated::Validated;

use crate::{BatchError, BuildError, Compression, RecordError, TimestampType};
use model::ErrorCode;

/// The properties of the topic that batches are checked against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValidationRules {
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_max_ms: i64,
    /// `compression.type` with its level. `None` for `producer`.
    pub compression: Option<Compression>,
    /// `max.message.bytes`, the limit of a whole batch.
    pub max_message_bytes: usize,
    /// `segment.bytes`.
    pub segment_bytes: usize,
    /// Whether `cleanup.policy` contains `compact`, so that every record needs a key.
    pub compacted: bool,
}

/// A refused record: an element of `RecordErrors` in Produce v8 and later (KIP-467).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidRecord {
    /// The record's index in the batch, from 0.
    pub batch_index: i32,
    /// The reason.
    pub message: String,
}

/// The most refused records that are reported. Kafka has no limit, but a compressed batch may hold
/// billions of records.
pub const INVALID_RECORDS_MAX: usize = 1 << 16;

/// Why a partition's records are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct ProduceError {
    /// The code, on which the client acts.
    pub code: ErrorCode,
    /// Kafka's text, for the log. See [`ProduceError::client_message`].
    pub detail: String,
    /// The refused records, if the error is about single records.
    pub invalid_records: Vec<InvalidRecord>,
}

impl ProduceError {
    fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), invalid_records: Vec::new() }
    }

    fn invalid_record(detail: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidRecord, detail)
    }

    /// Returns `ErrorMessage` of Produce v8 and later. Kafka sends it only with errors of single
    /// records.
    pub fn client_message(&self) -> Option<&str> {
        (!self.invalid_records.is_empty()).then_some(self.detail.as_str())
    }

    /// Whether Kafka's answer carries the log start offset beside this error of [`validate`]. If
    /// not, it carries -1.
    pub fn answers_log_start_offset(&self) -> bool {
        !matches!(self.code, ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge | ErrorCode::CorruptMessage)
    }
}

impl From<BatchError> for ProduceError {
    fn from(error: BatchError) -> Self {
        let code = match error {
            BatchError::Incomplete { .. } | BatchError::OldFormat { .. } => ErrorCode::InvalidRecord,
            BatchError::Length { .. }
            | BatchError::Magic { .. }
            | BatchError::TooShort { .. }
            | BatchError::Crc { .. } => ErrorCode::CorruptMessage,
        };
        Self::new(code, error.to_string())
    }
}

impl From<RecordError> for ProduceError {
    fn from(error: RecordError) -> Self {
        let code = match error {
            // Kafka has no error code for these: its validator throws other exceptions.
            RecordError::Varint | RecordError::Codec(_) | RecordError::Decompress(_) => ErrorCode::UnknownServerError,
            RecordError::TooLarge(_) => ErrorCode::MessageTooLarge,
            RecordError::Count(_)
            | RecordError::Ends
            | RecordError::GoesOn
            | RecordError::CutOff { .. }
            | RecordError::Size { .. }
            | RecordError::Structure
            | RecordError::HeaderCount(_)
            | RecordError::HeaderCountTooLarge(_)
            | RecordError::HeaderName(_) => ErrorCode::InvalidRecord,
        };
        Self::new(code, error.to_string())
    }
}

impl From<BuildError> for ProduceError {
    fn from(error: BuildError) -> Self {
        let code = match error {
            BuildError::TooLarge => ErrorCode::MessageTooLarge,
            BuildError::Empty | BuildError::Compress(_) => ErrorCode::UnknownServerError,
        };
        Self::new(code, error.to_string())
    }
}
