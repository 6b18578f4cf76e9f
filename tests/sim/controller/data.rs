//! The records of partitions, as the brokers hold them: which replica has which, and which were
//! acknowledged. A record is a number that no other record has.

use crate::check::unclean_choice;
use metadata::image::{Image, Partition};
use model::{BrokerId, PartitionIndex, TopicId};
use std::collections::BTreeMap;

pub type Key = (TopicId, PartitionIndex);

/// One partition's records.
#[derive(Clone, Debug, Default)]
pub struct Data {
    /// The log of every replica.
    pub logs: BTreeMap<BrokerId, Vec<u64>>,
    /// What was acknowledged: a prefix of every log that may lead.
    pub committed: Vec<u64>,
    /// How long the log was when its leader was elected. Who lacks a part of it is not in sync.
    pub epoch_start: usize,
    /// What the leader knows of its followers since it was elected: broker epoch and log end.
    pub known: BTreeMap<BrokerId, (i64, usize)>,
    before: Partition,
}

impl Data {
    pub fn log(&self, broker: BrokerId) -> &[u64] {
        self.logs.get(&broker).map_or(&[], Vec::as_slice)
    }

    pub fn has_committed(&self, broker: BrokerId) -> bool {
        self.log(broker).starts_with(&self.committed)
    }

    /// A follower takes over the log of its leader.
    pub fn fetch(&mut self, leader: BrokerId, follower: BrokerId, broker_epoch: i64) {
        let log = self.log(leader).to_vec();
        self.known.insert(follower, (broker_epoch, log.len()));
        self.logs.insert(follower, log);
    }

    /// Whether the leader takes a follower for one that is in sync.
    pub fn is_caught_up(&self, follower: BrokerId) -> Option<i64> {
        let (epoch, end) = self.known.get(&follower)?;
        (*end >= self.epoch_start && *end >= self.committed.len()).then_some(*epoch)
    }

    /// The high watermark moves where enough replicas are in sync.
    pub fn commit(&mut self, partition: &Partition, leader: BrokerId, min_isr: usize) {
        if partition.isr.len() < min_isr {
            return;
        }
        let log = self.log(leader).to_vec();
        let common = |id: &BrokerId| self.log(*id).iter().zip(&log).take_while(|(a, b)| a == b).count();
        let end = partition.isr.iter().map(common).min().unwrap_or(0);
        if end > self.committed.len() {
            self.committed = log[..end].to_vec();
        }
    }
}

/// The records of all partitions.
#[derive(Clone, Debug, Default)]
pub struct Records {
    pub partitions: BTreeMap<Key, Data>,
    pub unclean_elections: u64,
    next: u64,
}

impl Records {
    pub fn next(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Takes over what the controller decided, and checks that no election lost what was
    /// acknowledged by a leader whose process is alive.
    pub fn follow(&mut self, image: &Image, is_alive: &dyn Fn(BrokerId) -> bool) -> Result<(), String> {
        self.partitions.retain(|(topic, _), _| image.topics.by_id(*topic).is_some());
        for topic in image.topics.iter() {
            for (index, partition) in &topic.partitions {
                let data = self.partitions.entry((topic.id, *index)).or_default();
                if data.before == **partition {
                    continue;
                }
                let before = std::mem::replace(&mut data.before, Partition::clone(partition));
                let name = || format!("{}-{index}: {before:?}\n  became {partition:?}", topic.name);
                if before.leader_epoch > partition.leader_epoch || before.partition_epoch > partition.partition_epoch {
                    return Err(format!("an epoch went back: {}", name()));
                }
                data.logs.retain(|id, _| partition.replicas.contains(id));
                if partition.leader_epoch != before.leader_epoch || before.replicas.is_empty() {
                    data.known.clear();
                }
                if let Some(chosen) = unclean_choice(&before, partition).filter(|_| !before.replicas.is_empty()) {
                    self.unclean_elections += 1;
                    let kept = data.committed.iter().zip(data.log(chosen)).take_while(|(a, b)| a == b).count();
                    data.committed.truncate(kept);
                }
                let Some(leader) = partition.leader.filter(|_| partition.leader != before.leader) else { continue };
                let log = data.log(leader).to_vec();
                if is_alive(leader) && !log.starts_with(&data.committed) {
                    return Err(format!(
                        "acknowledged records were lost without an unclean election: {leader} has {log:?} of {:?} in {}",
                        data.committed,
                        name()
                    ));
                }
                data.epoch_start = log.len();
            }
        }
        Ok(())
    }
}
