//! The place of one partition: the leader that serves it now, or what the next leader will have.

use crate::replica::{Partition, led_in, open_in};
use model::{LeaderEpoch, Monotonic, Offset, Timestamp, TopicPartition};
use std::sync::Arc;
use storage::LogConfig;
use storage::disk::{Disk, SimDisk};

use super::Check;

/// Replica 1 leads. While replica 2 is in sync too, nothing is committed, since it never fetches.
const ALONE: &[i32] = &[1];
const WITH_LAGGARD: &[i32] = &[1, 2];

/// `producer.id.expiration.ms`
const PRODUCER_EXPIRATION_MS: i64 = 10_000;

/// One partition of the cluster.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) name: TopicPartition,
    /// The partition of the current leader; `None` while nobody leads.
    pub(super) partition: Option<Arc<Partition>>,
    pub(super) epoch: i32,
    partition_epoch: i32,
    /// Whether the high watermark stands still.
    pub(super) is_stalled: bool,
    /// All below this is committed, also in the eyes of the next leader.
    committed: Offset,
    /// When the next leader begins.
    pub(super) returns_at: i64,
    /// How many records the next leader lacks, in thousandths of those that are not committed.
    pub(super) lacks: usize,
    /// The newest last stable offset that a reader has seen.
    last_stable: Offset,
}

impl Slot {
    /// Creates the place of a partition with an empty folder.
    pub(super) fn new(disk: &SimDisk, name: TopicPartition) -> Self {
        disk.create_dir(&folder(&name)).expect("a disk without faults");
        Self {
            name,
            partition: None,
            epoch: -1,
            partition_epoch: 0,
            is_stalled: false,
            committed: Offset(0),
            returns_at: 0,
            lacks: 0,
            last_stable: Offset(0),
        }
    }

    /// Returns the partition if somebody leads it.
    pub(super) fn led(&self) -> Option<Arc<Partition>> {
        self.partition.clone().filter(|it| it.leader_epoch().is_some())
    }

    /// A leader begins: it has everything that is committed, and a part of the rest.
    pub(super) fn begin(&mut self, disk: &SimDisk, now: Timestamp) -> Check {
        let partition = open_in(Arc::new(disk.clone()), folder(&self.name), self.name.clone(), config());
        let log = partition.log();
        if log.log_end_offset() < self.committed {
            return Err(format!("{} lost committed records when it was opened", self.name));
        }
        if self.lacks > 0 {
            let ends = batch_ends(&partition, self.committed)?;
            let kept = ends.len() - ends.len() * self.lacks / 1000;
            let to = kept.checked_sub(1).map_or(self.committed, |last| ends[last]);
            log.truncate_to(to, now).map_err(|error| error.to_string())?;
        }
        log.set_high_watermark(self.committed);
        self.epoch += 1;
        self.lead(&partition, now)?;
        self.partition = Some(partition);
        Ok(())
    }

    /// The leader stays and gets a new epoch.
    pub(super) fn lead_anew(&mut self, now: Timestamp) -> Check {
        let Some(partition) = self.partition.clone() else { return Ok(()) };
        partition.resign();
        self.epoch += 1;
        self.lead(&partition, now)
    }

    /// Lets the high watermark stand still, or go on.
    pub(super) fn stall(&mut self, is_stalled: bool, now: Timestamp) -> Check {
        self.is_stalled = is_stalled;
        self.partition_epoch += 1;
        match self.partition.clone() {
            Some(partition) => self.lead(&partition, now),
            None => Ok(()),
        }
    }

    /// Forgets producers that have written nothing for long.
    pub(super) fn expire_producers(&self, now: Timestamp) {
        if let Some(partition) = &self.partition {
            partition.log().expire_producers(now);
        }
    }

    fn lead(&self, partition: &Arc<Partition>, now: Timestamp) -> Check {
        let isr = if self.is_stalled { WITH_LAGGARD } else { ALONE };
        let uptime = Monotonic(now.0.unsigned_abs());
        partition.lead(&led_in(self.epoch, self.partition_epoch, isr), uptime).map_err(|error| error.to_string())
    }

    /// The leader is gone.
    pub(super) fn crash(&mut self) {
        let Some(partition) = self.partition.take() else { return };
        self.committed = self.committed.max(partition.high_watermark());
        partition.resign();
    }

    /// Returns the epoch of the leader.
    pub(super) fn leader_epoch(&self) -> LeaderEpoch {
        LeaderEpoch(self.epoch)
    }

    /// Checks the offsets that readers see.
    pub(super) fn check(&mut self) -> Check {
        let Some(partition) = &self.partition else { return Ok(()) };
        let offsets = partition.log().offsets();
        let (stable, high) = (partition.log().last_stable_offset(), offsets.high_watermark);
        if stable > high || high > offsets.log_end_offset {
            return Err(format!("{}: last stable {stable}, high watermark {high}, {offsets:?}", self.name));
        }
        if stable < self.last_stable {
            return Err(format!(
                "{}: the last stable offset went back from {} to {stable}",
                self.name, self.last_stable
            ));
        }
        self.last_stable = stable;
        Ok(())
    }

    /// Checks that nothing is open and nothing waits.
    pub(super) fn check_rest(&self) -> Check {
        let Some(partition) = &self.partition else { return Err(format!("{} has no leader", self.name)) };
        let (stable, end) = (partition.log().last_stable_offset(), partition.log_end_offset());
        match stable == end {
            true => Ok(()),
            false => Err(format!("{}: the last stable offset is stuck at {stable}, the log ends at {end}", self.name)),
        }
    }
}

fn config() -> LogConfig {
    LogConfig { producer_id_expiration_ms: PRODUCER_EXPIRATION_MS, ..Default::default() }
}

fn folder(name: &TopicPartition) -> std::path::PathBuf {
    std::path::PathBuf::from(format!("/logs/{name}"))
}

/// Returns where the batches above an offset end.
fn batch_ends(partition: &Partition, above: Offset) -> Check<Vec<Offset>> {
    let mut ends = Vec::new();
    partition.replay(|header, _| {
        let end = header.next_offset();
        if end > above && ends.last() != Some(&end) {
            ends.push(end);
        }
        Ok(())
    })?;
    Ok(ends)
}
