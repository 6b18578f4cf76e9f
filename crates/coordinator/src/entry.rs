//! Entries of a state partition's log, to apply and to append.

use bytes::Bytes;
use model::{LeaderEpoch, Offset, ProducerId, Timestamp};

/// The position of an entry in the log of the state partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchContext {
    /// The entry's own offset.
    pub offset: Offset,
    /// The leader epoch of its batch.
    pub leader_epoch: LeaderEpoch,
    /// Its timestamp.
    pub timestamp: Timestamp,
    /// The producer of the batch; set only for transactional batches and markers. An idempotent
    /// batch that is not transactional has none.
    pub producer: Option<ProducerId>,
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A record; one without a value is a tombstone.
    Record {
        /// The key. It starts with the kind of the record.
        key: Bytes,
        /// The value. It starts with its version.
        value: Option<Bytes>,
    },
    /// The end of a producer's transaction.
    Marker {
        /// Whether it committed.
        committed: bool,
    },
}

/// A record to append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRecord {
    /// The key.
    pub key: Bytes,
    /// The value; `None` writes a tombstone.
    pub value: Option<Bytes>,
}
