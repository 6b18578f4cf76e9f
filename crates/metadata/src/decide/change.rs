//! Builds a partition's change record: ISR, election, eligible leaders (KIP-966) and reassignment
//! in one computation.
//!
//! A caller says what the partition should become. This module works out the rest: a reassignment
//! that is complete, replicas that become eligible leaders, a leader to elect, epochs to raise.

use super::context::ElectionRules;
use super::is_active;
use super::placement::{Placement, default_dir};
use crate::VersionedRecord;
use crate::image::{Image, LeaderRecovery, Partition, Topic};
use crate::planted::{Bug, is_planted};
use crate::snapshot::numbers;
use crate::version::ELR_VERSION;
use model::{BrokerId, DirectoryId, LeaderEpoch, PartitionEpoch, PartitionIndex};
use protocol::MetadataRecord;
use protocol::messages::partition_change_record::PartitionChangeRecord;
use std::collections::{BTreeMap, BTreeSet};

/// The value of a record that does not change the leader.
const NO_LEADER_CHANGE: i32 = -2;

/// A partition that nobody has written to yet.
pub(super) fn new_partition(placement: Placement, isr: Vec<BrokerId>) -> Partition {
    Partition {
        leader: isr.first().copied(),
        replicas: placement.replicas,
        directories: placement.directories,
        isr,
        leader_epoch: LeaderEpoch(0),
        partition_epoch: PartitionEpoch(0),
        ..Partition::default()
    }
}

/// Whom an election prefers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Election {
    /// The first replica, then the current leader.
    Preferred,
    /// The current leader, then replicas in order.
    Online,
    /// The same; where none of them can lead, a replica that may lack records.
    Unclean,
}

impl Election {
    /// The kind of election that needs no administrator.
    pub(super) fn automatic(rules: ElectionRules) -> Self {
        if rules.is_unclean_allowed { Self::Unclean } else { Self::Online }
    }
}

/// A change that is being built.
pub(super) struct PartitionChange<'a> {
    image: &'a Image,
    topic: &'a Topic,
    index: PartitionIndex,
    partition: &'a Partition,
    min_isr: usize,
    elr_enabled: bool,
    /// A broker that counts as not active, whatever the image says.
    pub(super) gone: Option<BrokerId>,
    /// A broker that counts as active, whatever the image says.
    pub(super) back: Option<BrokerId>,
    /// A broker that stopped uncleanly, so that it may lack records that it had.
    pub(super) unclean_shutdown: Option<BrokerId>,
    pub(super) election: Election,
    pub(super) isr: Vec<BrokerId>,
    pub(super) replicas: Vec<BrokerId>,
    pub(super) removing: Vec<BrokerId>,
    pub(super) adding: Vec<BrokerId>,
    pub(super) recovery: LeaderRecovery,
    pub(super) directories: BTreeMap<BrokerId, DirectoryId>,
    elr: Vec<BrokerId>,
}

/// An elected leader, if any, and whether it may lack records.
type Elected = (Option<BrokerId>, bool);

impl<'a> PartitionChange<'a> {
    /// Starts a change that changes nothing yet.
    pub(super) fn of(
        image: &'a Image,
        rules: ElectionRules,
        topic: &'a Topic,
        index: PartitionIndex,
        partition: &'a Partition,
    ) -> Self {
        Self {
            image,
            topic,
            index,
            partition,
            min_isr: rules.min_isr,
            elr_enabled: image.features.level(ELR_VERSION) > 0,
            gone: None,
            back: None,
            unclean_shutdown: None,
            election: Election::Online,
            isr: partition.isr.clone(),
            replicas: partition.replicas.clone(),
            removing: partition.removing_replicas.clone(),
            adding: partition.adding_replicas.clone(),
            recovery: partition.leader_recovery,
            directories: partition.replicas.iter().copied().zip(partition.directories.iter().copied()).collect(),
            elr: partition.elr.clone(),
        }
    }

    /// No replica that stays is in sync. The election chooses one and marks it as recovering, which
    /// Kafka does not where the first replica is there. Where none is there and an ISR must not be
    /// empty, `first` is the ISR.
    pub(super) fn leave_isr_to(&mut self, first: BrokerId) {
        self.isr.clear();
        if !self.elr_enabled && !self.replicas.iter().any(|id| self.is_acceptable(*id)) {
            self.isr.push(first);
            self.recovery = LeaderRecovery::Recovering;
        }
    }

