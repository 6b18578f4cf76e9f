//! Prospective: the replica asks whether it would be elected (KIP-996) without a new epoch. So a
//! replica that was disconnected disturbs nobody.

use super::Tally;
use crate::voters::ReplicaKey;
use model::BrokerId;

/// The state of a prospective candidate.
#[derive(Clone, Debug)]
pub(crate) struct Prospective {
    /// The leader that was known before, if any.
    pub(crate) leader: Option<BrokerId>,
    /// The replica that this replica voted for in the epoch.
    pub(crate) voted: Option<ReplicaKey>,
    /// The pre-votes so far.
    pub(crate) tally: Tally,
    /// When the pre-vote times out.
    pub(crate) deadline: u64,
}
