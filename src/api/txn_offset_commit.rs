//! TxnOffsetCommit (key 28), versions 0-5: commits offsets of a group within a transaction
//! (KIP-98).
//!
//! - 2: adds the leader epoch (KIP-320).
//! - 3: is flexible; names the member and its generation (KIP-447).
//! - 4: may answer TRANSACTION_ABORTABLE (KIP-890).
//! - 5: adds the partition to the transaction by itself (KIP-890).
//!
//! Transactions are not served. The answer is TRANSACTIONAL_ID_AUTHORIZATION_FAILED, which no
//! client retries.

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
