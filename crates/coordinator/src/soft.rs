//! What a shard knows beyond the log: classic groups between two records, and timers. It is lost with the leadership, as in Kafka.

use crate::command::SoftChange;
use crate::group::classic::ClassicGroup;
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

/// Deadlines of the monotonic clock in order: the earliest is found, set and cancelled in logarithmic time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timers {
    by_key: HashMap<TimerKey, Monotonic>,
    by_deadline: BTreeSet<(Monotonic, TimerKey)>,
}

impl Timers {
    pub(crate) fn earliest(&self) -> Option<&(Monotonic, TimerKey)> {
        self.by_deadline.first()
    }

    fn set(&mut self, key: TimerKey, deadline: Monotonic) {
        if let Some(old) = self.by_key.insert(key.clone(), deadline) {
            self.by_deadline.remove(&(old, key.clone()));
        }
        self.by_deadline.insert((deadline, key));
    }

    fn cancel(&mut self, key: TimerKey) {
        if let Some(deadline) = self.by_key.remove(&key) {
            self.by_deadline.remove(&(deadline, key));
        }
    }
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Soft {
    pub(crate) groups: HashMap<Str, ClassicGroup>,
    pub(crate) timers: Timers,
}

impl Soft {
    pub(crate) fn apply(&mut self, changes: Vec<SoftChange>) {
        for change in changes {
            match change {
                SoftChange::Group(group) => {
                    self.groups.insert(group.id.clone(), *group);
                }
                SoftChange::Forget(group) => {
                    self.groups.remove(&group);
                }
                SoftChange::SetTimer(key, deadline) => self.timers.set(key, deadline),
                SoftChange::CancelTimer(key) => self.timers.cancel(key),
            }
        }
    }
}
