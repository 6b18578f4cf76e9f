//! Flushes: threads that drive a log dir's group commit (`storage::GroupCommit`) for appends that
//! wait, and a background task for everything else.
//!
//! A partition is added when one of its batches waits for a flush. A thread takes the partition,
//! syncs its files and reports the result to it. Batches that were appended meanwhile wait for the
//! next round. There are several threads, since a file system serves parallel syncs with one write
//! of its journal. A thread is started when the others are busy, and sleeps when no partition
//! waits. A log dir in which no append has waited for a flush has no such thread.
//!
//! The background task looks only at the partitions that were noted for it. So a pass costs nothing
//! for idle partitions.

use super::Partition;
use crate::env::Env;
use crate::env::blocking::ThreadHandle;
use crate::replica::disk_errors::log_partition_error;
use crate::replica::write_back::WriteBack;
use crate::telemetry::FlushMetrics;
use model::Timestamp;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use storage::{GroupCommit, Log};
use tracing::{error, warn};

/// The largest number of partitions of a log dir that are synced at the same time.
const SYNCS_MAX: usize = 16;

/// Flushes the partitions of one log dir.
#[derive(Debug)]
pub struct Committer {
    shared: Arc<Shared>,
    write_back: WriteBack,
    /// The partitions that the background task must look at, each once.
    noted: Mutex<VecDeque<Weak<Partition>>>,
}

#[derive(Debug)]
struct Shared {
    commits: GroupCommit<Partition>,
    threads: Mutex<Threads>,
    called: Condvar,
    metrics: FlushMetrics,
    env: Env,
}

#[derive(Debug, Default)]
struct Threads {
    handles: Vec<ThreadHandle>,
    /// Threads that sleep and were not called.
    idle: usize,
    /// Calls that no thread has taken yet.
    calls: usize,
    is_stopped: bool,
}

impl Committer {
    /// Creates a committer without threads.
    pub fn new(metrics: FlushMetrics, env: Env) -> Arc<Self> {
        let (commits, threads, called) = (GroupCommit::default(), Mutex::default(), Condvar::new());
        let shared = Arc::new(Shared { commits, threads, called, metrics, env });
        Arc::new(Self { shared, write_back: WriteBack::default(), noted: Mutex::default() })
    }

    /// Asks for a flush of all that a partition has appended so far. The partition gets the result.
    /// The calling thread itself syncs all waiting partitions if no thread runs: after `stop`, or
    /// if the system has no thread left. Otherwise the call does not block.
    pub fn add(&self, partition: &Arc<Partition>) {
        if self.shared.commits.add(partition) && !self.call() {
            self.shared.rounds();
        }
    }

    /// Asks the next `flush_noted` to look at a partition.
    pub fn note(&self, partition: &Arc<Partition>) {
        self.noted.lock().push_back(Arc::downgrade(partition));
    }

    /// Flushes what is due in the partitions that were noted.
    pub fn flush_noted(&self, now: Timestamp) {
        // Only those that are noted now: one that is noted again meanwhile waits for the next pass.
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

    /// Returns the environment of this broker.
    pub fn env(&self) -> Env {
        self.shared.env
    }

    #[cfg(test)]
    pub fn has_noted_none(&self) -> bool {
        self.noted.lock().is_empty()
    }

    /// Starts to write back what was appended to a log, on a thread.
    pub fn begin_write_back(&self, log: &Arc<Log>) {
        self.write_back.begin(log, self.shared.env);
    }

    /// Asks a thread to take waiting partitions. Returns whether a thread will.
    fn call(&self) -> bool {
        let mut threads = self.shared.threads.lock();
        if threads.is_stopped {
            return false;
        }
        if !self.shared.env.threads_may_wait() {
            // This thread ends when no partition waits any more.
            let shared = self.shared.clone();
            return self.shared.env.thread("flush", move || shared.rounds()).is_ok();
        }
        if threads.idle > 0 {
            threads.idle -= 1;
            threads.calls += 1;
            self.shared.called.notify_one();
            return true;
        }
        // All threads are busy. Each looks for waiting partitions again before it sleeps, so none
        // has to be called if no further thread can be started.
        if threads.handles.len() < SYNCS_MAX {
            let shared = self.shared.clone();
            let name = format!("flush-{}", threads.handles.len());
            match self.shared.env.thread(&name, move || shared.work()) {
                Ok(handle) => threads.handles.push(handle),
                Err(fault) => {
                    let others = threads.handles.len();
                    warn!(error = %fault, others, "a thread that flushes could not be started: the others flush, or, without others, the thread that appended");
                }
            }
        }
        !threads.handles.is_empty()
    }

    /// Flushes all waiting partitions and ends the threads. A partition that is added later is
    /// flushed at once, by the thread that adds it.
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
        // Does not join the threads, since one of them may drop the last partition.
        self.shared.threads.lock().is_stopped = true;
        self.shared.called.notify_all();
    }
}

impl Shared {
    /// The loop of a thread.
    fn work(&self) {
        loop {
            self.rounds();
            let mut threads = self.threads.lock();
            // Checked under the lock: a thread that adds a partition later finds this one idle.
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

    /// Runs rounds until no partition waits.
    fn rounds(&self) {
        while let Some(round) = self.commits.begin(|partition| partition.log()) {
            let begun = self.env.clock().instant();
            let synced = round.sync();
            let now = self.env.clock().now();
            let committed = self.commits.finish(synced, now);
            self.metrics.flushed(begun.elapsed(), committed.batches);
            let partition = committed.member;
            match committed.flushed {
                Ok(_) => partition.flushed(),
                // Another log replaced this one, and all that was appended to this one is flushed
                // there. Later appends have another round.
                Err(fault) if fault.is_moved() => partition.flushed(),
                Err(fault) => {
                    error!(partition = %partition.name(), error = %fault, "a flush failed: what waited for it is refused");
                    partition.flush_failed(committed.end);
                }
            }
        }
    }
}
