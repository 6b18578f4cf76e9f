//! AddPartitionsToTxn (key 24), versions 0-5.
//!
//! Transactions are not served, and the answer is one that no client retries: Kafka's code for a transactional id that may not be used.
//! Version 4 carries several transactions (KIP-890).

use super::Context;
use model::ErrorCode;
use protocol::messages::add_partitions_to_txn_request::{AddPartitionsToTxnRequest, AddPartitionsToTxnTopic};
use protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResponse, AddPartitionsToTxnResult,
    AddPartitionsToTxnTopicResult,
};

/// Refuses every partition of every transactional id.
pub(super) async fn handle(_: Context, request: AddPartitionsToTxnRequest) -> AddPartitionsToTxnResponse {
    let error = ErrorCode::TransactionalIdAuthorizationFailed.code();
    let refuse = |topics: Vec<AddPartitionsToTxnTopic>| {
        topics
            .into_iter()
            .map(|topic| AddPartitionsToTxnTopicResult {
                name: topic.name,
                results_by_partition: topic
                    .partitions
                    .into_iter()
                    .map(|partition_index| AddPartitionsToTxnPartitionResult {
                        partition_index,
                        partition_error_code: error,
                        ..Default::default()
                    })
                    .collect(),
                ..Default::default()
            })
            .collect()
    };
    AddPartitionsToTxnResponse {
        results_by_topic_v3_and_below: refuse(request.v3_and_below_topics),
        results_by_transaction: request
            .transactions
            .into_iter()
            .map(|transaction| AddPartitionsToTxnResult {
                transactional_id: transaction.transactional_id,
                topic_results: refuse(transaction.topics),
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    }
}
