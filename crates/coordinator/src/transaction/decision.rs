//! The types of a transaction shard's commands and decisions.

use crate::shard::{ReplyId, ShardTypes};
use crate::transaction::config::TransactionConfig;
use crate::transaction::reply::TransactionReply;
use crate::transaction::request::{ProducerIdAndEpoch, TransactionRequest};
use crate::transaction::soft::{AllocationToken, SoftChange};
use crate::transaction::topics::TransactionPartition;
use model::{ErrorCode, LeaderEpoch, ProducerId};
use protocol::Str;

/// The types of the transaction coordinator.
#[derive(Clone, Copy, Debug)]
pub enum TransactionTypes {}

impl ShardTypes for TransactionTypes {
    type Config = TransactionConfig;
    type Request = TransactionRequest;
    type Reply = TransactionReply;
    type Event = TransactionEvent;
    type SoftChange = SoftChange;
    type Effect = TransactionEffect;
    type OnFailure = OnFailure;
}

/// What a transaction shard wants done elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransactionEffect {
    /// A producer id that was never given out. It comes back as
    /// [`TransactionEvent::ProducerIdAllocated`].
    AllocateProducerId {
        /// Names this allocation.
        token: AllocationToken,
    },
    /// Markers to write by the leaders of these partitions. Every sending comes back as one
    /// [`TransactionEvent::MarkersWritten`] that has an outcome for each of the partitions.
    WriteMarkers(TransactionMarkers),
}

/// The markers that end a transaction: WriteTxnMarkers' entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionMarkers {
    /// The transactional id.
    pub transactional_id: Str,
    /// The producer, with the epoch that the markers have.
    pub producer: ProducerIdAndEpoch,
    /// Whether the transaction commits.
    pub committed: bool,
    /// The epoch of this coordinator.
    pub coordinator_epoch: LeaderEpoch,
    /// The transaction version of the client that ends the transaction (KIP-1228).
    pub transaction_version: i16,
    /// The partitions, in the order in which the log has them.
    pub partitions: Vec<TransactionPartition>,
}

/// What became of the marker of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkerOutcome {
    /// It is written and committed.
    Written,
    /// The partition is gone for good, because its topic was deleted.
    Gone,
    /// The leader is not known or could not write it now. It is sent again.
    Retry,
    /// The leader knows a newer coordinator epoch or a newer producer epoch
    /// (`TRANSACTION_COORDINATOR_FENCED`, `INVALID_PRODUCER_EPOCH`). Nothing is sent again by this
    /// leader of the state partition, as in Kafka.
    Fenced,
}

/// Something that happened outside of a transaction shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransactionEvent {
    /// The outcome of [`TransactionEffect::AllocateProducerId`].
    ProducerIdAllocated {
        /// The token of the effect.
        token: AllocationToken,
        /// The id, or why there is none.
        result: Result<ProducerId, ErrorCode>,
    },
    /// The outcome of [`TransactionEffect::WriteMarkers`].
    MarkersWritten {
        /// The transactional id of the effect.
        transactional_id: Str,
        /// The producer of the effect.
        producer: ProducerIdAndEpoch,
        /// The coordinator epoch of the effect.
        coordinator_epoch: LeaderEpoch,
        /// The outcome of each partition. One without an outcome is sent again.
        outcomes: Vec<(TransactionPartition, MarkerOutcome)>,
    },
}

/// What to do if the records of a decision cannot be appended, besides an answer with an error to
/// the request that led to it.
#[derive(Clone, Debug, Default)]
pub struct OnFailure {
    /// Changes that are made all the same.
    pub(crate) soft: Vec<SoftChange>,
    /// Replies that are sent all the same.
    pub(crate) replies: Vec<(ReplyId, TransactionReply)>,
    /// A parked request that is answered with the error.
    pub(crate) refused: Option<(ReplyId, Box<TransactionRequest>)>,
}
