//! The checkpoints that a log dir keeps of all its logs, and who writes them.
//!
//! The broker replaces a whole file now and then with the offsets of its open logs. A log that
//! truncates lowers its own entries first. If they stayed, records that are appended after the
//! truncation would count as flushed, or as committed, after a crash. One lock covers both, from
//! before the offsets are collected until they are written: what was collected before a truncation
//! is never written after it.

use crate::checkpoint::{self, OffsetCheckpoint};
use crate::disk::Disk;
use crate::error::{Error, Result};
use model::{Offset, TopicPartition};
use parking_lot::Mutex;
use std::path::PathBuf;
use std::sync::Arc;

/// The files whose entries a truncation lowers.
const LOWERED: [&str; 3] = [checkpoint::RECOVERY_POINT, checkpoint::LOG_START, checkpoint::REPLICATION];

/// The checkpoint files of one log dir.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    writing: Mutex<()>,
}

impl Checkpoints {
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: PathBuf) -> Checkpoints {
        Checkpoints { disk, dir, writing: Mutex::default() }
    }

    /// Replaces a file with what `collect` returns.
    pub(crate) fn replace(&self, name: &str, collect: impl FnOnce() -> OffsetCheckpoint) -> Result<()> {
        let _writing = self.writing.lock();
        checkpoint::write_offsets(&*self.disk, &self.dir.join(name), &collect())
    }

    /// Lowers a log's entries to the offset to which it is about to be truncated, and then calls
    /// `lower`, which lowers the same offsets in memory. Errors: the disk; then a part of the
    /// entries may be lowered, which costs nothing but time at a start, and `lower` is not called.
    pub(crate) fn lower(&self, partition: &TopicPartition, to: Offset, lower: impl FnOnce()) -> Result<()> {
        let _writing = self.writing.lock();
        for name in LOWERED {
            let path = self.dir.join(name);
            let mut offsets = match checkpoint::read_offsets(&*self.disk, &path) {
                // A start takes it for empty.
                Err(Error::Corrupt { .. }) => continue,
                read => read?,
            };
            if let Some(entry) = offsets.get_mut(partition).filter(|entry| **entry > to) {
                *entry = to;
                checkpoint::write_offsets(&*self.disk, &path, &offsets)?;
            }
        }
        lower();
        Ok(())
    }
}
