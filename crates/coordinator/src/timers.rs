//! The timers of a shard, on the monotonic clock.

use model::Monotonic;
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

/// Deadlines on the monotonic clock, in order. Each key has at most one. The earliest is found, set
/// and cancelled in logarithmic time.
#[derive(Clone, Debug)]
pub(crate) struct Timers<K> {
    by_key: HashMap<K, Monotonic>,
    by_deadline: BTreeSet<(Monotonic, K)>,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Self { by_key: HashMap::new(), by_deadline: BTreeSet::new() }
    }
}

impl<K: Clone + Eq + Hash + Ord> Timers<K> {
    pub(crate) fn earliest(&self) -> Option<&(Monotonic, K)> {
        self.by_deadline.first()
    }

    /// Whether a timer is set.
    #[cfg(test)]
    pub(crate) fn contains(&self, key: &K) -> bool {
        self.by_key.contains_key(key)
    }

    pub(crate) fn set(&mut self, key: K, deadline: Monotonic) {
        if let Some(old) = self.by_key.insert(key.clone(), deadline) {
            self.by_deadline.remove(&(old, key.clone()));
        }
        self.by_deadline.insert((deadline, key));
    }

    pub(crate) fn cancel(&mut self, key: K) {
        if let Some(deadline) = self.by_key.remove(&key) {
            self.by_deadline.remove(&(deadline, key));
        }
    }
}
