//! Snapshots of the metadata log (KIP-630): their container, and the rules for creating and
//! deleting them.

mod reader;
pub mod retention;
mod schedule;
mod writer;

pub use crate::snapshot_id::{PARTIAL_SUFFIX, SnapshotId};
pub use reader::{SnapshotError, SnapshotPart, SnapshotReader, batch_len, read_snapshot};
pub use schedule::{SnapshotReason, SnapshotSchedule};
pub use writer::SnapshotWriter;
