//! Follower: the epoch's leader is known, and the replica fetches from it.

use super::{NEVER, is_same_candidate};
use crate::snapshot_id::SnapshotId;
use crate::voters::ReplicaKey;
use model::BrokerId;

/// The state of a follower.
#[derive(Clone, Debug)]
pub(crate) struct Follower {
    /// The leader.
    pub(crate) leader: BrokerId,
    /// The replica that this replica voted for in the epoch.
    pub(crate) voted: Option<ReplicaKey>,
    /// When a voter without a successful fetch starts an election. Never for an observer.
    pub(crate) deadline: u64,
    /// Until when the leader counts as alive, because it has answered a fetch. It matters for an
    /// observer, which may be a voter already by the log of the one that asks for its vote.
    pub(crate) alive_until: u64,
    /// Whether the leader has resigned. It does not lead again in this epoch, so its late answers
    /// prove nothing.
    pub(crate) has_resigned: bool,
    /// How often in a row the leader's connection was refused or lost.
    pub(crate) lost_connections: u32,
    /// Whether the last fetch failed, so that the next one asks another replica for the leader.
    pub(crate) asks_others: bool,
    /// The snapshot that is downloaded.
    pub(crate) download: Option<Download>,
    /// When this replica may next ask the leader to change the voters.
    pub(crate) membership_due: u64,
    /// Whether the leader knows what this voter of the configuration says of itself.
    pub(crate) has_told: bool,
}

/// A snapshot that is downloaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Download {
    pub(crate) id: SnapshotId,
    /// The size of the partial file.
    pub(crate) position: u64,
    /// Whether the file is complete and is being checked.
    pub(crate) is_complete: bool,
}

impl Follower {
    pub(crate) fn new(leader: BrokerId, voted: Option<ReplicaKey>, deadline: u64, membership_due: u64) -> Self {
        Self {
            leader,
            voted,
            deadline,
            alive_until: 0,
            has_resigned: false,
            lost_connections: 0,
            asks_others: false,
            download: None,
            membership_due,
            has_told: false,
        }
    }

    /// A follower does not vote. It grants a pre-vote as long as it does not hear from its leader.
    pub(crate) fn grants(&self, candidate: &ReplicaKey, up_to_date: bool, pre_vote: bool, now_ms: u64) -> bool {
        if pre_vote {
            return up_to_date && self.alive_until <= now_ms;
        }
        self.voted.is_some_and(|voted| is_same_candidate(&voted, candidate))
    }

    /// Returns the time when the leader counts as dead. A follower that reads through a snapshot
    /// does not fetch, so the leader's silence means nothing.
    pub(crate) fn fetch_deadline(&self) -> u64 {
        if self.is_checking() { NEVER } else { self.deadline }
    }

    /// Whether a downloaded snapshot is being checked.
    pub(crate) fn is_checking(&self) -> bool {
        self.download.is_some_and(|download| download.is_complete)
    }
}
