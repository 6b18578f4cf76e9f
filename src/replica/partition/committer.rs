//! Flushes: what appends wait for, by the threads that drive a log dir's group commit (`storage::GroupCommit`), and what can wait for the background task.
//!
//! A partition is added when a batch of it waits for a flush. A thread takes it, syncs its files, and tells it; what was appended meanwhile waits for the
//! next round. There are several threads, since a file system serves syncs that run side by side with one write of its journal; each is started when
//! the ones before it are busy, and sleeps when no partition waits. A broker that flushes nothing has none.
//!
//! The background task looks at the partitions that were noted for it and at no others: a pass costs nothing for those in which nothing happens.

use super::Partition;
use crate::env::blocking;
use crate::env::clock::Clock;
use crate::replica::disk_errors::log_partition_error;
use crate::replica::write_back::WriteBack;
use crate::telemetry::FlushMetrics;
use model::Timestamp;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use storage::{GroupCommit, Log};
use tracing::{error, warn};

/// How many partitions of a log dir are synced at a time.
const SYNCS_MAX: usize = 16;

/// Flushes the partitions of one log dir.
#[derive(Debug)]
pub struct Committer {
    shared: Arc<Shared>,
    write_back: WriteBack,
    /// Partitions that the background task is to look at, each once.
    noted: Mutex<VecDeque<Weak<Partition>>>,
}

#[derive(Debug)]
struct Shared {
    commits: GroupCommit<Partition>,
    threads: Mutex<Threads>,
    called: Condvar,
    metrics: FlushMetrics,
    clock: Clock,
}

#[derive(Debug, Default)]
struct Threads {
    handles: Vec<JoinHandle<()>>,
    /// Asleep, and not called yet.
    idle: usize,
    /// Calls that no thread has taken yet.
    calls: usize,
    is_stopped: bool,
}

impl Committer {
    /// One without threads.
    pub fn new(metrics: FlushMetrics, clock: Clock) -> Arc<Self> {
        let (commits, threads, called) = (GroupCommit::default(), Mutex::default(), Condvar::new());
        let shared = Arc::new(Shared { commits, threads, called, metrics, clock });
        Arc::new(Self { shared, write_back: WriteBack::default(), noted: Mutex::default() })
    }

    /// Has a partition flushed as far as it goes by now. It is told when that is done or has failed.
    pub fn add(&self, partition: &Arc<Partition>) {
        if self.shared.commits.add(partition) && !self.call() {
            // Nobody else will.
            self.shared.rounds();
        }
    }

    /// Has the next `flush_noted` look at a partition.
    pub fn note(&self, partition: &Arc<Partition>) {
        self.noted.lock().push_back(Arc::downgrade(partition));
    }

    /// Flushes what is due of the partitions that were noted.
    pub fn flush_noted(&self, now: Timestamp) {
        // One by one, those that are there now: whatever becomes of one, the others stay noted.
        let count = self.noted.lock().len();
        for _ in 0..count {
            let Some(noted) = self.noted.lock().pop_front() else { return };
            if let Some(partition) = noted.upgrade()
                && let Err(fault) = partition.flush_due(now)
            {
                log_partition_error(&fault, partition.name(), "a flush failed");
            }
        }
    }

    #[cfg(test)]
    pub fn has_noted_none(&self) -> bool {
        self.noted.lock().is_empty()
    }

    /// Has the system begin to write back what was appended to a log, on a thread.
    pub fn begin_write_back(&self, log: &Arc<Log>) {
        self.write_back.begin(log);
    }

    /// Has a thread look for partitions that wait. Whether there is one that will.
    fn call(&self) -> bool {
        let mut threads = self.shared.threads.lock();
        if threads.is_stopped {
            return false;
        }
        if threads.idle > 0 {
            threads.idle -= 1;
            threads.calls += 1;
            self.shared.called.notify_one();
            return true;
        }
        // All are busy, and each looks again before it sleeps.
        if threads.handles.len() < SYNCS_MAX {
            let shared = self.shared.clone();
            let name = format!("flush-{}", threads.handles.len());
            match blocking::thread(&name, move || shared.work()) {
                Ok(handle) => threads.handles.push(handle),
                Err(fault) => warn!(error = %fault, "a thread that flushes could not be started"),
            }
        }
        !threads.handles.is_empty()
    }

    /// Flushes what waits, and ends the threads. What is added from now on is flushed at once, by whoever adds it.
    pub fn stop(&self) {
        let handles = {
            let mut threads = self.shared.threads.lock();
            threads.is_stopped = true;
            std::mem::take(&mut threads.handles)
        };
        self.shared.called.notify_all();
        for handle in handles {
            if handle.join().is_err() {
                error!("a thread that flushes ended early");
            }
        }
        self.shared.rounds();
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        // Not joined: the last partition may be dropped by one of them.
        self.shared.threads.lock().is_stopped = true;
        self.shared.called.notify_all();
    }
}

impl Shared {
    /// A thread's life.
    fn work(&self) {
        loop {
            self.rounds();
            let mut threads = self.threads.lock();
            // Looked at under the lock: whoever adds a partition from here on finds this thread idle.
            if self.commits.has_waiting() {
                continue;
            }
            threads.idle += 1;
            while threads.calls == 0 && !threads.is_stopped {
                self.called.wait(&mut threads);
            }
            if threads.calls == 0 {
                return;
            }
            threads.calls -= 1;
        }
    }

    /// Rounds until no partition waits.
    fn rounds(&self) {
        while let Some(round) = self.commits.begin(|partition| partition.log()) {
            let begun = self.clock.instant();
            let synced = round.sync();
            let now = self.clock.now();
            let committed = self.commits.finish(synced, now);
            self.metrics.flushed(begun.elapsed(), committed.batches);
            let partition = committed.member;
            match committed.flushed {
                Ok(_) => partition.flushed(now),
                // With another log in its place, in which all is flushed that was appended to this one. What waits since has another round.
                Err(fault) if fault.is_moved() => partition.flushed(now),
                Err(fault) => {
                    error!(partition = %partition.name(), error = %fault, "a flush failed: what waited for it is refused");
                    partition.flush_failed(committed.end);
                }
            }
        }
    }
}
