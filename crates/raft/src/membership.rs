//! A follower's own place among the voters (KIP-853): it tells the leader what changed about it,
//! and a controller that is no voter joins them if it is configured to.

use crate::action::Action;
use crate::machine::{InFlight, Peer, Raft, RequestKind};
use crate::message::{QuorumRequest, VoterChange, VoterChangeRequest};
use crate::state::Role;
use crate::timing::Now;

impl Raft {
    /// Returns what this follower asks the leader to change about the voters, and when.
    pub(crate) fn membership_due(&self) -> Option<(u64, VoterChangeRequest)> {
        let Role::Follower(follower) = &self.role else { return None };
        let is_sent = self.in_flight.values().any(|sent| sent.kind == RequestKind::ChangeVoters);
        if is_sent || self.stopping || self.config.endpoints.is_empty() {
            return None;
        }
        let is_dynamic = self.kraft_version().voters_are_in_the_log();
        let known = self.voters().get(self.config.local.id);
        let own = self.own_voter();
        let change = if self.is_voter() {
            let is_news = if is_dynamic { known != Some(&own) } else { !follower.has_told };
            is_news.then_some(VoterChange::Update(own))?
        } else if self.config.auto_join && is_dynamic {
            // A voter with this id and another directory is this node before its disk was replaced.
            known.map_or(VoterChange::Add(own), |old| VoterChange::Remove(old.key))
        } else {
            return None;
        };
        let waits_for_commit = matches!(change, VoterChange::Remove(_));
        let epoch = Some(self.epoch).filter(|_| matches!(change, VoterChange::Update(_)));
        Some((follower.membership_due, VoterChangeRequest { epoch, change, waits_for_commit }))
    }

    /// Sends that request if it is due. As in Kafka, it is sent at most once in a fetch timeout.
    pub(crate) fn send_membership(&mut self, now: Now) {
        let Some((_, request)) = self.membership_due().filter(|(due, _)| *due <= now.monotonic.0) else { return };
        let again = now.monotonic.0.saturating_add(self.config.timeouts.fetch_ms.max(1));
        let Role::Follower(follower) = &mut self.role else { return };
        follower.membership_due = again;
        let to = Peer::Replica(follower.leader);
        let id = self.next_request;
        self.next_request += 1;
        self.in_flight.insert(id, InFlight { to, epoch: self.epoch, kind: RequestKind::ChangeVoters });
        let to = self.destination(to);
        self.out.push(Action::Send { id, to, request: QuorumRequest::ChangeVoters(request) });
    }

    /// Notes that the leader has answered: under `kraft.version` 0 it is told once.
    pub(crate) fn membership_answered(&mut self) {
        if let Role::Follower(follower) = &mut self.role {
            follower.has_told = true;
        }
    }
}
