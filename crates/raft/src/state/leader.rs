//! Leader: it appends, learns from fetches how far the followers are, and advances the high
//! watermark.
//!
//! The high watermark is the largest offset that a majority of the voters has on disk. The leader's
//! own log counts as far as it is fsynced. The high watermark is unknown until it passes the
//! epoch's first record, since only then everything that earlier leaders committed is known to be
//! below it.

use super::NEVER;
use crate::message::FetchRequest;
use crate::planted::{self, Bug};
use crate::voters::{ReplicaKey, VoterSet};
use model::{BrokerId, Now, Offset, Timestamp};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// An observer that has not fetched for this long is forgotten, as in Kafka.
pub(crate) const OBSERVER_SESSION_MS: u64 = 300_000;
/// The most observers that a leader knows. Others are served, but not described.
pub(crate) const OBSERVERS_MAX: usize = 10_000;
/// The most fetches that a leader holds. Others are answered at once.
pub(crate) const HELD_FETCHES_MAX: usize = 10_000;

/// A replica that has not fetched for this long cannot become a voter, as in Kafka.
const CAUGHT_UP_WITHIN_MS: u64 = 3_600_000;

/// The progress of one replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReplicaProgress {
    pub(crate) key: ReplicaKey,
    /// Its log end offset at its last fetch. For the leader, the end of what it has fsynced.
    pub(crate) end: Option<Offset>,
    pub(crate) last_fetch: Option<Now>,
    /// The last time when it had everything that the leader had.
    pub(crate) last_caught_up: Option<Timestamp>,
    /// The leader's log end offset at its last fetch.
    pub(crate) leader_end: Option<Offset>,
    /// When a voter that is silent is told again who leads. Never for the leader.
    pub(crate) begin_due: u64,
}

impl ReplicaProgress {
    pub(crate) fn new(key: ReplicaKey, begin_due: u64) -> Self {
        Self { key, end: None, last_fetch: None, last_caught_up: None, leader_end: None, begin_due }
    }

    /// Whether this is that replica. A voter that is known only by id matches any directory.
    fn is(&self, key: &ReplicaKey) -> bool {
        self.key.id == key.id && (self.key.directory_id.is_none() || self.key.directory_id == key.directory_id)
    }

    /// Notes a fetch. As in Kafka, an end below an earlier one counts: the replica may have lost
    /// its disk.
    fn fetched(&mut self, end: Offset, leader_end: Offset, now: Now) {
        let previous = self.last_fetch.map(|at| at.wall);
        let caught_up = if end >= leader_end {
            Some(now.wall)
        } else if self.leader_end.is_some_and(|leader_end| end >= leader_end) {
            previous
        } else {
            None
        };
        self.last_caught_up = self.last_caught_up.max(caught_up);
        self.leader_end = Some(leader_end);
        self.last_fetch = Some(now);
        self.end = Some(end);
    }
}

/// A fetch that waits for something new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeldFetch {
    pub(crate) id: u64,
    pub(crate) fetch: FetchRequest,
    /// When it is answered at the latest.
    pub(crate) deadline: u64,
}

/// A change of the voters whose request waits for the commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PendingChange {
    pub(crate) id: u64,
    /// The end of its record.
    pub(crate) end: Offset,
    /// When the request is answered at the latest.
    pub(crate) deadline: u64,
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
    /// The fetches that wait.
    pub(crate) held: Vec<HeldFetch>,
    /// The change of the voters that waits for its commit.
    pub(crate) change: Option<PendingChange>,
    /// What voters of the configuration said of themselves (UpdateRaftVoter under `kraft.version`
    /// 0).
    pub(crate) updated: VoterSet,
    /// The other voters that have fetched since the deadline was set.
    heard: BTreeSet<BrokerId>,
    local: ReplicaKey,
}

impl Leader {
    pub(crate) fn new(epoch_start: Offset, voters: &VoterSet, local: ReplicaKey, check_quorum_at: u64) -> Self {
        let progress = |key: ReplicaKey| ReplicaProgress::new(key, if key.id == local.id { NEVER } else { 0 });
        let deadline = if voters.is_only(&local) { NEVER } else { check_quorum_at };
        let voters = voters.iter().map(|voter| (voter.key.id, progress(voter.key))).collect();
        Self {
            epoch_start,
            voters,
            observers: BTreeMap::new(),
            is_active: false,
            deadline,
            held: Vec::new(),
            change: None,
            updated: VoterSet::default(),
            heard: BTreeSet::new(),
            local,
        }
    }

    /// Notes that the leader's own log is fsynced up to `flushed`.
    pub(crate) fn flushed(&mut self, flushed: Offset) {
        if let Some(progress) = self.voters.get_mut(&self.local.id).filter(|progress| progress.is(&self.local)) {
            progress.end = progress.end.max(Some(flushed));
        }
    }

    /// Notes that a replica has everything below `end` on disk. Returns whether it is a voter.
    pub(crate) fn fetched(&mut self, replica: ReplicaKey, end: Offset, leader_end: Offset, now: Now) -> bool {
        let any_directory = planted::is_planted(Bug::DirectoryIdIgnored);
        if let Some(voter) = self.voters.get_mut(&replica.id).filter(|voter| voter.is(&replica) || any_directory) {
            voter.fetched(end, leader_end, now);
            return true;
        }
        if !self.observers.contains_key(&replica) {
            self.forget_silent_observers(now);
            if self.observers.len() >= OBSERVERS_MAX {
                return false;
            }
        }
        let progress = self.observers.entry(replica).or_insert_with(|| ReplicaProgress::new(replica, NEVER));
        progress.fetched(end, leader_end, now);
        false
    }

