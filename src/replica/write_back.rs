//! Early write-back: the system is asked to begin writing back what was appended, 8 MB of a log at
//! a time.
//!
//! Left to itself it waits until much has come together, and then an append waits for the disk. The
//! call may wait for room in the device's queue, so a thread makes it, which is started when it is
//! first needed and sleeps when it is not. Nothing depends on it: what it cannot do is left out.

use crate::env::blocking;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use storage::Log;
use tracing::{debug, warn};

/// How many logs may wait for their turn; more are left to the system.
const WAITING_MAX: usize = 1024;

/// The thread of one log dir, once there is one.
#[derive(Debug, Default)]
pub(super) struct WriteBack(Mutex<Option<SyncSender<Arc<Log>>>>);

impl WriteBack {
    /// Has the write-back of a log's newest records begun.
    pub(super) fn begin(&self, log: &Arc<Log>) {
        let mut logs = self.0.lock();
        if logs.is_none() {
            let (sender, receiver) = sync_channel(WAITING_MAX);
            match blocking::thread("write-back", move || work(&receiver)) {
                // It ends when the sender is dropped, and nobody waits for it.
                Ok(_) => *logs = Some(sender),
                Err(fault) => return warn!(error = %fault, "a thread that begins write-backs could not be started"),
            }
        }
        if let Some(sender) = &*logs {
            // A full queue means that the disk is behind: then it has enough to write.
            let _ = sender.try_send(log.clone());
        }
    }
}

fn work(logs: &Receiver<Arc<Log>>) {
    for log in logs {
        if let Err(fault) = log.begin_write_back() {
            debug!(partition = %log.partition(), error = %fault, "a write-back could not be begun");
        }
    }
}
