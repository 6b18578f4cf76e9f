//! The invariants, and what a check must remember of the whole quorum.

use crate::Check;
use crate::disk::{Entry, Log};
use model::{BrokerId, LeaderEpoch, Offset};
use raft::ReplicaKey;
use std::collections::BTreeMap;
use std::collections::HashMap;

/// What all nodes together have done.
#[derive(Debug, Default)]
pub struct Ledger {
    /// For each offset below the highest high watermark: epoch, content, and the digest of
    /// everything below and with it.
    committed: Vec<(LeaderEpoch, u32, u64)>,
    /// For each of them, the epoch in which it was first seen to be committed.
    since: Vec<LeaderEpoch>,
    leaders: BTreeMap<LeaderEpoch, ReplicaKey>,
    votes: BTreeMap<(ReplicaKey, LeaderEpoch), ReplicaKey>,
    /// What was ever appended at an offset in an epoch.
    written: HashMap<(Offset, LeaderEpoch), (Offset, u32)>,
}

fn index(offset: Offset) -> usize {
    usize::try_from(offset.0).unwrap_or(0)
}

/// Adds a value to a digest.
pub fn fold(digest: u64, value: u64) -> u64 {
    (digest ^ value).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23)
}

impl Ledger {
    /// The digest of everything committed below an offset.
    pub fn digest(&self, end: Offset) -> Option<u64> {
        if end == Offset(0) { Some(0) } else { self.committed.get(index(end) - 1).map(|(.., digest)| *digest) }
    }

    /// A node leads an epoch, with this log.
    pub fn leads(&mut self, node: ReplicaKey, epoch: LeaderEpoch, log: &Log) -> Check {
        let known = *self.leaders.entry(epoch).or_insert(node);
        if known != node {
            return Err(format!("one leader in an epoch: {known:?} and {node:?} lead epoch {epoch}"));
        }
        // A vote may come late, so the leader of an earlier epoch may come after what a later one
        // has committed.
        let needed = self.since.iter().rposition(|since| *since < epoch).map_or(0, |last| last + 1);
        let needed = Offset(i64::try_from(needed).unwrap());
        if log.end < needed {
            return Err(format!("a leader has all that is committed: log end {}, committed {needed}", log.end));
        }
        for entry in log.entries.iter().filter(|entry| entry.last < needed) {
            self.equals_committed(entry).map_err(|text| format!("a leader has all that is committed: {text}"))?;
        }
        Ok(())
    }

    fn equals_committed(&self, entry: &Entry) -> Check {
        match self.committed.get(index(entry.last)) {
            Some((epoch, crc, _)) if (*epoch, *crc) != (entry.epoch, entry.crc) => {
                Err(format!("offset {} is of epoch {}, but what is committed is of {epoch}", entry.last, entry.epoch))
            }
            _ => Ok(()),
        }
    }

    /// A batch was appended somewhere.
    pub fn appended(&mut self, entry: &Entry) -> Check {
        let content = (entry.last, entry.crc);
        let known = *self.written.entry((entry.base, entry.epoch)).or_insert(content);
        if known == content {
            return Ok(());
        }
        Err(format!("an offset has one record in an epoch: two at offset {} of epoch {}", entry.base, entry.epoch))
    }

    /// A batch is removed from the log of a node in this epoch. It may be one that a later leader
    /// has committed, if the node still follows an earlier one.
    pub fn truncated(&self, entry: &Entry, epoch: LeaderEpoch) -> Check {
        let is_later = self.since.get(index(entry.last)).is_some_and(|since| *since > epoch);
        match self.committed.get(index(entry.last)) {
            Some((of, crc, _)) if (*of, *crc) == (entry.epoch, entry.crc) && !is_later => {
                Err(format!("nothing committed is truncated: offset {} of epoch {}", entry.last, entry.epoch))
            }
            _ => Ok(()),
        }
    }

    /// A node commits a batch in an epoch. Returns the digest of everything up to it.
    pub fn committed(&mut self, entry: &Entry, epoch: LeaderEpoch) -> Check<u64> {
        if index(entry.base) > self.committed.len() {
            return Err(format!("offset {} is committed before what is below it", entry.base));
        }
        if index(entry.last) < self.committed.len() {
            self.equals_committed(entry).map_err(|text| format!("committed once, committed for ever: {text}"))?;
        } else {
            let digest = self.digest(entry.base).unwrap_or(0);
            let digest = fold(fold(digest, u64::from(entry.crc)), entry.epoch.0.unsigned_abs().into());
            self.committed.resize(index(entry.last) + 1, (entry.epoch, entry.crc, digest));
            self.since.resize(index(entry.last) + 1, epoch);
        }
        Ok(self.committed[index(entry.last)].2)
    }

    /// A node has voted.
    pub fn voted(&mut self, node: ReplicaKey, epoch: LeaderEpoch, candidate: ReplicaKey) -> Check {
        let known = *self.votes.entry((node, epoch)).or_insert(candidate);
        if known.id == candidate.id {
            return Ok(());
        }
        Err(format!("one vote in an epoch: {node:?} votes in {epoch} for {known:?} and {candidate:?}"))
    }

    /// The leader of an epoch.
    pub fn leader(&self, epoch: LeaderEpoch) -> Option<BrokerId> {
        self.leaders.get(&epoch).map(|leader| leader.id)
    }
}