    fn forget_silent_observers(&mut self, now: Now) {
        self.observers.retain(|_, progress| {
            progress.last_fetch.is_some_and(|at| now.monotonic.ms_since(at.monotonic) < OBSERVER_SESSION_MS)
        });
    }

    /// Notes that a replica follows. Once a majority of the voters does, the leader may lead until
    /// `check_quorum_at` (KAFKA-15489). A fetch that comes after the deadline does not save a
    /// leader that was paused. A voter is told of this leader again if it is silent until
    /// `begin_at`.
    pub(crate) fn heard_from(&mut self, replica: ReplicaKey, now: Now, check_quorum_at: u64, begin_at: u64) {
        let Some(voter) = self.voters.get_mut(&replica.id).filter(|voter| voter.is(&replica)) else { return };
        voter.begin_due = begin_at;
        self.heard.insert(replica.id);
        let own = usize::from(self.voters.contains_key(&self.local.id));
        if self.heard.len() + own > self.voters.len() / 2 {
            self.heard.clear();
            if self.deadline != NEVER && self.deadline > now.monotonic.0 {
                self.deadline = check_quorum_at;
            }
        }
    }

    /// Returns the high watermark that the voters' logs allow, `None` if it is unknown.
    pub(crate) fn high_watermark(&self) -> Option<Offset> {
        let mut ends: Vec<Option<Offset>> = self.voters.values().map(|progress| progress.end).collect();
        if planted::is_planted(Bug::ObserverCounted) {
            ends.extend(self.observers.values().map(|progress| progress.end));
            ends.sort_unstable_by(|a, b| b.cmp(a));
            let agreed = ends.get(self.voters.len() / 2).copied().flatten()?;
            return (agreed > self.epoch_start).then_some(agreed);
        }
        ends.sort_unstable_by(|a, b| b.cmp(a));
        let agreed = ends.get(ends.len() / 2).copied().flatten()?;
        (agreed > self.epoch_start || planted::is_planted(Bug::EarlierEpochCommitted)).then_some(agreed)
    }

    /// Notes that a voter knows this leader, and is told again only if it is silent until then.
    pub(crate) fn begin_again_at(&mut self, voter: BrokerId, begin_due: u64) {
        if let Some(progress) = self.voters.get_mut(&voter) {
            progress.begin_due = begin_due;
        }
    }

    /// Returns the voters that may not know this leader.
    pub(crate) fn silent(&self, now_ms: u64) -> impl Iterator<Item = BrokerId> {
        self.voters.values().filter(move |progress| progress.begin_due <= now_ms).map(|progress| progress.key.id)
    }

    /// Returns the time at which something depends on time alone.
    pub(crate) fn next_deadline(&self) -> u64 {
        let held = self.held.iter().map(|held| held.deadline);
        let begin = self.voters.values().map(|progress| progress.begin_due);
        let change = self.change.iter().map(|change| change.deadline);
        held.chain(begin).chain(change).chain([self.deadline]).min().unwrap_or(NEVER)
    }

    /// Takes over new voters with what is known of them. Those that were voters are observers now.
    pub(crate) fn adopt(&mut self, voters: &VoterSet, flushed: Offset, check_quorum_at: u64) {
        let mut before = std::mem::take(&mut self.voters);
        for voter in voters.iter() {
            let key = voter.key;
            let known = before.remove(&key.id);
            let progress = match known {
                Some(known) if known.is(&key) => known,
                other => {
                    before.extend(other.map(|other| (key.id, other)));
                    let begin_due = if key == self.local { NEVER } else { 0 };
                    self.observers.remove(&key).unwrap_or_else(|| ReplicaProgress::new(key, begin_due))
                }
            };
            let begin_due = if progress.begin_due == NEVER && key != self.local { 0 } else { progress.begin_due };
            self.voters.insert(key.id, ReplicaProgress { key, begin_due, ..progress });
        }
        for (_, old) in before.into_iter().filter(|(id, _)| *id != self.local.id) {
            self.observers.insert(old.key, ReplicaProgress { begin_due: NEVER, ..old });
        }
        self.heard.retain(|id| self.voters.contains_key(id));
        self.flushed(flushed);
        if voters.is_only(&self.local) {
            self.deadline = NEVER;
        } else if self.deadline == NEVER {
            self.deadline = check_quorum_at;
        }
    }

    /// Whether an observer has fetched within the last hour and had what the leader had.
    pub(crate) fn is_caught_up(&self, replica: &ReplicaKey, now: Now) -> bool {
        let progress = self.observers.get(replica);
        progress.is_some_and(|progress| {
            let is_recent =
                progress.last_fetch.is_some_and(|at| now.monotonic.ms_since(at.monotonic) < CAUGHT_UP_WITHIN_MS);
            is_recent && progress.last_caught_up.is_some()
        })
    }

    /// Returns the other voters, the one with the longest log first.
    pub(crate) fn successors(&self) -> Vec<ReplicaKey> {
        let mut others: Vec<&ReplicaProgress> =
            self.voters.values().filter(|progress| progress.key.id != self.local.id).collect();
        others.sort_by_key(|progress| Reverse(progress.end));
        others.into_iter().map(|progress| progress.key).collect()
    }
}
