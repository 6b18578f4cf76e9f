//! AddPartitionsToTxn (key 24), versions 0-5: adds partitions to transactions (KIP-98).
//!
//! - 2: may answer PRODUCER_FENCED (KIP-588).
//! - 3: is flexible.
//! - 4: carries several transactions, may only verify them, and has an error of the whole request
//!   (KIP-890).
//! - 5: may answer TRANSACTION_ABORTABLE (KIP-890).
//!
//! Transactions are not served. The answer is TRANSACTIONAL_ID_AUTHORIZATION_FAILED, which no
//! client retries.

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
