//! The condition of a log dir: whether its disk is reliable, and whether it has space.
//!
//! | the disk reports | effect | until |
//! | --- | --- | --- |
//! | no room (ENOSPC, EDQUOT), or fewer bytes free than are kept in reserve | `is_full`: producers are refused before anything is written; all else continues | `note_space` finds space |
//! | an error after which it is unknown what the disk holds (EIO, a failed sync, a read-only file system, a missing folder) | `fault`: every call to the disk is refused | the process ends |
//!
//! Invariant: after a log dir's first fault nothing is written to, synced on or read from it, so a
//! disk that lost something acknowledges nothing.

use parking_lot::Mutex;
use std::fmt::{self, Debug};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// Called once with the reason why a log dir failed. It runs where the fault occurred, whatever
/// locks are held there, so it may only pass the reason on.
pub type OnFault = Box<dyn FnOnce(&str) + Send>;

/// What is known about a log dir's disk. All its users share it.
pub(crate) struct Condition {
    fault: OnceLock<String>,
    is_full: AtomicBool,
    /// Bytes that may be written until the reserve is reached, as an estimate: a check of the disk
    /// sets it, writes lower it.
    room: AtomicI64,
    on_fault: Mutex<Option<OnFault>>,
}

impl Default for Condition {
    /// The condition of a disk that was not checked yet: it has space.
    fn default() -> Self {
        let room = AtomicI64::new(i64::MAX);
        Condition { fault: OnceLock::new(), is_full: AtomicBool::new(false), room, on_fault: Mutex::default() }
    }
}

impl Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_full = self.is_full();
        f.debug_struct("Condition").field("fault", &self.fault).field("is_full", &is_full).finish_non_exhaustive()
    }
}

impl Condition {
    /// Returns the first fault.
    pub(crate) fn fault(&self) -> Option<&str> {
        self.fault.get().map(String::as_str)
    }

    /// Takes the dir offline until the process ends. Only the first reason counts.
    pub(crate) fn fail(&self, reason: &str) {
        if self.fault.set(reason.to_owned()).is_ok() {
            self.tell();
        }
    }

    /// Sets the callback for the fault. It is called at once if there is a fault.
    pub(crate) fn on_fault(&self, wake: OnFault) {
        *self.on_fault.lock() = Some(wake);
        self.tell();
    }

    fn tell(&self) {
        let Some(reason) = self.fault.get() else { return };
        let wake = self.on_fault.lock().take();
        if let Some(wake) = wake {
            wake(reason);
        }
    }

    /// Whether producers are refused.
    pub(crate) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    /// Notes that the disk refused a call because it has no space.
    pub(crate) fn ran_full(&self) {
        self.is_full.store(true, Ordering::Relaxed);
    }

    /// Counts bytes that were written, so that producers cannot fill the disk between two checks.
    pub(crate) fn took(&self, bytes: usize) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        if self.room.fetch_sub(bytes, Ordering::Relaxed) < bytes {
            self.ran_full();
        }
    }

    /// Notes how much space the disk has, and how much of it is reserved.
    pub(crate) fn note_space(&self, usable_bytes: u64, reserve_bytes: u64) {
        let room = i64::try_from(usable_bytes.saturating_sub(reserve_bytes)).unwrap_or(i64::MAX);
        self.room.store(room, Ordering::Relaxed);
        self.is_full.store(usable_bytes < reserve_bytes, Ordering::Relaxed);
    }
}
