//! What the machine knows of its log: ends, epochs and snapshots, never bytes.
//!
//! Invariants: epochs and their start offsets ascend strictly; `start <= flushed <= end`.

use crate::end_offset::EndOffset;
use crate::snapshot_id::SnapshotId;
use model::{LeaderEpoch, Offset};

/// The facts of a metadata log as the driver opened it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogFacts {
    /// The first offset that is still there.
    pub start: Offset,
    /// The next offset to be written.
    pub end: Offset,
    /// The epochs in the log with the offset of their first record, ascending: the content of `leader-epoch-checkpoint`.
    pub epochs: Vec<(LeaderEpoch, Offset)>,
    /// The newest complete snapshot.
    pub latest_snapshot: Option<SnapshotId>,
}

impl LogFacts {
    /// The end with the epoch of the last record; that of the newest snapshot when the log is empty.
    pub fn end_offset(&self) -> EndOffset {
        let snapshot = self.latest_snapshot.map_or(LeaderEpoch(0), |snapshot| snapshot.epoch);
        EndOffset { epoch: self.epochs.last().map_or(snapshot, |(epoch, _)| *epoch), offset: self.end }
    }

    /// Records of this epoch were appended up to `end`.
    pub(crate) fn appended(&mut self, epoch: LeaderEpoch, base: Offset, end: Offset) {
        if self.epochs.last().is_none_or(|(last, _)| *last < epoch) {
            self.epochs.push((epoch, base));
        }
        self.end = end;
    }

    /// The log starts later.
    pub(crate) fn starts_at(&mut self, start: Offset) {
        self.start = self.start.max(start);
        // The epoch that covers the start stays, as in the checkpoint file, with the start as its own.
        let covering = self.epochs.iter().rposition(|(_, at)| *at <= self.start);
        if let Some(covering) = covering {
            self.epochs.drain(..covering);
            self.epochs[0].1 = self.start;
        }
    }

    /// Where the log's records of the largest epoch that is at most `epoch` end, with that epoch.
    pub fn end_of_epoch(&self, epoch: LeaderEpoch) -> Option<EndOffset> {
        let position = self.epochs.iter().rposition(|(at, _)| *at <= epoch)?;
        let end = self.epochs.get(position + 1).map_or(self.end, |(_, start)| *start);
        Some(EndOffset { epoch: self.epochs[position].0, offset: end })
    }
}
