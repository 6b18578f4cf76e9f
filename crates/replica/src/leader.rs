//! The leader's side of a partition in one leader epoch.

use crate::follower::{Follower, FollowerFetch};
use crate::isr::{Isr, IsrProposal};
use model::{BrokerEpoch, BrokerId, ErrorCode, LeaderEpoch, Offset, PartitionEpoch, Timestamp};
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
    pub lag_max_ms: i64,
    /// The log end offset.
    pub log_end_offset: Offset,
    /// The exclusive end of this replica's own records that count: the log end offset, or the end
    /// of what is flushed if a batch counts only once it is flushed.
    pub own_end_offset: Offset,
    /// The last high watermark that this replica knows.
    pub high_watermark: Offset,
    /// The current time.
    pub now: Timestamp,
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
    followers: BTreeMap<BrokerId, Follower>,
    isr: Isr,
    min_insync_replicas: usize,
    lag_max_ms: i64,
    /// The log end offset at the start of this leader epoch.
    start_offset: Offset,
    log_end_offset: Offset,
    own_end_offset: Offset,
    high_watermark: Offset,
}

impl Leader {
    /// Starts to lead.
    pub fn new(start: LeaderStart) -> Leader {
        let is_follower = |id: &&BrokerId| **id != start.broker_id;
        let follower = |id: &BrokerId| (*id, Follower::new(start.isr.contains(id), start.now));
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
        };
        leader.advance(start.now, &|_| true);
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
    pub fn follower(&self, id: BrokerId) -> Option<&Follower> {
        self.followers.get(&id)
    }

    /// Whether the partition has another replica, which reads to the log's end.
    pub fn has_followers(&self) -> bool {
        !self.followers.is_empty()
    }

    /// Whether the leader may answer offsets for `HighWatermark`. After an election it may not
    /// until the high watermark reaches this epoch's start (OFFSET_NOT_AVAILABLE until then,
    /// KIP-207).
    pub fn has_caught_up(&self) -> bool {
        self.high_watermark >= self.start_offset
    }

    /// Returns the number of replicas that must be in sync for a write with `acks=all`:
    /// `min.insync.replicas`, but at most the number of replicas.
    pub fn effective_min_isr(&self) -> usize {
        self.min_insync_replicas.min(self.followers.len() + 1)
    }

    /// Whether too few replicas are in sync, so that writes with `acks=all` are refused
    /// (NOT_ENOUGH_REPLICAS).
    pub fn is_under_min_isr(&self) -> bool {
        self.isr.committed().len() < self.effective_min_isr()
    }

    /// Returns the result of a write with `acks=all` that ends before `required`: `None` while it
    /// is not replicated, an error if it is replicated but too few replicas are in sync.
    pub fn acknowledged(&self, required: Offset) -> Option<Result<(), ErrorCode>> {
        if self.high_watermark < required {
            return None;
        }
        let enough = self.isr.maximal().count() >= self.effective_min_isr();
        Some(if enough { Ok(()) } else { Err(ErrorCode::NotEnoughReplicasAfterAppend) })
    }

    /// Notes that the log has grown, or that more of it counts. `own_end_offset` is the exclusive
    /// end of this replica's own records that count (`LeaderStart`). `is_eligible` says whether a
    /// broker is registered, unfenced and not shutting down.
    pub fn appended(
        &mut self,
        log_end_offset: Offset,
        own_end_offset: Offset,
        now: Timestamp,
        is_eligible: &dyn Fn(BrokerId) -> bool,
    ) -> Option<Offset> {
        self.log_end_offset = self.log_end_offset.max(log_end_offset);
        self.own_end_offset = self.own_end_offset.max(own_end_offset);
        self.advance(now, is_eligible)
    }

    /// Notes a follower's fetch. The high watermark may move, or the leader may propose to add the
    /// follower to the ISR.
    pub fn fetched(
        &mut self,
        fetch: &FollowerFetch,
        is_eligible: &dyn Fn(BrokerId) -> bool,
    ) -> Result<LeaderUpdate, FetchError> {
        let follower = self.followers.get_mut(&fetch.broker_id).ok_or(FetchError::UnknownReplica)?;
        if fetch.broker_epoch.is_some() && follower.broker_epoch > fetch.broker_epoch {
            return Err(FetchError::StaleBrokerEpoch);
        }
        follower.fetched(fetch);
        self.log_end_offset = self.log_end_offset.max(fetch.leader_log_end_offset);
        let proposal = self.expand(fetch.broker_id, is_eligible);
        Ok(LeaderUpdate { high_watermark: self.advance(fetch.now, is_eligible), proposal })
    }

