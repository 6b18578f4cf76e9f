//! A log of records that are an epoch and a value, with the leader epochs that a real log keeps.

use crate::random::Random;
use model::{LeaderEpoch, Offset};
use replica::FollowerLog;

/// A record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// The leader epoch in which it was appended.
    pub epoch: LeaderEpoch,
    /// A value that no other record has.
    pub value: u64,
}

/// The log of one replica.
#[derive(Clone, Debug, Default)]
pub struct SimLog {
    start: i64,
    records: Vec<Record>,
    epochs: Vec<(LeaderEpoch, i64)>,
    high_watermark: i64,
    /// The end of what survives a power cut.
    flushed_end: i64,
    /// The high watermark that a restart reads.
    checkpoint: i64,
}

impl SimLog {
    pub fn start(&self) -> i64 {
        self.start
    }

    pub fn end(&self) -> i64 {
        self.start + self.records.len() as i64
    }

    pub fn high_watermark(&self) -> i64 {
        self.high_watermark
    }

    pub fn get(&self, offset: i64) -> Option<Record> {
        self.records.get(usize::try_from(offset - self.start).ok()?).copied()
    }

    /// Returns at most `count` records from an offset on.
    pub fn read(&self, offset: i64, count: usize) -> Vec<Record> {
        (offset..self.end()).take(count).filter_map(|at| self.get(at)).collect()
    }

    pub fn facts(&self) -> FollowerLog {
        FollowerLog {
            log_start_offset: Offset(self.start),
            log_end_offset: Offset(self.end()),
            high_watermark: Offset(self.high_watermark),
            latest_epoch: self.epochs.last().map(|(epoch, _)| *epoch),
        }
    }

    pub fn append(&mut self, record: Record) {
        self.assign_epoch(record.epoch);
        self.records.push(record);
    }

    /// Notes that an epoch begins at the log end.
    pub fn assign_epoch(&mut self, epoch: LeaderEpoch) {
        let end = self.end();
        if self.epochs.last().is_some_and(|(last, start)| *last == epoch && *start <= end) {
            return;
        }
        while self.epochs.last().is_some_and(|(last, start)| *last > epoch || *start >= end) {
            self.epochs.pop();
        }
        self.epochs.push((epoch, end));
    }

    /// Returns the largest epoch that is not above an epoch, and its end.
    pub fn end_of_epoch(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        if self.epochs.last()?.0 == epoch {
            return Some((epoch, Offset(self.end())));
        }
        let above = self.epochs.partition_point(|(known, _)| *known <= epoch);
        let end = Offset(self.epochs.get(above)?.1);
        Some((above.checked_sub(1).map_or(epoch, |index| self.epochs[index].0), end))
    }

    pub fn truncate_to(&mut self, end: i64) {
        if end < self.start {
            return self.start_at(end);
        }
        let end = end.min(self.end());
        self.records.truncate((end - self.start) as usize);
        // Also an epoch that has no record yet.
        self.epochs.retain(|(_, start)| *start < end);
        self.high_watermark = self.high_watermark.min(end);
        self.flushed_end = self.flushed_end.min(end);
        self.checkpoint = self.checkpoint.min(end);
    }

    pub fn start_at(&mut self, start: i64) {
        *self = SimLog { start, high_watermark: start, flushed_end: start, checkpoint: start, ..SimLog::default() };
    }

    pub fn raise_start(&mut self, to: i64) {
        let to = to.min(self.high_watermark);
        if to <= self.start {
            return;
        }
        self.records.drain(..(to - self.start) as usize);
        self.start = to;
        let last = self.epochs.partition_point(|(_, start)| *start <= to).saturating_sub(1);
        self.epochs.drain(..last);
        if let Some(first) = self.epochs.first_mut() {
            first.1 = first.1.max(to);
        }
        self.flushed_end = self.flushed_end.max(to);
        self.checkpoint = self.checkpoint.max(to);
    }

    pub fn set_high_watermark(&mut self, to: i64) {
        self.high_watermark = to;
    }

    /// Does now and then what a broker does in the background.
    pub fn maintain(&mut self, random: &mut Random) {
        if random.chance(20) {
            self.flushed_end = random.within(self.flushed_end, self.end());
        }
        if random.chance(10) {
            self.checkpoint = self.high_watermark;
        }
    }

    /// What a restart finds. A power cut loses records that are not flushed.
    pub fn crash(&mut self, is_power_cut: bool, random: &mut Random) {
        if is_power_cut {
            let end = random.within(self.flushed_end, self.end());
            self.truncate_to(end);
        }
        if random.chance(50) {
            // The epoch of a leader that appended nothing may not have reached the file.
            let end = self.end();
            self.epochs.retain(|(_, start)| *start < end);
        }
        self.high_watermark = self.checkpoint.clamp(self.start, self.end());
    }
}
