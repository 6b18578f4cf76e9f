//! Early write-back: asks the system to start writing back what was appended, 8 MB of a log at a
//! time.
//!
//! Otherwise the system waits until much has gathered, and then an append waits for the disk. The
//! call may wait for space in the device's queue, so a thread makes it. The thread is started on
//! first use. Nothing depends on the call, so what the thread cannot do is skipped.

use crate::env::Env;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use storage::Log;
use tracing::{debug, warn};

/// The largest number of logs that wait. Others are left to the system.
const WAITING_MAX: usize = 1024;

/// The queue of a log dir's thread, once the thread is started.
#[derive(Debug, Default)]
pub(super) struct WriteBack(Mutex<Option<SyncSender<Arc<Log>>>>);

impl WriteBack {
    /// Starts to write back a log's newest records.
    pub(super) fn begin(&self, log: &Arc<Log>, env: Env) {
        if !env.threads_may_wait() {
            return;
        }
        let mut logs = self.0.lock();
        if logs.is_none() {
            let (sender, receiver) = sync_channel(WAITING_MAX);
            match env.thread("write-back", move || work(&receiver)) {
                // The thread ends when the sender is dropped. Nobody joins it.
                Ok(_) => *logs = Some(sender),
                Err(fault) => return warn!(error = %fault, "a thread that begins write-backs could not be started"),
            }
        }
        if let Some(sender) = &*logs {
            // If the queue is full, the disk is behind and has enough to write.
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