    /// The record of the change; `None` where nothing changes.
    pub(super) fn build(mut self) -> Option<VersionedRecord> {
        let partition = self.partition;
        let mut record =
            PartitionChangeRecord { partition_id: self.index.0, topic_id: self.topic.id, ..Default::default() };
        self.complete_reassignment();
        self.grow_elr();
        self.elect(&mut record);
        // A replica that leaves must stop following: a new leader epoch tells it.
        let leaves = |before: &[BrokerId], after: &[BrokerId]| before.iter().any(|id| !after.contains(id));
        if record.leader == NO_LEADER_CHANGE && leaves(&partition.replicas, &self.replicas) {
            record.leader = BrokerId::to_wire(partition.leader);
        }
        if record.isr.is_some() || !self.elr_enabled {
            self.elr.clear();
        }
        if self.elr != partition.elr {
            record.eligible_leader_replicas = Some(numbers(&self.elr));
        }
        if record.isr.is_none() && (!self.isr.is_empty() || self.elr_enabled) && self.isr != partition.isr {
            record.isr = Some(numbers(&self.isr));
        }
        let shrinks = record.isr.is_some() && leaves(&partition.isr, &self.isr);
        let version = self.image.features.version();
        if version.bumps_leader_epoch_on_isr_shrink() && record.leader == NO_LEADER_CHANGE && shrinks {
            record.leader = BrokerId::to_wire(partition.leader);
        }
        self.remember_last_leader(&mut record);
        self.set_assignment(&mut record);
        if self.recovery != partition.leader_recovery {
            record.leader_recovery_state = self.recovery.code();
        }
        let nothing = PartitionChangeRecord {
            partition_id: record.partition_id,
            topic_id: record.topic_id,
            ..Default::default()
        };
        (record != nothing).then(|| VersionedRecord {
            record: MetadataRecord::PartitionChange(record),
            version: version.partition_change_record(),
        })
    }

    /// Ends a reassignment once all replicas that it adds are in sync.
    fn complete_reassignment(&mut self) {
        if self.removing.is_empty() && self.adding.is_empty() {
            return;
        }
        let stays = |id: &BrokerId| !self.removing.contains(id);
        let isr: Vec<_> = self.isr.iter().copied().filter(stays).collect();
        let replicas: Vec<_> = self.replicas.iter().copied().filter(stays).collect();
        let needed = if self.adding.len() < self.removing.len() { &replicas } else { &self.adding };
        let in_sync =
            |ids: &[BrokerId]| is_planted(Bug::ReassignmentEndedEarly) || ids.iter().all(|id| isr.contains(id));
        if isr.is_empty() || replicas.is_empty() || !in_sync(&self.adding) || !in_sync(needed) {
            return;
        }
        self.isr = isr;
        self.replicas = replicas;
        self.removing.clear();
        self.adding.clear();
    }

    /// With fewer replicas in sync than `min.insync.replicas`, the replicas that leave the ISR
    /// still hold every committed record.
    fn grow_elr(&mut self) {
        if !self.elr_enabled {
            return;
        }
        if self.isr.len() >= self.min_isr {
            if !is_planted(Bug::ElrNotCleared) {
                self.elr.clear();
            }
            self.elr.retain(|id| self.replicas.contains(id) && !self.isr.contains(id));
            return;
        }
        let candidates: BTreeSet<BrokerId> = self.elr.iter().chain(&self.partition.isr).copied().collect();
        // A replica that was removed loses its records, and must not be eligible when it is added
        // again. Kafka keeps it.
        let eligible =
            |id: &BrokerId| self.replicas.contains(id) && !self.isr.contains(id) && self.unclean_shutdown != Some(*id);
        self.elr = candidates.into_iter().filter(eligible).collect();
    }

