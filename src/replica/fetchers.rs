//! The fetchers of a broker: `num.replica.fetchers` for each leader, made when a partition follows
//! that leader and stopped when none does any more. A change of the number moves the partitions.

use super::fetcher::{Fetcher, FetcherParts, FetcherSettings, LeaderLink};
use super::partition::Partition;
use super::quota::ReplicationQuotas;
use crate::env::Env;
use model::{BrokerEpoch, BrokerId, TopicIdPartition};
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// One of the fetchers of a leader.
type FetcherKey = (BrokerId, usize);

/// Returns the epoch of this broker's registration.
pub type OwnEpoch = Arc<dyn Fn() -> Option<BrokerEpoch> + Send + Sync>;

/// What `Fetchers` is made of.
pub struct FetchersParts<L> {
    /// This broker.
    pub broker_id: BrokerId,
    /// `num.replica.fetchers` at the start.
    pub per_leader: usize,
    /// The settings of each.
    pub settings: FetcherSettings,
    /// The replication quotas.
    pub quotas: Arc<ReplicationQuotas>,
    /// Counts the bytes that are copied.
    pub bytes_in: Counter,
    /// The epoch of this broker's registration.
    pub own_epoch: OwnEpoch,
    /// Makes a connection to a leader. Each fetcher has its own.
    pub link: Box<dyn Fn(BrokerId) -> L + Send + Sync>,
    /// The environment.
    pub env: Env,
    /// Where the fetchers run.
    pub runtime: Handle,
}

#[derive(Debug)]
struct RunningFetcher {
    fetcher: Arc<Fetcher>,
    stopping: CancellationToken,
}

#[derive(Debug, Default)]
struct Assigned {
    per_leader: usize,
    fetchers: BTreeMap<FetcherKey, RunningFetcher>,
    by_partition: BTreeMap<TopicIdPartition, FetcherKey>,
}

/// All fetchers of this broker. Dropping it stops them.
pub struct Fetchers<L> {
    parts: FetchersParts<L>,
    assigned: Mutex<Assigned>,
}

impl<L: LeaderLink + 'static> Fetchers<L> {
    /// Creates none yet.
    pub fn new(parts: FetchersParts<L>) -> Self {
        let assigned = Assigned { per_leader: parts.per_leader.max(1), ..Assigned::default() };
        Self { parts, assigned: Mutex::new(assigned) }
    }

    /// Changes the number of fetchers of each leader.
    pub fn set_per_leader(&self, per_leader: usize) {
        let partitions: Vec<Arc<Partition>> = {
            let assigned = &mut *self.assigned.lock();
            if std::mem::replace(&mut assigned.per_leader, per_leader.max(1)) == per_leader.max(1) {
                return;
            }
            assigned.fetchers.values().flat_map(|running| running.fetcher.partitions()).collect()
        };
        partitions.iter().for_each(|partition| self.update(partition));
    }

    /// Gives a partition to a fetcher of the leader that it follows by now, or to none. Called
    /// after each change of its role.
    pub fn update(&self, partition: &Arc<Partition>) {
        let id = partition.id();
        let assigned = &mut *self.assigned.lock();
        let followed = partition.followed().map(|(leader, _)| assigned.key(leader, id));
        if let Some(before) = assigned.by_partition.get(&id).copied().filter(|before| followed != Some(*before)) {
            assigned.by_partition.remove(&id);
            assigned.remove(before, id);
        }
        if let Some(key) = followed {
            assigned.by_partition.insert(id, key);
            let running = assigned.fetchers.entry(key).or_insert_with(|| self.start(key.0));
            running.fetcher.add(partition.clone());
        }
    }

    fn start(&self, leader: BrokerId) -> RunningFetcher {
        let FetchersParts { broker_id, settings, env, .. } = self.parts;
        let (quotas, bytes_in) = (self.parts.quotas.clone(), self.parts.bytes_in.clone());
        let fetcher = Fetcher::new(FetcherParts { broker_id, leader, settings, quotas, bytes_in, env });
        let stopping = CancellationToken::new();
        let (link, own_epoch) = ((self.parts.link)(leader), self.parts.own_epoch.clone());
        self.parts.runtime.spawn(fetcher.clone().run(link, move || own_epoch(), stopping.clone()));
        RunningFetcher { fetcher, stopping }
    }

    /// Returns the number of running fetchers.
    pub fn len(&self) -> usize {
        self.assigned.lock().fetchers.len()
    }

    /// Returns the partitions of each fetcher.
    #[cfg(test)]
    pub(super) fn partitions(&self) -> Vec<Vec<Arc<Partition>>> {
        self.assigned.lock().fetchers.values().map(|running| running.fetcher.partitions()).collect()
    }

    /// Whether no fetcher runs.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Assigned {
    /// Returns the fetcher of a partition: the same of its leader, while their number is the same.
    /// Neighbours in a topic have different ones.
    fn key(&self, leader: BrokerId, id: TopicIdPartition) -> FetcherKey {
        let add = |sum: usize, byte: &u8| sum.wrapping_mul(31).wrapping_add(usize::from(*byte));
        let topic = id.topic_id.0.iter().fold(0, add);
        (leader, topic.wrapping_add(id.partition.0.unsigned_abs() as usize) % self.per_leader)
    }

    fn remove(&mut self, key: FetcherKey, id: TopicIdPartition) {
        let Some(running) = self.fetchers.get(&key) else { return };
        running.fetcher.remove(id);
        if running.fetcher.is_empty() {
            running.stopping.cancel();
            self.fetchers.remove(&key);
        }
    }
}

impl<L> Drop for Fetchers<L> {
    fn drop(&mut self) {
        self.assigned.get_mut().fetchers.values().for_each(|running| running.stopping.cancel());
    }
}

impl<L> std::fmt::Debug for Fetchers<L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetchers").field("assigned", &self.assigned).finish_non_exhaustive()
    }
}
