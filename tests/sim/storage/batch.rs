//! Batches as a course writes them, and the state that a list of batches gives: the producers and
//! the transactions. This state is computed here again, in the simplest way, to compare the store's
//! own state with it.

use bytes::Bytes;
use model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use records::{BatchBuilder, EndTransactionMarker};
use std::collections::BTreeMap;

/// The end of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marker {
    pub aborted: bool,
    pub coordinator_epoch: i32,
}

/// The producer of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    pub id: i64,
    pub epoch: i16,
    pub base_sequence: i32,
    pub is_transactional: bool,
    pub marker: Option<Marker>,
}

/// A batch without an offset.
#[derive(Clone, Debug)]
pub struct Draft {
    pub serial: u64,
    pub timestamps: Vec<i64>,
    pub value_bytes: usize,
    pub source: Option<Source>,
}

/// A batch of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub base: i64,
    pub last: i64,
    pub epoch: i32,
    pub bytes: Bytes,
    pub timestamps: Vec<i64>,
    pub source: Option<Source>,
}

impl Draft {
    /// Returns the batch at an offset.
    pub fn at(&self, base: i64, epoch: i32) -> Batch {
        let mut builder = BatchBuilder::new(Offset(base)).leader_epoch(LeaderEpoch(epoch));
        if let Some(source) = self.source {
            let sequence = source.marker.is_none().then_some(source.base_sequence);
            builder = builder.producer(ProducerId(source.id), ProducerEpoch(source.epoch), sequence);
            if source.is_transactional {
                builder = builder.transactional();
            }
        }
        match self.source.and_then(|source| source.marker) {
            Some(Marker { aborted, coordinator_epoch }) => {
                let marker = EndTransactionMarker { committed: !aborted, coordinator_epoch };
                builder.append_end_transaction(Timestamp(self.timestamps[0]), marker);
            }
            None => {
                // The serial number makes every batch of a course unique.
                let value = vec![self.serial as u8; self.value_bytes];
                for timestamp in &self.timestamps {
                    builder.append(Timestamp(*timestamp), Some(&self.serial.to_be_bytes()), Some(&value));
                }
            }
        }
        Batch {
            base,
            last: base + self.timestamps.len() as i64 - 1,
            epoch,
            bytes: builder.finish().expect("a batch of a few records"),
            timestamps: self.timestamps.clone(),
            source: self.source,
        }
    }
}

impl Batch {
    /// Returns the largest timestamp of its records.
    pub fn max_timestamp(&self) -> i64 {
        self.timestamps.iter().copied().max().unwrap_or(-1)
    }

    /// Returns the offset after it.
    pub fn next(&self) -> i64 {
        self.last + 1
    }
}

/// The known state of a producer.
#[derive(Clone, Debug, Default)]
pub struct Known {
    pub epoch: i16,
    /// Last sequence, last offset and offset delta of each batch of that epoch.
    pub batches: Vec<(i32, i64, i32)>,
    pub coordinator_epoch: Option<i32>,
    pub coordinator_at: i64,
    pub last_timestamp: i64,
    pub txn_first: Option<i64>,
    /// The offset of its last record or marker.
    pub last_offset: i64,
}

/// A transaction that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    pub id: i64,
    pub first: i64,
    pub marker: i64,
    pub aborted: bool,
}

/// The state that a list of batches gives.
#[derive(Clone, Debug, Default)]
pub struct Replay {
    pub producers: BTreeMap<i64, Known>,
    pub ended: Vec<Ended>,
}

impl Replay {
    /// Reads batches in order.
    pub fn of(batches: &[Batch]) -> Self {
        let mut replay = Replay::default();
        batches.iter().for_each(|batch| replay.add(batch));
        replay
    }

    /// Reads one more batch.
    pub fn add(&mut self, batch: &Batch) {
        let Some(source) = batch.source else { return };
        let known =
            self.producers.entry(source.id).or_insert_with(|| Known { epoch: source.epoch, ..Known::default() });
        if known.epoch != source.epoch {
            known.epoch = source.epoch;
            known.batches.clear();
        }
        known.last_offset = batch.last;
        known.last_timestamp = batch.max_timestamp();
        match source.marker {
            Some(marker) => {
                known.coordinator_epoch = Some(marker.coordinator_epoch);
                known.coordinator_at = batch.base;
                if let Some(first) = known.txn_first.take() {
                    self.ended.push(Ended { id: source.id, first, marker: batch.base, aborted: marker.aborted });
                }
            }
            None => {
                let delta = (batch.last - batch.base) as i32;
                known.batches.push((source.base_sequence + delta, batch.last, delta));
                if source.is_transactional {
                    known.txn_first.get_or_insert(batch.base);
                }
            }
        }
    }

    /// Returns the first offset that read_committed consumers may not see, if a transaction counts
    /// as decided only when its marker is below the high watermark.
    pub fn first_unstable(&self, high_watermark: i64) -> Option<i64> {
        let open = self.producers.values().filter_map(|known| known.txn_first);
        let undecided = self.ended.iter().filter(|txn| txn.marker >= high_watermark).map(|txn| txn.first);
        open.chain(undecided).min()
    }
}
