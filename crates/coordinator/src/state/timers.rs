//! The timers of a shard, on the monotonic clock.

use model::Monotonic;
use protocol::Str;
use std::collections::{BTreeSet, HashMap};

/// What a timer is for. Each kind of a group or member runs at most once.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TimerKey {
    /// A member's session ends (group, member).
    Session(Str, Str),
    /// The join phase of a rebalance ends.
    Join(Str),
    /// Members that have not asked for their assignment are removed.
    Sync(Str),
    /// Offsets and groups that have expired are looked for.
    Expire,
}

/// Deadlines of the monotonic clock in order: the earliest is found, set and cancelled in
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
