//! What a new log defers until its first flush: syncs of its folder's name and of the small files
//! in it.
//!
//! Nothing is synced when a log is created, since nothing can be lost: the metadata log has the
//! partition, and a start recreates what is missing. From the first flush on, records count as
//! durable, so all that is needed to find them must be durable first.
//!
//! | state | `leader-epoch-checkpoint` is | after a power cut it is |
//! | --- | --- | --- |
//! | unsettled: nothing was ever flushed | replaced without a sync | read from the records, all of which are read anyway |
//! | settled | replaced with syncs | true up to the recovery point, and read from the records above it |
//!
//! New epochs are written to the file with the flush of their first record. A truncation changes
//! the file at once.
//!
//! Invariant: the recovery point is above 0 only in a settled log.

use super::Log;
use crate::checkpoint;
use crate::error::{Error, Result};
use crate::names;
use crate::siblings::{Siblings, Ticket};
use model::{Offset, TopicId};
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether a log is settled.
#[derive(Debug)]
pub(super) struct Settling {
    siblings: Arc<Siblings>,
    ticket: Ticket,
    /// If set, the small files are replaced with syncs. Changes only while the log's writer is
    /// held.
    is_begun: AtomicBool,
    is_done: AtomicBool,
}

impl Settling {
    /// The state for an existing folder.
    pub(super) fn new(siblings: Arc<Siblings>, is_settled: bool) -> Settling {
        let ticket = siblings.add();
        Settling { siblings, ticket, is_begun: AtomicBool::new(is_settled), is_done: AtomicBool::new(is_settled) }
    }

    /// Whether the small files are replaced with syncs.
    pub(super) fn is_begun(&self) -> bool {
        self.is_begun.load(Ordering::Acquire)
    }

    /// Called by the holder of the log's writer.
    pub(super) fn begin(&self) {
        self.is_begun.store(true, Ordering::Release);
    }
}

impl Log {
    /// Writes the topic id into a folder that lost it. If the disk has no space, a later start does
    /// it.
    pub fn restore_topic_id(&self, topic_id: TopicId) -> Result<()> {
        let _writer = self.writer.lock();
        self.check_online()?;
        let path = self.folder.file(names::PARTITION_METADATA);
        // A file that exists but could not be read may be durable: it is not replaced by one that
        // is not.
        let may_be_there =
            !matches!(self.folder.disk.metadata(&path), Err(error) if error.kind() == ErrorKind::NotFound);
        // A log that does not begin at 0 was settled before, perhaps in an earlier run.
        let is_synced = may_be_there || self.settling.is_begun() || self.log_start_offset() > Offset(0);
        match checkpoint::write_partition_metadata(&*self.folder.disk, &path, topic_id, is_synced) {
            Err(error) if error.is_refusal() => Ok(()),
            written => written,
        }
    }

    /// Settles the log, if it is not settled, before its recovery point moves. Appends do not wait
    /// for the syncs. Returns whether the folder must be synced afterwards.
    pub(super) fn settle(&self) -> Result<bool> {
        if self.settling.is_done.load(Ordering::Acquire) {
            return Ok(false);
        }
        {
            let _writer = self.writer.lock();
            self.settling.begin();
        }
        self.finish_settling().map(|()| true)
    }

    /// Called after `begin` and before the folder is synced. A failed sync takes the log offline.
    pub(super) fn finish_settling(&self) -> Result<()> {
        if self.settling.is_done.load(Ordering::Acquire) {
            return Ok(());
        }
        let path = self.folder.path();
        let dir = path.parent().unwrap_or(&path);
        let sync = || -> Result<()> {
            self.folder.sync_file(names::PARTITION_METADATA)?;
            self.folder.sync_file(names::LEADER_EPOCH_CHECKPOINT)?;
            let synced = self.settling.siblings.sync(&*self.folder.disk, dir, self.settling.ticket);
            synced.map_err(Error::io("sync", dir))
        };
        sync().map_err(|error| self.go_offline(error))?;
        self.settling.is_done.store(true, Ordering::Release);
        Ok(())
    }
}
