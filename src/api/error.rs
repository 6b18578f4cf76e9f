//! What a fault means to a client: the one place that maps faults to Kafka's codes. No arm is a wildcard, so that a new fault is decided about.

use crate::replica::{AppendError, ReadError};
use model::ErrorCode;
use storage::{Error, ProducerError};

/// A fault of the store.
pub(crate) fn of_storage(error: &Error) -> ErrorCode {
    match error {
        Error::Io { .. }
        | Error::WouldBlock
        | Error::Interrupted
        | Error::Corrupt { .. }
        | Error::Full { .. }
        | Error::Locked { .. }
        | Error::Moved { .. }
        | Error::Offline { .. } => ErrorCode::KafkaStorageError,
        Error::OffsetOutOfRange { .. } | Error::AboveHighWatermark { .. } => ErrorCode::OffsetOutOfRange,
        Error::UnexpectedOffset { .. } => ErrorCode::UnknownServerError,
        Error::LargerThanSegment { .. } => ErrorCode::RecordListTooLarge,
        Error::InvalidBatch { .. } => ErrorCode::CorruptMessage,
        Error::Producer(error) => of_producer(error),
    }
}

fn of_producer(error: &ProducerError) -> ErrorCode {
    match error {
        ProducerError::OutOfOrderSequence(_) => ErrorCode::OutOfOrderSequenceNumber,
        ProducerError::InvalidEpoch(_) => ErrorCode::InvalidProducerEpoch,
        ProducerError::InvalidTxnState(_) => ErrorCode::InvalidTxnState,
        ProducerError::CoordinatorFenced(_) => ErrorCode::TransactionCoordinatorFenced,
    }
}

/// Why a read failed.
pub(crate) fn of_read(error: &ReadError) -> ErrorCode {
    match error {
        ReadError::Refused(code) => *code,
        ReadError::Storage(error) => logged(error, of_storage(error)),
    }
}

/// Why an append failed.
pub(crate) fn of_append(error: &AppendError) -> ErrorCode {
    match error {
        AppendError::Refused(error) => error.code,
        AppendError::Invalid(error) => error.code,
        AppendError::Storage(error) => logged(error, of_storage(error)),
    }
}

/// A fault of the disk is logged here, where it becomes an answer; what the client did wrong is not. That a disk is full or a log dir offline is said once,
/// by who looks after the log dirs.
fn logged(error: &Error, code: ErrorCode) -> ErrorCode {
    let is_said = error.is_disk_full() || matches!(error, Error::Offline { .. });
    if !is_said && (code == ErrorCode::KafkaStorageError || code == ErrorCode::UnknownServerError) {
        tracing::error!(%error, "a request met a fault of the store");
    }
    code
}
