//! Requests to a transaction coordinator, of clients and of brokers.

use model::{ProducerEpoch, ProducerId};
use protocol::Str;
use protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;

/// A producer id with its epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProducerIdAndEpoch {
    /// The producer id.
    pub id: ProducerId,
    /// Its epoch.
    pub epoch: ProducerEpoch,
}

/// A request as its API file passes it on. Facts that depend on the version have names. Ids and
/// epochs are passed on as they came: a negative one is no producer's.
#[derive(Clone, Debug, PartialEq)]
pub enum TransactionRequest {
    /// InitProducerId with a transactional id.
    InitProducerId {
        /// The transactional id.
        transactional_id: Str,
        /// `transaction.timeout.ms` of the producer.
        timeout_ms: i32,
        /// The id and epoch that the producer has (KIP-360, v3 and up). `None` if both are -1.
        expected: Option<ProducerIdAndEpoch>,
        /// The transactions have no timeout (KIP-939, v6 and up).
        enable_2pc: bool,
        /// A prepared transaction is kept (KIP-939, v6 and up).
        keep_prepared: bool,
    },
    /// AddPartitionsToTxn of one transaction, or AddOffsetsToTxn with the group's partition of
    /// `__consumer_offsets`.
    AddPartitions {
        /// The transactional id.
        transactional_id: Str,
        /// The producer.
        producer: ProducerIdAndEpoch,
        /// The partitions.
        topics: Vec<AddPartitionsToTxnTopic>,
        /// Nothing is added: the answer says which partitions are in the transaction.
        verify_only: bool,
        /// The client's transaction version: 2 if a broker adds the partitions for a Produce v12 or
        /// a TxnOffsetCommit v5, 0 otherwise.
        transaction_version: i16,
    },
    /// EndTxn.
    EndTxn {
        /// The transactional id.
        transactional_id: Str,
        /// The producer.
        producer: ProducerIdAndEpoch,
        /// Whether the transaction commits.
        committed: bool,
        /// The client's transaction version: 2 for v5 and up, 0 otherwise.
        transaction_version: i16,
    },
    /// The transactional ids of a DescribeTransactions that this partition stores.
    Describe(Vec<Str>),
    /// ListTransactions.
    List {
        /// Names of states; empty for all.
        states: Vec<Str>,
        /// Producer ids; empty for all.
        producer_ids: Vec<ProducerId>,
        /// Only transactions that have been open for longer than this (KIP-994, v1 and up);
        /// negative for all.
        duration_ms: i64,
        /// A regular expression that the whole transactional id matches (KIP-1152, v2 and up);
        /// `None` and an empty one match all.
        pattern: Option<Str>,
    },
}

impl TransactionRequest {
    /// Returns the transactional id that the request is about; `None` if it names several or none.
    pub fn transactional_id(&self) -> Option<&Str> {
        match self {
            TransactionRequest::InitProducerId { transactional_id, .. }
            | TransactionRequest::AddPartitions { transactional_id, .. }
            | TransactionRequest::EndTxn { transactional_id, .. } => Some(transactional_id),
            TransactionRequest::Describe(_) | TransactionRequest::List { .. } => None,
        }
    }
}
