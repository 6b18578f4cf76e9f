//! Waits for a partition to change: its log end, its high watermark, its leader epoch.
//!
//! A waiter watches any number of partitions with one `Wake`, reads them, and sleeps until one
//! changes. It finds out what changed by reading again.

use parking_lot::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use tokio::sync::Notify;

/// The number of noted keys from which on duplicates are avoided.
const MOVED_UNSORTED_MAX: usize = 64;

/// What a waiter sleeps on. A wake before the sleep is not lost.
#[derive(Clone, Debug, Default)]
pub struct Wake(Arc<Waiter>);

#[derive(Debug, Default)]
struct Waiter {
    notify: Notify,
    /// The keys of the watched partitions that changed. A key may occur several times.
    moved: Mutex<Vec<usize>>,
}

impl Wake {
    /// Creates a wake that is not woken.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sleeps until a watched partition changes.
    pub async fn woken(&self) {
        self.0.notify.notified().await;
    }

    /// Returns the keys of the partitions that changed since the last call, each once.
    pub fn take_moved(&self) -> Vec<usize> {
        let mut moved = std::mem::take(&mut *self.0.moved.lock());
        moved.sort_unstable();
        moved.dedup();
        moved
    }
}

#[derive(Debug)]
struct Watcher {
    id: usize,
    /// The waiter's key for the partition, if it asks which partitions changed.
    key: Option<usize>,
    waiter: Arc<Waiter>,
}

/// The waiters of one partition.
#[derive(Debug, Default)]
pub struct Watchers {
    /// The number of waiters, so that an append without waiters costs one load.
    count: AtomicUsize,
    waiters: Mutex<Vec<Watcher>>,
    next: AtomicUsize,
}

/// The registration of a waiter. Dropping it ends the watch.
#[derive(Debug)]
pub struct Watch {
    watchers: Weak<Watchers>,
    id: usize,
}

impl Waiter {
    /// Notes a partition that changed. One that changes often before the waiter looks is noted
    /// about once.
    fn note_moved(&self, key: usize) {
        let mut moved = self.moved.lock();
        if moved.last() != Some(&key) && !(moved.len() > MOVED_UNSORTED_MAX && moved.contains(&key)) {
            moved.push(key);
        }
    }
}

impl Watchers {
    /// Adds a waiter.
    pub fn watch(self: &Arc<Self>, wake: &Wake) -> Watch {
        self.add(wake, None)
    }

    /// Adds a waiter that asks which of its partitions changed.
    pub fn watch_as(self: &Arc<Self>, wake: &Wake, key: usize) -> Watch {
        self.add(wake, Some(key))
    }

    fn add(self: &Arc<Self>, wake: &Wake, key: Option<usize>) -> Watch {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let mut waiters = self.waiters.lock();
        waiters.push(Watcher { id, key, waiter: wake.0.clone() });
        self.count.store(waiters.len(), Ordering::SeqCst);
        Watch { watchers: Arc::downgrade(self), id }
    }

    /// Wakes all waiters. The change must be published before.
    pub fn wake(&self) {
        // Orders the publishing before the count is read: a waiter is counted here, or sees the
        // change when it reads.
        std::sync::atomic::fence(Ordering::SeqCst);
        if self.count.load(Ordering::SeqCst) > 0 {
            for Watcher { key, waiter, .. } in self.waiters.lock().iter() {
                if let Some(key) = key {
                    waiter.note_moved(*key);
                }
                waiter.notify.notify_one();
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let Some(watchers) = self.watchers.upgrade() else { return };
        let mut waiters = watchers.waiters.lock();
        if let Some(position) = waiters.iter().position(|watcher| watcher.id == self.id) {
            waiters.swap_remove(position);
        }
        watchers.count.store(waiters.len(), Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    #[test]
    fn a_wake_before_the_sleep_is_not_lost_and_a_dropped_watch_ends() {
        let watchers = Arc::new(Watchers::default());
        let wake = Wake::new();
        let watch = watchers.watch(&wake);
        watchers.wake();
        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(pin!(wake.woken()).poll(&mut context), Poll::Ready(()));
        assert_eq!(pin!(wake.woken()).poll(&mut context), Poll::Pending);
        drop(watch);
        watchers.wake();
        assert_eq!(pin!(wake.woken()).poll(&mut context), Poll::Pending);
        assert_eq!(watchers.count.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn a_waiter_gets_each_changed_partition_once() {
        let [first, second, other] = [(); 3].map(|()| Arc::new(Watchers::default()));
        let wake = Wake::new();
        let _watches = [first.watch_as(&wake, 4), second.watch_as(&wake, 2), other.watch_as(&wake, 3)];
        (0..200).for_each(|_| [&first, &second].into_iter().for_each(|watchers| watchers.wake()));
        assert!(wake.0.moved.lock().len() <= MOVED_UNSORTED_MAX + 2);
        assert_eq!(wake.take_moved(), [2, 4]);
        assert_eq!(wake.take_moved(), [0; 0]);
    }
}
