//! What holds at every moment of a course.

use crate::Check;
use crate::clients::{PARTITIONS, TOPIC};
use crate::committed::{Committed, check_states};
use crate::node::Node;
use model::{BrokerId, LeaderEpoch, PartitionEpoch, PartitionIndex, TopicIdPartition};
use std::collections::{BTreeMap, BTreeSet};

/// What was seen so far.
#[derive(Debug, Default)]
pub struct Invariants {
    /// The leader of each epoch of a partition.
    leaders: BTreeMap<(TopicIdPartition, LeaderEpoch), usize>,
    /// The leader of each epoch of the quorum.
    quorum: BTreeMap<LeaderEpoch, BrokerId>,
    /// The high watermark, the last stable offset and the log end offset of each replica of a node
    /// since its start.
    offsets: BTreeMap<(usize, u64, TopicIdPartition), (i64, i64, i64)>,
    /// A sum of the metadata at each offset.
    images: BTreeMap<i64, (usize, u64)>,
    summed: BTreeMap<(usize, u64), i64>,
    /// The newest partition epoch of each partition.
    states: BTreeMap<i32, PartitionEpoch>,
    committed: Committed,
    /// What has happened since the last look.
    pub news: Vec<String>,
}

impl Invariants {
    /// Looks at every node.
    pub fn check(&mut self, nodes: &[Node]) -> Check {
        for node in nodes {
            let Some(broker) = node.broker() else { continue };
            let facts = broker.controller.quorum_facts();
            if let Some(leader) = facts.leader {
                let known = *self.quorum.entry(facts.epoch).or_insert(leader);
                if known != leader {
                    return Err(format!("two leaders of the quorum in epoch {}: {known} and {leader}", facts.epoch));
                }
            }
            let mut partitions = broker.replicas.all();
            partitions.sort_by_key(|partition| partition.id());
            // A replica that was moved away and comes back begins anew.
            let ids: BTreeSet<_> = partitions.iter().map(|partition| partition.id()).collect();
            self.offsets.retain(|(host, _, id), _| *host != node.host || ids.contains(id));
            for partition in partitions {
                let id = partition.id();
                if let Some(epoch) = partition.leader_epoch() {
                    if !self.leaders.contains_key(&(id, epoch)) {
                        let (end, high) = (partition.log_end_offset(), partition.high_watermark());
                        let image = broker.image();
                        let state = image.topics.by_id(id.topic_id).and_then(|topic| topic.partition(id.partition));
                        let isr = state.map(|state| state.isr.clone());
                        self.news.push(format!(
                            "node {} leads {} in epoch {epoch} from {high} to {end}, ISR {isr:?}",
                            node.host,
                            partition.name()
                        ));
                    }
                    let known = *self.leaders.entry((id, epoch)).or_insert(node.host);
                    if known != node.host {
                        return Err(format!(
                            "two leaders of {} in epoch {epoch}: {known} and {}",
                            partition.name(),
                            node.host
                        ));
                    }
                }
                let log = partition.log();
                if log.last_stable_offset() > log.high_watermark() || log.high_watermark() > log.log_end_offset() {
                    return Err(format!(
                        "{} on node {} has the last stable offset {}, the high watermark {} and the log end offset {}",
                        partition.name(),
                        node.host,
                        log.last_stable_offset(),
                        log.high_watermark(),
                        log.log_end_offset()
                    ));
                }
                let now = (log.high_watermark().0, log.last_stable_offset().0, log.log_end_offset().0);
                let before = self.offsets.entry((node.host, node.starts(), id)).or_insert(now);
                // A start takes a transaction for decided whose marker is not replicated yet, as
                // Kafka's does: a snapshot of producers does not know of it. Where the log is cut
                // below such a marker, the transaction is open again.
                let is_cut = now.2 < before.2;
                if now.0 < before.0 || now.1 < before.1 && !is_cut {
                    return Err(format!(
                        "the high watermark or the last stable offset of {} on node {} went back from {before:?} to {now:?}",
                        partition.name(),
                        node.host
                    ));
                }
                *before = now;
            }
            self.check_image(node, &broker.image())?;
        }
        self.committed.check(nodes)
    }

    /// Tells what is new about partitions.
    fn tell_partitions(&mut self, image: &metadata::image::Image) {
        let Some(topic) = image.topics.by_name(TOPIC) else { return };
        for index in 0..PARTITIONS {
            let Some(it) = topic.partition(PartitionIndex(index)) else { continue };
            let is_new = self.states.get(&index).is_none_or(|before| *before < it.partition_epoch);
            if is_new {
                self.states.insert(index, it.partition_epoch);
                self.news.push(format!(
                    "partition {index}: leader {:?} in epoch {}, ISR {:?}, ELR {:?}, last {:?}",
                    it.leader, it.leader_epoch, it.isr, it.elr, it.last_known_elr
                ));
            }
        }
    }

    fn check_image(&mut self, node: &Node, image: &metadata::image::Image) -> Check {
        let Some(offset) = image.provenance.last_offset else { return Ok(()) };
        if self.summed.insert((node.host, node.starts()), offset.0) == Some(offset.0) {
            return Ok(());
        }
        self.tell_partitions(image);
        check_states(image)?;
        let mut sum = 0xcbf2_9ce4_8422_2325_u64 ^ image.provenance.epoch.0 as u64;
        for record in image.snapshot_records() {
            for byte in record.encode().map_err(|error| error.to_string())? {
                sum = (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        }
        let (other, known) = *self.images.entry(offset.0).or_insert((node.host, sum));
        if known != sum {
            return Err(format!("nodes {other} and {} have different images at offset {offset}", node.host));
        }
        Ok(())
    }
}
