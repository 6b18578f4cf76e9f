//! The limits of a process for its peers: connections, connections per address, and the memory of
//! requests in flight.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use storage::OPEN_FILES_DEFAULT;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};

#[cfg(test)]
mod tests;

/// `max.connections`, `max.connections.per.ip` and `max.connections.per.ip.overrides`. They may
/// change while the broker runs.
#[derive(Clone, Debug)]
pub struct Maxima {
    /// The maximum for all listeners of a side together.
    pub connections: usize,
    /// The maximum per address.
    pub per_ip: usize,
    /// Configured hosts (addresses or names) with their own maximum.
    pub overrides: Vec<(String, usize)>,
}

impl Default for Maxima {
    fn default() -> Self {
        Self { connections: usize::MAX, per_ip: usize::MAX, overrides: Vec::new() }
    }
}

/// The side of a connection's listener. The sides are counted separately, as in Apache Kafka, where
/// broker and controller each have a server. If clients use up the broker's connections, operators
/// can still reach the controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Clients and brokers.
    Broker,
    /// The quorum.
    Controller,
}

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    by_ip: HashMap<IpAddr, usize>,
}

/// Host names whose addresses are needed for maxima.
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
    /// The maximum of each address that has its own.
    by_address: HashMap<IpAddr, usize>,
    /// The last known address of each name.
    addresses: HashMap<String, IpAddr>,
    /// How often maxima have been set.
    generation: u64,
}

impl InForce {
    fn follow_addresses(&mut self) {
        let address = |host: &str| host.parse().ok().or_else(|| self.addresses.get(host).copied());
        let overrides = self.maxima.overrides.iter();
        self.by_address = overrides.filter_map(|(host, most)| Some((address(host)?, *most))).collect();
    }
}

/// Counts open connections and enforces the maxima.
///
/// The code that sets maxima never waits for a name server. The maximum of a name takes effect when
/// [`Self::resolved`] receives its address. Until then, the name's last known address applies, if
/// there is one.
///
/// Invariant: a connection is checked and counted in one step. So listeners that accept at the same
/// time never exceed a maximum.
#[derive(Debug, Default)]
pub struct ConnectionLimits {
    in_force: Mutex<InForce>,
    broker: Mutex<Counts>,
    controller: Mutex<Counts>,
    freed: Notify,
}

/// A counted connection. Dropping it frees its place.
#[derive(Debug)]
pub struct Place {
    limits: Arc<ConnectionLimits>,
    side: Side,
    ip: IpAddr,
}

impl ConnectionLimits {
    /// Sets the maxima. Connections above a new maximum stay open. Returns the names to resolve
    /// elsewhere; the addresses are then passed to [`Self::resolved`].
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

    /// Sets the addresses of names. Addresses that were requested for older maxima are ignored.
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

    /// Waits until the side has a free place, as Kafka's acceptor does, and counts the connection.
    /// Returns `None` if the connection's address is at its maximum.
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

/// `queued.max.request.bytes`: the memory of all requests in flight together. While none is left,
/// no connection reads a further request.
#[derive(Debug)]
pub struct MemoryLimit {
    /// In units of 1 KiB, so that a semaphore's permits cover any size; `None` without a limit.
    kibibytes: Option<(Semaphore, u32)>,
}

impl MemoryLimit {
    /// Creates a limit of `bytes` bytes. Zero or less means no limit.
    pub fn new(bytes: i64) -> Self {
        let kibibytes = u32::try_from(bytes.div_euclid(1024) + i64::from(bytes % 1024 > 0)).unwrap_or(u32::MAX);
        Self { kibibytes: (bytes > 0).then(|| (Semaphore::new(kibibytes as usize), kibibytes)) }
    }

    /// Reserves memory for a frame. A frame above the whole limit reserves all of it. Dropping the
    /// permit releases the memory.
    pub async fn take(&self, bytes: usize) -> Option<SemaphorePermit<'_>> {
        let (semaphore, most) = self.kibibytes.as_ref()?;
        let wanted = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX).min(*most);
        semaphore.acquire_many(wanted).await.ok()
    }
}

/// Returns how many segment files may stay open in a process that may open `files_max` files: half
/// of them, so that enough are left for connections, and no more than are useful.
pub fn segment_files_max(files_max: Option<u64>) -> usize {
    let half = files_max.map_or(usize::MAX, |files| usize::try_from(files / 2).unwrap_or(usize::MAX));
    half.clamp(1, OPEN_FILES_DEFAULT)
}

/// Returns the current limit of open files; `None` without one.
pub fn file_descriptors_max() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

/// Raises the limit of open files to the hard limit and returns it. A partition uses several files,
/// a connection one.
pub fn raise_file_descriptor_limit() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // If this fails, the old limit stays and is returned.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
    file_descriptors_max()
}

/// Keeps the memory of this process in small pages. The allocator asks for huge ones, and the first
/// byte of each, one per thread, would make 2 MB resident.
pub fn use_small_pages() {
    // A kernel without huge pages rejects this, and has nothing to turn off.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}
