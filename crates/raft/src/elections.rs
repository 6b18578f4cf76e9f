//! Elections: the requests that replicas send each other, and their answers (KIP-595, KIP-853,
//! KIP-996).

use crate::action::{Action, Destination};
use crate::end_offset::EndOffset;
use crate::event::Fault;
use crate::following::FetchOutcome;
use crate::machine::{InFlight, Peer, Raft, RequestKind};
use crate::message::{
    BeginQuorumEpochRequest, EndQuorumEpochRequest, QuorumReply, QuorumRequest, QuorumView, ReceivedReply, SentReply,
    VoteRequest,
};
use crate::planted::{self, Bug};
use crate::state::Role;
use crate::timing::Now;
use crate::voters::{Endpoint, ReplicaKey, Voter};
use model::{BrokerId, ErrorCode, LeaderEpoch};

impl Raft {
    /// Answers a request of another replica.
    pub(crate) fn answer(&mut self, id: u64, request: QuorumRequest, now: Now) -> Result<(), Fault> {
        let reply = match request {
            QuorumRequest::Vote(vote) => self.answer_vote(&vote, now),
            QuorumRequest::BeginQuorumEpoch(begin) => QuorumReply::BeginQuorumEpoch(self.answer_begin(&begin, now)),
            QuorumRequest::EndQuorumEpoch(end) => QuorumReply::EndQuorumEpoch(self.answer_end(&end, now)),
            QuorumRequest::Fetch(fetch) => {
                self.answer_fetch(id, fetch, now);
                return Ok(());
            }
            QuorumRequest::ChangeVoters(change) => return self.answer_change(id, &change, now),
            QuorumRequest::FetchSnapshot(fetch) => self.answer_fetch_snapshot(&fetch, now),
        };
        self.out.push(Action::Reply { id, reply });
        Ok(())
    }

    fn answer_vote(&mut self, vote: &VoteRequest, now: Now) -> SentReply {
        let refused = |raft: &Self, error| QuorumReply::Vote { view: raft.view(error), granted: false };
        let last_epoch = vote.log_end.epoch;
        // A candidate's epoch is above its log's epoch. A replica that sends a pre-vote is still in
        // the epoch that it last fetched from.
        let fits = if vote.pre_vote { last_epoch <= vote.epoch } else { last_epoch < vote.epoch };
        if !fits {
            return refused(self, ErrorCode::InvalidRequest);
        }
        if vote.epoch < self.epoch {
            return refused(self, ErrorCode::FencedLeaderEpoch);
        }
        if vote.epoch > self.epoch {
            self.enter_epoch(vote.epoch, None, now);
        }
        if !self.is_meant_for_this(vote.voter.as_ref()) {
            return refused(self, ErrorCode::InvalidVoterKey);
        }
        let up_to_date =
            vote.log_end.is_as_long_as(&self.log.end_offset()) || planted::is_planted(Bug::ShorterLogElected);
        let granted = self.role.grants(&vote.candidate, up_to_date, vote.pre_vote, now.monotonic.0);
        if granted && !vote.pre_vote {
            self.remember_vote(vote.candidate, now);
        } else if !up_to_date {
            self.stand_instead_of(vote.candidate.id, now);
        }
        QuorumReply::Vote { view: self.view(ErrorCode::None), granted }
    }

    /// Persists the vote before it is given, and restarts the election timeout.
    fn remember_vote(&mut self, candidate: ReplicaKey, now: Now) {
        match &self.role {
            Role::Unattached(state) if state.voted.is_none() => self.vote_for(candidate, now),
            Role::Prospective(state) if state.voted.is_none() => self.vote_for(candidate, now),
            _ => {}
        }
    }

    fn answer_begin(&mut self, begin: &BeginQuorumEpochRequest, now: Now) -> QuorumView {
        if let Some(error) = self.refuse_epoch(begin.epoch) {
            return self.view(error);
        }
        if let Some(error) = self.hear_of_leader(begin.epoch, Some(begin.leader), &begin.leader_endpoints, now) {
            return self.view(error);
        }
        let meant = self.is_meant_for_this(begin.voter.as_ref());
        self.view(if meant { ErrorCode::None } else { ErrorCode::InvalidVoterKey })
    }

    fn answer_end(&mut self, end: &EndQuorumEpochRequest, now: Now) -> QuorumView {
        if let Some(error) = self.refuse_epoch(end.epoch) {
            return self.view(error);
        }
        if let Some(error) = self.hear_of_leader(end.epoch, Some(end.leader), &end.leader_endpoints, now) {
            return self.view(error);
        }
        let rank = end.preferred_candidates.iter().position(|candidate| candidate == &self.config.local);
        let rank = rank.unwrap_or(end.preferred_candidates.len());
        self.stand_after(rank, now);
        self.view(ErrorCode::None)
    }

