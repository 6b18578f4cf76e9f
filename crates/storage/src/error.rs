//! Faults of the store. What they mean to a client is decided elsewhere.

use model::{LeaderEpoch, Offset};
use rustix::io::Errno;
use std::io;
use std::path::{Path, PathBuf};

/// What went wrong in the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk refused.
    #[error("cannot {operation} {}: {error}", path.display())]
    Io {
        /// What was tried, as a verb.
        operation: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The bytes are not in the page cache and the caller asked not to wait for the disk.
    #[error("the bytes are not in memory")]
    WouldBlock,
    /// Opening a log was given up because the broker stops; the next start begins where this one began.
    #[error("opening the log was interrupted")]
    Interrupted,
    /// A file holds something that its format does not allow.
    #[error("{} is corrupt at byte {position}: {reason}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where in it.
        position: u64,
        /// What is wrong there.
        reason: String,
    },
    /// A read below the log start offset or above the log end offset.
    #[error("offset {offset} is outside {log_start_offset}..={log_end_offset}")]
    OffsetOutOfRange {
        /// The offset asked for.
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
        /// The offset asked for.
        to: Offset,
        /// The partition, as `topic-0`.
        partition: String,
        /// What bounds it.
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
    /// Batches that are larger together than a segment may be (RECORD_LIST_TOO_LARGE).
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
    /// The batches contradict what is known of their producer.
    #[error(transparent)]
    Producer(#[from] ProducerError),
    /// The batches handed over for an append are not whole, valid batches.
    #[error("invalid batch in append to {partition}: {reason}")]
    InvalidBatch {
        /// The partition, as `topic-0`.
        partition: String,
        /// What is wrong.
        reason: String,
    },
    /// Fewer bytes are free than are kept in reserve, or the disk has just refused some for want of room: producers wait until there is more.
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
    /// Another log took this one's place, and is to be asked instead.
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

    /// Whether the log is another one by now.
    pub fn is_moved(&self) -> bool {
        matches!(self, Error::Moved { .. })
    }

    /// Whether the disk has no room left.
    pub fn is_disk_full(&self) -> bool {
        match self {
            Error::Io { error, .. } => Meaning::of(error) == Meaning::OutOfSpace,
            Error::Full { .. } => true,
            _ => false,
        }
    }

    /// Whether the disk refused and nothing is wrong with it: what was asked for did not happen, and may be asked for again.
    pub fn is_refusal(&self) -> bool {
        match self {
            Error::Io { error, .. } => matches!(Meaning::of(error), Meaning::OutOfSpace | Meaning::NotNow),
            Error::Full { .. } | Error::WouldBlock => true,
            _ => false,
        }
    }
}

/// What it means that the disk refused a call. `Meaning::of` is the one place that decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// There is no room. Nothing happened, and it may when there is room again.
    OutOfSpace,
    /// The process has no descriptors or no memory left, or asked not to wait. Nothing happened, and nothing is wrong with the disk.
    NotNow,
    /// It is about a name (missing, there already, a folder that is not empty), and whoever asked knows what that means.
    OfAName,
    /// Nobody knows any more what the disk holds: its log dir goes offline, as in Kafka.
    DirFailed,
}

impl Meaning {
    /// What an error of any call but a sync means. A sync that fails, for whatever reason, leaves nobody knowing what is on disk (`disk::Watched`).
    pub fn of(error: &io::Error) -> Meaning {
        match error.kind() {
            // The last is a limit on the size of files, which is room of a kind.
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Meaning::OutOfSpace
            }
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::OutOfMemory => Meaning::NotNow,
            io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty => {
                Meaning::OfAName
            }
            _ => match Errno::from_io_error(error) {
                Some(Errno::MFILE | Errno::NFILE) => Meaning::NotNow,
                _ => Meaning::DirFailed,
            },
        }
    }
}

/// What an idempotent or transactional producer did wrong. The texts are Kafka's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProducerError {
    /// OUT_OF_ORDER_SEQUENCE_NUMBER
    #[error("{0}")]
    OutOfOrderSequence(String),
    /// INVALID_PRODUCER_EPOCH: a newer incarnation of the producer has written.
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
