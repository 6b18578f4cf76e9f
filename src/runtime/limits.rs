//! What one process lets its peers take: connections, connections of one address, and memory of requests in flight.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use storage::OPEN_FILES_DEFAULT;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};

#[cfg(test)]
mod tests;

/// `max.connections`, `max.connections.per.ip` and `max.connections.per.ip.overrides`, which change while the broker runs.
#[derive(Clone, Debug)]
pub struct Maxima {
    /// Connections of a side's listeners together.
    pub connections: usize,
    /// Connections from one address.
    pub per_ip: usize,
    /// Hosts with a maximum of their own, as they are configured: addresses and names.
    pub overrides: Vec<(String, usize)>,
}

impl Default for Maxima {
    fn default() -> Self {
        Self { connections: usize::MAX, per_ip: usize::MAX, overrides: Vec::new() }
    }
}

/// Whose listener a connection came to. They count apart, as broker and controller of Apache Kafka have a server each: clients that take every
/// place of the broker do not lock its operators out of the controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Clients and brokers.
    Broker,
    /// The quorum's.
    Controller,
}

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    by_ip: HashMap<IpAddr, usize>,
}

/// Names of hosts whose addresses are wanted for maxima that were set.
#[derive(Debug)]
pub struct UnresolvedHosts {
    generation: u64,
    /// The names.
    pub names: Vec<String>,
}

/// The maxima in force.
#[derive(Debug, Default)]
struct InForce {
    maxima: Maxima,
    /// The addresses that have a maximum of their own.
    by_address: HashMap<IpAddr, usize>,
    /// The address that a name was last found to have.
    addresses: HashMap<String, IpAddr>,
    /// Counts how often maxima were set.
    generation: u64,
}

impl InForce {
    fn follow_addresses(&mut self) {
        let address = |host: &str| host.parse().ok().or_else(|| self.addresses.get(host).copied());
        let overrides = self.maxima.overrides.iter();
        self.by_address = overrides.filter_map(|(host, most)| Some((address(host)?, *most))).collect();
    }
}

/// Counts the open connections against their maxima.
///
/// Whoever sets maxima never waits for a name server: a name has no maximum of its own until somebody has asked for its
/// address, and until then the one that it had before, if it had any.
///
/// Invariant: a connection is counted in the same step that finds a place for it, so that listeners that accept at once never exceed a maximum.
#[derive(Debug, Default)]
pub struct ConnectionLimits {
    in_force: Mutex<InForce>,
    broker: Mutex<Counts>,
    controller: Mutex<Counts>,
    freed: Notify,
}

/// A counted connection; dropping it gives its place back.
#[derive(Debug)]
pub struct Place {
    limits: Arc<ConnectionLimits>,
    side: Side,
    ip: IpAddr,
}

impl ConnectionLimits {
    /// Sets the maxima; connections above new ones stay. Gives the names whose addresses are to be looked up elsewhere,
    /// and then handed to [`Self::resolved`].
    pub fn set(&self, maxima: Maxima) -> UnresolvedHosts {
        let unresolved = {
            let in_force = &mut *self.in_force.lock();
            in_force.generation += 1;
            let hosts = maxima.overrides.iter().map(|(host, _)| host);
            let names: Vec<String> = hosts.filter(|host| host.parse::<IpAddr>().is_err()).cloned().collect();
            in_force.addresses.retain(|host, _| names.contains(host));
            in_force.maxima = maxima;
            in_force.follow_addresses();
            UnresolvedHosts { generation: in_force.generation, names }
        };
        self.freed.notify_waiters();
        unresolved
    }

    /// The addresses of names. Those that were asked for on behalf of older maxima count for nothing.
    pub fn resolved(&self, unresolved: &UnresolvedHosts, addresses: HashMap<String, IpAddr>) {
        {
            let in_force = &mut *self.in_force.lock();
            if in_force.generation != unresolved.generation {
                return;
            }
            in_force.addresses = addresses;
            in_force.follow_addresses();
        }
        self.freed.notify_waiters();
    }

    /// Counts a connection once there is a place for it, which its listener waits for as Kafka's acceptor does. `None` when its address has as
    /// many as it may.
    pub async fn enter(self: &Arc<Self>, side: Side, ip: IpAddr) -> Option<Place> {
        loop {
            let freed = self.freed.notified();
            let (most, most_of_ip) = {
                let in_force = self.in_force.lock();
                let of_ip = in_force.by_address.get(&ip).copied();
                (in_force.maxima.connections, of_ip.unwrap_or(in_force.maxima.per_ip))
            };
            {
                let mut counts = self.counts(side).lock();
                if counts.total < most {
                    if counts.by_ip.get(&ip).copied().unwrap_or(0) >= most_of_ip {
                        return None;
                    }
                    *counts.by_ip.entry(ip).or_default() += 1;
                    counts.total += 1;
                    return Some(Place { limits: self.clone(), side, ip });
                }
            }
            freed.await;
        }
    }

    fn counts(&self, side: Side) -> &Mutex<Counts> {
        match side {
            Side::Broker => &self.broker,
            Side::Controller => &self.controller,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.limits.counts(self.side).lock();
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

/// How many files of segments may stay open in a process that may have so many files: half of them, so that connections find room, and no more than
/// are of use.
pub fn segment_files_max(files_max: Option<u64>) -> usize {
    let half = files_max.map_or(usize::MAX, |files| usize::try_from(files / 2).unwrap_or(usize::MAX));
    half.clamp(1, OPEN_FILES_DEFAULT)
}

/// The limit of open files, as it is; `None` without one.
pub fn file_descriptors_max() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

/// Raises the limit of open files to the hard limit and returns it: a partition takes several files, a connection one.
pub fn raise_file_descriptor_limit() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // A refusal leaves the limit that is returned.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
    file_descriptors_max()
}

/// Leaves the memory of this process in small pages. The allocator asks for huge ones, and the first byte of each, one for
/// every thread, makes 2 MB resident.
pub fn use_small_pages() {
    // A kernel without huge pages refuses, and has none to turn off.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}
