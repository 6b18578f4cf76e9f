//! The replicated state, and `apply`, the only function that changes it.

use crate::entry::Entry;
use crate::transaction::request::ProducerIdAndEpoch;
use crate::transaction::topics::{self, TransactionPartition};
use model::{ProducerEpoch, ProducerId, Timestamp};
use protocol::messages::transaction_log_value::TransactionLogValue;
use protocol::{DecodeError, Str, TransactionRecord};
use std::collections::HashMap;

/// The timeout of a transaction that never times out: a distributed two-phase commit (KIP-939).
pub(crate) const NO_TIMEOUT_MS: i32 = i32::MAX;

/// The state of a transactional id. The numbers are Kafka's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum TransactionState {
    /// The producer has an id, and has not begun a transaction with it.
    Empty = 0,
    /// A transaction is open.
    Ongoing = 1,
    /// It commits: markers are written.
    PrepareCommit = 2,
    /// It aborts: markers are written.
    PrepareAbort = 3,
    /// It has committed.
    CompleteCommit = 4,
    /// It has aborted.
    CompleteAbort = 5,
    /// The transactional id has expired. Kafka has this state only in memory.
    Dead = 6,
    /// The producer is being fenced. Kafka has this state only in memory.
    PrepareEpochFence = 7,
}

impl TransactionState {
    /// All states.
    pub const ALL: [TransactionState; 8] = [
        TransactionState::Empty,
        TransactionState::Ongoing,
        TransactionState::PrepareCommit,
        TransactionState::PrepareAbort,
        TransactionState::CompleteCommit,
        TransactionState::CompleteAbort,
        TransactionState::Dead,
        TransactionState::PrepareEpochFence,
    ];

    /// Returns Kafka's name, as DescribeTransactions and the filters of ListTransactions have it.
    pub fn name(self) -> &'static str {
        match self {
            TransactionState::Empty => "Empty",
            TransactionState::Ongoing => "Ongoing",
            TransactionState::PrepareCommit => "PrepareCommit",
            TransactionState::PrepareAbort => "PrepareAbort",
            TransactionState::CompleteCommit => "CompleteCommit",
            TransactionState::CompleteAbort => "CompleteAbort",
            TransactionState::Dead => "Dead",
            TransactionState::PrepareEpochFence => "PrepareEpochFence",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    fn from_id(id: i8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| *state as i8 == id)
    }

    /// Whether no transaction is open or ending. Only such an id expires.
    pub(crate) fn is_at_rest(self) -> bool {
        matches!(self, TransactionState::Empty | TransactionState::CompleteCommit | TransactionState::CompleteAbort)
    }

    /// Whether markers are being written.
    pub(crate) fn is_prepared(self) -> bool {
        matches!(self, TransactionState::PrepareCommit | TransactionState::PrepareAbort)
    }
}

/// What the log says of a transactional id.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Transaction {
    pub(crate) producer: ProducerIdAndEpoch,
    /// The producer id before the last record.
    pub(crate) previous_id: Option<ProducerId>,
    /// The producer id that takes over once the markers are written, because the epochs of the
    /// current one are exhausted.
    pub(crate) next_id: Option<ProducerId>,
    pub(crate) timeout_ms: i32,
    pub(crate) state: TransactionState,
    /// The transaction version of the client that wrote last.
    pub(crate) client_version: i16,
    /// When the transaction was begun.
    pub(crate) start: Option<Timestamp>,
    pub(crate) last_update: Timestamp,
    /// The partitions, in the order of the record.
    pub(crate) partitions: Box<[TransactionPartition]>,
}

impl Transaction {
    fn from_value(value: TransactionLogValue) -> Result<Self, DecodeError> {
        let state = TransactionState::from_id(value.transaction_status)
            .ok_or(DecodeError::Version("TransactionStatus", i16::from(value.transaction_status)))?;
        // Kafka reads no partitions of an empty transaction.
        let listed = match state {
            TransactionState::Empty => Vec::new(),
            _ => value.transaction_partitions.ok_or(DecodeError::Null("TransactionPartitions"))?,
        };
        let partitions = topics::listed(listed.iter().map(|it| (&it.topic, it.partition_ids.as_slice())));
        Ok(Self {
            producer: ProducerIdAndEpoch {
                id: ProducerId(value.producer_id),
                epoch: ProducerEpoch(value.producer_epoch),
            },
            previous_id: ProducerId::from_wire(value.previous_producer_id),
            next_id: ProducerId::from_wire(value.next_producer_id),
            timeout_ms: value.transaction_timeout_ms,
            state,
            client_version: value.client_transaction_version,
            start: Timestamp::from_wire(value.transaction_start_timestamp_ms),
            last_update: Timestamp(value.transaction_last_update_timestamp_ms),
            partitions: partitions.into(),
        })
    }
}

/// The transactional ids of one partition.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ReplicatedState {
    pub(crate) transactions: HashMap<Str, Transaction>,
}

impl ReplicatedState {
    /// Applies one entry. Errors: the bytes are not a record of Kafka. As in Kafka, an unknown kind
    /// and an unknown version of a value are skipped. Markers do not belong into this topic.
    pub(crate) fn apply(&mut self, entry: Entry) -> Result<(), DecodeError> {
        let Entry::Record { key, value } = entry else { return Ok(()) };
        match TransactionRecord::decode(key, value) {
            Err(DecodeError::UnknownKind(_) | DecodeError::Version(..)) => Ok(()),
            Err(error) => Err(error),
            Ok(TransactionRecord::TransactionLog(key, Some(value))) => {
                self.transactions.insert(key.transactional_id, Transaction::from_value(value)?);
                Ok(())
            }
            Ok(TransactionRecord::TransactionLog(key, None)) => {
                self.transactions.remove(&key.transactional_id);
                Ok(())
            }
        }
    }
}
