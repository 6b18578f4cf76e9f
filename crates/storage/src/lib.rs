//! The log store: a partition's records in Apache Kafka's file formats and names, to the byte.
//!
//! # For those who build on it
//! - [`LogDir`] is one entry of `log.dirs`: its lock, `meta.properties`, checkpoints, clean-shutdown marker and the partitions found in it.
//! - [`Log`] is one partition's log, shared as an `Arc`. [`Log::append_as_leader`] takes `records::Validated` batches and gives them offsets;
//!   [`Log::append_as_follower`] takes bytes as the leader sent them; [`Log::read`] gives a [`ReadPlan`] whose [`FileRegion`] is read or sent later.
//!   Offsets are in [`Log::offsets`]; the high watermark is moved by the caller ([`Log::advance_high_watermark`], after every append where there is
//!   one replica).
//! - Every call that writes or may read from the disk blocks: run it where blocking is allowed. With [`Wait::Try`] a read gives
//!   `Error::WouldBlock` in place of waiting. Reads never wait for an append.
//! - Time is an argument. Nothing happens by itself: the driver calls [`Log::flush`] when [`Appended::is_flush_due`] or `rolled_at` says so,
//!   [`Log::delete_old_segments`] and [`Log::remove_deleted_files`] at intervals, [`Log::expire_producers`], and [`Log::close`] at a clean stop.
//! - A flush can be taken in three steps ([`Log::begin_flush`], [`Log::sync`], [`Log::finish_flush`]); [`GroupCommit`] lets one serve all batches that
//!   wait for it.
//! - A [`FileRegion`] holds its file open. After its bytes were read, [`FileRegion::is_intact`] says whether a truncation has come between: then the
//!   bytes must not be used (they may have left already: that connection is closed).
//! - An `Err` of an append leaves the log as it was; where that cannot be promised the log is offline ([`Log::fault`]) and is opened again.
//! - A full disk is no fault: what needs room is refused ([`Error::is_refusal`]), what frees it goes on, and what was refused can be asked for again.
//!   Producers are refused before the disk is full ([`LogDir::check_space`], asked at intervals). Anything else that a disk refuses takes its log
//!   dir offline with all logs in it ([`LogDir::fault`], [`LogDir::on_fault`]); what means which is decided in [`Meaning::of`] alone.
//!
//! # How it is built
//! Files are reached through [`disk::Disk`] alone, which has a real and a simulated implementation. A `Segment` holds no file open beyond what
//! [`OpenFiles`] allows. Indexes are never mapped: a top level in memory and one `pread` of a block find an offset.

mod checkpoint;
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
pub use commit::{Committed, GroupCommit, Round};
pub use condition::OnFault;
pub use config::{CleanupPolicy, LogConfig};
pub use epochs::LeaderEpochs;
pub use error::{Error, Meaning, ProducerError, Result};
pub use files::{OPEN_FILES_DEFAULT, OpenFiles};
pub use index::Wait;
pub use log::{
    Appended, Expired, Flush, FollowerAppend, Isolation, LeaderAppend, Log, LogOffsets, OpenLog, Read, ReadPlan,
    Recovery, Synced, TimestampAndOffset,
};
pub use log_dir::{Found, LogDir, Offsets, find_partitions};
pub use producer::{Origin, ProducerBatch, ProducerEntry};
pub use region::FileRegion;
pub use segment::Segment;
pub use txn_index::AbortedTxn;
