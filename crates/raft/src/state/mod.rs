//! The states of a replica, one file each. A state decides by its own data, and `Raft` makes the
//! transitions between states.
//!
//! ```text
//! unattached --election timeout--> prospective --majority would vote--> candidate --majority voted--> leader
//!      ^                               |    ^                              |                             |
//!      |                               |    +----- election timeout -------+                  resigns: resigned
//!      +-- a higher epoch, from any -- | --> follower <-- a leader became known, from any            |
//!                                      +-- no majority: back to the leader it knew, or unattached <--+ election timeout: prospective
//! ```
//! A replica that does not vote (an observer) is only unattached or a follower. Its unattached
//! state has no deadline.

mod candidate;
mod follower;
mod leader;
mod prospective;
mod resigned;
mod tally;
mod unattached;

pub(crate) use candidate::Candidate;
pub(crate) use follower::{Download, Follower};
pub(crate) use leader::{HELD_FETCHES_MAX, HeldFetch, Leader, OBSERVER_SESSION_MS, PendingChange, ReplicaProgress};
pub(crate) use prospective::Prospective;
pub(crate) use resigned::Resigned;
pub(crate) use tally::Tally;
pub(crate) use unattached::Unattached;

use crate::planted::{self, Bug};
use crate::voters::ReplicaKey;
use model::BrokerId;

/// A deadline that never passes.
pub(crate) const NEVER: u64 = u64::MAX;

/// The state of this replica in its epoch.
#[derive(Clone, Debug)]
pub(crate) enum Role {
    Unattached(Unattached),
    Prospective(Prospective),
    Candidate(Candidate),
    Leader(Leader),
    Follower(Follower),
    Resigned(Resigned),
}

/// The name of a state, for logs and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleName {
    /// Knows no leader that it can follow.
    Unattached,
    /// Asks whether it would be elected.
    Prospective,
    /// Asks for votes in an epoch that it started.
    Candidate,
    /// Leads the epoch.
    Leader,
    /// Fetches from the epoch's leader.
    Follower,
    /// Led the epoch and has resigned.
    Resigned,
}

impl Role {
    pub(crate) fn name(&self) -> RoleName {
        match self {
            Self::Unattached(_) => RoleName::Unattached,
            Self::Prospective(_) => RoleName::Prospective,
            Self::Candidate(_) => RoleName::Candidate,
            Self::Leader(_) => RoleName::Leader,
            Self::Follower(_) => RoleName::Follower,
            Self::Resigned(_) => RoleName::Resigned,
        }
    }

    /// Returns the epoch's leader, if this state knows it. `local` is this replica.
    pub(crate) fn leader(&self, local: BrokerId) -> Option<BrokerId> {
        match self {
            Self::Unattached(state) => state.leader,
            Self::Prospective(state) => state.leader,
            Self::Candidate(_) => None,
            Self::Leader(_) | Self::Resigned(_) => Some(local),
            Self::Follower(state) => Some(state.leader),
        }
    }

    /// Returns the replica that this replica voted for in the epoch.
    pub(crate) fn voted(&self, local: ReplicaKey) -> Option<ReplicaKey> {
        match self {
            Self::Unattached(state) => state.voted,
            Self::Prospective(state) => state.voted,
            Self::Candidate(_) => Some(local),
            Self::Leader(_) | Self::Resigned(_) => None,
            Self::Follower(state) => state.voted,
        }
    }

    /// Returns the time when this state ends without another event.
    pub(crate) fn deadline(&self) -> u64 {
        match self {
            Self::Unattached(state) => state.deadline,
            Self::Prospective(state) => state.deadline,
            Self::Candidate(state) => state.deadline,
            Self::Leader(state) => state.deadline,
            Self::Follower(state) => state.fetch_deadline(),
            Self::Resigned(state) => state.deadline,
        }
    }

    /// Whether this state votes for the candidate in its epoch, or with `pre_vote` would vote.
    /// `up_to_date` says whether the candidate's log is at least as long as this replica's.
    pub(crate) fn grants(&self, candidate: &ReplicaKey, up_to_date: bool, pre_vote: bool, now_ms: u64) -> bool {
        match self {
            Self::Unattached(state) => grants_unattached(state.leader, state.voted, candidate, up_to_date, pre_vote),
            Self::Prospective(state) => grants_unattached(state.leader, state.voted, candidate, up_to_date, pre_vote),
            Self::Candidate(_) | Self::Resigned(_) => pre_vote && up_to_date,
            Self::Leader(_) => false,
            Self::Follower(state) => state.grants(candidate, up_to_date, pre_vote, now_ms),
        }
    }
}

/// The rule of the two states that may still vote in their epoch: vote once, and not if the epoch
/// has a leader.
fn grants_unattached(
    leader: Option<BrokerId>,
    voted: Option<ReplicaKey>,
    candidate: &ReplicaKey,
    up_to_date: bool,
    pre_vote: bool,
) -> bool {
    match voted {
        _ if pre_vote => up_to_date,
        Some(_) if planted::is_planted(Bug::VotedTwice) => up_to_date,
        Some(voted) => is_same_candidate(&voted, candidate),
        None => leader.is_none() && up_to_date,
    }
}

/// Whether a vote for `voted` is a vote for `candidate`. A vote that was persisted without a
/// directory matches any directory.
pub(crate) fn is_same_candidate(voted: &ReplicaKey, candidate: &ReplicaKey) -> bool {
    voted.id == candidate.id && (voted.directory_id.is_none() || voted.directory_id == candidate.directory_id)
}
