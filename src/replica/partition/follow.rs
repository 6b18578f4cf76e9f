//! A partition that this broker follows, and the reads of followers from one that it leads.
//!
//! `::replica::Follower` decides. This is what its decisions do to the log. Each change of the log
//! names the leader epoch in which it was decided, and the log refuses it if that epoch has ended:
//! an image may have changed the role meanwhile.

use super::{Partition, ReadError, ReadRequest, UNKNOWN_LAG};
use ::replica::{
    BoundQuestion, BrokerStanding, CommittedIsr, FetchAnswer, FetchPosition, Follower, FollowerFetch, FollowerLog,
    FollowerNext, FollowerStep, IsrProposal, ProposalOutcome,
};
use bytes::Bytes;
use model::{BrokerEpoch, BrokerId, ErrorCode, LeaderEpoch, Monotonic, Now, Offset, PartitionEpoch, Timestamp};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use storage::{Error, FollowerAppend, LogOffsets, Wait};
use tracing::warn;

/// What a partition's leader asks of the rest of the cluster.
pub trait PartitionPeers: std::fmt::Debug + Send + Sync {
    /// Looks a broker up in the newest image.
    fn standing(&self, id: BrokerId) -> Option<BrokerStanding>;
    /// Sends a proposal to the controller. The answer goes to `Leader::answered`.
    fn propose(&self, partition: &Arc<Partition>, proposal: IsrProposal);
}

/// What became of a change of the ISR that this broker proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IsrChange {
    /// Nothing that counts: another leader epoch began, or the ISR is as before.
    None,
    /// The ISR has fewer replicas.
    Shrunk,
    /// The ISR has more replicas.
    Expanded,
    /// The controller did not accept it, or nobody knows whether it did.
    Failed,
}

/// The size of a leader's ISR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IsrCounts {
    /// The replicas in sync, as committed.
    pub in_sync: usize,
    /// How many must be in sync for a write with `acks=all`.
    pub least: usize,
}

/// The sender of a follower's fetch.
#[derive(Clone, Copy, Debug)]
pub struct FollowerRead {
    /// The follower.
    pub broker_id: BrokerId,
    /// Its broker epoch, if the request has it (KIP-903).
    pub broker_epoch: Option<BrokerEpoch>,
    /// Its log start offset.
    pub log_start_offset: Offset,
    /// When the request came.
    pub now: Monotonic,
    /// Whether the read counts as the follower's progress: only the first one of a request does.
    pub is_counted: bool,
}

impl Partition {
    /// Sets what its leader asks of the cluster. It can be set once. Without it, no broker is
    /// eligible for the ISR.
    pub fn set_peers(&self, peers: Arc<dyn PartitionPeers>) {
        let _ = self.peers.set(peers);
    }

    pub(super) fn standing(&self, id: BrokerId) -> Option<BrokerStanding> {
        self.peers.get()?.standing(id)
    }

    /// Follows a leader from an epoch on, unless a newer epoch is known. `backoff_ms` is
    /// `replica.fetch.backoff.ms`. Errors: the log is offline.
    pub fn follow(&self, leader: BrokerId, epoch: LeaderEpoch, backoff_ms: i64) -> Result<(), Error> {
        if self.replica.read().leader_epoch().is_some_and(|known| known >= epoch) {
            return Ok(());
        }
        // From here on the log refuses what earlier epochs still append.
        self.on_log(|log| log.end_epoch(LeaderEpoch(epoch.0.saturating_sub(1))))?;
        self.replica.write().follow(leader, epoch, backoff_ms);
        self.lag.store(UNKNOWN_LAG, Ordering::Relaxed);
        self.offline.clear();
        self.wake_all();
        self.flush_watchers.wake();
        Ok(())
    }

    /// Returns the leader and the leader epoch that this broker follows.
    pub fn followed(&self) -> Option<(BrokerId, LeaderEpoch)> {
        self.replica.read().follower().map(|follower| (follower.leader(), follower.leader_epoch()))
    }

    /// Returns the log start offset for a fetch.
    fn follower_log(&self) -> FollowerLog {
        let log = self.log.load();
        let offsets = log.offsets();
        FollowerLog {
            log_start_offset: offsets.log_start_offset,
            log_end_offset: offsets.log_end_offset,
            high_watermark: offsets.high_watermark,
            latest_epoch: log.latest_epoch(),
        }
    }

