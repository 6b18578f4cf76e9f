//! Resigned: the replica led this epoch, in this run or before a restart, and leads it no more. It may neither vote in it nor append to it, since
//! what it appended and did not fsync may be lost, and an offset must not have two records of one epoch.

use crate::voters::ReplicaKey;
use model::BrokerId;
use std::collections::BTreeSet;

/// The state.
#[derive(Clone, Debug)]
pub(crate) struct Resigned {
    /// When it stands for election again.
    pub(crate) deadline: u64,
    /// Voters that have not heard of it.
    pub(crate) unaware: BTreeSet<BrokerId>,
    /// Who should lead next: the other voters, the one with the longest log first.
    pub(crate) successors: Vec<ReplicaKey>,
}
