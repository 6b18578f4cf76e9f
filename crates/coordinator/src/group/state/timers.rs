//! The timers of a shard, on the monotonic clock.

use model::Monotonic;
use protocol::Str;
use std::collections::{BTreeSet, HashMap};

/// The purpose of a timer. Each key has at most one timer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TimerKey {
    /// A member's session expires (group, member).
    Session(Str, Str),
    /// The join phase of a rebalance ends.
    Join(Str),
    /// Members that have not sent SyncGroup are removed.
    Sync(Str),
    /// The search for expired offsets and groups starts.
    Expire,
}

/// Deadlines on the monotonic clock, in order. The earliest is found, set and cancelled in
/// logarithmic time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timers {
    by_key: HashMap<TimerKey, Monotonic>,
    by_deadline: BTreeSet<(Monotonic, TimerKey)>,
}

impl Timers {
    pub(crate) fn earliest(&self) -> Option<&(Monotonic, TimerKey)> {
        self.by_deadline.first()
    }

    pub(super) fn set(&mut self, key: TimerKey, deadline: Monotonic) {
        if let Some(old) = self.by_key.insert(key.clone(), deadline) {
            self.by_deadline.remove(&(old, key.clone()));
        }
        self.by_deadline.insert((deadline, key));
    }

    pub(super) fn cancel(&mut self, key: TimerKey) {
        if let Some(deadline) = self.by_key.remove(&key) {
            self.by_deadline.remove(&(deadline, key));
        }
    }
}
