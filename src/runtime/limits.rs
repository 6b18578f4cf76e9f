//! What one process lets its peers take: connections, connections of one address, and memory of requests in flight.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};

/// `max.connections`, `max.connections.per.ip` and `max.connections.per.ip.overrides`, which change while the broker runs.
#[derive(Clone, Debug)]
pub struct Maxima {
    /// Connections of all listeners together.
    pub connections: usize,
    /// Connections from one address.
    pub per_ip: usize,
    /// Addresses with a maximum of their own.
    pub overrides: HashMap<IpAddr, usize>,
}

impl Default for Maxima {
    fn default() -> Self {
        Self { connections: usize::MAX, per_ip: usize::MAX, overrides: HashMap::new() }
    }
}

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    by_ip: HashMap<IpAddr, usize>,
}

/// Counts the open connections against their maxima.
#[derive(Debug, Default)]
pub struct ConnectionLimits {
    maxima: Mutex<Maxima>,
    counts: Mutex<Counts>,
    freed: Notify,
}

/// A counted connection; dropping it gives its place back.
#[derive(Debug)]
pub struct Place {
    limits: Arc<ConnectionLimits>,
    ip: IpAddr,
}

impl ConnectionLimits {
    /// Sets the maxima; connections above new ones stay.
    pub fn set(&self, maxima: Maxima) {
        *self.maxima.lock() = maxima;
        self.freed.notify_waiters();
    }

    /// Connections open now.
    pub fn open(&self) -> usize {
        self.counts.lock().total
    }

    /// Waits until the process has a place for one more connection, as Kafka's acceptor does.
    pub async fn place_free(&self) {
        loop {
            let freed = self.freed.notified();
            if self.counts.lock().total < self.maxima.lock().connections {
                return;
            }
            freed.await;
        }
    }

    /// Counts a connection; `None` when its address has as many as it may.
    pub fn enter(self: &Arc<Self>, ip: IpAddr) -> Option<Place> {
        let maximum = {
            let maxima = self.maxima.lock();
            maxima.overrides.get(&ip).copied().unwrap_or(maxima.per_ip)
        };
        let mut counts = self.counts.lock();
        let count = counts.by_ip.entry(ip).or_default();
        if *count >= maximum {
            return None;
        }
        *count += 1;
        counts.total += 1;
        Some(Place { limits: self.clone(), ip })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.limits.counts.lock();
        counts.total -= 1;
        if let Some(count) = counts.by_ip.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                counts.by_ip.remove(&self.ip);
            }
        }
        drop(counts);
        self.limits.freed.notify_waiters();
    }
}

/// `queued.max.request.bytes`: memory that requests in flight may take together; a connection that finds none left is not read further.
#[derive(Debug)]
pub struct MemoryLimit {
    /// In units of 1 KiB, so that a semaphore's permits reach any size; `None` without a limit.
    kibibytes: Option<(Semaphore, u32)>,
}

impl MemoryLimit {
    /// A limit in bytes; zero and below is none.
    pub fn new(bytes: i64) -> Self {
        let kibibytes = u32::try_from(bytes.div_euclid(1024) + i64::from(bytes % 1024 > 0)).unwrap_or(u32::MAX);
        Self { kibibytes: (bytes > 0).then(|| (Semaphore::new(kibibytes as usize), kibibytes)) }
    }

    /// Takes memory for a frame; a frame above the whole limit takes all of it. The memory is given back when the permit is dropped.
    pub async fn take(&self, bytes: usize) -> Option<SemaphorePermit<'_>> {
        let (semaphore, most) = self.kibibytes.as_ref()?;
        let wanted = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX).min(*most);
        semaphore.acquire_many(wanted).await.ok()
    }
}

/// Raises the limit of open files to the hard limit and returns it: a partition takes several files, a connection one.
pub fn raise_file_descriptor_limit() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // A refusal leaves the limit that is returned.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
    getrlimit(Resource::Nofile).current
}