    /// Returns what this broker does next as a follower. `TruncateTo` is for `next_as_follower`.
    pub fn follower_next(&self, now: Monotonic) -> FollowerNext {
        self.follower_step(now).map_or(FollowerNext::AwaitImage, |(next, _)| next)
    }

    fn follower_step(&self, now: Monotonic) -> Option<(FollowerNext, LeaderEpoch)> {
        let facts = self.follower_log();
        let mut replica = self.replica.write();
        let follower = replica.follower_mut()?;
        Some((follower.next(&facts, now), follower.leader_epoch()))
    }

    /// Returns what this broker does next as a follower, after it has truncated what it must. May
    /// wait for the disk. Errors: those of the log; it then follows no more in this epoch.
    pub fn next_as_follower(&self, now: Now) -> Result<FollowerNext, Error> {
        loop {
            let Some((next, epoch)) = self.follower_step(now.monotonic) else { return Ok(FollowerNext::AwaitImage) };
            let FollowerNext::TruncateTo(end) = next else { return Ok(next) };
            self.carry_out(FollowerStep::TruncateTo(end), epoch, now)?;
        }
    }

    /// Takes the answer to a fetch, with its records. Returns how many bytes were appended. Errors:
    /// those of the log; it then follows no more in this epoch. `WouldBlock` if it must wait for
    /// the disk and may not; then the same answer is taken again.
    pub fn take_fetch(
        self: &Arc<Self>,
        asked: &FetchPosition,
        answer: &FetchAnswer,
        records: &Bytes,
        now: Now,
        wait: Wait,
    ) -> Result<u64, Error> {
        let facts = self.follower_log();
        let log = self.log();
        let end_of_epoch = |epoch| log.end_of_epoch(epoch);
        let step = self.replica.write().fetched(asked, answer, &facts, &end_of_epoch, now.monotonic);
        match step {
            FollowerStep::Append => {}
            FollowerStep::Nothing => return Ok(0),
            FollowerStep::TruncateTo(_) | FollowerStep::StartAt(_) if wait == Wait::Try => {
                return Err(Error::WouldBlock);
            }
            FollowerStep::TruncateTo(_) | FollowerStep::StartAt(_) => {
                self.carry_out(step, asked.leader_epoch, now)?;
                return Ok(0);
            }
        }
        let before = log.size_bytes();
        match self.append_sent(asked.leader_epoch, records, now.wall, wait) {
            Ok(()) => self.take_bounds(answer)?,
            Err(Error::WouldBlock) => return Err(Error::WouldBlock),
            Err(Error::EndedEpoch { .. }) => return Ok(0),
            Err(fault @ (Error::InvalidBatch { .. } | Error::UnexpectedOffset { .. } | Error::Producer(_))) => {
                // What was damaged on the way may be whole the next time (KAFKA-18723).
                warn!(partition = %self.name(), error = %fault, "records of the leader cannot be appended; they are fetched again");
                self.with_follower(asked.leader_epoch, |follower| follower.delay(now.monotonic));
                return Ok(0);
            }
            Err(fault) => return Err(self.follower_fault(asked.leader_epoch, fault, now)),
        }
        let lag = answer.high_watermark.0.saturating_sub(self.log_end_offset().0);
        self.lag.store(u64::try_from(lag).unwrap_or(0), Ordering::Relaxed);
        Ok(log.size_bytes().saturating_sub(before))
    }

    /// Returns how many records below the leader's high watermark this follower lacked after its
    /// last fetch. `None` before its first one, and if it does not follow.
    pub fn follower_lag(&self) -> Option<u64> {
        let lag = self.lag.load(Ordering::Relaxed);
        self.followed().map(|_| lag).filter(|lag| *lag != UNKNOWN_LAG)
    }

    /// Whether `follower.replication.throttled.replicas` names this replica.
    pub fn is_throttled_follower(&self) -> bool {
        self.rules.load().throttled_followers.contains(self.id.partition, self.node_id)
    }

    /// Whether `leader.replication.throttled.replicas` names this replica.
    pub fn is_throttled_leader(&self) -> bool {
        self.rules.load().throttled_leaders.contains(self.id.partition, self.node_id)
    }

