//! The model of a partition: what was acknowledged, and what the store has promised.

use crate::batch::{Batch, Replay};
use model::{Offset, TopicId, TopicPartition};
use std::collections::BTreeMap;
use storage::LogConfig;

/// An operation that began and may not have ended: a restart may find it done, half done or not
/// done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pending {
    Nothing,
    /// A truncation to an end.
    Truncate(i64),
    /// A new start of the log at another offset.
    StartAnew,
    /// A move of the log start, by retention or DeleteRecords.
    LaterStart,
    /// The topic was deleted and created again. The field says whether the old folder certainly
    /// kept its topic id.
    Recreate {
        was_settled: bool,
    },
}

/// A partition.
#[derive(Clone, Debug)]
pub struct Partition {
    pub name: TopicPartition,
    /// The number of the topic among those of its name, as in the metadata log.
    pub topic: u8,
    pub config: LogConfig,
    /// All batches of this topic: those in the log, and before them the deleted ones.
    pub history: Vec<Batch>,
    /// Refused batches that may still be in the file.
    pub ghosts: Vec<Batch>,
    pub start: i64,
    /// The highest log start so far. Producer state may have forgotten records below it.
    pub start_high: i64,
    /// No start finds a log start below this.
    pub start_durable: i64,
    pub end: i64,
    /// All records below it survive a power cut.
    pub flushed: i64,
    pub high_watermark: i64,
    /// The leader epoch in the metadata log.
    pub leader_epoch: i32,
    /// The epoch that began at the log end and has no record yet.
    pub assigned: Option<i32>,
    /// The folder and its small files survive a power cut.
    pub is_settled: bool,
    /// The topic id is in the folder. A start without room leaves writing it to a later start.
    pub is_named: bool,
    /// A power cut may have removed a part of the records below the log start. Then producers may
    /// know more or less than from all records.
    pub is_vague: bool,
    pub pending: Pending,
    /// The newest epoch of each producer for which a verification began. A producer never goes back
    /// to an earlier one, whatever a truncation removes.
    pub verified: BTreeMap<i64, i16>,
}

impl Partition {
    /// Returns a partition of the first topic of its name.
    pub fn new(index: usize, config: LogConfig) -> Self {
        Partition {
            name: TopicPartition::new("t", index as i32),
            topic: 1,
            config,
            history: Vec::new(),
            ghosts: Vec::new(),
            start: 0,
            start_high: 0,
            start_durable: 0,
            end: 0,
            flushed: 0,
            high_watermark: 0,
            leader_epoch: 0,
            assigned: None,
            is_settled: false,
            is_named: true,
            is_vague: false,
            pending: Pending::Nothing,
            verified: BTreeMap::new(),
        }
    }

    /// Returns the empty partition of the next topic of its name.
    pub fn recreated(&self) -> Self {
        let index = self.name.partition.0 as usize;
        let pending = Pending::Recreate { was_settled: self.is_settled };
        Partition { topic: self.topic + 1, pending, ..Partition::new(index, self.config.clone()) }
    }

    /// Returns the id of its topic.
    pub fn topic_id(&self) -> TopicId {
        TopicId::from_random([self.topic; 16])
    }

    /// Returns whether a batch is acknowledged only once it is on disk.
    pub fn is_durable(&self) -> bool {
        self.config.flush_messages == Some(1)
    }

    /// Returns the batches from an offset on, including the one that holds it.
    pub fn from(&self, offset: i64) -> &[Batch] {
        &self.history[self.history.partition_point(|batch| batch.last < offset)..]
    }

    /// Returns the producers and transactions at the log end.
    pub fn replay(&self) -> Replay {
        Replay::of(&self.history)
    }

    /// Notes an appended batch.
    pub fn appended(&mut self, batch: Batch) {
        self.end = batch.next();
        if self.assigned.is_some_and(|epoch| epoch <= batch.epoch) {
            self.assigned = None;
        }
        self.history.push(batch);
    }

    /// Notes a truncation.
    pub fn truncated(&mut self, end: i64) {
        self.history.retain(|batch| batch.last < end);
        self.ghosts.retain(|batch| batch.base < end);
        self.end = end;
        self.flushed = self.flushed.min(end);
        self.high_watermark = self.high_watermark.min(end);
        self.assigned = None;
    }

    /// Notes that the log started again at an offset.
    pub fn started_anew(&mut self, start: i64) {
        self.truncated(0);
        (self.start, self.end, self.flushed, self.high_watermark) = (start, start, start, start);
        self.start_high = self.start_high.max(start);
        self.start_durable = start;
        self.is_settled = true;
    }

    /// Notes a higher log start.
    pub fn start_moved(&mut self, start: Offset) {
        self.start = start.0;
        self.start_high = self.start_high.max(start.0);
    }

    /// Notes that all records below an offset were synced.
    pub fn flushed_to(&mut self, offset: i64) {
        self.flushed = self.flushed.max(offset);
        self.is_settled |= offset > 0;
        let flushed = self.flushed;
        self.ghosts.retain(|batch| batch.base >= flushed);
    }
}
