//! Unattached: the replica knows no leader that it can follow. It may vote once in this epoch.

use crate::voters::ReplicaKey;
use model::BrokerId;

/// The state of an unattached replica.
#[derive(Clone, Debug)]
pub(crate) struct Unattached {
    /// The epoch's leader, if its id is known but not its address.
    pub(crate) leader: Option<BrokerId>,
    /// The replica that this replica voted for in the epoch.
    pub(crate) voted: Option<ReplicaKey>,
    /// When a voter starts an election. Never for an observer.
    pub(crate) deadline: u64,
}
