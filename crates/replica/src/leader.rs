//! The leader's side of a partition in one leader epoch.

use crate::isr::{CommittedIsr, Isr, IsrProposal, ProposalOutcome, Refusal, classify_refusal};
use crate::planted::{Bug, is_planted};
use crate::progress::{Brokers, FollowerFetch, FollowerProgress};
use model::{BrokerEpoch, BrokerId, ErrorCode, LeaderEpoch, Monotonic, Offset, PartitionEpoch};
use std::collections::BTreeMap;

/// What a broker knows when it becomes the leader, or learns a new state of a partition that it
/// leads.
#[derive(Clone, Debug)]
pub struct LeaderStart {
    /// This broker.
    pub broker_id: BrokerId,
    /// The leader epoch in which it leads.
    pub leader_epoch: LeaderEpoch,
    /// The partition's state at the controller.
    pub partition_epoch: PartitionEpoch,
    /// All replicas, this broker included.
    pub replicas: Vec<BrokerId>,
    /// The replicas in sync.
    pub isr: Vec<BrokerId>,
    /// `min.insync.replicas`
    pub min_insync_replicas: usize,
    /// `replica.lag.time.max.ms`
    pub lag_max_ms: u64,
    /// The log end offset.
    pub log_end_offset: Offset,
    /// The exclusive end of this replica's own records that count: the log end offset, or the end
    /// of what is flushed if a batch counts only once it is flushed.
    pub own_end_offset: Offset,
    /// The last high watermark that this replica knows.
    pub high_watermark: Offset,
    /// The current time.
    pub now: Monotonic,
}

/// What a fetch of a follower changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaderUpdate {
    /// The new high watermark, if it moved.
    pub high_watermark: Option<Offset>,
    /// A change of the ISR to send to the controller.
    pub proposal: Option<IsrProposal>,
}

/// Why the leader ignores a follower's fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchError {
    /// The broker is not a replica of this partition.
    UnknownReplica,
    /// The broker fetches under an older broker epoch than before.
    StaleBrokerEpoch,
}

impl FetchError {
    /// Returns the error code for the follower.
    pub fn code(self) -> ErrorCode {
        match self {
            FetchError::UnknownReplica => ErrorCode::UnknownLeaderEpoch,
            FetchError::StaleBrokerEpoch => ErrorCode::NotLeaderOrFollower,
        }
    }
}

/// A partition that this broker leads.
#[derive(Clone, Debug)]
pub struct Leader {
    broker_id: BrokerId,
    leader_epoch: LeaderEpoch,
    partition_epoch: PartitionEpoch,
    followers: BTreeMap<BrokerId, FollowerProgress>,
    isr: Isr,
    min_insync_replicas: usize,
    lag_max_ms: u64,
    /// The log end offset at the start of this leader epoch.
    start_offset: Offset,
    log_end_offset: Offset,
    own_end_offset: Offset,
    high_watermark: Offset,
    /// The latest time that an event brought. An append brings none.
    latest: Monotonic,
}

impl Leader {
    /// Starts to lead.
    pub fn new(start: LeaderStart) -> Leader {
        let is_follower = |id: &&BrokerId| **id != start.broker_id;
        let follower = |id: &BrokerId| (*id, FollowerProgress::new(start.isr.contains(id), start.now));
        let mut leader = Leader {
            broker_id: start.broker_id,
            leader_epoch: start.leader_epoch,
            partition_epoch: start.partition_epoch,
            followers: start.replicas.iter().filter(is_follower).map(follower).collect(),
            isr: Isr::Committed(start.isr),
            min_insync_replicas: start.min_insync_replicas,
            lag_max_ms: start.lag_max_ms,
            start_offset: start.log_end_offset,
            log_end_offset: start.log_end_offset,
            own_end_offset: start.own_end_offset,
            high_watermark: start.high_watermark,
            latest: start.now,
        };
        // No follower has fetched yet, so none of them is eligible.
        leader.advance(&|_| None);
        leader
    }

    /// Returns the leader epoch.
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    /// Returns the partition epoch of the state that it acts on.
    pub fn partition_epoch(&self) -> PartitionEpoch {
        self.partition_epoch
    }

    /// Returns the ISR, with a change that is in flight.
    pub fn isr(&self) -> &Isr {
        &self.isr
    }

    /// Returns the high watermark, the exclusive end of what is replicated.
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// Returns the log end offset at the start of this leader epoch.
    pub fn start_offset(&self) -> Offset {
        self.start_offset
    }

    /// Returns what is known of a follower.
    pub fn follower(&self, id: BrokerId) -> Option<&FollowerProgress> {
        self.followers.get(&id)
    }

