//! Waiting for a partition to move: its log end, its high watermark, its leader epoch.
//!
//! A waiter watches any number of partitions with one `Wake`, reads, and sleeps until one of them has moved. What moved is for the waiter to
//! find out, by reading again.

use parking_lot::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use tokio::sync::Notify;

/// What a waiter sleeps on. A wake that comes before the sleep is not lost.
#[derive(Clone, Debug, Default)]
pub struct Wake(Arc<Notify>);

impl Wake {
    /// One that nobody has woken.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sleeps until a watched partition has moved.
    pub async fn woken(&self) {
        self.0.notified().await;
    }
}

/// The waiters of one partition.
#[derive(Debug, Default)]
pub struct Watchers {
    /// How many there are, so that an append without any costs one load.
    count: AtomicUsize,
    waiters: Mutex<Vec<(usize, Arc<Notify>)>>,
    next: AtomicUsize,
}

/// A waiter's place; dropping it ends the watch.
#[derive(Debug)]
pub struct Watch {
    watchers: Weak<Watchers>,
    id: usize,
}

impl Watchers {
    /// Adds a waiter.
    pub fn watch(self: &Arc<Self>, wake: &Wake) -> Watch {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let mut waiters = self.waiters.lock();
        waiters.push((id, wake.0.clone()));
        self.count.store(waiters.len(), Ordering::SeqCst);
        Watch { watchers: Arc::downgrade(self), id }
    }

    /// Wakes everyone. What moved must have been published before.
    pub fn wake(&self) {
        // Orders the publishing before the count is read: a waiter either is counted here or sees what was published when it reads.
        std::sync::atomic::fence(Ordering::SeqCst);
        if self.count.load(Ordering::SeqCst) > 0 {
            for (_, waiter) in self.waiters.lock().iter() {
                waiter.notify_one();
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let Some(watchers) = self.watchers.upgrade() else { return };
        let mut waiters = watchers.waiters.lock();
        if let Some(position) = waiters.iter().position(|(id, _)| *id == self.id) {
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
    fn a_wake_before_the_sleep_is_not_lost_and_a_dropped_watch_is_gone() {
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
}
