//! Follower: the epoch's leader is known, and the replica fetches from it.

use super::is_same_candidate;
use crate::voters::ReplicaKey;
use model::BrokerId;

/// The state of a follower.
#[derive(Clone, Debug)]
pub(crate) struct Follower {
    /// The leader.
    pub(crate) leader: BrokerId,
    /// The replica that this replica voted for in the epoch.
    pub(crate) voted: Option<ReplicaKey>,
    /// When a voter without a successful fetch starts an election.
    pub(crate) deadline: u64,
    /// Whether the leader has answered a fetch, and so is alive.
    pub(crate) has_fetched: bool,
}

impl Follower {
    /// A follower does not vote. It grants a pre-vote as long as it has not heard from its leader.
    pub(crate) fn grants(&self, candidate: &ReplicaKey, up_to_date: bool, pre_vote: bool) -> bool {
        if pre_vote {
            return up_to_date && !self.has_fetched;
        }
        self.voted.is_some_and(|voted| is_same_candidate(&voted, candidate))
    }
}
