//! The transaction coordinator: one [`TransactionShard`] for each partition of
//! `__transaction_state` (KIP-98, 360, 447, 588, 664, 890, 1152, 1228).
//!
//! A transaction of version 2 (KIP-890) has an epoch of its own. Its end raises the epoch, so that
//! no delayed request of its producer touches the next transaction. Before, the epoch lasts until
//! the next InitProducerId.
//!
//! # States
//!
//! | state | InitProducerId | a partition | EndTxn | otherwise |
//! | --- | --- | --- | --- | --- |
//! | Empty | Empty, next epoch | Ongoing | v2 abort: PrepareAbort; else INVALID_TXN_STATE | expires |
//! | Ongoing | PrepareAbort, next epoch; CONCURRENT_TRANSACTIONS | Ongoing | PrepareCommit, PrepareAbort | timeout: PrepareAbort, next epoch |
//! | PrepareCommit, PrepareAbort | CONCURRENT_TRANSACTIONS | CONCURRENT_TRANSACTIONS | same end: CONCURRENT_TRANSACTIONS; else INVALID_TXN_STATE | all markers: CompleteCommit, CompleteAbort |
//! | CompleteCommit, CompleteAbort | Empty, next epoch | Ongoing | same end repeated: success; v2 abort: PrepareAbort; else INVALID_TXN_STATE | expires |
//!
//! A producer with another id is answered INVALID_PRODUCER_ID_MAPPING, one with another epoch
//! PRODUCER_FENCED. An exhausted epoch gives a new producer id: in version 2 with the end of the
//! transaction, before with InitProducerId. Kafka has two more states, `Dead` and
//! `PrepareEpochFence`, only in memory. Here no state is pending, because the records of a decision
//! are applied before the next one is made. `tests/transcripts` shows every state and event.
//!
//! # Effects
//!
//! - `AllocateProducerId`: what needs the id is parked and decided again when it comes.
//! - `WriteMarkers`: sent with the record of the prepared state, and after a load. The event has an
//!   outcome for each partition, and must come within a bounded time also if a leader is silent
//!   (`Retry`). Partitions to retry are sent again by a timer of the shard, for ever.
//!
//! EndTxn is answered after the first outcome, or after 50 ms without one. If all markers are
//! written by then, the transaction is complete before its client begins the next one. Kafka
//! answers as soon as it is prepared, and the next transaction may meet CONCURRENT_TRANSACTIONS.
//!
//! # Modules, from the bottom up
//!
//! `request`, `reply` and `config` define the input and output, `topics` the partitions of a
//! transaction. `state` is what the log says, `soft` the rest of a shard's state, and `record`
//! encodes it. `decision` defines the types of a shard. `builder` builds one decision and only
//! reads the state. `transition` ends a transaction, for `end`, `timeout` and `markers`. `init`,
//! `partitions`, `end` and `admin` handle the requests with it, `allocation` those that waited, and
//! `expire` and `load` what time and leadership bring. `dispatch` and `shard` combine them.
//!
//! # The tasks of the API files
//!
//! - [`crate::partition_for`] names the partition of a transactional id. DescribeTransactions is
//!   split by partition. ListTransactions goes to every shard that this broker leads, and the
//!   answers are merged. If one is loading, the answer is COORDINATOR_LOAD_IN_PROGRESS.
//! - Authorization. InitProducerId, AddPartitionsToTxn below v4, AddOffsetsToTxn and EndTxn: WRITE
//!   on the transactional id (TRANSACTIONAL_ID_AUTHORIZATION_FAILED), with `enable_2pc` also
//!   TWO_PHASE_COMMIT. AddPartitionsToTxn below v4: WRITE on each topic
//!   (TOPIC_AUTHORIZATION_FAILED). From v4 on: CLUSTER_ACTION. AddOffsetsToTxn: READ on the group.
//!   Descriptions and lists: DESCRIBE on each transactional id, and on the topics described, which
//!   are left out.
//! - AddPartitionsToTxn: if a partition does not exist (UNKNOWN_TOPIC_OR_PARTITION) or is not
//!   authorized, the shard is not asked, and the others are answered OPERATION_NOT_ATTEMPTED.
//! - InitProducerId without a transactional id gets a new producer id with epoch 0 and asks no
//!   shard. If only one of producer id and epoch is -1, the answer is INVALID_REQUEST.
//! - PRODUCER_FENCED is INVALID_PRODUCER_EPOCH in InitProducerId below v4, and in
//!   AddPartitionsToTxn, AddOffsetsToTxn and EndTxn below v2.
//! - The client's transaction version is 2 for EndTxn from v5 and AddPartitionsToTxn from v4 on,
//!   and 0 otherwise, AddOffsetsToTxn included.
//! - Kafka waits for the commit of a record for the transaction's timeout, and then answers
//!   COORDINATOR_NOT_AVAILABLE.
//!
//! # Invariants
//!
//! - A transaction that is prepared in the log ends that way, whoever leads the partition.
//! - The markers of a transaction that ends are under way, or a timer sends them, unless a leader
//!   has fenced this coordinator.
//! - An open transaction has a timer, or waits for a producer id, unless it is a two-phase commit.
//!   An idle transactional id has no timer.
//! - The records are equal to Kafka's in every byte, including the order of topics and partitions
//!   (Java's). After a load a transaction with a dozen partitions or more may be written in an
//!   order that Kafka had before it.
//!
//! What the log does not hold is lost with the leadership, as in Kafka: the epoch before the
//! current one, with which a producer may repeat InitProducerId.

mod admin;
mod allocation;
mod builder;
mod config;
mod decision;
mod dispatch;
mod end;
mod expire;
mod init;
mod load;
mod markers;
mod partitions;
mod pattern;
mod record;
mod reply;
mod request;
mod shard;
mod soft;
mod state;
mod timeout;
mod topics;
mod transition;

pub use config::TransactionConfig;
pub use decision::{MarkerOutcome, TransactionEffect, TransactionEvent, TransactionMarkers, TransactionTypes};
pub use reply::TransactionReply;
pub use request::{ProducerIdAndEpoch, TransactionRequest};
pub use shard::TransactionShard;
pub use soft::AllocationToken;
pub use state::TransactionState;
pub use topics::TransactionPartition;

#[cfg(test)]
mod tests;
