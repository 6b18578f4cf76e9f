//! Leader: it appends, learns from fetches how far the followers are, and advances the high
//! watermark.
//!
//! The high watermark is the largest offset that a majority of the voters has on disk. The leader's
//! own log counts as far as it is fsynced. The high watermark is unknown until it passes the
//! epoch's first record, since only then everything that earlier leaders committed is known to be
//! below it.

use super::NEVER;
use crate::voters::{ReplicaKey, VoterSet};
use model::{BrokerId, Now, Offset, Timestamp};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// The progress of one replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReplicaProgress {
    pub(crate) key: ReplicaKey,
    /// Its log end offset at its last fetch. For the leader, the end of what it has fsynced.
    pub(crate) end: Option<Offset>,
    pub(crate) last_fetch: Option<Now>,
    /// The last time when it had everything that the leader had.
    pub(crate) last_caught_up: Option<Timestamp>,
    /// Whether it knows this leader: it has fetched, or answered BeginQuorumEpoch.
    pub(crate) acknowledged: bool,
}

/// The state of a leader.
#[derive(Clone, Debug)]
pub(crate) struct Leader {
    /// The offset of the epoch's first record.
    pub(crate) epoch_start: Offset,
    /// The voters. They include the leader unless it is being removed.
    pub(crate) voters: BTreeMap<BrokerId, ReplicaProgress>,
    /// The observers: replicas that fetch and do not vote.
    pub(crate) observers: BTreeMap<ReplicaKey, ReplicaProgress>,
    /// Whether the high watermark has passed the epoch's first record.
    pub(crate) is_active: bool,
    /// When it resigns if no majority fetches. Never with one voter.
    pub(crate) deadline: u64,
}

impl Leader {
    pub(crate) fn new(epoch_start: Offset, voters: &VoterSet, local: ReplicaKey, check_quorum_ms: u64) -> Self {
        let progress = |key: ReplicaKey| ReplicaProgress {
            key,
            end: None,
            last_fetch: None,
            last_caught_up: None,
            acknowledged: key.id == local.id,
        };
        let deadline = if voters.is_only(&local) { NEVER } else { check_quorum_ms };
        let voters = voters.iter().map(|voter| (voter.key.id, progress(voter.key))).collect();
        Self { epoch_start, voters, observers: BTreeMap::new(), is_active: false, deadline }
    }

    /// Notes that the leader's own log is fsynced up to `flushed`.
    pub(crate) fn flushed(&mut self, local: BrokerId, flushed: Offset) {
        if let Some(progress) = self.voters.get_mut(&local) {
            progress.end = progress.end.max(Some(flushed));
        }
    }

    /// Returns the high watermark that the voters' logs allow, `None` if it is unknown.
    pub(crate) fn high_watermark(&self) -> Option<Offset> {
        let mut ends: Vec<Option<Offset>> = self.voters.values().map(|progress| progress.end).collect();
        ends.sort_unstable_by(|a, b| b.cmp(a));
        let agreed = ends.get(ends.len() / 2).copied().flatten()?;
        (agreed > self.epoch_start).then_some(agreed)
    }

    /// Notes that a voter knows this leader.
    pub(crate) fn acknowledged(&mut self, voter: BrokerId) {
        if let Some(progress) = self.voters.get_mut(&voter) {
            progress.acknowledged = true;
        }
    }

    /// Returns the voters that may not know this leader.
    pub(crate) fn unacknowledged(&self) -> impl Iterator<Item = BrokerId> {
        self.voters.values().filter(|progress| !progress.acknowledged).map(|progress| progress.key.id)
    }

    /// Returns the other voters, the one with the longest log first.
    pub(crate) fn successors(&self, local: BrokerId) -> Vec<ReplicaKey> {
        let mut others: Vec<&ReplicaProgress> =
            self.voters.values().filter(|progress| progress.key.id != local).collect();
        others.sort_by_key(|progress| Reverse(progress.end));
        others.into_iter().map(|progress| progress.key).collect()
    }
}
