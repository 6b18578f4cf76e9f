//! The states of a replica, one file each. A state decides with what it holds; `Raft` carries out the moves between them.
//!
//! ```text
//! unattached --election timeout--> prospective --majority would vote--> candidate --majority voted--> leader
//!      ^                               |    ^                              |                             |
//!      |                               |    +----- election timeout -------+                  resigns: resigned
//!      +-- a higher epoch, from any -- | --> follower <-- a leader became known, from any            |
//!                                      +-- no majority: back to the leader it knew, or unattached <--+ election timeout: prospective
//! ```
//! A replica that does not vote (an observer) is only ever unattached or a follower; its unattached state has no deadline.

mod candidate;
mod follower;
mod leader;
mod prospective;
mod resigned;
mod tally;
mod unattached;

pub(crate) use candidate::Candidate;
pub(crate) use follower::Follower;
pub(crate) use leader::{Leader, ReplicaProgress};
pub(crate) use prospective::Prospective;
pub(crate) use resigned::Resigned;
pub(crate) use tally::Tally;
pub(crate) use unattached::Unattached;

use crate::voters::ReplicaKey;
use model::BrokerId;

/// A deadline that never comes.
pub(crate) const NEVER: u64 = u64::MAX;

/// What this replica is in its epoch.
#[derive(Clone, Debug)]
pub(crate) enum Role {
    Unattached(Unattached),
    Prospective(Prospective),
    Candidate(Candidate),
    Leader(Leader),
    Follower(Follower),
    Resigned(Resigned),
}

/// Which state a replica is in, for logs and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleName {
    /// Knows no leader it could follow.
    Unattached,
    /// Asks whether it would be elected.
    Prospective,
    /// Asks for votes in an epoch of its own.
    Candidate,
    /// Leads the epoch.
    Leader,
    /// Fetches from the epoch's leader.
    Follower,
    /// Led the epoch and does so no more.
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

    /// The epoch's leader as far as this state knows; `local` is this replica.
    pub(crate) fn leader(&self, local: BrokerId) -> Option<BrokerId> {
        match self {
            Self::Unattached(state) => state.leader,
            Self::Prospective(state) => state.leader,
            Self::Candidate(_) => None,
            Self::Leader(_) | Self::Resigned(_) => Some(local),
            Self::Follower(state) => Some(state.leader),
        }
    }

    /// Whom this replica voted for in the epoch.
    pub(crate) fn voted(&self, local: ReplicaKey) -> Option<ReplicaKey> {
        match self {
            Self::Unattached(state) => state.voted,
            Self::Prospective(state) => state.voted,
            Self::Candidate(_) => Some(local),
            Self::Leader(_) | Self::Resigned(_) => None,
            Self::Follower(state) => state.voted,
        }
    }

    /// When this state ends by itself.
    pub(crate) fn deadline(&self) -> u64 {
        match self {
            Self::Unattached(state) => state.deadline,
            Self::Prospective(state) => state.deadline,
            Self::Candidate(state) => state.deadline,
            Self::Leader(state) => state.deadline,
            Self::Follower(state) => state.deadline,
            Self::Resigned(state) => state.deadline,
        }
    }

    /// Whether a vote, or with `pre_vote` the word that one would be given, goes to this candidate of the same epoch. `up_to_date` says whether its
    /// log is at least as long as ours.
    pub(crate) fn grants(&self, candidate: &ReplicaKey, up_to_date: bool, pre_vote: bool) -> bool {
        match self {
            Self::Unattached(state) => grants_unattached(state.leader, state.voted, candidate, up_to_date, pre_vote),
            Self::Prospective(state) => grants_unattached(state.leader, state.voted, candidate, up_to_date, pre_vote),
            Self::Candidate(_) | Self::Resigned(_) => pre_vote && up_to_date,
            Self::Leader(_) => false,
            Self::Follower(state) => state.grants(candidate, up_to_date, pre_vote),
        }
    }
}

/// The rule of the two states that may still vote in their epoch: once, and not where the epoch has a leader already.
fn grants_unattached(
    leader: Option<BrokerId>,
    voted: Option<ReplicaKey>,
    candidate: &ReplicaKey,
    up_to_date: bool,
    pre_vote: bool,
) -> bool {
    match voted {
        _ if pre_vote => up_to_date,
        Some(voted) => is_same_candidate(&voted, candidate),
        None => leader.is_none() && up_to_date,
    }
}

/// Whether a vote for `voted` is one for `candidate`; a vote that was written without a directory matches any.
pub(crate) fn is_same_candidate(voted: &ReplicaKey, candidate: &ReplicaKey) -> bool {
    voted.id == candidate.id && (voted.directory_id.is_none() || voted.directory_id == candidate.directory_id)
}
