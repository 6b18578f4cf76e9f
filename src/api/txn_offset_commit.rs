//! TxnOffsetCommit (key 28), versions 0-5.
//!
//! Transactions are not served, and the answer is one that no client retries: Kafka's code for a transactional id that may not be used.

use super::Context;
use model::ErrorCode;
use protocol::messages::txn_offset_commit_request::TxnOffsetCommitRequest;
use protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponse, TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};

/// Refuses every partition.
pub(super) async fn handle(_: Context, request: TxnOffsetCommitRequest) -> TxnOffsetCommitResponse {
    let error_code = ErrorCode::TransactionalIdAuthorizationFailed.code();
    let topics = request.topics.into_iter().map(|topic| TxnOffsetCommitResponseTopic {
        name: topic.name,
        partitions: topic
            .partitions
            .into_iter()
            .map(|partition| TxnOffsetCommitResponsePartition {
                partition_index: partition.partition_index,
                error_code,
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    });
    TxnOffsetCommitResponse { topics: topics.collect(), ..Default::default() }
}
