//! Prospective: the replica asks whether it would be elected (KIP-996), in the epoch it is in, so that a replica that was cut off disturbs nobody.

use super::Tally;
use crate::voters::ReplicaKey;
use model::BrokerId;

/// The state.
#[derive(Clone, Debug)]
pub(crate) struct Prospective {
    /// The leader that was known before.
    pub(crate) leader: Option<BrokerId>,
    /// Whom this replica voted for in the epoch.
    pub(crate) voted: Option<ReplicaKey>,
    /// Who would vote for us.
    pub(crate) tally: Tally,
    /// When asking is given up.
    pub(crate) deadline: u64,
}