    fn elect(&mut self, record: &mut PartitionChangeRecord) {
        let (leader, unclean) = match self.election {
            Election::Preferred => self.elect_preferred(),
            Election::Online | Election::Unclean => self.elect_any(),
        };
        if leader == self.partition.leader {
            return;
        }
        record.leader = BrokerId::to_wire(leader);
        let Some(leader) = leader else { return };
        if self.elr.contains(&leader) {
            self.isr = vec![leader];
            self.elr.retain(|id| *id != leader);
        }
        if unclean {
            // Nobody can be in sync with a leader that may have lost records.
            record.isr = Some(vec![leader.0]);
            let is_marked = is_planted(Bug::UncleanElectionUnmarked);
            if self.partition.leader_recovery != LeaderRecovery::Recovering && !is_marked {
                record.leader_recovery_state = LeaderRecovery::Recovering.code();
                self.recovery = LeaderRecovery::Recovering;
            }
        }
    }

    fn elect_preferred(&self) -> Elected {
        let first = self.replicas.first().copied().filter(|id| self.may_lead(*id));
        let current = || self.partition.leader.filter(|id| self.may_lead(*id));
        let other = || self.replicas.iter().skip(1).copied().find(|id| self.may_lead(*id));
        match first.or_else(current).or_else(other) {
            Some(leader) => (Some(leader), false),
            None => (self.last_known_leader(), true),
        }
    }

    fn elect_any(&self) -> Elected {
        let current = self.partition.leader.filter(|id| self.may_lead(*id));
        let other = || self.replicas.iter().copied().find(|id| self.may_lead(*id));
        if let Some(leader) = current.or_else(other) {
            return (Some(leader), false);
        }
        let unclean = || {
            let allowed = self.election == Election::Unclean;
            let allowed = allowed || is_planted(Bug::ElectedOutsideIsrAndElr);
            self.replicas.iter().copied().filter(|_| allowed).find(|id| self.is_acceptable(*id))
        };
        (self.last_known_leader().or_else(unclean), !is_planted(Bug::ElectedOutsideIsrAndElr))
    }

    /// Whether a broker holds every committed record and is there.
    fn may_lead(&self, id: BrokerId) -> bool {
        let complete = self.isr.contains(&id) || self.isr.is_empty() && self.elr.contains(&id);
        complete && self.is_acceptable(id)
    }

    fn is_acceptable(&self, id: BrokerId) -> bool {
        if self.gone == Some(id) || self.unclean_shutdown == Some(id) {
            return false;
        }
        let Some(broker) = self.image.cluster.brokers.get(&id) else { return false };
        let online = self.partition.directory(id).is_none_or(|dir| broker.has_online_dir(dir));
        (self.back == Some(id) || is_active(self.image, id)) && online
    }

    /// Where no replica surely has every record, the last leader is the best choice.
    fn last_known_leader(&self) -> Option<BrokerId> {
        let nobody = self.elr_enabled && self.isr.is_empty() && self.elr.is_empty();
        match self.partition.last_known_elr.as_slice() {
            // A reassignment may have removed it since. Kafka fails at that.
            [last] if nobody && self.replicas.contains(last) && self.is_acceptable(*last) => Some(*last),
            _ => None,
        }
    }

    fn remember_last_leader(&self, record: &mut PartitionChangeRecord) {
        if !self.elr_enabled {
            return;
        }
        let none_known = self.partition.last_known_elr.is_empty();
        if record.leader == -1 && none_known {
            record.last_known_elr = Some(vec![BrokerId::to_wire(self.partition.leader)]);
        } else if record.leader >= 0 && !none_known {
            record.last_known_elr = Some(Vec::new());
        }
    }

    fn set_assignment(&self, record: &mut PartitionChangeRecord) {
        let partition = self.partition;
        if !self.replicas.is_empty() {
            if self.image.features.version().has_directories() {
                let directory =
                    |id: &BrokerId| self.directories.get(id).copied().unwrap_or_else(|| default_dir(self.image, *id));
                let directories: Vec<_> = self.replicas.iter().map(directory).collect();
                if directories != partition.directories {
                    record.directories = Some(directories);
                }
            }
            if self.replicas != partition.replicas {
                record.replicas = Some(numbers(&self.replicas));
            }
        }
        if self.removing != partition.removing_replicas {
            record.removing_replicas = Some(numbers(&self.removing));
        }
        if self.adding != partition.adding_replicas {
            record.adding_replicas = Some(numbers(&self.adding));
        }
    }
}
