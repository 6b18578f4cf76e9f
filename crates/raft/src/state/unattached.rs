//! Unattached: no leader that could be followed. The replica may vote in this epoch, once.

use crate::voters::ReplicaKey;
use model::BrokerId;

/// The state.
#[derive(Clone, Debug)]
pub(crate) struct Unattached {
    /// The epoch's leader, known by id but not by address.
    pub(crate) leader: Option<BrokerId>,
    /// Whom this replica voted for in the epoch.
    pub(crate) voted: Option<ReplicaKey>,
    /// When a voter begins an election; never for an observer.
    pub(crate) deadline: u64,
}
