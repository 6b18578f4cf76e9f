//! What a log knows of its producers: idempotence (KIP-98) and open transactions.
//!
//! Per producer id: its epoch and the last five batches, by which a retry is told from a gap. Over all: the transactions that are open, and
//! those that are over while their markers are above the high watermark; the first offset of either is the first unstable offset, from which
//! readers of committed records are kept away. State is a function of the log's prefix, so it is rebuilt from a snapshot and the records after it.

mod append;
mod snapshot;

pub use append::Origin;
pub(crate) use append::{Checked, CompletedTxn, ProducerAppend, TxnMarker};
pub(crate) use snapshot::{read_snapshot, write_snapshot};

use model::{Offset, ProducerEpoch, ProducerId, Timestamp};
use std::collections::{BTreeMap, HashMap};

/// How many batches of a producer are remembered: as many as a client may have in flight.
pub const BATCHES_REMEMBERED: usize = 5;

/// A batch that a producer wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProducerBatch {
    /// Sequence of its last record.
    pub last_sequence: i32,
    /// Offset of its last record.
    pub last_offset: Offset,
    /// Last offset less base offset.
    pub offset_delta: i32,
    /// Its largest timestamp, or the time of the append.
    pub timestamp: Timestamp,
}

impl ProducerBatch {
    /// Sequence of its first record; before 0 comes `i32::MAX`.
    pub fn first_sequence(&self) -> i32 {
        if self.last_sequence >= self.offset_delta {
            self.last_sequence - self.offset_delta
        } else {
            i32::MAX - (self.offset_delta - self.last_sequence) + 1
        }
    }

    /// Offset of its first record.
    pub fn first_offset(&self) -> Offset {
        self.last_offset.plus(-i64::from(self.offset_delta))
    }
}

/// One producer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProducerEntry {
    /// The newest epoch seen.
    pub epoch: Option<ProducerEpoch>,
    /// The newest batches of that epoch, oldest first.
    batches: [ProducerBatch; BATCHES_REMEMBERED],
    batch_count: u8,
    /// Of the last transaction marker.
    pub coordinator_epoch: Option<i32>,
    /// Of the last batch or marker.
    pub last_timestamp: Timestamp,
    /// Where its open transaction began.
    pub txn_first_offset: Option<Offset>,
}

impl ProducerEntry {
    /// The newest batches, oldest first.
    pub fn batches(&self) -> &[ProducerBatch] {
        &self.batches[..usize::from(self.batch_count)]
    }

    /// Sequence of the last record in the current epoch.
    pub fn last_sequence(&self) -> Option<i32> {
        self.batches().last().map(|batch| batch.last_sequence)
    }

    fn push(&mut self, batch: ProducerBatch) {
        if usize::from(self.batch_count) == BATCHES_REMEMBERED {
            self.batches.rotate_left(1);
        } else {
            self.batch_count += 1;
        }
        self.batches[usize::from(self.batch_count) - 1] = batch;
    }

    fn set_epoch(&mut self, epoch: ProducerEpoch) {
        if self.epoch != Some(epoch) {
            self.epoch = Some(epoch);
            self.batch_count = 0;
        }
    }

    fn is_expired(&self, now: Timestamp, expiration_ms: i64) -> bool {
        self.txn_first_offset.is_none() && now.0.saturating_sub(self.last_timestamp.0) >= expiration_ms
    }
}

/// The producers of one log.
#[derive(Clone, Debug, Default)]
pub struct Producers {
    entries: HashMap<ProducerId, ProducerEntry>,
    /// Open transactions by their first offset.
    ongoing: BTreeMap<Offset, ProducerId>,
    /// Transactions that are over, by their first offset, with the offset of the marker; until the high watermark has passed it.
    unreplicated: BTreeMap<Offset, Offset>,
    /// The state is that of the log up to here, exclusive.
    pub(crate) end_offset: Offset,
}

