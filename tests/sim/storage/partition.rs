//! What is known of a partition beside the disk: what was acknowledged, and what the store has promised of it.

use crate::batch::{Batch, Replay};
use model::{Offset, TopicId, TopicPartition};
use storage::LogConfig;

/// What was begun and not seen to end, so that a restart may find it done, half done or not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pending {
    Nothing,
    /// A truncation to an end.
    Truncate(i64),
    /// A new beginning.
    StartAnew,
    /// A later log start: by retention or DeleteRecords.
    LaterStart,
    /// The topic was deleted and created again; whether the old one's folder was sure to keep its topic id.
    Recreate {
        was_settled: bool,
    },
}

/// A partition.
#[derive(Clone, Debug)]
pub struct Partition {
    pub name: TopicPartition,
    /// Which of the topics of that name it belongs to, as the metadata log has it.
    pub topic: u8,
    pub config: LogConfig,
    /// Everything of this topic that the log holds, and before it what was deleted.
    pub history: Vec<Batch>,
    /// Batches that were refused, and may be in the file all the same.
    pub ghosts: Vec<Batch>,
    pub start: i64,
    /// The highest that the log start ever was: what lies below it, producers' state may have forgotten.
    pub start_high: i64,
    /// A start finds no lower log start than this.
    pub start_durable: i64,
    pub end: i64,
    /// All below it outlives a power cut.
    pub flushed: i64,
    pub high_watermark: i64,
    /// In the metadata log.
    pub leader_epoch: i32,
    /// The epoch that began at the log end and has no record yet.
    pub assigned: Option<i32>,
    /// The folder and its small files outlive a power cut.
    pub is_settled: bool,
    /// The topic id is in the folder: a start that has no room to write it there leaves that to a later one.
    pub is_named: bool,
    /// A power cut may have taken what lies below the log start: of a part of it that is left, producers may know more or less than of all of it.
    pub is_vague: bool,
    pub pending: Pending,
}

impl Partition {
    /// A partition of the first topic of its name.
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
        }
    }

    /// The partition of the next topic of its name: empty.
    pub fn recreated(&self) -> Self {
        let index = self.name.partition.0 as usize;
        let pending = Pending::Recreate { was_settled: self.is_settled };
        Partition { topic: self.topic + 1, pending, ..Partition::new(index, self.config.clone()) }
    }

    /// Its topic's id.
    pub fn topic_id(&self) -> TopicId {
        TopicId::from_random([self.topic; 16])
    }

    /// Whether a batch is acknowledged only once it is on disk.
    pub fn is_durable(&self) -> bool {
        self.config.flush_messages == Some(1)
    }

    /// The batches from an offset on, the one that holds it included.
    pub fn from(&self, offset: i64) -> &[Batch] {
        &self.history[self.history.partition_point(|batch| batch.last < offset)..]
    }

    /// Producers and transactions as of the log end.
    pub fn replay(&self) -> Replay {
        Replay::of(&self.history)
    }

    /// A batch was appended.
    pub fn appended(&mut self, batch: Batch) {
        self.end = batch.next();
        if self.assigned.is_some_and(|epoch| epoch <= batch.epoch) {
            self.assigned = None;
        }
        self.history.push(batch);
    }

    /// The log was cut.
    pub fn truncated(&mut self, end: i64) {
        self.history.retain(|batch| batch.last < end);
        self.ghosts.retain(|batch| batch.base < end);
        self.end = end;
        self.flushed = self.flushed.min(end);
        self.high_watermark = self.high_watermark.min(end);
        self.assigned = None;
    }

    /// The log begins anew.
    pub fn started_anew(&mut self, start: i64) {
        self.truncated(0);
        (self.start, self.end, self.flushed, self.high_watermark) = (start, start, start, start);
        self.start_high = self.start_high.max(start);
        self.start_durable = start;
        self.is_settled = true;
    }

    /// The log starts later.
    pub fn start_moved(&mut self, start: Offset) {
        self.start = start.0;
        self.start_high = self.start_high.max(start.0);
    }

    /// All below an offset was synced.
    pub fn flushed_to(&mut self, offset: i64) {
        self.flushed = self.flushed.max(offset);
        self.is_settled |= offset > 0;
        let flushed = self.flushed;
        self.ghosts.retain(|batch| batch.base >= flushed);
    }
}
