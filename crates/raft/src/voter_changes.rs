//! Changes of the voters (KIP-853): AddRaftVoter, RemoveRaftVoter, UpdateRaftVoter, and the upgrade
//! of `kraft.version` from 0 to 1, which moves the voters from the configuration to the log.
//!
//! Invariants: one change at a time, and none before the leader has committed a record of its
//! epoch; a change counts from its record on, committed or not; a leader that removed itself leads
//! until the change is committed.

use crate::action::Action;
use crate::control::ControlRecord;
use crate::describe::QuorumDescription;
use crate::event::Fault;
use crate::machine::Raft;
use crate::message::{QuorumReply, VoterChange, VoterChangeReply, VoterChangeRequest};
use crate::planted::{self, Bug};
use crate::state::{PendingChange, Role};
use crate::timing::Now;
use crate::voters::{KRaftVersion, ReplicaKey, Voter, VoterSet};
use model::{ApiError, ErrorCode, Offset};

impl QuorumDescription {
    /// Checks whether a voter may be added. Errors: REQUEST_TIMED_OUT before anything is committed
    /// in this epoch and while another change is not, UNSUPPORTED_VERSION if the voters are not in
    /// the log, DUPLICATE_VOTER if a voter has this id, with any directory.
    pub fn check_addition(&self, voter: &ReplicaKey) -> Result<(), ApiError> {
        self.check_change("adding")?;
        if self.voters.iter().any(|known| known.key.id == voter.id) {
            let message =
                format!("The voter id for {} is already part of the set of voters {}.", voter.shown(), self.shown());
            return Err(ApiError::new(ErrorCode::DuplicateVoter, message));
        }
        Ok(())
    }

    /// Checks whether a voter may be removed. Errors: the same without DUPLICATE_VOTER, and
    /// VOTER_NOT_FOUND if it is not a voter or is the only one.
    pub fn check_removal(&self, voter: &ReplicaKey) -> Result<(), ApiError> {
        self.check_change("removing")?;
        if self.voters.len() == 1 || !self.voters.iter().any(|known| known.key == *voter) {
            let message = format!("Cannot remove voter {} from the set of voters {}", voter.shown(), self.shown());
            return Err(ApiError::new(ErrorCode::VoterNotFound, message));
        }
        Ok(())
    }

    /// Checks whether a voter may change its endpoints and its levels of `kraft.version`. Errors:
    /// those of every change, INVALID_REQUEST if it does not support the current level,
    /// VOTER_NOT_FOUND if it is no voter.
    fn check_update(&self, voter: &Voter) -> Result<(), ApiError> {
        if self.kraft_version.voters_are_in_the_log() {
            self.check_change("updating")?;
        }
        let (min, max) = voter.kraft_versions;
        if !(min..=max).contains(&self.kraft_version.level()) || voter.endpoints.is_empty() {
            return Err(ErrorCode::InvalidRequest.into());
        }
        if !self.nodes.iter().any(|known| known.is(&voter.key)) {
            return Err(ErrorCode::VoterNotFound.into());
        }
        Ok(())
    }

    fn check_change(&self, doing: &str) -> Result<(), ApiError> {
        let timed_out = |message: String| Err(ApiError::new(ErrorCode::RequestTimedOut, message));
        if self.has_pending_change {
            return timed_out("Request timed out waiting for leader to handle previous voter change request".into());
        }
        let Some(high_watermark) = self.high_watermark else {
            let message = "Request timed out waiting for leader to establish HWM and fence previous voter changes";
            return timed_out(message.into());
        };
        if !self.kraft_version.voters_are_in_the_log() {
            let level = self.kraft_version.level();
            let message = format!("Cluster doesn't support {doing} voter because the kraft.version feature is {level}");
            return Err(ApiError::new(ErrorCode::UnsupportedVersion, message));
        }
        if let Some(since) = self.voters_since.filter(|since| *since >= high_watermark) {
            return timed_out(format!(
                "Request timed out waiting for voters to commit the latest voter change at Optional[{since}] with HWM {high_watermark}"
            ));
        }
        Ok(())
    }

    fn shown(&self) -> String {
        let voters: Vec<String> = self.voters.iter().map(|voter| voter.key.shown()).collect();
        format!("[{}]", voters.join(", "))
    }
}

impl Raft {
    /// Answers a request to change the voters, at once or when the change is committed.
    pub(crate) fn answer_change(&mut self, id: u64, request: &VoterChangeRequest, now: Now) -> Result<(), Fault> {
        match self.change_voters(request, now)? {
            Ok(Some(end)) if request.waits_for_commit => {
                let deadline = now.monotonic.0.saturating_add(self.config.timeouts.request_ms);
                if let Role::Leader(leader) = &mut self.role {
                    leader.change = Some(PendingChange { id, end, deadline });
                }
            }
            Ok(_) => self.reply_change(id, Ok(())),
            Err(error) => self.reply_change(id, Err(error)),
        }
        Ok(())
    }

    fn reply_change(&mut self, id: u64, outcome: Result<(), ApiError>) {
        let (error, message) = outcome.map_or_else(|error| (error.code, error.message), |()| (ErrorCode::None, None));
        let reply = VoterChangeReply { view: self.view(error), message };
        self.out.push(Action::Reply { id, reply: QuorumReply::ChangeVoters(reply) });
    }

