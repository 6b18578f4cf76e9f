//! The id of a snapshot, and the names of its file.

use crate::end_offset::EndOffset;
use model::{LeaderEpoch, Offset};
use std::fmt;

/// The suffix of a complete snapshot.
const SUFFIX: &str = ".checkpoint";
/// The suffix of a snapshot that is being written or fetched. Such files are deleted at start.
pub const PARTIAL_SUFFIX: &str = ".checkpoint.part";

/// A snapshot's id. The snapshot has the state after all records below `end`, and `epoch` is the
/// epoch of the last of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SnapshotId {
    /// The offset after the last record that the snapshot covers.
    pub end: Offset,
    /// The epoch of that record.
    pub epoch: LeaderEpoch,
}

impl SnapshotId {
    /// The snapshot that `format` writes. It covers nothing and holds the first voters.
    pub const BOOTSTRAP: Self = Self { end: Offset(0), epoch: LeaderEpoch(0) };

    /// Creates a snapshot id.
    pub fn new(end: i64, epoch: i32) -> Self {
        Self { end: Offset(end), epoch: LeaderEpoch(epoch) }
    }

    /// Returns the name of its file: 20 digits of the offset, 10 of the epoch.
    pub fn file_name(&self) -> String {
        format!("{self}{SUFFIX}")
    }

    /// Returns the name of its file while it is being written.
    pub fn partial_file_name(&self) -> String {
        format!("{self}{PARTIAL_SUFFIX}")
    }

    /// Returns the id in the name of a complete snapshot's file, or `None` for other files.
    pub fn from_file_name(name: &str) -> Option<Self> {
        let (end, epoch) = name.strip_suffix(SUFFIX)?.split_once('-')?;
        let digits = |text: &str, len| text.len() == len && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(end, 20) || !digits(epoch, 10) {
            return None;
        }
        Some(Self { end: Offset(end.parse().ok()?), epoch: LeaderEpoch(epoch.parse().ok()?) })
    }

    /// Returns the end of a log that has exactly what the snapshot covers.
    pub fn end_offset(&self) -> EndOffset {
        EndOffset { epoch: self.epoch, offset: self.end }
    }
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:020}-{:010}", self.end.0, self.epoch.0)
    }
}

impl fmt::Debug for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.end.0, self.epoch.0)
    }
}