    /// Whether a follower is in sync, if this broker leads. What is in sync is never throttled.
    pub fn is_in_sync(&self, follower: BrokerId) -> bool {
        self.replica.read().leader().is_some_and(|leader| leader.isr().committed().contains(&follower))
    }

    fn append_sent(
        self: &Arc<Self>,
        epoch: LeaderEpoch,
        records: &Bytes,
        now: Timestamp,
        wait: Wait,
    ) -> Result<(), Error> {
        if records.is_empty() {
            return Ok(());
        }
        if wait == Wait::Try && self.log.load().config().flush_messages.is_some() {
            return Err(Error::WouldBlock);
        }
        let how = FollowerAppend { now };
        let done = self.on_log(|log| match wait {
            Wait::Try => log.try_append_in_epoch(records, epoch, how),
            Wait::Block => log.append_in_epoch(records, epoch, how),
        })?;
        let Some(done) = done else { return Ok(()) };
        if done.rolled_at.is_some() || self.flush_state.is_flushed_by_time() {
            self.note();
        }
        if self.after_append(&done) {
            // The next fetch tells the leader that this broker has these records.
            self.log().flush(done.last_offset.plus(1), now)?;
        }
        Ok(())
    }

    /// Takes over the leader's high watermark and log start offset.
    fn take_bounds(&self, answer: &FetchAnswer) -> Result<(), Error> {
        let bounds = Follower::bounds(answer, &self.follower_log());
        let mut has_moved = false;
        if let Some(high_watermark) = bounds.high_watermark {
            has_moved |= self.log.load().advance_high_watermark(high_watermark);
        }
        if let Some(start) = bounds.log_start_offset {
            has_moved |= self.on_log(|log| log.delete_records(start))?;
        }
        if has_moved {
            self.watchers.wake();
        }
        Ok(())
    }

    /// Takes the answer to a question for an end of the leader's log. Errors: as `take_fetch`.
    pub fn take_bound(&self, asked: &BoundQuestion, answer: Result<Offset, ErrorCode>, now: Now) -> Result<(), Error> {
        let facts = self.follower_log();
        let step = {
            let mut replica = self.replica.write();
            let Some(follower) = replica.follower_mut() else { return Ok(()) };
            follower.bound_answered(asked, answer, &facts, now.monotonic)
        };
        self.carry_out(step, asked.leader_epoch, now)
    }

    /// Notes that a request of an epoch got no answer.
    pub fn fetch_unanswered(&self, epoch: LeaderEpoch, now: Monotonic) {
        self.with_follower(epoch, |follower| follower.delay(now));
    }

    fn with_follower(&self, epoch: LeaderEpoch, act: impl FnOnce(&mut Follower)) {
        let mut replica = self.replica.write();
        if let Some(follower) = replica.follower_mut().filter(|follower| follower.leader_epoch() == epoch) {
            act(follower);
        }
    }

    fn carry_out(&self, step: FollowerStep, epoch: LeaderEpoch, now: Now) -> Result<(), Error> {
        let done = match step {
            FollowerStep::Nothing | FollowerStep::Append => return Ok(()),
            FollowerStep::TruncateTo(end) => self.on_log(|log| log.truncate_in_epoch(end, epoch, now.wall)).map(drop),
            FollowerStep::StartAt(start) => self.on_log(|log| log.start_in_epoch(start, epoch, now.wall)),
        };
        match done {
            Ok(()) => {
                self.watchers.wake();
                Ok(())
            }
            // Another epoch began meanwhile. It asks for what it needs itself.
            Err(Error::EndedEpoch { .. }) => Ok(()),
            Err(fault) => Err(self.follower_fault(epoch, fault, now)),
        }
    }

    /// A full disk is asked again later. Any other fault ends what this broker does in the epoch.
    fn follower_fault(&self, epoch: LeaderEpoch, fault: Error, now: Now) -> Error {
        let is_refusal = fault.is_refusal();
        self.with_follower(epoch, |follower| if is_refusal { follower.delay(now.monotonic) } else { follower.stop() });
        fault
    }

    /// Proposes to remove followers that lag, if this broker leads. Called every half of
    /// `replica.lag.time.max.ms`.
    pub fn check_lag(self: &Arc<Self>, now: Monotonic) {
        let proposal = self.replica.write().leader_mut().and_then(|leader| leader.check_lag(now));
        self.propose(proposal);
    }

