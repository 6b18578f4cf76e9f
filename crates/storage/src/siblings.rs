//! The names of a log dir's folders, which survive a power cut after a sync of the dir. One sync
//! serves all callers that wait for it.
//!
//! Invariant: `sync` returns `Ok` only after a sync of the dir that began when the ticket's folder
//! existed.

use crate::disk::Disk;
use parking_lot::Mutex;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// Identifies a folder whose name may not be on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

/// The folders of one log dir.
#[derive(Debug, Default)]
pub(crate) struct Siblings {
    added: AtomicU64,
    synced: Mutex<SyncState>,
}

#[derive(Debug, Default)]
struct SyncState {
    up_to: u64,
    /// The first failed sync. After it nobody knows what is on disk, and a retry would succeed
    /// without having written anything.
    fault: Option<(io::ErrorKind, String)>,
}

impl Siblings {
    /// Notes a folder that exists now and whose name may not be on disk.
    pub(crate) fn add(&self) -> Ticket {
        Ticket(self.added.fetch_add(1, Ordering::SeqCst) + 1)
    }

    /// Makes a folder's name survive a power cut, unless another sync has done so.
    pub(crate) fn sync(&self, disk: &dyn Disk, dir: &Path, ticket: Ticket) -> io::Result<()> {
        let mut synced = self.synced.lock();
        if let Some((kind, reason)) = &synced.fault {
            return Err(io::Error::new(*kind, reason.clone()));
        }
        if synced.up_to >= ticket.0 {
            return Ok(());
        }
        let added = self.added.load(Ordering::SeqCst);
        match disk.sync_dir(dir) {
            Ok(()) => synced.up_to = added,
            Err(error) => {
                synced.fault = Some((error.kind(), error.to_string()));
                return Err(error);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Fault, Operation, SimDisk};

    #[test]
    fn one_sync_serves_all_that_were_there_before_it() {
        let (disk, siblings, dir) = (SimDisk::new(), Siblings::default(), Path::new("/"));
        let tickets = [siblings.add(), siblings.add()];
        tickets.iter().for_each(|ticket| siblings.sync(&disk, dir, *ticket).unwrap());
        assert_eq!(disk.count(Operation::SyncDir), 1);
        siblings.sync(&disk, dir, siblings.add()).unwrap();
        assert_eq!(disk.count(Operation::SyncDir), 2);
    }

    #[test]
    fn a_failed_sync_is_not_forgotten() {
        let (disk, siblings, dir) = (SimDisk::new(), Siblings::default(), Path::new("/"));
        let error = io::ErrorKind::Other;
        let (operation, path_contains) = (Operation::SyncDir, String::new());
        disk.inject(Fault { operation, path_contains, after: 0, times: 1, error, written_bytes: 0 });
        let ticket = siblings.add();
        assert!(siblings.sync(&disk, dir, ticket).is_err() && siblings.sync(&disk, dir, ticket).is_err());
    }
}
