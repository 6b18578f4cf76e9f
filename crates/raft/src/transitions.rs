//! The transitions between states, and what each must persist before anything else happens.
//!
//! Invariants: the epoch never goes back. Every change of epoch, vote or leader is a
//! `PersistElection` before any action that depends on it.

use crate::action::Action;
use crate::event::Fault;
use crate::machine::{InFlight, Raft};
use crate::planted::{self, Bug};
use crate::quorum_state::ElectionState;
use crate::state::{Candidate, Follower, Leader, NEVER, Prospective, Resigned, Role, Tally, Unattached};
use crate::timing::{Now, Timeouts};
use crate::voters::ReplicaKey;
use bytes::Bytes;
use model::{BrokerId, LeaderEpoch};

/// A leader that hears from no majority for the fetch timeout times this factor resigns.
const CHECK_QUORUM_FACTOR: (u64, u64) = (3, 2);

impl Raft {
    /// Enters the state that follows from `quorum-state` and the log's last epoch.
    pub(crate) fn enter_first_role(&mut self, election: ElectionState, now: Now) {
        let local = self.config.local;
        let log_epoch = self.log.end_offset().epoch;
        if election.epoch < log_epoch || planted::is_planted(Bug::EpochForgottenAtRestart) {
            self.epoch = log_epoch;
            return self.enter_unattached(None, None, now);
        }
        self.epoch = election.epoch;
        if election.leader == Some(local.id) && planted::is_planted(Bug::EpochLedAgainAtRestart) {
            let mut tally = Tally::new(self.quorum.voters(), local.id);
            self.quorum.voters().ids().for_each(|id| tally.record(id, true));
            return self.enter_candidacy(tally, NEVER, now);
        }
        if election.leader == Some(local.id) {
            // Records of this epoch that were appended but not fsynced may be lost, so this replica
            // must not lead the epoch again.
            return self.enter_resigned(now);
        }
        if election.voted == Some(local) && election.leader.is_none() {
            let deadline = self.election_deadline(now);
            let tally = Tally::new(self.quorum.voters(), local.id);
            return self.enter_candidacy(tally, deadline, now);
        }
        match election.leader {
            Some(leader) if self.can_follow(leader) => self.enter_follower(leader, election.voted, now),
            leader => self.enter_unattached(leader, election.voted, now),
        }
    }