    /// Changes the voters. Returns the end of the record that does it, if one is needed.
    fn change_voters(
        &mut self,
        request: &VoterChangeRequest,
        now: Now,
    ) -> Result<Result<Option<Offset>, ApiError>, Fault> {
        let epoch = request.epoch.unwrap_or(self.epoch);
        if let Some(error) = self.refuse_follower(epoch, None) {
            return Ok(Err(error.into()));
        }
        let Some(mut quorum) = self.describe(now) else { return Ok(Err(ErrorCode::NotLeaderOrFollower.into())) };
        if planted::is_planted(Bug::TwoChangesAtOnce) {
            (quorum.has_pending_change, quorum.voters_since) = (false, None);
        }
        let records = match &request.change {
            VoterChange::Add(voter) => self.addition(&quorum, voter, now),
            VoterChange::Remove(voter) => quorum.check_removal(voter).map(|()| vec![self.voters().without(voter.id)]),
            VoterChange::Update(voter) => self.update(&quorum, voter),
            VoterChange::UpgradeKRaftVersion => self.upgrade(&quorum),
        };
        let voters = match records {
            Ok(voters) => voters,
            Err(error) => return Ok(Err(error)),
        };
        let Some(voters) = voters.into_iter().next() else { return Ok(Ok(None)) };
        let mut records = Vec::new();
        if request.change == VoterChange::UpgradeKRaftVersion {
            records.push(ControlRecord::KRaftVersion(KRaftVersion::V1));
        }
        records.push(ControlRecord::Voters(voters));
        self.append_control(&records, now)?;
        self.adopt_voters(now);
        Ok(Ok(Some(self.log.end)))
    }

    /// A new voter has what the leader had within the last hour, as in Kafka.
    fn addition(&self, quorum: &QuorumDescription, voter: &Voter, now: Now) -> Result<Vec<VoterSet>, ApiError> {
        quorum.check_addition(&voter.key)?;
        let (min, max) = voter.kraft_versions;
        if !(min..=max).contains(&quorum.kraft_version.level()) || voter.endpoints.is_empty() {
            let message = format!(
                "Aborted add voter operation for {} since kraft.version range SupportedVersionRange[min_version:{min}, max_version:{max}] doesn't support version {}",
                voter.key.shown(),
                quorum.kraft_version.level()
            );
            return Err(ApiError::new(ErrorCode::InvalidRequest, message));
        }
        let Role::Leader(leader) = &self.role else { return Err(ErrorCode::NotLeaderOrFollower.into()) };
        if !leader.is_caught_up(&voter.key, now) {
            let message = format!("Aborted add voter operation for {} since it is lagging behind", voter.key.shown());
            return Err(ApiError::new(ErrorCode::RequestTimedOut, message));
        }
        Ok(vec![self.voters().with(voter.clone())])
    }

    /// Under `kraft.version` 0 an update is only remembered, for the upgrade.
    fn update(&mut self, quorum: &QuorumDescription, voter: &Voter) -> Result<Vec<VoterSet>, ApiError> {
        quorum.check_update(voter)?;
        if self.voters().get(voter.key.id) == Some(voter) {
            return Ok(Vec::new());
        }
        if quorum.kraft_version.voters_are_in_the_log() {
            return Ok(vec![self.voters().with(voter.clone())]);
        }
        if let Role::Leader(leader) = &mut self.role {
            leader.updated = leader.updated.with(voter.clone());
        }
        Ok(Vec::new())
    }

    /// Returns the voters that the upgrade writes: what each of them said of itself.
    fn upgrade(&self, quorum: &QuorumDescription) -> Result<Vec<VoterSet>, ApiError> {
        if quorum.kraft_version >= KRaftVersion::V1 {
            return Ok(Vec::new());
        }
        if quorum.high_watermark.is_none() || quorum.has_pending_change {
            return Err(ErrorCode::RequestTimedOut.into());
        }
        let Role::Leader(leader) = &self.role else { return Err(ErrorCode::NotLeaderOrFollower.into()) };
        let updated = leader.updated.with(self.own_voter());
        let supports = |voter: &Voter| updated.get(voter.key.id).is_some_and(|voter| voter.kraft_versions.1 >= 1);
        if !self.voters().iter().all(supports) {
            let message = "Invalid upgrade of kraft.version to 1 because not all of the voters support it";
            return Err(ApiError::new(ErrorCode::InvalidUpdateVersion, message));
        }
        Ok(vec![updated])
    }

    /// Returns this replica as a voter.
    pub(crate) fn own_voter(&self) -> Voter {
        Voter {
            key: self.config.local,
            endpoints: self.config.endpoints.clone(),
            kraft_versions: (KRaftVersion::V0.level(), KRaftVersion::LATEST.level()),
        }
    }

    /// Answers the request whose change is committed, or has waited long enough.
    pub(crate) fn settle_change(&mut self, now: Now) {
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(change) = leader.change else { return };
        let outcome = if self.high_watermark >= Some(change.end) {
            Ok(())
        } else if change.deadline <= now.monotonic.0 {
            Err(ErrorCode::RequestTimedOut.into())
        } else {
            return;
        };
        leader.change = None;
        self.reply_change(change.id, outcome);
    }

    /// Answers the request of a leader that leads no more. Whether its change will be committed is
    /// not known.
    pub(crate) fn refuse_change(&mut self, change: Option<PendingChange>) {
        if let Some(change) = change {
            self.reply_change(change.id, Err(ErrorCode::NotLeaderOrFollower.into()));
        }
    }

    /// Whether this leader is no voter any more, and all know it.
    pub(crate) fn is_removed(&self) -> bool {
        !self.is_voter() && self.are_voters_committed()
    }
}
