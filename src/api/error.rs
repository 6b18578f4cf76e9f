//! How faults become Kafka's error codes. This is the only such mapping for clients; that of a
//! producer's errors is shared with coordinators (`replica::producer_error_code`). No arm is a
//! wildcard, so each new fault needs a decision here.

use crate::replica::{AppendError, ReadError, producer_error_code};
use model::ErrorCode;
use storage::Error;

/// Returns the code for a fault of the store.
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
        Error::EndedEpoch { .. } => ErrorCode::NotLeaderOrFollower,
        Error::OffsetOutOfRange { .. } | Error::AboveHighWatermark { .. } => ErrorCode::OffsetOutOfRange,
        Error::UnexpectedOffset { .. } => ErrorCode::UnknownServerError,
        Error::LargerThanSegment { .. } => ErrorCode::RecordListTooLarge,
        Error::InvalidBatch { .. } => ErrorCode::CorruptMessage,
        Error::Producer(error) => producer_error_code(error),
    }
}

/// Returns INVALID_PRODUCER_EPOCH instead of PRODUCER_FENCED for a version that does not know the
/// latter (before KIP-588).
pub(crate) fn fenced_for(code: i16, is_known: bool) -> i16 {
    let is_fenced = code == ErrorCode::ProducerFenced.code();
    if is_fenced && !is_known { ErrorCode::InvalidProducerEpoch.code() } else { code }
}

/// Returns the code for a failed read.
pub(crate) fn of_read(error: &ReadError) -> ErrorCode {
    match error {
        ReadError::Refused(code) => *code,
        ReadError::Storage(error) => logged(error, of_storage(error)),
    }
}

/// Returns the code for a failed append.
pub(crate) fn of_append(error: &AppendError) -> ErrorCode {
    match error {
        AppendError::Refused(error) => error.code,
        AppendError::Invalid(error) => error.code,
        AppendError::Storage(error) => logged(error, of_storage(error)),
    }
}

/// Logs a fault of the disk and returns the code. Errors of the client are not logged. The service
/// that watches the log dirs logs once that a disk is full or a log dir is offline.
fn logged(error: &Error, code: ErrorCode) -> ErrorCode {
    let is_said = error.is_disk_full() || matches!(error, Error::Offline { .. });
    if !is_said && (code == ErrorCode::KafkaStorageError || code == ErrorCode::UnknownServerError) {
        tracing::error!(%error, "a request failed because of a storage error");
    }
    code
}