impl Producers {
    /// Nobody, at the start of a log.
    pub(crate) fn at(offset: Offset) -> Self {
        Producers { end_offset: offset, ..Producers::default() }
    }

    /// Whether this, which was read from a snapshot, is what is written of the other: of each producer's batches the last.
    pub(crate) fn is_snapshot_of(&self, other: &Producers) -> bool {
        let is_of = |(id, entry): (&ProducerId, &ProducerEntry)| {
            let written = |entry: &ProducerEntry| {
                let last =
                    entry.batches().last().map(|batch| (batch.last_sequence, batch.last_offset, batch.offset_delta));
                (entry.epoch, last, entry.coordinator_epoch, entry.last_timestamp, entry.txn_first_offset)
            };
            other.get(*id).is_some_and(|known| written(known) == written(entry))
        };
        self.end_offset == other.end_offset
            && self.entries.len() == other.entries.len()
            && self.entries.iter().all(is_of)
    }

    /// What is known of a producer.
    pub fn get(&self, id: ProducerId) -> Option<&ProducerEntry> {
        self.entries.get(&id)
    }

    /// Every producer, in no order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (ProducerId, &ProducerEntry)> {
        self.entries.iter().map(|(id, entry)| (*id, entry))
    }

    /// Takes over an entry of a snapshot.
    pub(crate) fn load(&mut self, id: ProducerId, entry: ProducerEntry) {
        if let Some(first) = entry.txn_first_offset {
            self.ongoing.insert(first, id);
        }
        self.entries.insert(id, entry);
    }

    /// The first offset that a reader of committed records may not see yet.
    pub fn first_unstable_offset(&self) -> Option<Offset> {
        let ongoing = self.ongoing.first_key_value().map(|(first, _)| *first);
        let unreplicated = self.unreplicated.first_key_value().map(|(first, _)| *first);
        ongoing.into_iter().chain(unreplicated).min()
    }

    /// Accepts what `ProducerAppend` checked.
    pub(crate) fn apply(&mut self, append: ProducerAppend) {
        for (id, update) in append.updates {
            self.ongoing.extend(update.started.iter().map(|first| (*first, id)));
            self.entries.insert(id, update.entry);
        }
    }

    /// The last stable offset once a transaction is over: where the next open one begins, or after its marker.
    pub(crate) fn stable_offset_after(&self, completed: &CompletedTxn) -> Offset {
        let next = self.ongoing.iter().find(|(_, id)| **id != completed.producer_id);
        next.map_or(completed.last_offset.plus(1), |(first, _)| *first)
    }

    pub(crate) fn complete(&mut self, completed: &CompletedTxn) {
        self.ongoing.remove(&completed.first_offset);
        self.unreplicated.insert(completed.first_offset, completed.last_offset);
    }

    /// Forgets finished transactions whose marker is below the high watermark. Whether there were any.
    pub(crate) fn high_watermark_moved(&mut self, high_watermark: Offset) -> bool {
        let before = self.unreplicated.len();
        self.unreplicated.retain(|_, marker| *marker >= high_watermark);
        before != self.unreplicated.len()
    }

    /// Forgets finished transactions below the log start offset. Whether there were any.
    pub(crate) fn log_start_moved(&mut self, log_start_offset: Offset) -> bool {
        let changed = self.high_watermark_moved(log_start_offset);
        self.end_offset = self.end_offset.max(log_start_offset);
        changed
    }

    /// Whether finished transactions wait for the high watermark.
    pub(crate) fn awaits_high_watermark(&self) -> bool {
        !self.unreplicated.is_empty()
    }

    /// Forgets producers that have been silent for long. How many.
    pub(crate) fn expire(&mut self, now: Timestamp, expiration_ms: i64) -> usize {
        let before = self.entries.len();
        self.entries.retain(|_, entry| !entry.is_expired(now, expiration_ms));
        before - self.entries.len()
    }
}

#[cfg(test)]
mod tests;
