//! The store's errors. The api layer decides what they mean to a client.

use model::{LeaderEpoch, Offset};
use rustix::io::Errno;
use std::io;
use std::path::{Path, PathBuf};

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk refused a call.
    #[error("cannot {operation} {}: {error}", path.display())]
    Io {
        /// The operation, as a verb.
        operation: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// The bytes are not in the page cache and the caller does not wait for the disk.
    #[error("the bytes are not in memory")]
    WouldBlock,
    /// Opening a log was interrupted because the broker stops. The next start begins at the same
    /// point.
    #[error("opening the log was interrupted")]
    Interrupted,
    /// A file has content that its format does not allow.
    #[error("{} is corrupt at byte {position}: {reason}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// The position in the file.
        position: u64,
        /// What is wrong there.
        reason: String,
    },
    /// A read below the log start offset or above the log end offset.
    #[error("offset {offset} is outside {log_start_offset}..={log_end_offset}")]
    OffsetOutOfRange {
        /// The requested offset.
        offset: Offset,
        /// The first readable offset.
        log_start_offset: Offset,
        /// The next offset to be written.
        log_end_offset: Offset,
    },
    /// The log start offset may not pass the high watermark.
    #[error(
        "Cannot increment the log start offset to {to} of partition {partition} since it is larger than the high watermark {high_watermark}"
    )]
    AboveHighWatermark {
        /// The requested offset.
        to: Offset,
        /// The partition, as `topic-0`.
        partition: String,
        /// The high watermark.
        high_watermark: Offset,
    },
    /// Batches of another log do not continue this one.
    #[error("Unexpected offset in append to {partition}: {found} is less than the next offset {expected}")]
    UnexpectedOffset {
        /// The partition, as `topic-0`.
        partition: String,
        /// The first offset of the batches.
        found: Offset,
        /// This log's end.
        expected: Offset,
    },
    /// Batches that together are larger than a segment may be (RECORD_LIST_TOO_LARGE).
    #[error(
        "Message batch size is {size} bytes in append to partition {partition}, which exceeds the maximum configured segment size of {segment_bytes}."
    )]
    LargerThanSegment {
        /// Bytes of all batches of the append.
        size: u64,
        /// The partition, as `topic-0`.
        partition: String,
        /// `segment.bytes`.
        segment_bytes: u32,
    },
    /// The batches contradict the state of their producer.
    #[error(transparent)]
    Producer(#[from] ProducerError),
    /// The batches of an append are not complete, valid batches.
    #[error("invalid batch in append to {partition}: {reason}")]
    InvalidBatch {
        /// The partition, as `topic-0`.
        partition: String,
        /// What is wrong.
        reason: String,
    },
    /// The disk has less free space than the reserve, or has just refused a write because it has no
    /// space. Producers wait until there is more.
    #[error("the disk of {} is full: appends to {partition} are refused until there is room", path.display())]
    Full {
        /// The log dir.
        path: PathBuf,
        /// The partition, as `topic-0`.
        partition: String,
    },
    /// A leader appends in an epoch that has ended (NOT_LEADER_OR_FOLLOWER).
    #[error("leader epoch {epoch} of {partition} has ended: epoch {least} is the first that may append")]
    EndedEpoch {
        /// The partition, as `topic-0`.
        partition: String,
        /// The epoch of the append.
        epoch: LeaderEpoch,
        /// The lowest epoch in which a leader may append.
        least: LeaderEpoch,
    },
    /// Another process holds the log dir's lock.
    #[error("Failed to acquire lock on file .lock in {}. A Kafka instance in another process or thread is using this directory.", path.display())]
    Locked {
        /// The log dir.
        path: PathBuf,
    },
    /// Another log replaced this one. The caller must use that one.
    #[error("the log of {partition} has moved to another log dir")]
    Moved {
        /// The partition, as `topic-0`.
        partition: String,
    },
    /// An earlier fault took this log offline; it must be opened again.
    #[error("the log of {partition} is offline after a disk fault: {reason}")]
    Offline {
        /// The partition, as `topic-0`.
        partition: String,
        /// The first fault.
        reason: String,
    },
}

impl Error {
    pub(crate) fn io(operation: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Error {
        move |error| match error.kind() {
            io::ErrorKind::WouldBlock => Error::WouldBlock,
            _ => Error::Io { operation, path: path.as_ref().to_path_buf(), error },
        }
    }

    pub(crate) fn corrupt(path: impl AsRef<Path>, position: u64, reason: impl Into<String>) -> Error {
        Error::Corrupt { path: path.as_ref().to_path_buf(), position, reason: reason.into() }
    }

    /// Whether a file or folder is missing.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Error::Io { error, .. } if error.kind() == io::ErrorKind::NotFound)
    }

    /// Whether another log replaced this one.
    pub fn is_moved(&self) -> bool {
        matches!(self, Error::Moved { .. })
    }

    /// Whether the disk has no space left.
    pub fn is_disk_full(&self) -> bool {
        match self {
            Error::Io { error, .. } => DiskErrorKind::of(error) == DiskErrorKind::OutOfSpace,
            Error::Full { .. } => true,
            _ => false,
        }
    }

    /// Whether the disk refused the call but has no fault. Nothing happened, and the caller may
    /// retry.
    pub fn is_refusal(&self) -> bool {
        match self {
            Error::Io { error, .. } => {
                matches!(DiskErrorKind::of(error), DiskErrorKind::OutOfSpace | DiskErrorKind::Transient)
            }
            Error::Full { .. } | Error::WouldBlock => true,
            _ => false,
        }
    }
}

/// The kinds of disk errors. [`DiskErrorKind::of`] alone classifies them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskErrorKind {
    /// The disk has no space. Nothing happened; a retry may succeed once there is space.
    OutOfSpace,
    /// The process has no descriptors or no memory left, or the caller does not wait. Nothing
    /// happened, and the disk has no fault.
    Transient,
    /// The error is about a name: missing, existing, or a folder that is not empty. The caller
    /// knows what that means.
    Name,
    /// It is unknown what the disk holds: its log dir goes offline, as in Kafka.
    DirFailed,
}

impl DiskErrorKind {
    /// Classifies an error of any call but a sync. After any failed sync it is unknown what is on
    /// disk (`disk::Watched`).
    pub fn of(error: &io::Error) -> DiskErrorKind {
        match error.kind() {
            // The last one is a limit on the size of files, which counts as space.
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                DiskErrorKind::OutOfSpace
            }
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::OutOfMemory => {
                DiskErrorKind::Transient
            }
            io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty => {
                DiskErrorKind::Name
            }
            _ => match Errno::from_io_error(error) {
                Some(Errno::MFILE | Errno::NFILE) => DiskErrorKind::Transient,
                _ => DiskErrorKind::DirFailed,
            },
        }
    }
}

/// An error of an idempotent or transactional producer. The texts are Kafka's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProducerError {
    /// OUT_OF_ORDER_SEQUENCE_NUMBER
    #[error("{0}")]
    OutOfOrderSequence(String),
    /// INVALID_PRODUCER_EPOCH: a newer instance of the producer has written.
    #[error("{0}")]
    InvalidEpoch(String),
    /// INVALID_TXN_STATE
    #[error("{0}")]
    InvalidTxnState(String),
    /// TRANSACTION_COORDINATOR_FENCED: a marker of an earlier coordinator.
    #[error("{0}")]
    CoordinatorFenced(String),
}

/// The store's result.
pub type Result<T> = std::result::Result<T, Error>;
