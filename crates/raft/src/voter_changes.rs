//! The checks of AddRaftVoter and RemoveRaftVoter before anything is sent or written (KIP-853).
//!
//! Only the leader decides. The change itself is not implemented yet: that a new voter catches up,
//! or that an old one resigns.

use crate::describe::QuorumDescription;
use crate::voters::ReplicaKey;
use model::{ApiError, ErrorCode};

impl QuorumDescription {
    /// Checks whether a voter may be added. Errors: REQUEST_TIMED_OUT before anything is committed
    /// in this epoch, UNSUPPORTED_VERSION if the voters are not in the log, DUPLICATE_VOTER if a
    /// voter has this id, with any directory.
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

    fn check_change(&self, doing: &str) -> Result<(), ApiError> {
        if self.high_watermark.is_none() {
            let message = "Request timed out waiting for leader to establish HWM and fence previous voter changes";
            return Err(ApiError::new(ErrorCode::RequestTimedOut, message));
        }
        if !self.kraft_version.voters_are_in_the_log() {
            let level = self.kraft_version.level();
            let message = format!("Cluster doesn't support {doing} voter because the kraft.version feature is {level}");
            return Err(ApiError::new(ErrorCode::UnsupportedVersion, message));
        }
        Ok(())
    }

    fn shown(&self) -> String {
        let voters: Vec<String> = self.voters.iter().map(|voter| voter.key.shown()).collect();
        format!("[{}]", voters.join(", "))
    }
}
