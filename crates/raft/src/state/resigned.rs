//! Resigned: the replica led this epoch, in this run or before a restart, and has stopped. It may
//! neither vote nor append in the epoch. Records that it appended and did not fsync may be lost,
//! and an offset must not have two records of one epoch.

use crate::voters::ReplicaKey;
use model::BrokerId;
use std::collections::BTreeSet;

/// The state of a resigned leader.
#[derive(Clone, Debug)]
pub(crate) struct Resigned {
    /// When it starts an election again.
    pub(crate) deadline: u64,
    /// The voters that do not know that it resigned.
    pub(crate) unaware: BTreeSet<BrokerId>,
    /// The preferred successors: the other voters, the one with the longest log first.
    pub(crate) successors: Vec<ReplicaKey>,
}
