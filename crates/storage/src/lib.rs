//! The log store: a partition's records in Apache Kafka's file formats and names, byte for byte.
//!
//! # For its users
//! - [`LogDir`] is one entry of `log.dirs`: its lock, `meta.properties`, checkpoints,
//!   clean-shutdown marker and the partitions found in it.
//! - [`Log`] is one partition's log, shared as an `Arc`. [`Log::append_as_leader`] takes
//!   `records::Validated` batches and assigns their offsets. [`Log::append_as_follower`] takes
//!   bytes as the leader sent them. [`Log::read`] returns a [`ReadPlan`] whose [`FileRegion`] is
//!   read or sent later. Offsets are in [`Log::offsets`]. The caller advances the high watermark
//!   ([`Log::advance_high_watermark`]; after every append if there is one replica).
//! - Every call that writes to the disk, or may read from it, blocks: run it on a thread that may
//!   block. With [`Wait::Try`] a read returns `Error::WouldBlock` instead of waiting. Reads never
//!   wait for an append.
//! - Time is an argument. The store starts nothing itself: the driver calls [`Log::flush`] when
//!   [`AppendOutcome::is_flush_due`] or `rolled_at` asks for it, [`Log::delete_old_segments`],
//!   [`Log::remove_deleted_files`] and [`Log::expire_producers`] at intervals, and [`Log::close`]
//!   at a clean stop.
//! - A flush can be done in three steps ([`Log::begin_flush`], [`Log::sync`],
//!   [`Log::finish_flush`]). [`GroupCommit`] lets one flush serve all batches that wait for it.
//! - A [`FileRegion`] holds its file open. After the caller has read its bytes,
//!   [`FileRegion::is_intact`] says whether a truncation has changed them. If so, the bytes must
//!   not be used. If they were sent already, the connection is closed.
//! - An `Err` of an append leaves the log unchanged. If that cannot be guaranteed, the log is
//!   offline ([`Log::fault`]) until it is opened again.
//! - A full disk is not a fault: what needs space is refused ([`Error::is_refusal`]), what frees
//!   space works, and the caller may retry what was refused. Producers are refused before the disk
//!   is full ([`LogDir::check_space`], called at intervals). Any other disk error takes its log dir
//!   offline with all logs in it ([`LogDir::fault`], [`LogDir::on_fault`]). [`DiskErrorKind::of`]
//!   alone classifies disk errors.
//!
//! # How it works
//! Files are reached only through [`disk::Disk`], which has a real and a simulated implementation.
//! A `Segment` holds no file open beyond the limit of [`OpenFiles`]. Indexes are not mapped: a top
//! level in memory and one `pread` of a block find an offset.

mod checkpoint;
mod checkpoints;
mod cleaner;
mod commit;
mod condition;
mod config;
pub mod disk;
mod epochs;
mod error;
mod files;
mod frames;
mod index;
mod leftovers;
mod log;
mod log_dir;
mod marker;
pub mod names;
#[cfg(feature = "planted-bugs")]
pub mod planted;
#[cfg(not(feature = "planted-bugs"))]
mod planted;
mod producer;
mod random;
mod region;
mod segment;
mod siblings;
mod txn_index;

pub use checkpoint::{
    CleanShutdown, META_PROPERTIES, MetaProperties, OffsetCheckpoint, parse_properties, read_partition_metadata,
    write_partition_metadata,
};
pub use cleaner::{Cleaned, CleanerLimits, Dirt};
pub use commit::{GroupCommit, Round, RoundOutcome};
pub use condition::OnFault;
pub use config::{CleanupPolicy, LogConfig};
pub use epochs::LeaderEpochs;
pub use error::{DiskErrorKind, Error, ProducerError, Result};
pub use files::{OPEN_FILES_DEFAULT, OpenFiles};
pub use index::Wait;
pub use log::{
    AppendOutcome, Expired, Flush, FollowerAppend, Isolation, LeaderAppend, Log, LogOffsets, LogRead, OpenLog,
    ReadPlan, Recovery, SyncedFlush, TimestampAndOffset,
};
pub use log_dir::{CheckpointedOffsets, LogDir, PartitionFolder, find_partitions};
pub use producer::{Origin, ProducerBatch, ProducerEntry, VERIFICATIONS_MAX, VerificationStart};
pub use region::FileRegion;
pub use segment::Segment;
pub use txn_index::AbortedTxn;