    /// Returns the follower that a consumer reads from, as Kafka's RackAwareReplicaSelector chooses
    /// it (KIP-392): in the consumer's rack, in sync, and with the record at `offset`. Of several,
    /// the one with the most records. `None` if there is none, or if the leader is in the rack.
    pub fn preferred_read_replica(&self, offset: Offset, is_in_rack: &dyn Fn(BrokerId) -> bool) -> Option<BrokerId> {
        if is_in_rack(self.broker_id) {
            return None;
        }
        let members = self.isr.committed().iter().filter_map(|id| Some((*id, self.followers.get(id)?)));
        let able = members.filter(|(id, progress)| {
            progress.log_end_offset.is_some_and(|end| end >= offset)
                && progress.log_start_offset.is_some_and(|start| start <= offset)
                && is_in_rack(*id)
        });
        able.max_by_key(|(id, progress)| (progress.log_end_offset, progress.last_caught_up, *id)).map(|(id, _)| id)
    }

    /// Whether the partition has another replica, which reads to the log's end.
    pub fn has_followers(&self) -> bool {
        !self.followers.is_empty()
    }

    /// Whether the leader may tell clients its high watermark. After an election it may not until
    /// the high watermark reaches this epoch's start (OFFSET_NOT_AVAILABLE until then, KIP-207):
    /// the leader before may have told a higher one.
    pub fn has_caught_up(&self) -> bool {
        self.high_watermark >= self.start_offset || is_planted(Bug::EarlyHighWatermarkTold)
    }

    /// Returns the number of replicas that must be in sync for a write with `acks=all`:
    /// `min.insync.replicas`, but at most the number of replicas.
    pub fn effective_min_isr(&self) -> usize {
        self.min_insync_replicas.min(self.followers.len() + 1)
    }

    /// Whether too few replicas are in sync, so that writes with `acks=all` are refused
    /// (NOT_ENOUGH_REPLICAS).
    pub fn is_under_min_isr(&self) -> bool {
        self.isr.committed().len() < self.effective_min_isr() && !is_planted(Bug::MinIsrIgnored)
    }

    /// Returns the result of a write with `acks=all` that ends before `required`: `None` while it
    /// is not replicated, an error if it is replicated but too few replicas are in sync.
    pub fn acknowledged(&self, required: Offset) -> Option<Result<(), ErrorCode>> {
        if self.high_watermark < required && !is_planted(Bug::AcknowledgedBeforeHighWatermark) {
            return None;
        }
        let enough = self.isr.maximal().count() >= self.effective_min_isr() || is_planted(Bug::MinIsrIgnored);
        Some(if enough { Ok(()) } else { Err(ErrorCode::NotEnoughReplicasAfterAppend) })
    }

    /// Notes that the log has grown, or that more of it counts. `own_end_offset` is the exclusive
    /// end of this replica's own records that count (`LeaderStart`).
    pub fn appended(&mut self, log_end_offset: Offset, own_end_offset: Offset, brokers: Brokers) -> Option<Offset> {
        self.log_end_offset = self.log_end_offset.max(log_end_offset);
        self.own_end_offset = self.own_end_offset.max(own_end_offset);
        self.advance(brokers)
    }

    /// Notes a follower's fetch. The high watermark may move, or the leader may propose to add the
    /// follower to the ISR.
    pub fn fetched(&mut self, fetch: &FollowerFetch, brokers: Brokers) -> Result<LeaderUpdate, FetchError> {
        let progress = self.followers.get_mut(&fetch.broker_id).ok_or(FetchError::UnknownReplica)?;
        if fetch.is_stale(progress, brokers(fetch.broker_id)) {
            return Err(FetchError::StaleBrokerEpoch);
        }
        progress.fetched(fetch);
        self.latest = self.latest.max(fetch.now);
        self.log_end_offset = self.log_end_offset.max(fetch.leader_log_end_offset);
        let proposal = if fetch.is_verified() { self.expand(fetch.broker_id, brokers) } else { None };
        Ok(LeaderUpdate { high_watermark: self.advance(brokers), proposal })
    }

    /// Proposes to add a follower that is not below the high watermark. It must also have reached
    /// the start of this epoch: what was committed before lies below, and this leader's own high
    /// watermark may still be lower.
    fn expand(&mut self, id: BrokerId, brokers: Brokers) -> Option<IsrProposal> {
        let progress = self.followers.get(&id)?;
        let end = progress.log_end_offset?;
        let joins = !self.isr.is_pending()
            && !self.isr.committed().contains(&id)
            && end >= self.high_watermark
            && (end >= self.start_offset || is_planted(Bug::JoinedBelowEpochStart))
            && progress.is_eligible(brokers(id));
        joins.then(|| {
            let proposed = self.isr.committed().iter().copied().chain([id]).collect();
            self.propose(proposed)
        })
    }