    fn refuse_epoch(&self, epoch: LeaderEpoch) -> Option<ErrorCode> {
        (epoch < self.epoch).then_some(ErrorCode::FencedLeaderEpoch)
    }

    /// Applies what another replica says about the leader. A second leader in one epoch is refused,
    /// since there cannot be one.
    fn hear_of_leader(
        &mut self,
        epoch: LeaderEpoch,
        leader: Option<BrokerId>,
        endpoints: &[Endpoint],
        now: Now,
    ) -> Option<ErrorCode> {
        if epoch < self.epoch {
            return None;
        }
        if let (Some(leader), Some(known)) = (leader, self.leader())
            && epoch == self.epoch
            && leader != known
        {
            return Some(ErrorCode::InvalidRequest);
        }
        if leader.is_some() && !endpoints.is_empty() {
            self.heard_endpoints = (epoch, endpoints.to_vec());
        }
        if epoch > self.epoch {
            self.enter_epoch(epoch, leader, now);
            return None;
        }
        if let Some(leader) = leader.filter(|leader| self.can_follow(*leader))
            && !matches!(self.role, Role::Follower(_))
        {
            let voted = self.role.voted(self.config.local);
            self.enter_follower(leader, voted, now);
        }
        None
    }

    fn is_meant_for_this(&self, voter: Option<&ReplicaKey>) -> bool {
        voter.is_none_or(|voter| {
            let local = &self.config.local;
            voter.id == local.id && (voter.directory_id.is_none() || voter.directory_id == local.directory_id)
        })
    }

    pub(crate) fn view(&self, error: ErrorCode) -> QuorumView {
        let leader = self.leader();
        QuorumView { error, leader, epoch: self.epoch, leader_endpoints: self.leader_endpoints().to_vec() }
    }

    /// Handles the answer to a request that was sent, if it is still relevant.
    pub(crate) fn take_response(
        &mut self,
        id: u64,
        result: Result<ReceivedReply, ErrorCode>,
        now: Now,
    ) -> Result<(), Fault> {
        let Some(sent) = self.in_flight.remove(&id) else { return Ok(()) };
        let reply = match result {
            Ok(reply) => reply,
            Err(error) => {
                if sent.kind == RequestKind::ChangeVoters && error == ErrorCode::UnsupportedVersion {
                    // A leader of an earlier release. It is not asked again.
                    self.membership_answered();
                }
                self.request_failed(&sent, now);
                if sent.kind.is_fetch() && error == ErrorCode::NetworkException {
                    self.leader_lost(sent.to, now);
                }
                return Ok(());
            }
        };
        let view = reply.view();
        // A leader whose id is known from `quorum-state`, without its address, is followed as well.
        // Its address may be lost with the voters that a truncation took.
        let is_news = view.leader != self.leader()
            || matches!(self.role, Role::Unattached(_))
            || self.leader_endpoints().is_empty();
        if view.epoch > self.epoch || (view.epoch == self.epoch && is_news) {
            let (epoch, leader, endpoints) = (view.epoch, view.leader, view.leader_endpoints.clone());
            let refusal = self.hear_of_leader(epoch, leader, &endpoints, now);
            if refusal.is_some() {
                self.request_failed(&sent, now);
                return Ok(());
            }
        }
        let is_stale = planted::is_planted(Bug::StaleFetchResponseTaken) && sent.kind.is_fetch();
        if self.epoch != sent.epoch && !is_stale {
            return Ok(());
        }
        if view.epoch < self.epoch && !is_stale || view.error != ErrorCode::None {
            let is_of_leader = view.epoch == self.epoch && view.leader.map(Peer::Replica) == Some(sent.to);
            if view.error == ErrorCode::NotLeaderOrFollower && is_of_leader {
                self.leader_resigned(now);
            }
            match sent.kind {
                RequestKind::FetchSnapshot => self.snapshot_refused(view.error),
                RequestKind::ChangeVoters => self.membership_answered(),
                _ => {}
            }
            self.request_failed(&sent, now);
            return Ok(());
        }
        self.take_reply(&sent, reply, now)
    }

