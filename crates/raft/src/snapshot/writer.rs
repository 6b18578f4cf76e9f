//! Writes a snapshot's container around the records of the metadata crate.
//!
//! ```text
//! offset 0   control batch   SnapshotHeader, and under kraft.version 1 and up KRaftVersion and Voters
//! ...        data batches    the image's records, their offsets counting on
//! last       control batch   SnapshotFooter
//! ```
//! All batches have the snapshot's epoch as leader epoch, create time and no compression. Offsets
//! count within the file.

use super::SnapshotId;
use crate::batch;
use crate::control::ControlRecord;
use crate::event::Fault;
use crate::voters::{KRaftVersion, VoterSet};
use bytes::Bytes;
use model::{LeaderEpoch, Offset, Timestamp};

/// A data batch is closed once its records reach this size.
const BATCH_BYTES: usize = 1024 * 1024;

/// Produces the bytes of a snapshot file piece by piece. The driver writes each piece to
/// `SnapshotId::partial_file_name`. Then it fsyncs the file, renames it, fsyncs the folder, and
/// gives `Event::SnapshotMade`.
#[derive(Debug)]
pub struct SnapshotWriter {
    epoch: LeaderEpoch,
    next: Offset,
    pending: Vec<Bytes>,
    pending_bytes: usize,
}

impl SnapshotWriter {
    /// Begins a snapshot and returns its first bytes. `last_contained_log_timestamp` is the
    /// timestamp of the last batch that it covers. `quorum` is the result of `Raft::quorum_at` for
    /// its end.
    pub fn begin(
        id: SnapshotId,
        last_contained_log_timestamp: Timestamp,
        quorum: (KRaftVersion, &VoterSet),
        now: Timestamp,
    ) -> Result<(Self, Bytes), Fault> {
        let mut records = vec![ControlRecord::SnapshotHeader { last_contained_log_timestamp }];
        let (version, voters) = quorum;
        if version.voters_are_in_the_log() {
            records.push(ControlRecord::KRaftVersion(version));
            if !voters.is_empty() {
                records.push(ControlRecord::Voters(voters.clone()));
            }
        }
        let mut writer = Self { epoch: id.epoch, next: Offset(0), pending: Vec::new(), pending_bytes: 0 };
        let bytes = writer.control(&records, now)?;
        Ok((writer, bytes))
    }

    /// Adds a record's value. Returns bytes whenever a batch is full.
    pub fn record(&mut self, value: Bytes, now: Timestamp) -> Result<Option<Bytes>, Fault> {
        self.pending_bytes += value.len();
        self.pending.push(value);
        if self.pending_bytes < BATCH_BYTES { Ok(None) } else { self.close_batch(now) }
    }

    /// Ends the snapshot and returns its last bytes.
    pub fn finish(mut self, now: Timestamp) -> Result<Vec<Bytes>, Fault> {
        let mut last = Vec::from_iter(self.close_batch(now)?);
        last.push(self.control(&[ControlRecord::SnapshotFooter], now)?);
        Ok(last)
    }

    pub(crate) fn close_batch(&mut self, now: Timestamp) -> Result<Option<Bytes>, Fault> {
        if self.pending.is_empty() {
            return Ok(None);
        }
        let bytes = batch::data_batch(self.next, self.epoch, now, &self.pending)?;
        self.next = self.next.plus(i64::try_from(self.pending.len()).unwrap_or(i64::MAX));
        self.pending.clear();
        self.pending_bytes = 0;
        Ok(Some(bytes))
    }

    fn control(&mut self, records: &[ControlRecord], now: Timestamp) -> Result<Bytes, Fault> {
        let bytes = batch::control_batch(self.next, self.epoch, now, records)?;
        self.next = self.next.plus(i64::try_from(records.len()).unwrap_or(i64::MAX));
        Ok(bytes)
    }
}
