//! Who holds what is committed. A replica of the ISR or the ELR may be elected at any moment, so
//! each of them has every committed record. And a record is committed once `min.insync.replicas` of
//! them have it.

use crate::Check;
use crate::node::Node;
use metadata::image::{Image, Partition, Topic};
use model::{BrokerId, Offset, PartitionEpoch, PartitionIndex, TopicIdPartition};
use std::collections::BTreeMap;
use std::sync::Arc;

/// `min.insync.replicas` of every topic of a course.
pub const MIN_INSYNC_REPLICAS: usize = 2;

/// The log end of a replica.
#[derive(Clone, Copy, Debug)]
struct LogEnd {
    /// The start of the node.
    start: u64,
    end: Offset,
    /// The log end at the end of the start before. A leader may still count a fetch of then.
    before: Offset,
    /// Whether a disk of the node has stopped. What the node had written and told then is not
    /// known.
    is_cut_off: bool,
}

/// What is known of the committed records of a course.
#[derive(Debug, Default)]
pub struct Committed {
    /// The highest high watermark that a leader had.
    ends: BTreeMap<TopicIdPartition, Offset>,
    /// The newest partition epoch that a leader has acted on. An image may be older.
    epochs: BTreeMap<TopicIdPartition, PartitionEpoch>,
    log_ends: BTreeMap<(usize, TopicIdPartition), LogEnd>,
    /// The offset of the newest image.
    newest: Option<Offset>,
}

impl Committed {
    /// Looks at every node.
    pub fn check(&mut self, nodes: &[Node]) -> Check {
        self.note_log_ends(nodes);
        self.note_leaders(nodes)?;
        let images = nodes.iter().filter_map(|node| Some(node.broker()?.image()));
        let newest = images.max_by_key(|image| image.provenance.last_offset);
        let Some(image) = newest.filter(|image| image.provenance.last_offset >= self.newest) else { return Ok(()) };
        self.newest = image.provenance.last_offset;
        for topic in image.topics.iter() {
            for (index, partition) in &topic.partitions {
                let id = TopicIdPartition { topic_id: topic.id, partition: *index };
                if self.epochs.get(&id).is_some_and(|newer| *newer > partition.partition_epoch) {
                    continue;
                }
                let members = partition.isr.iter().chain(&partition.elr);
                for member in members {
                    self.check_member(nodes, &image, (id, topic, partition), *member)?;
                }
            }
        }
        check_unfenced(nodes, &image)
    }

    fn note_log_ends(&mut self, nodes: &[Node]) {
        for node in nodes {
            if node.has_stopped_disk() {
                let of_node = self.log_ends.iter_mut().filter(|((host, _), _)| *host == node.host);
                of_node.for_each(|(_, known)| known.is_cut_off = true);
            }
            let Some(broker) = node.broker() else { continue };
            for partition in broker.replicas.all() {
                let (end, start) = (partition.log_end_offset(), node.starts());
                let known = self.log_ends.entry((node.host, partition.id()));
                let known = known.or_insert(LogEnd { start, end, before: Offset(0), is_cut_off: false });
                if known.start != start {
                    *known = LogEnd { start, end, before: known.end, is_cut_off: known.is_cut_off };
                }
                known.end = end;
            }
        }
    }

    fn note_leaders(&mut self, nodes: &[Node]) -> Check {
        for node in nodes {
            let Some(broker) = node.broker() else { continue };
            for partition in broker.replicas.all() {
                let Some(epoch) = partition.led_partition_epoch() else { continue };
                let newest = self.epochs.entry(partition.id()).or_insert(epoch);
                *newest = epoch.max(*newest);
                let end = self.ends.entry(partition.id()).or_insert(Offset(0));
                if partition.high_watermark() <= *end {
                    continue;
                }
                *end = partition.high_watermark();
                let holds = |host| {
                    let known = self.log_ends.get(&(host, partition.id()));
                    known.is_some_and(|known| known.is_cut_off || known.end.max(known.before) >= *end)
                };
                let count = nodes.iter().filter(|other| holds(other.host)).count();
                if count < MIN_INSYNC_REPLICAS {
                    return Err(format!(
                        "node {} has the high watermark {end} of {}, which only {count} replicas have",
                        node.host,
                        partition.name()
                    ));
                }
            }
        }
        Ok(())
    }

    /// Fails if a replica that may be elected lacks what is committed.
    fn check_member(
        &self,
        nodes: &[Node],
        image: &Image,
        (id, topic, state): (TopicIdPartition, &Topic, &Arc<Partition>),
        member: BrokerId,
    ) -> Check {
        let node = nodes.iter().find(|node| node.host as i32 == member.0);
        let Some((node, broker)) = node.and_then(|node| Some((node, node.broker()?))) else { return Ok(()) };
        // Until it is registered, nobody knows that it was killed.
        if broker.node.registered_epoch(image).is_none() {
            return Ok(());
        }
        let (Some(replica), Some(committed)) = (broker.replicas.get(id), self.ends.get(&id)) else { return Ok(()) };
        let end = replica.log_end_offset();
        if end < *committed {
            let PartitionIndex(index) = id.partition;
            return Err(format!(
                "node {} may be elected for {}-{index}, but its log ends at {end} and {committed} was committed: ISR \
                 {:?}, ELR {:?}, partition epoch {}",
                node.host, topic.name, state.isr, state.elr, state.partition_epoch
            ));
        }
        Ok(())
    }
}

/// Fails if a broker is unfenced that has not read its own registration.
fn check_unfenced(nodes: &[Node], image: &Image) -> Check {
    for node in nodes {
        let Some(broker) = node.broker() else { continue };
        let Some(epoch) = broker.node.registered_epoch(image) else { continue };
        let is_fenced = image.cluster.brokers.get(&broker.node.id).is_none_or(|it| it.fenced);
        if !is_fenced && broker.node.registered_epoch(&broker.image()).is_none() {
            return Err(format!("node {} is unfenced before it has read its registration {epoch}", node.host));
        }
    }
    Ok(())
}

/// Checks the state of every partition of an image.
pub fn check_states(image: &Image) -> Check {
    for topic in image.topics.iter() {
        for (index, state) in &topic.partitions {
            check_state(image, state).map_err(|fault| format!("bad state of {}-{index}: {fault}", topic.name))?;
        }
    }
    Ok(())
}

fn check_state(image: &Image, state: &Partition) -> Check {
    let Partition { isr, elr, leader, replicas, .. } = state;
    let shown = || format!("leader {leader:?}, ISR {isr:?}, ELR {elr:?}, replicas {replicas:?}");
    if let Some(leader) = leader.filter(|leader| !isr.contains(leader)) {
        return Err(format!("the leader {leader} is not in the ISR: {}", shown()));
    }
    if let Some(id) = isr.iter().chain(elr).find(|id| !replicas.contains(id)) {
        return Err(format!("{id} is no replica: {}", shown()));
    }
    if let Some(id) = elr.iter().find(|id| isr.contains(id)) {
        return Err(format!("{id} is in the ISR and the ELR: {}", shown()));
    }
    if isr.len() >= MIN_INSYNC_REPLICAS.min(replicas.len()) && !elr.is_empty() {
        return Err(format!("an ELR beside an ISR that is large enough: {}", shown()));
    }
    if let Some(id) = isr.iter().find(|id| image.cluster.brokers.get(*id).is_none_or(|it| !it.is_active())) {
        return Err(format!("{id} is in the ISR, but fenced or stopping: {}", shown()));
    }
    Ok(())
}
