//! Entries of a state partition's log: what is applied, and what is to be appended.

use bytes::Bytes;
use model::{LeaderEpoch, Offset, ProducerId, Timestamp};

/// Where an entry stands in the log of the state partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchContext {
    /// The entry's own offset.
    pub offset: Offset,
    /// The leader epoch of its batch.
    pub leader_epoch: LeaderEpoch,
    /// Its timestamp.
    pub timestamp: Timestamp,
    /// Who wrote its batch; set for transactional batches and for markers only. Idempotent batches
    /// that are not transactional count as plain.
    pub producer: Option<ProducerId>,
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A record; one without a value is a tombstone.
    Record {
        /// The key, which opens with the kind.
        key: Bytes,
        /// The value, which opens with its version.
        value: Option<Bytes>,
    },
    /// The end of a producer's transaction.
    Marker {
        /// Whether it committed.
        committed: bool,
    },
}

/// A record to be appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRecord {
    /// The key.
    pub key: Bytes,
    /// The value; `None` writes a tombstone.
    pub value: Option<Bytes>,
}
