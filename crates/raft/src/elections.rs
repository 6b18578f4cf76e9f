//! Elections: the requests that replicas send each other, and their answers (KIP-595, KIP-853,
//! KIP-996).

use crate::action::{Action, Destination};
use crate::end_offset::EndOffset;
use crate::machine::{InFlight, Raft, RequestKind};
use crate::message::{
    BeginQuorumEpochRequest, EndQuorumEpochRequest, FetchContent, FetchReply, FetchSnapshotReply, QuorumReply,
    QuorumRequest, QuorumView, ReceivedReply, SentReply, VoteRequest,
};
use crate::state::Role;
use crate::timing::Now;
use crate::voters::{ReplicaKey, Voter};
use model::{BrokerId, ErrorCode, LeaderEpoch};

impl Raft {
    /// Answers a request of another replica.
    pub(crate) fn answer(&mut self, id: u64, request: QuorumRequest, now: Now) {
        let reply = match request {
            QuorumRequest::Vote(vote) => self.answer_vote(&vote, now),
            QuorumRequest::BeginQuorumEpoch(begin) => QuorumReply::BeginQuorumEpoch(self.answer_begin(&begin, now)),
            QuorumRequest::EndQuorumEpoch(end) => QuorumReply::EndQuorumEpoch(self.answer_end(&end, now)),
            QuorumRequest::Fetch(_) => QuorumReply::Fetch(FetchReply {
                view: self.view(ErrorCode::UnsupportedVersion),
                high_watermark: None,
                log_start: self.log.start,
                content: FetchContent::Nothing,
            }),
            QuorumRequest::FetchSnapshot(_) => {
                let view = self.view(ErrorCode::UnsupportedVersion);
                QuorumReply::FetchSnapshot(FetchSnapshotReply { view, piece: None })
            }
        };
        self.out.push(Action::Reply { id, reply });
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
        let up_to_date = vote.log_end.is_as_long_as(&self.log.end_offset());
        let granted = self.role.grants(&vote.candidate, up_to_date, vote.pre_vote);
        if granted && !vote.pre_vote {
            self.remember_vote(vote.candidate, now);
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
        if let Some(error) = self.hear_of_leader(begin.epoch, Some(begin.leader), now) {
            return self.view(error);
        }
        let meant = self.is_meant_for_this(begin.voter.as_ref());
        self.view(if meant { ErrorCode::None } else { ErrorCode::InvalidVoterKey })
    }

    fn answer_end(&mut self, end: &EndQuorumEpochRequest, now: Now) -> QuorumView {
        if let Some(error) = self.refuse_epoch(end.epoch) {
            return self.view(error);
        }
        if let Some(error) = self.hear_of_leader(end.epoch, Some(end.leader), now) {
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
    fn hear_of_leader(&mut self, epoch: LeaderEpoch, leader: Option<BrokerId>, now: Now) -> Option<ErrorCode> {
        if epoch < self.epoch {
            return None;
        }
        if epoch > self.epoch {
            self.enter_epoch(epoch, leader, now);
            return None;
        }
        match (leader, self.leader()) {
            (Some(leader), Some(known)) if leader != known => return Some(ErrorCode::InvalidRequest),
            (Some(leader), _) if self.can_follow(leader) && !matches!(self.role, Role::Follower(_)) => {
                let voted = self.role.voted(self.config.local);
                self.enter_follower(leader, voted, now);
            }
            _ => {}
        }
        None
    }

    fn is_meant_for_this(&self, voter: Option<&ReplicaKey>) -> bool {
        voter.is_none_or(|voter| {
            let local = &self.config.local;
            voter.id == local.id && (voter.directory_id.is_none() || voter.directory_id == local.directory_id)
        })
    }

    fn view(&self, error: ErrorCode) -> QuorumView {
        let leader = self.leader();
        QuorumView { error, leader, epoch: self.epoch, leader_endpoints: self.leader_endpoints().to_vec() }
    }

    /// Handles the answer to a request that was sent, if it is still relevant.
    pub(crate) fn take_response(&mut self, id: u64, result: Result<ReceivedReply, ErrorCode>, now: Now) {
        let Some(sent) = self.in_flight.remove(&id) else { return };
        let retry_at = now.monotonic.0.saturating_add(self.config.timeouts.retry_backoff_ms);
        let Ok(reply) = result else {
            self.retry_at.insert(sent.to, retry_at);
            return;
        };
        let granted = matches!(reply, QuorumReply::Vote { granted: true, .. });
        let view = reply.view();
        if view.epoch > self.epoch || (view.epoch == self.epoch && view.leader != self.leader()) {
            let leader = view.leader;
            if self.hear_of_leader(view.epoch, leader, now).is_some() || self.epoch != sent.epoch {
                return;
            }
        }
        if self.epoch != sent.epoch || view.epoch < self.epoch {
            return;
        }
        if view.error != ErrorCode::None {
            self.retry_at.insert(sent.to, retry_at);
            return;
        }
        match (sent.kind, &mut self.role) {
            (RequestKind::PreVote, Role::Prospective(state)) => state.tally.record(sent.to, granted),
            (RequestKind::Vote, Role::Candidate(state)) => state.tally.record(sent.to, granted),
            (RequestKind::BeginQuorumEpoch, Role::Leader(state)) => state.acknowledged(sent.to),
            (RequestKind::EndQuorumEpoch, Role::Resigned(state)) => {
                state.unaware.remove(&sent.to);
            }
            _ => {}
        }
    }

    /// Whether this state has requests to send.
    pub(crate) fn has_requests_to_send(&self) -> bool {
        !self.receivers().is_empty()
    }

    fn receivers(&self) -> Vec<BrokerId> {
        match &self.role {
            Role::Prospective(state) => state.tally.unanswered().collect(),
            Role::Candidate(state) => state.tally.unanswered().collect(),
            Role::Leader(state) => state.unacknowledged().collect(),
            Role::Resigned(state) if self.stopping => state.unaware.iter().copied().collect(),
            Role::Resigned(_) | Role::Unattached(_) | Role::Follower(_) => Vec::new(),
        }
    }

    /// Sends this state's request to the replicas that have not answered, one request at a time to
    /// each.
    pub(crate) fn send_due(&mut self, now: Now) {
        for to in self.receivers() {
            let waits = self.in_flight.values().any(|sent| sent.to == to)
                || self.retry_at.get(&to).is_some_and(|at| *at > now.monotonic.0);
            let Some(voter) = self.voters().get(to).filter(|_| !waits).cloned() else { continue };
            let Some((kind, request)) = self.request_to(&voter) else { continue };
            self.retry_at.remove(&to);
            let id = self.next_request;
            self.next_request += 1;
            self.in_flight.insert(id, InFlight { to, epoch: self.epoch, kind });
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
