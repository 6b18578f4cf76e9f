//! The log dirs of replicas that the controller does not know yet (KIP-858).
//!
//! The controller lets a broker with several log dirs choose, and must know the choice: when a log
//! dir fails, the replicas in it lose their leaderships. Assignments wait here until
//! `runtime::assignment_sender` sends them.

use model::{DirectoryId, TopicIdPartition};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use tokio::sync::Notify;

/// The largest number of replicas in one request, as in Kafka.
pub(crate) const ASSIGNMENTS_MAX: usize = 2250;
/// Called when the controller knows the assignment.
pub(crate) type OnKnown = Box<dyn FnOnce() + Send>;

/// The log dir of a replica.
pub(crate) struct Assignment {
    pub(crate) dir: DirectoryId,
    pub(crate) on_known: Option<OnKnown>,
}

/// The assignments that the controller does not know yet.
#[derive(Default)]
pub struct Assignments {
    waiting: Mutex<BTreeMap<TopicIdPartition, Assignment>>,
    added: Notify,
}

impl Assignments {
    /// Adds an assignment for the controller. It replaces an older one of that replica.
    pub(crate) fn add(&self, id: TopicIdPartition, dir: DirectoryId, on_known: Option<OnKnown>) {
        self.waiting.lock().insert(id, Assignment { dir, on_known });
        self.added.notify_one();
    }

    /// Removes the assignment of a replica whose move was cancelled.
    pub(super) fn forget(&self, id: TopicIdPartition) {
        self.waiting.lock().remove(&id);
    }

    /// Waits until an assignment is added.
    pub(crate) async fn added(&self) {
        self.added.notified().await;
    }

    /// Returns the number of waiting assignments.
    pub fn len(&self) -> usize {
        self.waiting.lock().len()
    }

    /// Whether no assignment waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes the assignments for one request.
    pub(crate) fn take(&self) -> BTreeMap<TopicIdPartition, Assignment> {
        let waiting = &mut *self.waiting.lock();
        if waiting.len() <= ASSIGNMENTS_MAX {
            return std::mem::take(waiting);
        }
        let some: Vec<TopicIdPartition> = waiting.keys().take(ASSIGNMENTS_MAX).copied().collect();
        some.into_iter().filter_map(|id| waiting.remove_entry(&id)).collect()
    }

    /// Puts refused assignments back, unless there is a newer one for the replica.
    pub(crate) fn put_back(&self, refused: BTreeMap<TopicIdPartition, Assignment>) {
        let waiting = &mut *self.waiting.lock();
        for (id, assignment) in refused {
            waiting.entry(id).or_insert(assignment);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use model::{PartitionIndex, Uuid};

    pub(crate) fn numbered_partition(number: i32) -> TopicIdPartition {
        TopicIdPartition { topic_id: Uuid::from_random([1; 16]), partition: PartitionIndex(number) }
    }

    pub(crate) fn numbered_dir(number: u8) -> DirectoryId {
        Uuid::from_random([number; 16])
    }

    #[test]
    fn a_newer_assignment_replaces_a_refused_one() {
        let assignments = Assignments::default();
        assignments.add(numbered_partition(0), numbered_dir(1), None);
        assignments.add(numbered_partition(1), numbered_dir(1), None);
        let refused = assignments.take();
        assignments.add(numbered_partition(0), numbered_dir(2), None);
        assignments.put_back(refused);
        let waiting = assignments.take();
        assert_eq!(
            (waiting[&numbered_partition(0)].dir, waiting[&numbered_partition(1)].dir),
            (numbered_dir(2), numbered_dir(1))
        );
    }
}
