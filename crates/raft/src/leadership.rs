//! What a leader does: it opens its epoch, appends what its controller proposes, and commits.

use crate::action::{Action, AppendedBatch};
use crate::batch;
use crate::control::{ControlRecord, LeaderChange};
use crate::event::{Fault, ProposeError};
use crate::machine::Raft;
use crate::state::Role;
use crate::timing::Now;
use bytes::Bytes;
use model::{BrokerId, LeaderEpoch, Offset};

/// The largest batch that may be appended, as in Kafka.
pub const MAX_BATCH_BYTES: usize = 8 * 1024 * 1024;

/// Records that were appended, and not committed yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposed {
    /// The offset of the first record.
    pub base: Offset,
    /// The offset of the last record.
    pub last: Offset,
    /// What the driver does now, in order.
    pub actions: Vec<Action>,
}

impl Raft {
    /// Appends these metadata records (their values, framed) as one batch, under the epoch that `Action::Activate` gave. They are committed once
    /// `Action::Commit` passes `last`; if the epoch ends before, they may or may not be.
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
        Ok(Proposed { base, last, actions: self.take_actions() })
    }

    /// The epoch's first batch: who leads it, and where the voters are known only from the bootstrap snapshot, `kraft.version` and the voters, so
    /// that they reach the other replicas (KIP-853).
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

    /// Appends a control batch; its records take effect at once.
    fn append_control(&mut self, records: &[ControlRecord], now: Now) -> Result<(), Fault> {
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
        self.out.push(Action::Flush { end });
        last
    }

    /// The log is on disk up to `end`; a leader's own vote for an offset counts from here on.
    pub(crate) fn log_flushed(&mut self, end: Offset) {
        // A flush that was under way while the log was cut says nothing about what was written since.
        self.flushed = self.flushed.max(end.min(self.log.end));
        let flushed = self.flushed;
        if let Role::Leader(leader) = &mut self.role {
            leader.flushed(self.config.local.id, flushed);
            self.commit();
        }
    }

    /// Moves a leader's high watermark as far as the voters' logs allow.
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
