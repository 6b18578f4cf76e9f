//! The work of a leader: it opens its epoch, appends what its controller proposes, and commits.

use crate::action::{Action, AppendedBatch};
use crate::batch;
use crate::control::{ControlRecord, LeaderChange};
use crate::end_offset::EndOffset;
use crate::event::{Fault, ProposeError};
use crate::machine::Raft;
use crate::planted::{self, Bug};
use crate::state::Role;
use crate::timing::Now;
use bytes::Bytes;
use model::{BrokerId, LeaderEpoch, Offset};

/// The size of the largest batch, as in Kafka.
pub const MAX_BATCH_BYTES: usize = 8 * 1024 * 1024;

/// Records that were appended and are not committed yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposed {
    /// The offset of the first record.
    pub base: Offset,
    /// The offset of the last record.
    pub last: Offset,
    /// The actions for the driver, in order.
    pub actions: Vec<Action>,
}

impl Raft {
    /// Appends these metadata records (their framed values) as one batch, under the epoch of
    /// `Action::Activate`. They are committed once `Action::Commit` passes `last`. If the epoch
    /// ends before, they may or may not be committed.
    pub fn propose(&mut self, epoch: LeaderEpoch, values: &[Bytes], now: Now) -> Result<Proposed, ProposeError> {
        if !self.is_leader() || self.epoch != epoch {
            return Err(ProposeError::NotLeader { asked: epoch, current: self.epoch });
        }
        if values.is_empty() {
            return Err(ProposeError::Empty);
        }
        let base = self.log.end;
        let bytes = batch::data_batch(base, epoch, now.wall, values).map_err(Fault::from)?;
        if bytes.len() > MAX_BATCH_BYTES {
            return Err(ProposeError::TooLarge { bytes: bytes.len(), max: MAX_BATCH_BYTES });
        }
        let last = self.append(bytes, values.len());
        // The followers' fsyncs run beside this node's own.
        self.release_held(now);
        Ok(Proposed { base, last, actions: self.take_actions() })
    }

    /// Appends the epoch's first batch, which names its leader. If the voters are known only from
    /// the bootstrap snapshot, the batch also has `kraft.version` and the voters, so that they
    /// reach the other replicas (KIP-853).
    pub(crate) fn append_start_of_epoch(&mut self, granting: Vec<BrokerId>, now: Now) -> Result<(), Fault> {
        let voters = self.voters().ids().collect();
        let change = LeaderChange { leader: self.config.local.id, voters, granting_voters: granting };
        let mut records = vec![ControlRecord::LeaderChange(change)];
        if self.quorum.voters_are_only_bootstrapped() && self.kraft_version().voters_are_in_the_log() {
            records.push(ControlRecord::KRaftVersion(self.kraft_version()));
            records.push(ControlRecord::Voters(self.voters().clone()));
        }
        self.append_control(&records, now)
    }

    /// Appends a control batch. Its records take effect at once.
    pub(crate) fn append_control(&mut self, records: &[ControlRecord], now: Now) -> Result<(), Fault> {
        let base = self.log.end;
        let bytes = batch::control_batch(base, self.epoch, now.wall, records)?;
        for (offset, record) in (base.0..).zip(records) {
            self.quorum.apply(Some(Offset(offset)), record);
        }
        self.append(bytes, records.len());
        Ok(())
    }

    fn append(&mut self, bytes: Bytes, count: usize) -> Offset {
        let base = self.log.end;
        let end = base.plus(i64::try_from(count).unwrap_or(i64::MAX));
        let last = end.plus(-1);
        self.log.appended(self.epoch, base, end);
        self.out.push(Action::Append(AppendedBatch { base, last, epoch: self.epoch, bytes }));
        self.out.push(Action::Flush { end: self.log.end_offset() });
        if planted::is_planted(Bug::OwnLogCountedBeforeFsync) {
            self.log_flushed(self.log.end_offset());
        }
        last
    }

    /// Notes that the log is fsynced up to `end`. From here on the leader's own log counts up to
    /// there.
    pub(crate) fn log_flushed(&mut self, end: EndOffset) {
        // If the log was truncated since, the flush says nothing about the records that it has now.
        if !self.log.contains_end(end) && !planted::is_planted(Bug::FlushOutlivesTruncation) {
            return;
        }
        self.flushed = self.flushed.max(end.offset.min(self.log.end));
        let flushed = self.flushed;
        if let Role::Leader(leader) = &mut self.role {
            leader.flushed(flushed);
            self.commit();
        }
    }

    /// Advances the high watermark of a leader as far as the voters' logs allow.
    pub(crate) fn commit(&mut self) {
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(high_watermark) = leader.high_watermark() else { return };
        let (epoch_start, is_first) = (leader.epoch_start, !leader.is_active);
        leader.is_active = true;
        if Some(high_watermark) > self.high_watermark {
            self.high_watermark = Some(high_watermark);
            self.out.push(Action::Commit { high_watermark });
        }
        if is_first {
            self.out.push(Action::Activate { epoch: self.epoch, epoch_start });
        }
    }
}
