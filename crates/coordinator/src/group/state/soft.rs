//! The state of a shard that is not in the log: classic groups between two records, and timers. It
//! is lost with the leadership, as in Kafka.

use super::classic::ClassicGroup;
use super::timers::TimerKey;
use crate::timers::Timers;
use model::Monotonic;
use protocol::Str;
use std::collections::HashMap;

/// A change of soft state.
#[derive(Clone, Debug)]
pub enum SoftChange {
    /// A classic group between two records.
    Group(Box<ClassicGroup>),
    /// Drops a group's soft state, because the log contains all of it.
    Forget(Str),
    /// Starts or restarts a timer.
    SetTimer(TimerKey, Monotonic),
    /// Cancels a timer.
    CancelTimer(TimerKey),
}

/// The soft state.
#[derive(Clone, Debug, Default)]
pub(crate) struct SoftState {
    pub(crate) groups: HashMap<Str, ClassicGroup>,
    pub(crate) timers: Timers<TimerKey>,
}

impl SoftState {
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
