//! The logs of one log dir that wait to be opened, and the threads that open them.
//!
//! Logs that cost nothing are served first. The order is by the bytes that must be read, but
//! coordinators' logs come before others, and a log that a client requests comes first. Invariant:
//! a log is in `waiting`, or in `running`, or no thread opens it.

use crate::env::clock::{Clock, Moment};
use model::TopicIdPartition;
use parking_lot::{Condvar, Mutex};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tracing::info;

/// How often a long start logs its progress.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// The priority of a log in the queue: lower comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct OpenPriority {
    /// The class: 0 if a client waits for the log.
    pub(super) class: u8,
    /// The bytes to read and check before the log is served.
    pub(super) cost_bytes: u64,
}

impl OpenPriority {
    /// A client requested it.
    const REQUESTED: u8 = 0;
    /// A coordinator's state. No group is served before it is open.
    pub(super) const COORDINATOR: u8 = 1;
    /// Any other log.
    pub(super) const DATA: u8 = 2;
}

/// The progress of opening logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpeningProgress {
    /// The number of logs to open.
    pub total: usize,
    /// The number of logs that are open or could not be opened.
    pub opened: usize,
    /// The bytes still to be read and checked.
    pub bytes_left: u64,
}

#[derive(Debug, Default)]
struct OpenQueueState {
    waiting: BTreeMap<(OpenPriority, TopicIdPartition), ()>,
    priorities: BTreeMap<TopicIdPartition, OpenPriority>,
    /// The logs that are being opened, each with its cost and the flag that cancels it.
    running: BTreeMap<TopicIdPartition, (u64, Arc<AtomicBool>)>,
    workers: usize,
    total: usize,
    opened: usize,
    reported: Option<Moment>,
}

/// The queue of one log dir.
#[derive(Debug, Default)]
pub(super) struct OpenQueue {
    state: Mutex<OpenQueueState>,
    ended: Condvar,
}

impl OpenQueue {
    /// Adds a log.
    pub(super) fn add(&self, id: TopicIdPartition, priority: OpenPriority) {
        let state = &mut *self.state.lock();
        if state.running.contains_key(&id) || state.priorities.insert(id, priority).is_some() {
            return;
        }
        state.waiting.insert((priority, id), ());
        state.total += 1;
    }

    /// Whether a log waits or is being opened.
    pub(super) fn contains(&self, id: TopicIdPartition) -> bool {
        let state = self.state.lock();
        state.priorities.contains_key(&id) || state.running.contains_key(&id)
    }

    /// Opens a log before others, since a client requested it.
    pub(super) fn prioritize(&self, id: TopicIdPartition) {
        let state = &mut *self.state.lock();
        let Some(priority) = state.priorities.get_mut(&id) else { return };
        let requested = OpenPriority { class: OpenPriority::REQUESTED, ..*priority };
        if state.waiting.remove(&(*priority, id)).is_some() {
            state.waiting.insert((requested, id), ());
            *priority = requested;
        }
    }

    /// Whether to start one more thread, which then counts. A thread that opens a log may be busy
    /// for long.
    pub(super) fn begin_worker(&self, most: usize) -> bool {
        let state = &mut *self.state.lock();
        let free = state.workers.saturating_sub(state.running.len());
        let begins = state.workers < most && free < state.waiting.len();
        state.workers += usize::from(begins);
        begins
    }

    /// Takes the next log, with the flag that cancels it. Returns `None` if none waits, and then
    /// the calling thread no longer counts.
    pub(super) fn take(&self) -> Option<(TopicIdPartition, Arc<AtomicBool>)> {
        let state = &mut *self.state.lock();
        let Some(((priority, id), ())) = state.waiting.pop_first() else {
            state.workers = state.workers.saturating_sub(1);
            return None;
        };
        state.priorities.remove(&id);
        let given_up = Arc::new(AtomicBool::new(false));
        state.running.insert(id, (priority.cost_bytes, given_up.clone()));
        Some((id, given_up))
    }

    /// Notes that a log that was taken is open, or will not be opened.
    pub(super) fn done(&self, id: TopicIdPartition, clock: Clock) {
        let state = &mut *self.state.lock();
        state.running.remove(&id);
        state.opened += 1;
        self.ended.notify_all();
        match state.reported {
            None => state.reported = Some(clock.instant()),
            Some(last) if last.elapsed() >= REPORT_INTERVAL => {
                state.reported = Some(clock.instant());
                let OpeningProgress { total, opened, bytes_left } = state.progress();
                info!(opened, of = total, bytes_left, "opening partitions");
            }
            Some(_) => {}
        }
    }

