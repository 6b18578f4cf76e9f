//! A log's state of its producers: idempotence (KIP-98) and open transactions.
//!
//! For each producer id it holds the epoch and the last five batches, which distinguish a retry
//! from a gap. For all of them it holds the open transactions, and the completed ones whose markers
//! are above the high watermark. The first offset of all these is the first unstable offset, where
//! read_committed consumers stop. The state is a function of the log's prefix, so it is rebuilt
//! from a snapshot and the records after it.

mod append;
mod snapshot;
mod verification;

pub use append::Origin;
pub(crate) use append::{Checked, CompletedTxn, Known, ProducerAppend, TxnMarker};
pub(crate) use snapshot::{read_snapshot, write_snapshot};
pub(crate) use verification::Verifications;
pub use verification::{VERIFICATIONS_MAX, VerificationStart};

use crate::error::ProducerError;
use crate::planted::{Bug, is_planted};
use model::{Offset, ProducerEpoch, ProducerId, Timestamp};
use std::collections::{BTreeMap, HashMap};

/// The number of batches that are remembered for a producer: as many as a client may have in
/// flight.
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
    /// Its largest timestamp, or the time of its append.
    pub timestamp: Timestamp,
}

impl ProducerBatch {
    /// Returns the sequence of its first record. The sequence before 0 is `i32::MAX`.
    pub fn first_sequence(&self) -> i32 {
        if self.last_sequence >= self.offset_delta {
            self.last_sequence - self.offset_delta
        } else {
            i32::MAX - (self.offset_delta - self.last_sequence) + 1
        }
    }

    /// Returns the offset of its first record.
    pub fn first_offset(&self) -> Offset {
        self.last_offset.plus(-i64::from(self.offset_delta))
    }
}

/// The state of a producer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProducerEntry {
    /// The newest known epoch.
    pub epoch: Option<ProducerEpoch>,
    /// The newest batches of that epoch, oldest first.
    batches: [ProducerBatch; BATCHES_REMEMBERED],
    batch_count: u8,
    /// The first sequence of an earlier batch that the log does not have.
    missing_sequence: Option<i32>,
    /// The epoch of the coordinator in the last transaction marker.
    pub coordinator_epoch: Option<i32>,
    /// The timestamp of the last batch or marker.
    pub last_timestamp: Timestamp,
    /// The first offset of its open transaction.
    pub txn_first_offset: Option<Offset>,
}

impl ProducerEntry {
    /// Returns the newest batches, oldest first.
    pub fn batches(&self) -> &[ProducerBatch] {
        &self.batches[..usize::from(self.batch_count)]
    }

    /// Returns the sequence of the last record in the current epoch.
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
            self.missing_sequence = None;
        }
    }

    fn is_expired(&self, now: Timestamp, expiration_ms: i64) -> bool {
        self.txn_first_offset.is_none() && now.0.saturating_sub(self.last_timestamp.0) >= expiration_ms
    }
}

/// Returns how many records lie between two sequences. After `i32::MAX` comes 0.
pub(crate) fn records_between(from: i32, to: i32) -> i32 {
    to.wrapping_sub(from) & i32::MAX
}

/// The producers of one log.
#[derive(Clone, Debug, Default)]
pub struct Producers {
    entries: HashMap<ProducerId, ProducerEntry>,
    /// Open transactions by their first offset.
    ongoing: BTreeMap<Offset, ProducerId>,
    /// Completed transactions, by their first offset, with the offset of the marker, until the high
    /// watermark passes the marker.
    unreplicated: BTreeMap<Offset, Offset>,
    /// The state includes the log up to here, exclusive.
    pub(crate) end_offset: Offset,
}

impl Producers {
    /// Returns the state of an empty log.
    pub(crate) fn at(offset: Offset) -> Self {
        Producers { end_offset: offset, ..Producers::default() }
    }

    /// Whether this state, which was read from a snapshot, is what a snapshot of `other` holds: the
    /// last batch of each producer.
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

    /// Returns the state of a producer.
    pub fn get(&self, id: ProducerId) -> Option<&ProducerEntry> {
        self.entries.get(&id)
    }

    /// Whether a producer has an open transaction in an epoch.
    pub(crate) fn has_ongoing(&self, id: ProducerId, epoch: ProducerEpoch) -> bool {
        self.get(id).is_some_and(|entry| entry.txn_first_offset.is_some() && entry.epoch == Some(epoch))
    }

