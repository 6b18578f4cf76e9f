//! In which log dir each replica of this broker is, as far as the controller is yet to be told
//! (KIP-858).
//!
//! The controller leaves the choice to a broker with several log dirs, and must know what was
//! chosen: when a log dir fails, its replicas are those that lose their leaderships. What is to be
//! told waits here; `runtime::assignment_sender` sends it.

use model::{DirectoryId, TopicIdPartition};
use parking_lot::Mutex;
use std::collections::HashMap;
use tokio::sync::Notify;

/// How many replicas one request names at most, as in Kafka.
pub(crate) const ASSIGNMENTS_MAX: usize = 2250;
/// Called when the controller knows.
pub(crate) type OnKnown = Box<dyn FnOnce() + Send>;

/// Where a replica is, for the controller to know.
pub(crate) struct Assignment {
    pub(crate) dir: DirectoryId,
    pub(crate) on_known: Option<OnKnown>,
}

/// What the controller is yet to be told.
#[derive(Default)]
pub struct Assignments {
    waiting: Mutex<HashMap<TopicIdPartition, Assignment>>,
    added: Notify,
}

impl Assignments {
    /// Asks for the controller to be told. What was to be told of that replica before no longer is.
    pub(crate) fn add(&self, id: TopicIdPartition, dir: DirectoryId, on_known: Option<OnKnown>) {
        self.waiting.lock().insert(id, Assignment { dir, on_known });
        self.added.notify_one();
    }

    /// The replica is no longer on its way to where the controller was to be told it is.
    pub(super) fn forget(&self, id: TopicIdPartition) {
        self.waiting.lock().remove(&id);
    }

    /// Waits until something was added.
    pub(crate) async fn added(&self) {
        self.added.notified().await;
    }

    /// How many the controller is yet to be told of.
    pub fn len(&self) -> usize {
        self.waiting.lock().len()
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes what one request may name.
    pub(crate) fn take(&self) -> HashMap<TopicIdPartition, Assignment> {
        let waiting = &mut *self.waiting.lock();
        if waiting.len() <= ASSIGNMENTS_MAX {
            return std::mem::take(waiting);
        }
        let some: Vec<TopicIdPartition> = waiting.keys().take(ASSIGNMENTS_MAX).copied().collect();
        some.into_iter().filter_map(|id| waiting.remove_entry(&id)).collect()
    }

    /// What was refused waits again, unless there is a newer word on it.
    pub(crate) fn put_back(&self, refused: HashMap<TopicIdPartition, Assignment>) {
        let waiting = &mut *self.waiting.lock();
        for (id, assignment) in refused {
            waiting.entry(id).or_insert(assignment);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{PartitionIndex, Uuid};

    fn id(number: i32) -> TopicIdPartition {
        TopicIdPartition { topic_id: Uuid::from_random([1; 16]), partition: PartitionIndex(number) }
    }

    fn dir(number: u8) -> DirectoryId {
        Uuid::from_random([number; 16])
    }

    #[test]
    fn the_newest_word_on_a_replica_counts_also_where_an_older_one_was_refused() {
        let assignments = Assignments::default();
        assignments.add(id(0), dir(1), None);
        assignments.add(id(1), dir(1), None);
        let refused = assignments.take();
        assignments.add(id(0), dir(2), None);
        assignments.put_back(refused);
        let waiting = assignments.take();
        assert_eq!((waiting[&id(0)].dir, waiting[&id(1)].dir), (dir(2), dir(1)));
    }
}
