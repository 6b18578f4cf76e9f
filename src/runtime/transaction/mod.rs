//! The transaction coordinators of this broker, and the markers that they write.
//!
//! `markers` writes a marker into a partition that this broker leads, and `remote` sends it to
//! another leader. `effects` carries out what the coordinators decide: it allocates producer ids
//! and has markers written. `remote` also asks a coordinator on another broker about partitions.

mod effects;
mod markers;
mod remote;

#[cfg(test)]
pub(crate) use self::effects::outcome;
pub(crate) use self::effects::{MarkerRoutes, TransactionEffects};
pub use self::markers::{Marker, MarkerWriter};
pub(crate) use self::remote::ask_about_partitions;

use super::coordinator::Coordinators;
use coordinator::transaction::{ProducerIdAndEpoch, TransactionShard};
use coordinator::{TransactionReply, TransactionRequest};
use model::ErrorCode;
use protocol::Str;
use protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
};

/// All transaction coordinators of this broker.
pub type TransactionCoordinators = Coordinators<TransactionShard>;

/// Partitions to add to a transaction, or to look for in it.
#[derive(Clone, Debug)]
pub struct PartitionsOfTransaction {
    /// The transactional id.
    pub transactional_id: Str,
    /// The producer.
    pub producer: ProducerIdAndEpoch,
    /// The partitions.
    pub topics: Vec<AddPartitionsToTxnTopic>,
    /// Whether nothing is added.
    pub verify_only: bool,
    /// The client's transaction version (KIP-890).
    pub transaction_version: i16,
}

impl Coordinators<TransactionShard> {
    /// Sends a request to every coordinator of this broker. If there is none, returns the reply of
    /// a coordinator without transactions.
    pub async fn ask_all_or_none(&self, request: impl Fn() -> TransactionRequest) -> Vec<TransactionReply> {
        let replies = self.ask_all(&request).await;
        if replies.is_empty() { self.ask_empty(request()).into_iter().collect() } else { replies }
    }

    /// Adds partitions to a transaction, or verifies that they are in it. Returns an error code for
    /// each partition.
    pub async fn partitions(&self, partitions: PartitionsOfTransaction) -> Vec<AddPartitionsToTxnTopicResult> {
        let PartitionsOfTransaction { transactional_id, producer, topics, verify_only, transaction_version } =
            partitions;
        let request = TransactionRequest::AddPartitions {
            transactional_id: transactional_id.clone(),
            producer,
            topics: topics.clone(),
            verify_only,
            transaction_version,
        };
        match self.ask(&transactional_id, request).await {
            TransactionReply::VerifyPartitions(results) => results,
            TransactionReply::AddPartitions(code) => results_with(topics, code),
            TransactionReply::InitProducerId(_)
            | TransactionReply::EndTxn(_)
            | TransactionReply::Describe(_)
            | TransactionReply::List(_) => results_with(topics, ErrorCode::UnknownServerError),
        }
    }
}

/// Returns the same result for each partition.
pub fn results_with(topics: Vec<AddPartitionsToTxnTopic>, code: ErrorCode) -> Vec<AddPartitionsToTxnTopicResult> {
    let partition = |partition_index| AddPartitionsToTxnPartitionResult {
        partition_index,
        partition_error_code: code.code(),
        ..Default::default()
    };
    let topic = |topic: AddPartitionsToTxnTopic| AddPartitionsToTxnTopicResult {
        name: topic.name,
        results_by_partition: topic.partitions.into_iter().map(partition).collect(),
        ..Default::default()
    };
    topics.into_iter().map(topic).collect()
}