    /// Removes logs of deleted topics from the queue, and waits until no thread opens them.
    pub(super) fn give_up(&self, ids: &[TopicIdPartition]) {
        let mut state = self.state.lock();
        for id in ids {
            if let Some(priority) = state.priorities.remove(id) {
                state.waiting.remove(&(priority, *id));
                state.opened += 1;
            }
            if let Some((_, given_up)) = state.running.get(id) {
                given_up.store(true, Ordering::SeqCst);
            }
        }
        while ids.iter().any(|id| state.running.contains_key(id)) {
            self.ended.wait(&mut state);
        }
    }

    /// Removes and returns all waiting logs, since the log dir failed.
    pub(super) fn drain(&self) -> Vec<TopicIdPartition> {
        let state = &mut *self.state.lock();
        let waiting: Vec<TopicIdPartition> = std::mem::take(&mut state.waiting).into_keys().map(|(_, id)| id).collect();
        state.priorities.clear();
        state.opened += waiting.len();
        waiting
    }

    /// Empties the queue and cancels the logs that are being opened, since the broker stops.
    pub(super) fn give_up_all(&self) {
        let state = &mut *self.state.lock();
        state.waiting.clear();
        state.priorities.clear();
        state.running.values().for_each(|(_, given_up)| given_up.store(true, Ordering::SeqCst));
    }

    /// Returns the progress.
    pub(super) fn progress(&self) -> OpeningProgress {
        self.state.lock().progress()
    }
}

impl OpenQueueState {
    fn progress(&self) -> OpeningProgress {
        let waiting: u64 = self.waiting.keys().map(|(priority, _)| priority.cost_bytes).sum();
        let running: u64 = self.running.values().map(|(cost, _)| cost).sum();
        OpeningProgress { total: self.total, opened: self.opened, bytes_left: waiting + running }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{PartitionIndex, TopicId};

    fn id(number: i32) -> TopicIdPartition {
        TopicIdPartition { topic_id: TopicId::from_random([1; 16]), partition: PartitionIndex(number) }
    }

    fn queue() -> OpenQueue {
        let queue = OpenQueue::default();
        queue.add(id(0), OpenPriority { class: OpenPriority::DATA, cost_bytes: 500 });
        queue.add(id(1), OpenPriority { class: OpenPriority::DATA, cost_bytes: 0 });
        queue.add(id(2), OpenPriority { class: OpenPriority::COORDINATOR, cost_bytes: 100 });
        queue.add(id(3), OpenPriority { class: OpenPriority::DATA, cost_bytes: 20 });
        queue
    }

    fn taken(queue: &OpenQueue) -> Vec<i32> {
        std::iter::from_fn(|| queue.take().map(|(id, _)| id.partition.0)).collect()
    }

    #[test]
    fn coordinators_come_first_then_cheap_logs() {
        assert_eq!(taken(&queue()), [2, 1, 3, 0]);
    }

    #[test]
    fn a_requested_log_comes_first() {
        let queue = queue();
        queue.prioritize(id(0));
        queue.prioritize(id(9));
        assert_eq!(taken(&queue), [0, 2, 1, 3]);
    }

    #[test]
    fn a_thread_that_is_busy_leaves_the_others_work_to_another() {
        let queue = OpenQueue::default();
        queue.add(id(0), OpenPriority { class: OpenPriority::DATA, cost_bytes: 0 });
        queue.add(id(1), OpenPriority { class: OpenPriority::DATA, cost_bytes: 0 });
        assert!(queue.begin_worker(2));
        // It takes its log before the next thread is started.
        queue.take().unwrap();
        assert!(queue.begin_worker(2) && !queue.begin_worker(2));
        queue.take().unwrap();
        assert!(!queue.begin_worker(3) && queue.take().is_none());
    }

    #[test]
    fn progress_counts_opened_logs_and_remaining_bytes() {
        let queue = queue();
        assert_eq!(queue.progress(), OpeningProgress { total: 4, opened: 0, bytes_left: 620 });
        let (first, _) = queue.take().unwrap();
        assert_eq!(queue.progress(), OpeningProgress { total: 4, opened: 0, bytes_left: 620 });
        queue.done(first, Clock::default());
        assert_eq!(queue.progress(), OpeningProgress { total: 4, opened: 1, bytes_left: 520 });
        assert!(!queue.contains(first) && queue.contains(id(0)));
    }

    #[test]
    fn giving_up_a_log_waits_for_the_thread_that_opens_it() {
        let queue = Arc::new(queue());
        let (running, given_up) = queue.take().unwrap();
        let other = queue.clone();
        let opener = <crate::env::Env>::default()
            .thread("opener", move || {
                while !given_up.load(Ordering::SeqCst) {
                    std::thread::yield_now();
                }
                other.done(running, Clock::default());
            })
            .unwrap();
        queue.give_up(&[running, id(0)]);
        opener.join().unwrap();
        assert_eq!(taken(&queue), [1, 3]);
    }
}