    /// Takes an answer without error in the epoch of its request.
    fn take_reply(&mut self, sent: &InFlight, reply: ReceivedReply, now: Now) -> Result<(), Fault> {
        let begin_at = self.begin_again_at(now);
        let outcome = match (reply, sent.to) {
            (QuorumReply::Vote { granted, .. }, Peer::Replica(voter)) => {
                match (sent.kind, &mut self.role) {
                    (RequestKind::PreVote, Role::Prospective(state)) => state.tally.record(voter, granted),
                    (RequestKind::Vote, Role::Candidate(state)) => {
                        state.tally.record(voter, granted);
                        if !granted {
                            self.vote_refused(now);
                        }
                    }
                    _ => {}
                }
                FetchOutcome::Taken
            }
            (QuorumReply::BeginQuorumEpoch(_), Peer::Replica(voter)) => {
                if let Role::Leader(state) = &mut self.role {
                    state.begin_again_at(voter, begin_at);
                }
                FetchOutcome::Taken
            }
            (QuorumReply::EndQuorumEpoch(_), Peer::Replica(voter)) => {
                if let Role::Resigned(state) = &mut self.role {
                    state.unaware.remove(&voter);
                }
                FetchOutcome::Taken
            }
            (QuorumReply::ChangeVoters(_), _) => {
                self.membership_answered();
                FetchOutcome::Taken
            }
            (QuorumReply::Fetch(reply), _) => self.take_fetch(reply, now)?,
            (QuorumReply::FetchSnapshot(reply), _) => self.take_snapshot_piece(reply, now),
            // A bootstrap server gets only fetches.
            (QuorumReply::Vote { .. } | QuorumReply::BeginQuorumEpoch(_) | QuorumReply::EndQuorumEpoch(_), _) => {
                FetchOutcome::Useless
            }
        };
        if outcome == FetchOutcome::Useless {
            self.request_failed(sent, now);
        }
        Ok(())
    }

    /// Notes that a request brought nothing: the next one to this replica waits.
    fn request_failed(&mut self, sent: &InFlight, now: Now) {
        if sent.kind.is_fetch() {
            return self.fetch_failed(sent.to, now);
        }
        if sent.kind == RequestKind::ChangeVoters {
            return;
        }
        let retry_at = now.monotonic.0.saturating_add(self.config.timeouts.retry_backoff_ms);
        self.retry_at.insert(sent.to, retry_at);
    }

    /// Returns the voters that this state's request goes to.
    pub(crate) fn receivers(&self) -> Vec<BrokerId> {
        match &self.role {
            Role::Prospective(state) => state.tally.unanswered().collect(),
            Role::Candidate(state) => state.tally.unanswered().collect(),
            Role::Resigned(state) => state.unaware.iter().copied().collect(),
            Role::Leader(_) | Role::Unattached(_) | Role::Follower(_) => Vec::new(),
        }
    }

    /// Sends this state's request to the replicas that have not answered, one request at a time to
    /// each. A leader tells voters that are silent that it leads.
    pub(crate) fn send_due(&mut self, now: Now) {
        let begin_at = self.begin_again_at(now);
        let mut receivers = self.receivers();
        if let Role::Leader(leader) = &mut self.role {
            receivers = leader.silent(now.monotonic.0).collect();
            receivers.iter().for_each(|voter| leader.begin_again_at(*voter, begin_at));
        }
        for to in receivers {
            let peer = Peer::Replica(to);
            let waits = self.in_flight.values().any(|sent| sent.to == peer)
                || self.retry_at.get(&peer).is_some_and(|at| *at > now.monotonic.0);
            let Some(voter) = self.voters().get(to).filter(|_| !waits).cloned() else { continue };
            let Some((kind, request)) = self.request_to(&voter) else { continue };
            self.retry_at.remove(&peer);
            let id = self.next_request;
            self.next_request += 1;
            self.in_flight.insert(id, InFlight { to: peer, epoch: self.epoch, kind });
            let to = Destination { replica: Some(voter.key), endpoints: voter.endpoints };
            self.out.push(Action::Send { id, to, request });
        }
    }

    fn request_to(&self, voter: &Voter) -> Option<(RequestKind, QuorumRequest)> {
        let (local, epoch) = (self.config.local, self.epoch);
        let leader_endpoints = self.config.endpoints.clone();
        Some(match &self.role {
            Role::Prospective(_) => (RequestKind::PreVote, self.vote_request(voter, true)),
            Role::Candidate(_) => (RequestKind::Vote, self.vote_request(voter, false)),
            Role::Leader(_) => {
                let begin =
                    BeginQuorumEpochRequest { leader: local.id, epoch, voter: Some(voter.key), leader_endpoints };
                (RequestKind::BeginQuorumEpoch, QuorumRequest::BeginQuorumEpoch(begin))
            }
            Role::Resigned(state) => {
                let preferred_candidates = state.successors.clone();
                let end = EndQuorumEpochRequest { leader: local.id, epoch, preferred_candidates, leader_endpoints };
                (RequestKind::EndQuorumEpoch, QuorumRequest::EndQuorumEpoch(end))
            }
            Role::Unattached(_) | Role::Follower(_) => return None,
        })
    }

    fn vote_request(&self, voter: &Voter, pre_vote: bool) -> QuorumRequest {
        let EndOffset { epoch, offset } = self.log.end_offset();
        QuorumRequest::Vote(VoteRequest {
            epoch: self.epoch,
            candidate: self.config.local,
            voter: Some(voter.key),
            log_end: EndOffset { epoch, offset },
            pre_vote,
        })
    }
}