    /// Looks for followers that lag. Call it every half of `replica.lag.time.max.ms`.
    pub fn check_lag(&mut self, now: Monotonic) -> Option<IsrProposal> {
        self.latest = self.latest.max(now);
        if self.isr.is_pending() {
            return None;
        }
        let is_behind = |id: &BrokerId| {
            let progress = self.followers.get(id);
            progress.is_some_and(|progress| !progress.is_caught_up(self.log_end_offset, now, self.lag_max_ms))
        };
        let proposed: Vec<BrokerId> = self.isr.committed().iter().copied().filter(|id| !is_behind(id)).collect();
        (proposed.len() < self.isr.committed().len()).then(|| self.propose(proposed))
    }

    fn propose(&mut self, proposed: Vec<BrokerId>) -> IsrProposal {
        let epoch = |id: &BrokerId| -> Option<BrokerEpoch> { self.followers.get(id)?.broker_epoch };
        let proposal = IsrProposal {
            isr: proposed
                .iter()
                .map(|id| (*id, epoch(id).filter(|_| !is_planted(Bug::BrokerEpochsNotProposed))))
                .collect(),
            leader_epoch: self.leader_epoch,
            partition_epoch: self.partition_epoch,
        };
        self.isr.propose(proposal.clone());
        proposal
    }

    /// Takes over the controller's answer to a proposal. An error without an answer, such as a lost
    /// connection, is any code that the controller does not give.
    pub fn answered(
        &mut self,
        proposal: &IsrProposal,
        answer: Result<CommittedIsr, ErrorCode>,
        brokers: Brokers,
    ) -> ProposalOutcome {
        if self.isr.proposal() != Some(proposal) {
            return ProposalOutcome::Stale;
        }
        match answer.map_err(classify_refusal) {
            Ok(committed)
                if committed.leader_epoch != self.leader_epoch || committed.partition_epoch < self.partition_epoch =>
            {
                ProposalOutcome::Stale
            }
            Ok(committed) => {
                self.partition_epoch = committed.partition_epoch;
                self.isr = Isr::Committed(committed.isr);
                ProposalOutcome::Committed(self.advance(brokers))
            }
            Err(Refusal::NotApplied) => {
                self.isr.withdraw();
                ProposalOutcome::Withdrawn
            }
            Err(Refusal::OldState) => ProposalOutcome::AwaitsImage,
            Err(Refusal::Unknown) => ProposalOutcome::SendAgain(proposal.clone()),
        }
    }

    /// Takes over the partition's state from an image. An older state is ignored. The leader epoch
    /// is unchanged: a new epoch needs a new `Leader`.
    pub fn committed(
        &mut self,
        partition_epoch: PartitionEpoch,
        replicas: &[BrokerId],
        isr: Vec<BrokerId>,
        now: Monotonic,
        brokers: Brokers,
    ) -> Option<Offset> {
        if partition_epoch < self.partition_epoch {
            return None;
        }
        self.latest = self.latest.max(now);
        self.followers.retain(|id, _| replicas.contains(id));
        for id in replicas.iter().filter(|id| **id != self.broker_id) {
            self.followers.entry(*id).or_insert_with(|| FollowerProgress::new(isr.contains(id), now));
        }
        // The answer to a proposal may have brought the ISR of this partition epoch before, and a
        // proposal may be in flight that is based on it.
        if partition_epoch > self.partition_epoch {
            self.partition_epoch = partition_epoch;
            self.isr = Isr::Committed(isr);
        }
        self.advance(brokers)
    }

    /// Sets a changed `min.insync.replicas`.
    pub fn set_min_insync_replicas(&mut self, count: usize) {
        self.min_insync_replicas = count;
    }

    /// Moves the high watermark as far as possible. It also waits for a follower that has caught up
    /// and may join, or it could run ahead of that follower for ever.
    fn advance(&mut self, brokers: Brokers) -> Option<Offset> {
        if self.is_under_min_isr() {
            return None;
        }
        let mut reached = self.own_end_offset;
        for (id, progress) in &self.followers {
            let is_joining = || {
                progress.is_caught_up(self.log_end_offset, self.latest, self.lag_max_ms)
                    && progress.is_eligible(brokers(*id))
            };
            let is_awaited = self.isr.maximal().any(|member| member == *id) || is_joining();
            if is_awaited && !is_planted(Bug::SlowestNotAwaited) {
                // A follower that has not fetched yet may have nothing.
                reached = reached.min(progress.log_end_offset.unwrap_or(Offset(0)));
            }
        }
        (reached > self.high_watermark).then(|| {
            self.high_watermark = reached;
            reached
        })
    }
}
