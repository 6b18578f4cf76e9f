//! What was committed, acknowledged and told, and the checks against it.

use crate::Check;
use crate::log::{Record, SimLog};
use model::{BrokerId, LeaderEpoch};
use std::collections::BTreeMap;

/// The ledger of a course.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Elections are unclean: what is committed may be lost.
    pub is_unclean: bool,
    /// The record at each offset that some high watermark has passed.
    committed: BTreeMap<i64, Record>,
    /// The writes with `acks=all` that were acknowledged.
    acknowledged: BTreeMap<i64, Record>,
    /// The newest leader epoch and the highest high watermark that clients were told.
    told: Option<(LeaderEpoch, i64)>,
}

impl Ledger {
    pub fn new(is_unclean: bool) -> Ledger {
        Ledger { is_unclean, ..Ledger::default() }
    }

    pub fn acknowledged_count(&self) -> usize {
        self.acknowledged.len()
    }

    /// A replica's high watermark moved: below it, all replicas hold the same records.
    pub fn moved(&mut self, id: BrokerId, log: &SimLog, from: i64, to: i64) -> Check {
        if to > log.end() {
            return Err(format!("the high watermark {to} of {id} is above its log end {}", log.end()));
        }
        if to < from {
            return Err(format!("the high watermark of {id} moves back from {from} to {to}"));
        }
        if self.is_unclean {
            return Ok(());
        }
        for offset in from.max(log.start())..to {
            let record = log.get(offset).ok_or_else(|| format!("{id} has no record at {offset}"))?;
            let known = *self.committed.entry(offset).or_insert(record);
            if known != record {
                return Err(format!("{id} holds {record:?} at {offset}, where {known:?} is committed"));
            }
        }
        Ok(())
    }

    /// A replica is about to truncate.
    pub fn truncates(&self, id: BrokerId, log: &SimLog, to: i64) -> Check {
        match to < log.high_watermark() && !self.is_unclean {
            true => Err(format!("{id} truncates to {to}, below its high watermark {}", log.high_watermark())),
            false => Ok(()),
        }
    }

    /// A write is acknowledged. `copies` replicas hold it.
    pub fn acknowledge(&mut self, offset: i64, record: Record, copies: usize, least: usize) -> Check {
        self.acknowledged.insert(offset, record);
        match copies < least {
            true => Err(format!("{record:?} at {offset} is acknowledged with {copies} copies of {least}")),
            false => Ok(()),
        }
    }

    /// A client is told a high watermark. It knows the leader epochs, and so no older leader.
    pub fn tell(&mut self, epoch: LeaderEpoch, high_watermark: i64) -> Check {
        let (known, highest) = self.told.unwrap_or((epoch, 0));
        if epoch < known {
            return Ok(());
        }
        if high_watermark < highest && !self.is_unclean {
            return Err(format!("clients are told {high_watermark} in {epoch}, after {highest} in {known}"));
        }
        self.told = Some((epoch, high_watermark));
        Ok(())
    }

    /// A replica leads in an epoch, or all replicas are equal in the newest: nothing is lost that
    /// was acknowledged before.
    pub fn holds_all(&self, id: BrokerId, log: &SimLog, epoch: LeaderEpoch) -> Check {
        for (offset, record) in self.acknowledged.range(log.start()..) {
            if log.get(*offset) != Some(*record) && record.epoch <= epoch && !self.is_unclean {
                let found = log.get(*offset);
                return Err(format!("{id} holds {found:?} at {offset}, where {record:?} is acknowledged"));
            }
        }
        Ok(())
    }
}