    fn propose(self: &Arc<Self>, proposal: Option<IsrProposal>) {
        if let (Some(proposal), Some(peers)) = (proposal, self.peers.get()) {
            peers.propose(self, proposal);
        }
    }

    /// Takes the controller's answer to a proposal. A proposal whose result is not known is sent
    /// again.
    pub fn proposal_answered(
        self: &Arc<Self>,
        proposal: &IsrProposal,
        answer: Result<CommittedIsr, ErrorCode>,
    ) -> IsrChange {
        let (outcome, before, after) = {
            let mut replica = self.replica.write();
            let Some(leader) = replica.leader_mut() else { return IsrChange::None };
            let before = leader.isr().committed().len();
            let outcome = leader.answered(proposal, answer, &|id| self.standing(id));
            if let ProposalOutcome::Committed(Some(high_watermark)) = outcome {
                self.log.load().advance_high_watermark(high_watermark);
            }
            (outcome, before, leader.isr().committed().len())
        };
        match outcome {
            ProposalOutcome::Committed(_) => {
                self.watchers.wake();
                match before.cmp(&after) {
                    std::cmp::Ordering::Less => IsrChange::Expanded,
                    std::cmp::Ordering::Equal => IsrChange::None,
                    std::cmp::Ordering::Greater => IsrChange::Shrunk,
                }
            }
            ProposalOutcome::SendAgain(proposal) => {
                self.propose(Some(proposal));
                IsrChange::Failed
            }
            ProposalOutcome::Withdrawn | ProposalOutcome::AwaitsImage => IsrChange::Failed,
            ProposalOutcome::Stale => IsrChange::None,
        }
    }

    /// Returns the sizes of the ISR, if this broker leads.
    pub fn isr_counts(&self) -> Option<IsrCounts> {
        let replica = self.replica.read();
        let leader = replica.leader()?;
        Some(IsrCounts { in_sync: leader.isr().committed().len(), least: leader.effective_min_isr() })
    }

    /// Returns the partition epoch of the state that it acts on, if this broker leads.
    pub fn led_partition_epoch(&self) -> Option<PartitionEpoch> {
        Some(self.replica.read().leader()?.partition_epoch())
    }

    /// Refuses a follower that is not a replica. Errors: UNKNOWN_LEADER_EPOCH if it names the
    /// leader epoch, since it may know a newer state of the partition; else NOT_LEADER_OR_FOLLOWER.
    pub(super) fn check_follower(&self, request: &ReadRequest) -> Result<(), ErrorCode> {
        let Some(from) = &request.follower else { return Ok(()) };
        let is_known = self.replica.read().leader().is_some_and(|leader| leader.follower(from.broker_id).is_some());
        match (is_known, request.current_leader_epoch) {
            (true, _) => Ok(()),
            (false, Some(_)) => Err(ErrorCode::UnknownLeaderEpoch),
            (false, None) => Err(ErrorCode::NotLeaderOrFollower),
        }
    }

    /// Notes a follower's fetch after its read. The high watermark may move. Errors:
    /// NOT_LEADER_OR_FOLLOWER if the fetch is of an older broker epoch, or this broker no longer
    /// leads.
    pub(super) fn read_by_follower(
        self: &Arc<Self>,
        request: &ReadRequest,
        offsets: &mut LogOffsets,
    ) -> Result<(), ReadError> {
        let Some(from) = request.follower.filter(|from| from.is_counted) else { return Ok(()) };
        let fetch = FollowerFetch {
            broker_id: from.broker_id,
            broker_epoch: from.broker_epoch,
            log_end_offset: request.offset,
            log_start_offset: from.log_start_offset,
            leader_log_start_offset: offsets.log_start_offset,
            leader_log_end_offset: offsets.log_end_offset,
            now: from.now,
        };
        let (proposal, has_moved) = {
            let mut replica = self.replica.write();
            let leader = replica.leader_mut().ok_or(ErrorCode::NotLeaderOrFollower)?;
            let update = leader.fetched(&fetch, &|id| self.standing(id)).map_err(|refused| refused.code())?;
            let moved = update.high_watermark.is_some_and(|to| self.log.load().advance_high_watermark(to));
            (update.proposal, moved)
        };
        if has_moved {
            self.watchers.wake();
            offsets.high_watermark = self.high_watermark().min(offsets.log_end_offset);
        }
        self.propose(proposal);
        Ok(())
    }
}
