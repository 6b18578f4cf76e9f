//! What a new log leaves to its first flush: its folder's name, and the small files in it.
//!
//! Nothing is synced when a log is created, since nothing is lost with it: the metadata log says that the partition is here, and a start makes anew
//! what is missing. From the first flush on, records count as being on disk, so all that is needed to find them has to be there first.
//!
//! | state | `leader-epoch-checkpoint` is | after a power cut it is |
//! | --- | --- | --- |
//! | unsettled: nothing was ever flushed | replaced without a sync | read from the records, all of which are read anyway |
//! | settled | replaced with syncs | true up to the recovery point, and read from the records above it |
//!
//! Epochs that begin reach the file with the flush of their first record; a cut of the log is in it at once.
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

/// How far a log is settled.
#[derive(Debug)]
pub(super) struct Settling {
    siblings: Arc<Siblings>,
    ticket: Ticket,
    /// From here on the small files are replaced with syncs. Changes while the log's writer is held.
    is_begun: AtomicBool,
    is_done: AtomicBool,
}

impl Settling {
    /// Of a folder that is there.
    pub(super) fn new(siblings: Arc<Siblings>, is_settled: bool) -> Settling {
        let ticket = siblings.add();
        Settling { siblings, ticket, is_begun: AtomicBool::new(is_settled), is_done: AtomicBool::new(is_settled) }
    }

    /// Whether the small files are replaced with syncs.
    pub(super) fn is_begun(&self) -> bool {
        self.is_begun.load(Ordering::Acquire)
    }

    /// For the one that holds the log's writer.
    pub(super) fn begin(&self) {
        self.is_begun.store(true, Ordering::Release);
    }
}

impl Log {
    /// Writes the topic id into a folder that lost it; where there is no room, a later start does.
    pub fn restore_topic_id(&self, topic_id: TopicId) -> Result<()> {
        let _writer = self.writer.lock();
        self.check_online()?;
        let path = self.folder.file(names::PARTITION_METADATA);
        // What is there and could not be read may be on disk for good: it is not replaced by what is not.
        let may_be_there =
            !matches!(self.folder.disk.metadata(&path), Err(error) if error.kind() == ErrorKind::NotFound);
        // One that does not begin at 0 was settled once, in an earlier run perhaps.
        let is_synced = may_be_there || self.settling.is_begun() || self.log_start_offset() > Offset(0);
        match checkpoint::write_partition_metadata(&*self.folder.disk, &path, topic_id, is_synced) {
            Err(error) if error.is_refusal() => Ok(()),
            written => written,
        }
    }

    /// Settles the log, if it is not: before its recovery point moves. Appends wait for none of the syncs. Whether the folder must be synced after it.
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

    /// After `begin`, and before the folder is synced. A failed sync takes the log offline.
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
