//! What the machine knows about its log: ends, epochs and snapshots, but no bytes.
//!
//! Invariants: epochs and their start offsets ascend strictly; `start <= flushed <= end`.

use crate::end_offset::EndOffset;
use crate::planted::{self, Bug};
use crate::snapshot_id::SnapshotId;
use model::{LeaderEpoch, Offset};

/// The facts about a metadata log when the driver opened it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogFacts {
    /// The log start offset.
    pub start: Offset,
    /// The log end offset.
    pub end: Offset,
    /// The epochs in the log with the offsets of their first records, ascending: the content of
    /// `leader-epoch-checkpoint`.
    pub epochs: Vec<(LeaderEpoch, Offset)>,
    /// The complete snapshots, ascending. If the log does not begin at 0, the first one ends where
    /// the log begins.
    pub snapshots: Vec<SnapshotId>,
}

impl LogFacts {
    /// Returns the newest complete snapshot.
    pub fn latest_snapshot(&self) -> Option<SnapshotId> {
        self.snapshots.last().copied()
    }

    /// Returns the log end offset with the epoch of the last record. If the log is empty, the epoch
    /// is that of the newest snapshot.
    pub fn end_offset(&self) -> EndOffset {
        let snapshot = self.latest_snapshot().map_or(LeaderEpoch(0), |snapshot| snapshot.epoch);
        EndOffset { epoch: self.epochs.last().map_or(snapshot, |(epoch, _)| *epoch), offset: self.end }
    }

    /// Notes a complete snapshot.
    pub(crate) fn has_snapshot(&mut self, snapshot: SnapshotId) {
        if self.latest_snapshot() < Some(snapshot) {
            self.snapshots.push(snapshot);
        }
    }

    /// Whether the log has the record before this end, so that all records below are those of every
    /// log that ends there.
    pub(crate) fn contains_end(&self, end: EndOffset) -> bool {
        self.end_of_epoch(end.epoch).is_some_and(|own| own.epoch == end.epoch && own.offset >= end.offset)
            || self.end_offset() == end
    }

    /// Notes that records of this epoch were appended up to `end`.
    pub(crate) fn appended(&mut self, epoch: LeaderEpoch, base: Offset, end: Offset) {
        if self.epochs.last().is_none_or(|(last, _)| *last < epoch) {
            self.epochs.push((epoch, base));
        }
        self.end = end;
    }

    /// Notes a higher log start offset.
    pub(crate) fn starts_at(&mut self, start: Offset) {
        self.start = self.start.max(start);
        self.snapshots.retain(|snapshot| snapshot.end >= self.start);
        // As in the checkpoint file, the epoch that covers the start is kept, and begins at the
        // start.
        let covering = self.epochs.iter().rposition(|(_, at)| *at <= self.start);
        if let Some(covering) = covering {
            self.epochs.drain(..covering);
            self.epochs[0].1 = self.start;
        }
    }

    /// Returns the largest epoch that is at most `epoch`, with the end of its records.
    pub fn end_of_epoch(&self, epoch: LeaderEpoch) -> Option<EndOffset> {
        let position = self.epochs.iter().rposition(|(at, _)| *at <= epoch)?;
        let end = self.epochs.get(position + 1).map_or(self.end, |(_, start)| *start);
        Some(EndOffset { epoch: self.epochs[position].0, offset: end })
    }

    /// Returns what Kafka answers to the question where an epoch ends: the end of the log if the
    /// epoch is higher than all, and the log start offset if it is lower than all, with the epoch
    /// of the snapshot that ends there.
    fn end_for_epoch(&self, epoch: LeaderEpoch) -> EndOffset {
        match (self.epochs.first(), self.epochs.last()) {
            (Some((first, start)), _) if epoch < *first => {
                let snapshot = self.snapshots.first().filter(|snapshot| snapshot.end == *start);
                EndOffset { epoch: snapshot.map_or(epoch, |snapshot| snapshot.epoch), offset: *start }
            }
            (_, Some((last, _))) if epoch <= *last => self.end_of_epoch(epoch).unwrap_or_else(|| self.end_offset()),
            _ => self.end_offset(),
        }
    }

    /// Compares the end of a follower's log with this log, as Kafka's leader does (KIP-595,
    /// KIP-630).
    pub(crate) fn check(&self, follower: EndOffset) -> LogEndCheck {
        let EndOffset { epoch, offset } = follower;
        let latest = self.latest_snapshot().filter(|snapshot| *snapshot != SnapshotId::BOOTSTRAP);
        match (self.snapshots.first(), latest) {
            // For an empty log a snapshot is always faster than the log.
            (_, Some(latest)) if offset == Offset(0) => return LogEndCheck::NeedsSnapshot(latest),
            (Some(earliest), Some(latest))
                if offset < self.start
                    || (offset == self.start && epoch != earliest.epoch)
                    || epoch < earliest.epoch =>
            {
                return LogEndCheck::NeedsSnapshot(latest);
            }
            _ if offset == Offset(0) && self.start == Offset(0) => return LogEndCheck::Fits,
            _ => {}
        }
        let own = self.end_for_epoch(epoch);
        let differs = own.epoch != epoch || own.offset < offset;
        if differs && !(planted::is_planted(Bug::DivergenceNotTruncated) && offset <= self.end) {
            LogEndCheck::Diverges(own)
        } else {
            LogEndCheck::Fits
        }
    }

    /// Returns where this log is truncated when the leader's log has this end of the epoch.
    pub(crate) fn common_end(&self, leaders: EndOffset) -> Offset {
        let own = self.end_for_epoch(leaders.epoch);
        if leaders.epoch == LeaderEpoch(0) {
            leaders.offset.min(self.end)
        } else if own.epoch == leaders.epoch {
            leaders.offset.min(own.offset)
        } else {
            own.offset
        }
    }

    /// Notes that the log was truncated.
    pub(crate) fn truncate(&mut self, end: Offset) {
        self.epochs.retain(|(_, start)| *start < end);
        self.end = end;
    }

    /// Notes that a snapshot took the place of the whole log.
    pub(crate) fn install(&mut self, snapshot: SnapshotId) {
        *self = Self { start: snapshot.end, end: snapshot.end, epochs: Vec::new(), snapshots: vec![snapshot] };
    }
}

/// How the end of a follower's log compares with the leader's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogEndCheck {
    /// The leader's log has the same records up to there.
    Fits,
    /// The follower's log has other records. This is the end, in the leader's log, of the epoch
    /// that the follower named or of the one before it.
    Diverges(EndOffset),
    /// The leader's log does not begin early enough to tell.
    NeedsSnapshot(SnapshotId),
}
