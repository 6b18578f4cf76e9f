//! What a shard knows beyond the log: classic groups between two records, and timers. It is lost
//! with the leadership, as in Kafka.

use super::classic::ClassicGroup;
use super::timers::{TimerKey, Timers};
use model::Monotonic;
use protocol::Str;
use std::collections::HashMap;

/// A change of soft state: of what is not in the log.
#[derive(Clone, Debug)]
pub enum SoftChange {
    /// A classic group between two records.
    Group(Box<ClassicGroup>),
    /// The log says all there is to know of a group.
    Forget(Str),
    /// A timer starts, or starts anew.
    SetTimer(TimerKey, Monotonic),
    /// A timer ends.
    CancelTimer(TimerKey),
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct SoftState {
    pub(crate) groups: HashMap<Str, ClassicGroup>,
    pub(crate) timers: Timers,
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
