//! Decides when a snapshot is made: after `metadata.log.max.record.bytes.between.snapshots` of
//! applied batches, or `metadata.log.max.snapshot.interval.ms` after the last snapshot.
//!
//! The driver asks after each applied batch that is committed and leaves no metadata transaction
//! open, since only such an image may be written. Batches that were loaded at start, from a
//! snapshot or from the log, do not count.

use model::Monotonic;

/// The schedule of snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotSchedule {
    max_bytes: u64,
    max_interval_ms: u64,
    bytes: u64,
    last: Monotonic,
}

/// Why a snapshot is made. Its text is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotReason {
    /// This number of bytes was applied since the last snapshot.
    MaxBytes(u64),
    /// This number of milliseconds has passed since the last snapshot.
    MaxInterval(u64),
}

impl std::fmt::Display for SnapshotReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::MaxBytes(bytes) => write!(f, "at least {bytes} bytes were applied since the last one"),
            Self::MaxInterval(interval_ms) => write!(f, "the last one is at least {interval_ms} ms old"),
        }
    }
}

impl SnapshotSchedule {
    /// Creates a schedule that starts now. An interval of 0 means no time limit.
    pub fn new(max_bytes: u64, max_interval_ms: u64, now: Monotonic) -> Self {
        Self { max_bytes, max_interval_ms, bytes: 0, last: now }
    }

    /// Counts an applied batch. Returns why a snapshot of the image after this batch must be made,
    /// if it must, and then starts to count again. `busy` says that another snapshot is still being
    /// written.
    pub fn applied(&mut self, batch_bytes: u64, busy: bool, now: Monotonic) -> Option<SnapshotReason> {
        self.bytes = self.bytes.saturating_add(batch_bytes);
        let reason = if self.bytes >= self.max_bytes {
            SnapshotReason::MaxBytes(self.max_bytes)
        } else if self.max_interval_ms > 0 && now.ms_since(self.last) >= self.max_interval_ms {
            SnapshotReason::MaxInterval(self.max_interval_ms)
        } else {
            return None;
        };
        if busy {
            return None;
        }
        self.restart(now);
        Some(reason)
    }

    /// Starts to count again, since a snapshot was loaded.
    pub fn restart(&mut self, now: Monotonic) {
        self.bytes = 0;
        self.last = now;
    }
}
