//! A partition that its coordinator cannot serve is offline: this broker stops leading it and
//! answers KAFKA_STORAGE_ERROR, as if its log dir had failed. The next leader epoch tries again.

use super::Partition;
use model::LeaderEpoch;
use std::sync::atomic::{AtomicI32, Ordering};

/// The newest leader epoch in which a partition is offline.
#[derive(Debug)]
pub(super) struct OfflineEpoch(AtomicI32);

impl OfflineEpoch {
    /// The value of a partition that is not offline: below every epoch.
    pub(super) fn none() -> Self {
        Self(AtomicI32::new(-1))
    }

    /// Whether the partition is offline in this epoch.
    pub(super) fn covers(&self, epoch: LeaderEpoch) -> bool {
        epoch.0 <= self.0.load(Ordering::Acquire)
    }

    /// Clears it, since a later epoch begins.
    pub(super) fn clear(&self) {
        self.0.store(-1, Ordering::Release);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire) >= 0
    }
}

impl Partition {
    /// Takes the partition offline for the rest of a leader epoch, and wakes the waiters.
    pub fn take_offline(&self, epoch: LeaderEpoch) {
        // Before the lock is taken, since `lead` reads it under the lock.
        self.offline.0.fetch_max(epoch.0, Ordering::AcqRel);
        {
            let mut replica = self.replica.write();
            if let Some(led) =
                replica.leader().map(|leader| leader.leader_epoch()).filter(|led| self.offline.covers(*led))
            {
                replica.resign(led);
            }
        }
        self.wake_all();
        self.flush_watchers.wake();
    }

    /// Whether its log or its coordinator has failed.
    pub fn has_failed(&self) -> bool {
        self.offline.is_set() || self.log.load().fault().is_some()
    }
}