    /// Makes one transition that is due by time or by votes. Returns whether it did.
    pub(crate) fn move_on(&mut self, now: Now) -> Result<bool, Fault> {
        let is_voter = self.may_stand();
        let alone = self.voters().is_only(&self.config.local) && !self.stopping;
        let due = self.role.deadline() <= now.monotonic.0;
        match &self.role {
            Role::Unattached(state) if is_voter && (due || alone) => {
                let (leader, voted) = (state.leader, state.voted);
                self.enter_prospective(leader, voted, now);
            }
            Role::Resigned(state) if self.stopping => {
                let is_over = due || state.unaware.is_empty();
                self.finish_stop(is_over);
                return Ok(false);
            }
            // Another replica leads, or wants to: nobody waits for this one any more.
            _ if self.stopping => {
                self.finish_stop(true);
                return Ok(false);
            }
            Role::Resigned(_) if is_voter && (due || alone && self.high_watermark.is_none()) => {
                let leader = Some(self.config.local.id);
                self.enter_prospective(leader, None, now);
            }
            Role::Resigned(_) if due => {
                // A leader that was removed from the voters. It must not be asked for this epoch.
                self.enter_epoch(LeaderEpoch(self.epoch.0.saturating_add(1)), None, now);
            }
            Role::Follower(state) if is_voter && due => {
                let (leader, voted) = (Some(state.leader), state.voted);
                self.enter_prospective(leader, voted, now);
            }
            Role::Prospective(state) if state.tally.is_won() => self.enter_candidate(now),
            Role::Prospective(state) if due || !is_voter || state.tally.is_lost() => {
                let (leader, voted) = (state.leader, state.voted);
                match leader.filter(|leader| self.can_follow(*leader)) {
                    Some(leader) => self.enter_follower(leader, voted, now),
                    None if due || !is_voter => self.enter_unattached(leader, voted, now),
                    // It lost and knows no leader to follow. It waits for the rest of the timeout.
                    None => return Ok(false),
                }
            }
            Role::Candidate(state) if state.tally.is_won() => self.enter_leader(now)?,
            Role::Candidate(_) if due => self.enter_prospective(None, Some(self.config.local), now),
            Role::Leader(_) if due || self.is_removed() => self.enter_resigned(now),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Whether this leader of the epoch is another replica whose address is known.
    pub(crate) fn can_follow(&self, leader: BrokerId) -> bool {
        let is_heard = self.heard_endpoints.0 == self.epoch && !self.heard_endpoints.1.is_empty();
        leader != self.config.local.id && (is_heard || self.known_voter(leader).is_some())
    }

    /// Enters an epoch without a leader to follow.
    pub(crate) fn enter_unattached(&mut self, leader: Option<BrokerId>, voted: Option<ReplicaKey>, now: Now) {
        // A running election timeout is not restarted. Otherwise a stream of candidates could delay
        // this replica forever.
        let running = match &self.role {
            Role::Unattached(Unattached { deadline, .. })
            | Role::Prospective(Prospective { deadline, .. })
            | Role::Candidate(Candidate { deadline, .. })
                if (now.monotonic.0 + 1..NEVER).contains(deadline) =>
            {
                Some(*deadline)
            }
            _ => None,
        };
        let deadline = if self.may_stand() { running.unwrap_or_else(|| self.election_deadline(now)) } else { NEVER };
        self.enter(Role::Unattached(Unattached { leader, voted, deadline }));
    }

    /// Enters a higher epoch that another replica named.
    pub(crate) fn enter_epoch(&mut self, epoch: LeaderEpoch, leader: Option<BrokerId>, now: Now) {
        debug_assert!(epoch >= self.epoch);
        self.epoch = epoch;
        match leader.filter(|leader| self.can_follow(*leader)) {
            Some(leader) => self.enter_follower(leader, None, now),
            None => self.enter_unattached(leader, None, now),
        }
    }

    pub(crate) fn enter_follower(&mut self, leader: BrokerId, voted: Option<ReplicaKey>, now: Now) {
        let deadline = self.fetch_deadline(now);
        let membership_due = now.monotonic.0.saturating_add(self.config.timeouts.fetch_ms);
        self.enter(Role::Follower(Follower::new(leader, voted, deadline, membership_due)));
    }

    pub(crate) fn enter_prospective(&mut self, leader: Option<BrokerId>, voted: Option<ReplicaKey>, now: Now) {
        let tally = Tally::new(self.quorum.voters(), self.config.local.id);
        let deadline = self.election_deadline(now);
        self.enter(Role::Prospective(Prospective { leader, voted, tally, deadline }));
    }

    /// Votes for a candidate of this epoch. The vote cannot change. Waits as long as an election
    /// may take.
    pub(crate) fn vote_for(&mut self, candidate: ReplicaKey, now: Now) {
        let deadline = if self.may_stand() { self.election_deadline(now) } else { NEVER };
        self.enter(Role::Unattached(Unattached { leader: self.leader(), voted: Some(candidate), deadline }));
    }

    /// Schedules an election after the leader resigned and named its successors. The first one
    /// starts at once, and each later one waits longer.
    pub(crate) fn stand_after(&mut self, rank: usize, now: Now) {
        let Timeouts { retry_backoff_ms, election_backoff_max_ms, .. } = self.config.timeouts;
        let doubled = u32::try_from(rank).ok().and_then(|rank| 1u64.checked_shl(rank)).unwrap_or(u64::MAX);
        let wait = retry_backoff_ms.saturating_mul(doubled).min(election_backoff_max_ms);
        let at = now.monotonic.0.saturating_add(if rank == 0 { 0 } else { wait });
        match &mut self.role {
            Role::Follower(state) => {
                state.has_resigned = true;
                state.alive_until = state.alive_until.min(now.monotonic.0);
                if state.deadline != NEVER {
                    state.deadline = at;
                }
            }
            Role::Unattached(state) if state.deadline != NEVER => state.deadline = at,
            _ => {}
        }
    }

    fn enter_candidate(&mut self, now: Now) {
        // A damaged peer may have named the last epoch. It must not begin anew.
        let Some(epoch) = self.epoch.0.checked_add(1) else { return };
        self.epoch = LeaderEpoch(epoch);
        let tally = Tally::new(self.quorum.voters(), self.config.local.id);
        let deadline = self.election_deadline(now);
        self.enter_candidacy(tally, deadline, now);
    }

    fn enter_candidacy(&mut self, tally: Tally, deadline: u64, now: Now) {
        self.enter(Role::Candidate(Candidate { tally, deadline, since: now.monotonic.0, is_refused: false }));
    }

    /// Stands soon, since another replica stands whose log is shorter than this one: it may well
    /// lose, and this one win. If it has refused a pre-vote, it is asked again, since it still
    /// heard from the leader then.
    pub(crate) fn stand_instead_of(&mut self, candidate: BrokerId, now: Now) {
        let at = now.monotonic.0.saturating_add(self.lost_leader_wait_ms());
        match &mut self.role {
            Role::Unattached(state) if state.deadline != NEVER => state.deadline = state.deadline.min(at),
            Role::Prospective(state) => state.tally.ask_again(candidate),
            _ => {}
        }
    }

    /// Notes that a voter refused its vote, perhaps because it stands itself. The election ends
    /// when the other answers had as much time again, and one of those that stand begins the next
    /// one. Apache Kafka waits for the election timeout where a voter is down.
    pub(crate) fn vote_refused(&mut self, now: Now) {
        let wait_ms = self.lost_leader_wait_ms();
        let Role::Candidate(candidate) = &mut self.role else { return };
        if candidate.is_refused || candidate.deadline == NEVER {
            return;
        }
        candidate.is_refused = true;
        let taken_ms = now.monotonic.0.saturating_sub(candidate.since);
        let at = now.monotonic.0.saturating_add(taken_ms).saturating_add(wait_ms);
        candidate.deadline = candidate.deadline.min(at);
    }

    fn enter_leader(&mut self, now: Now) -> Result<(), Fault> {
        let Role::Candidate(candidate) = &self.role else { return Ok(()) };
        let granting: Vec<BrokerId> = candidate.tally.granting().collect();
        let check_quorum_at = self.check_quorum_at(now);
        let leader = Leader::new(self.log.end, self.quorum.voters(), self.config.local, check_quorum_at);
        // The high watermark of earlier epochs is not kept. This leader's high watermark starts
        // above its first record.
        self.enter(Role::Leader(leader));
        self.append_start_of_epoch(granting, now)
    }

    pub(crate) fn enter_resigned(&mut self, now: Now) {
        let deadline = self.election_deadline(now);
        let local = self.config.local.id;
        let successors = match &self.role {
            Role::Leader(leader) => leader.successors(),
            _ => Vec::new(),
        };
        let unaware = self.voters().ids().filter(|id| *id != local).collect();
        self.enter(Role::Resigned(Resigned { deadline, unaware, successors }));
    }

    /// Resigns from this epoch, if this replica leads it.
    pub(crate) fn resign(&mut self, epoch: LeaderEpoch, now: Now) {
        if self.is_leader() && self.epoch == epoch {
            self.enter_resigned(now);
        }
    }

    pub(crate) fn begin_stop(&mut self, now: Now) {
        if self.stopping {
            return;
        }
        self.stopping = true;
        if self.is_leader() {
            self.resign(self.epoch, now);
            // Kafka gives the other voters the request timeout to learn of it.
            let limit = now.monotonic.0.saturating_add(self.config.timeouts.request_ms);
            if let Role::Resigned(state) = &mut self.role {
                state.deadline = limit;
            }
        }
    }

    fn finish_stop(&mut self, is_over: bool) {
        if is_over && !self.stopped {
            self.stopped = true;
            self.out.push(Action::Stopped);
        }
    }

    /// Takes over voters that a record of the log, a truncation or a snapshot has changed. A
    /// replica that became a voter may stand for election, and one that is none waits for ever.
    pub(crate) fn adopt_voters(&mut self, now: Now) {
        let is_voter = self.may_stand();
        let adopted = (self.quorum.voters_since(), is_voter);
        if self.adopted_voters == adopted {
            return;
        }
        self.adopted_voters = adopted;
        let fetch_deadline = self.fetch_deadline(now);
        let election_deadline = if is_voter { self.election_deadline(now) } else { NEVER };
        let check_quorum_at = self.check_quorum_at(now);
        match &mut self.role {
            Role::Leader(leader) => {
                leader.adopt(self.quorum.voters(), self.flushed, check_quorum_at);
                self.commit();
            }
            Role::Follower(state) if (state.deadline == NEVER) == is_voter => state.deadline = fetch_deadline,
            Role::Unattached(state) if (state.deadline == NEVER) == is_voter => state.deadline = election_deadline,
            _ => {}
        }
    }

    /// Returns when a voter that follows stands for election. An observer never does.
    pub(crate) fn fetch_deadline(&self, now: Now) -> u64 {
        if self.may_stand() { now.monotonic.0.saturating_add(self.config.timeouts.fetch_ms) } else { NEVER }
    }

    /// Whether this replica may stand for election: a voter, or one whose removal is not known to
    /// be committed. A leader that is killed while it removes itself has a longer log than the
    /// others. Without it nobody would be elected. Kafka 4.3 lets only voters stand.
    pub(crate) fn may_stand(&self) -> bool {
        let was_voter = || self.quorum.voters_before().is_some_and(|voters| voters.contains(&self.config.local));
        self.is_voter() || (was_voter() && !self.are_voters_committed())
    }

    /// Whether the record of the current voters is known to be committed.
    pub(crate) fn are_voters_committed(&self) -> bool {
        self.quorum.voters_since().flatten().is_none_or(|since| self.high_watermark > Some(since))
    }

    /// Returns when a leader resigns if it does not hear from a majority.
    pub(crate) fn check_quorum_at(&self, now: Now) -> u64 {
        if planted::is_planted(Bug::NoCheckQuorum) {
            return NEVER;
        }
        let (numerator, denominator) = CHECK_QUORUM_FACTOR;
        now.monotonic.0.saturating_add(self.config.timeouts.fetch_ms * numerator / denominator)
    }

    /// Returns when a voter that stays silent is told again who leads, as in Kafka.
    pub(crate) fn begin_again_at(&self, now: Now) -> u64 {
        now.monotonic.0.saturating_add((self.config.timeouts.fetch_ms / 2).max(1))
    }

    /// Enters a state: persists the election state, and reports a change of the leader.
    fn enter(&mut self, role: Role) {
        let left = std::mem::replace(&mut self.role, role);
        let is_kept = |sent: &InFlight| planted::is_planted(Bug::StaleFetchResponseTaken) && sent.kind.is_fetch();
        self.in_flight.retain(|_, sent| is_kept(sent));
        self.retry_at.clear();
        let settled = self.drop_superseded();
        self.persist();
        // A leader whose id is known from `quorum-state` gets its address later.
        let is = (self.active_leader(), self.epoch, !self.leader_endpoints().is_empty());
        if !settled || self.announced != Some(is) {
            self.announced = Some(is);
            self.out.push(Action::LeaderChanged { leader: is.0, epoch: is.1 });
        }
        if let Role::Leader(leader) = left {
            self.refuse_held(leader);
        }
    }

    /// Drops what the previous state wanted to persist, if no action depends on it yet. A lone
    /// voter passes through several states at once, and what nobody has seen need not be on disk.
    /// Returns whether there was nothing to drop.
    fn drop_superseded(&mut self) -> bool {
        let kept = self
            .out
            .iter()
            .rposition(|action| !matches!(action, Action::PersistElection { .. } | Action::LeaderChanged { .. }))
            .map_or(0, |last| last + 1);
        let dropped_a_write = self.out.drain(kept..).any(|action| matches!(action, Action::PersistElection { .. }));
        if dropped_a_write {
            self.persisted = None;
        }
        self.out.len() == kept && !dropped_a_write
    }

    /// Returns the leader if it acts as one. A node that led the epoch and resigned does not count.
    fn active_leader(&self) -> Option<BrokerId> {
        self.leader().filter(|leader| *leader != self.config.local.id || self.is_leader())
    }

    /// Writes `quorum-state` if its content changed, or if it does not exist.
    pub(crate) fn persist(&mut self) {
        let voted = self.role.voted(self.config.local).filter(|_| !planted::is_planted(Bug::VoteForgottenAtRestart));
        let election = ElectionState { epoch: self.epoch, leader: self.leader(), voted };
        if self.persisted == Some(election) {
            return;
        }
        self.persisted = Some(election);
        let content = Bytes::from(election.encode(self.kraft_version(), self.voters()));
        self.out.push(Action::PersistElection { election, content });
    }

    fn election_deadline(&mut self, now: Now) -> u64 {
        let wait = self.random.jittered(self.config.timeouts.election_ms);
        now.monotonic.0.saturating_add(wait)
    }
}