    fn expand(&mut self, id: BrokerId, is_eligible: &dyn Fn(BrokerId) -> bool) -> Option<IsrProposal> {
        let end = self.followers.get(&id)?.log_end_offset?;
        let joins = !self.isr.is_pending()
            && !self.isr.committed().contains(&id)
            && end >= self.high_watermark
            && end >= self.start_offset
            && is_eligible(id);
        joins.then(|| {
            let proposed = self.isr.committed().iter().copied().chain([id]).collect();
            self.propose(proposed)
        })
    }

    /// Looks for followers that lag. Call it every half of `replica.lag.time.max.ms`.
    pub fn check_lag(&mut self, now: Timestamp) -> Option<IsrProposal> {
        if self.isr.is_pending() {
            return None;
        }
        let is_behind = |id: &BrokerId| {
            let follower = self.followers.get(id);
            follower.is_some_and(|follower| !follower.is_caught_up(self.log_end_offset, now, self.lag_max_ms))
        };
        let proposed: Vec<BrokerId> = self.isr.committed().iter().copied().filter(|id| !is_behind(id)).collect();
        (proposed.len() < self.isr.committed().len()).then(|| self.propose(proposed))
    }

    fn propose(&mut self, proposed: Vec<BrokerId>) -> IsrProposal {
        self.isr.propose(proposed.clone());
        let epoch = |id: &BrokerId| -> Option<BrokerEpoch> { self.followers.get(id)?.broker_epoch };
        IsrProposal {
            isr: proposed.iter().map(|id| (*id, epoch(id))).collect(),
            leader_epoch: self.leader_epoch,
            partition_epoch: self.partition_epoch,
        }
    }

    /// Takes over the partition's state from the controller, from its answer or from the metadata
    /// log. An older state is ignored. The leader epoch is unchanged: a new epoch needs a new
    /// `Leader`.
    pub fn committed(
        &mut self,
        partition_epoch: PartitionEpoch,
        replicas: &[BrokerId],
        isr: Vec<BrokerId>,
        now: Timestamp,
        is_eligible: &dyn Fn(BrokerId) -> bool,
    ) -> Option<Offset> {
        if partition_epoch < self.partition_epoch || (partition_epoch == self.partition_epoch && !self.isr.is_pending())
        {
            return None;
        }
        self.partition_epoch = partition_epoch;
        self.followers.retain(|id, _| replicas.contains(id));
        for id in replicas.iter().filter(|id| **id != self.broker_id) {
            self.followers.entry(*id).or_insert_with(|| Follower::new(isr.contains(id), now));
        }
        self.isr = Isr::Committed(isr);
        self.advance(now, is_eligible)
    }

    /// Drops a proposal that the controller refused, so that the leader can make another. A
    /// proposal without an answer is sent again and not dropped.
    pub fn refused(&mut self) {
        self.isr.withdraw();
    }

    /// Sets a changed `min.insync.replicas`.
    pub fn set_min_insync_replicas(&mut self, count: usize) {
        self.min_insync_replicas = count;
    }

    /// Moves the high watermark as far as possible.
    fn advance(&mut self, now: Timestamp, is_eligible: &dyn Fn(BrokerId) -> bool) -> Option<Offset> {
        if self.is_under_min_isr() {
            return None;
        }
        let mut reached = self.own_end_offset;
        for (id, follower) in &self.followers {
            let is_joining = || follower.is_caught_up(self.log_end_offset, now, self.lag_max_ms) && is_eligible(*id);
            if self.isr.maximal().any(|member| member == *id) || is_joining() {
                // A follower that has not fetched yet may have nothing.
                reached = reached.min(follower.log_end_offset.unwrap_or(Offset(0)));
            }
        }
        (reached > self.high_watermark).then(|| {
            self.high_watermark = reached;
            reached
        })
    }
}
