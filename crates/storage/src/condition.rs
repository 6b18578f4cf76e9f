//! The condition of a log dir: whether its disk can be relied on, and whether it has room.
//!
//! | the disk says | what follows | it ends |
//! | --- | --- | --- |
//! | no room (ENOSPC, EDQUOT), or fewer bytes free than are kept in reserve | `is_full`: producers are refused before anything is written; all else goes on | when `note_space` finds room |
//! | anything that leaves it unknown what the disk holds (EIO, a failed sync, a read-only file system, a folder that vanished) | `fault`: every call to the disk is refused | with the process |
//!
//! Invariant: nothing is written to, synced on or read from a log dir after its first fault, so nothing is acknowledged by a disk that lost something.

use parking_lot::Mutex;
use std::fmt::{self, Debug};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// Told once why a log dir failed. It is called wherever the fault was met, whatever is locked there: it may pass the word on and nothing else.
pub type OnFault = Box<dyn FnOnce(&str) + Send>;

/// What is known of a log dir's disk; shared by all that use it.
pub(crate) struct Condition {
    fault: OnceLock<String>,
    is_full: AtomicBool,
    /// Bytes that may be written until the reserve is used up, as far as is known: a look at the disk sets it, writes count it down.
    room: AtomicI64,
    on_fault: Mutex<Option<OnFault>>,
}

impl Default for Condition {
    /// Of a disk that nobody has looked at, which has room.
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
    /// The first fault.
    pub(crate) fn fault(&self) -> Option<&str> {
        self.fault.get().map(String::as_str)
    }

    /// Takes the dir offline for good. Only the first reason counts.
    pub(crate) fn fail(&self, reason: &str) {
        if self.fault.set(reason.to_owned()).is_ok() {
            self.tell();
        }
    }

    /// Whom to tell of the fault, at once where there is one.
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

    /// The disk has refused a call for want of room.
    pub(crate) fn ran_full(&self) {
        self.is_full.store(true, Ordering::Relaxed);
    }

    /// Bytes were written: producers do not outrun the looks at the disk.
    pub(crate) fn took(&self, bytes: usize) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        if self.room.fetch_sub(bytes, Ordering::Relaxed) < bytes {
            self.ran_full();
        }
    }

    /// What the disk says of its room, and how much of it is kept from producers.
    pub(crate) fn note_space(&self, usable_bytes: u64, reserve_bytes: u64) {
        let room = i64::try_from(usable_bytes.saturating_sub(reserve_bytes)).unwrap_or(i64::MAX);
        self.room.store(room, Ordering::Relaxed);
        self.is_full.store(usable_bytes < reserve_bytes, Ordering::Relaxed);
    }
}