    /// Checks that no newer epoch of a producer is known. Errors: `InvalidEpoch`.
    pub(crate) fn check_epoch(&self, id: ProducerId, epoch: ProducerEpoch) -> Result<(), ProducerError> {
        match self.get(id).and_then(|entry| entry.epoch) {
            Some(newest) if epoch < newest => Err(ProducerError::InvalidEpoch(format!(
                "Epoch of producer {id} is {epoch}, which is smaller than the last seen epoch {newest}"
            ))),
            _ => Ok(()),
        }
    }

    /// Returns the oldest known batch of a producer, if `batch` lies before it in the same epoch
    /// and was not looked for just before.
    pub(crate) fn oldest_after(&self, batch: &Checked) -> Option<ProducerBatch> {
        let entry = self.get(batch.producer_id).filter(|entry| entry.epoch == Some(batch.epoch))?;
        let oldest = entry.batches().first()?;
        // Sequences wrap around. The nearer way says which one is earlier.
        let distance = records_between(batch.base_sequence, oldest.first_sequence());
        let is_earlier = 0 < distance && distance < i32::MAX / 2;
        (is_earlier && entry.missing_sequence != Some(batch.base_sequence)).then_some(*oldest)
    }

    /// Notes that the log does not have a batch that lies before the known ones.
    pub(crate) fn note_missing(&mut self, batch: &Checked) {
        if let Some(entry) = self.entries.get_mut(&batch.producer_id) {
            entry.missing_sequence = Some(batch.base_sequence);
        }
    }

    /// Returns every producer, in no order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (ProducerId, &ProducerEntry)> {
        self.entries.iter().map(|(id, entry)| (*id, entry))
    }

    /// Adds an entry of a snapshot.
    pub(crate) fn load(&mut self, id: ProducerId, entry: ProducerEntry) {
        if let Some(first) = entry.txn_first_offset {
            self.ongoing.insert(first, id);
        }
        self.entries.insert(id, entry);
    }

    /// Returns the first offset that a read_committed consumer may not read yet.
    pub fn first_unstable_offset(&self) -> Option<Offset> {
        let ongoing = self.ongoing.first_key_value().map(|(first, _)| *first);
        let unreplicated = self.unreplicated.first_key_value().map(|(first, _)| *first);
        ongoing.into_iter().chain(unreplicated).min()
    }

    /// Applies the updates that `ProducerAppend` checked.
    pub(crate) fn apply(&mut self, append: ProducerAppend) {
        for (id, update) in append.updates {
            self.ongoing.extend(update.started.iter().map(|first| (*first, id)));
            self.entries.insert(id, update.entry);
        }
    }

    /// Returns the last stable offset after a transaction ends: where the next open one begins, or
    /// the offset after its marker.
    pub(crate) fn stable_offset_after(&self, completed: &CompletedTxn) -> Offset {
        let next = self.ongoing.iter().find(|(_, id)| **id != completed.producer_id);
        next.map_or(completed.last_offset.plus(1), |(first, _)| *first)
    }

    pub(crate) fn complete(&mut self, completed: &CompletedTxn) {
        self.ongoing.remove(&completed.first_offset);
        if !is_planted(Bug::MarkerCountedBeforeHighWatermark) {
            self.unreplicated.insert(completed.first_offset, completed.last_offset);
        }
    }

    /// Removes completed transactions whose marker is below the high watermark. Returns whether
    /// there were any.
    pub(crate) fn high_watermark_moved(&mut self, high_watermark: Offset) -> bool {
        let before = self.unreplicated.len();
        self.unreplicated.retain(|_, marker| *marker >= high_watermark);
        before != self.unreplicated.len()
    }

    /// Removes completed transactions below the log start offset. Returns whether there were any.
    pub(crate) fn log_start_moved(&mut self, log_start_offset: Offset) -> bool {
        let changed = self.high_watermark_moved(log_start_offset);
        self.end_offset = self.end_offset.max(log_start_offset);
        changed
    }

    /// Whether completed transactions wait for the high watermark.
    pub(crate) fn awaits_high_watermark(&self) -> bool {
        !self.unreplicated.is_empty()
    }

    /// Removes producers that wrote nothing for a time. Returns how many.
    pub(crate) fn expire(&mut self, now: Timestamp, expiration_ms: i64) -> usize {
        let before = self.entries.len();
        self.entries.retain(|_, entry| !entry.is_expired(now, expiration_ms));
        before - self.entries.len()
    }
}

#[cfg(test)]
mod tests;
