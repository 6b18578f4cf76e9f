//! What a producer sent for one partition, checked as Kafka's leader checks it, before an offset is known.
//!
//! Three steps, so that little happens under the log's lock: [`begins_transactional`] and [`check_produce_request`] look at the framing alone, as the API does before it
//! asks who leads; [`validate`] does all that needs no offset; [`Validated::assign`] patches the header. The body of a valid batch is the slice
//! that came in, unless the topic's codec is another one.
//!
//! Quirks that are Kafka's and kept: offsets within an uncompressed batch are not looked at; a wrong maximum timestamp is put right; a
//! `LogAppendTime` batch is taken by a `CreateTime` topic when its time is in range; bytes after the batch that are no whole batch are dropped.
//!
//! One departure: a record in a compressed batch whose length field disagrees with its content is refused, which Kafka finds only when it has
//! to rebuild the batch. Such a batch would stop every consumer.

mod batch;
mod rebuild;
mod records;
mod validated;

pub use batch::{begins_transactional, check_produce_request, validate};
pub use validated::Validated;

use crate::{BatchError, BuildError, Compression, RecordError, TimestampType};
use model::ErrorCode;

/// How a topic wants its batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValidationRules {
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_max_ms: i64,
    /// `compression.type` with its level; `None` for `producer`.
    pub compression: Option<Compression>,
    /// `max.message.bytes`, of a whole batch.
    pub max_message_bytes: usize,
    /// `segment.bytes`.
    pub segment_bytes: usize,
    /// Whether `cleanup.policy` names `compact`, so that every record needs a key.
    pub compacted: bool,
}

/// A record that was refused: an element of `RecordErrors` in Produce v8 and later (KIP-467).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidRecord {
    /// Which record of the batch, from 0.
    pub batch_index: i32,
    /// Why.
    pub message: String,
}

/// How many refused records are reported; Kafka has no limit, and a compressed batch may hold billions.
pub const INVALID_RECORDS_MAX: usize = 1 << 16;

/// Why a partition's records are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct ProduceError {
    /// What the client acts on.
    pub code: ErrorCode,
    /// Kafka's text, for the log; see [`ProduceError::client_message`].
    pub detail: String,
    /// The records that were refused, where it is about single records.
    pub invalid_records: Vec<InvalidRecord>,
}

impl ProduceError {
    fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), invalid_records: Vec::new() }
    }

    fn invalid_record(detail: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidRecord, detail)
    }

    /// `ErrorMessage` of Produce v8 and later: Kafka sends one only where it names records.
    pub fn client_message(&self) -> Option<&str> {
        (!self.invalid_records.is_empty()).then_some(self.detail.as_str())
    }

    /// Whether Kafka's answer carries the log's start offset beside this error, when [`validate`] gave it, or -1.
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
            // Kafka has no name for these: they leave its validator as exceptions that no error code stands for.
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
