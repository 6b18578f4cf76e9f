//! When a snapshot is made: after `metadata.log.max.record.bytes.between.snapshots` of applied batches, or
//! `metadata.log.max.snapshot.interval.ms` after the last one.
//!
//! The schedule is asked after each committed batch that was applied and that did not leave a metadata transaction open: only there is the image
//! one that may be written. What was loaded at start, from a snapshot or from the log, does not count.

use model::Monotonic;

/// When snapshots are due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotSchedule {
    max_bytes: u64,
    max_interval_ms: u64,
    bytes: u64,
    last: Monotonic,
}

/// Why a snapshot is made. Its text goes to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotReason {
    /// That many bytes were applied since the last one.
    MaxBytes(u64),
    /// That many milliseconds passed since the last one.
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
    /// A schedule that begins now. An interval of 0 means no limit of time.
    pub fn new(max_bytes: u64, max_interval_ms: u64, now: Monotonic) -> Self {
        Self { max_bytes, max_interval_ms, bytes: 0, last: now }
    }

    /// A batch of so many bytes was applied, `busy` if a snapshot is still being written. Answers whether one is to be made of the image that
    /// this batch ends in, and if so begins anew.
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

    /// A snapshot was loaded: counting begins anew.
    pub fn restart(&mut self, now: Monotonic) {
        self.bytes = 0;
        self.last = now;
    }
}
