//! AddOffsetsToTxn (key 25), versions 0-4.
//!
//! Transactions are not served, and the answer is one that no client retries: Kafka's code for a transactional id that may not be used.

use super::Context;
use model::ErrorCode;
use protocol::messages::add_offsets_to_txn_request::AddOffsetsToTxnRequest;
use protocol::messages::add_offsets_to_txn_response::AddOffsetsToTxnResponse;

/// Refuses the transactional id; an empty one is none.
pub(super) async fn handle(_: Context, request: AddOffsetsToTxnRequest) -> AddOffsetsToTxnResponse {
    let error = if request.transactional_id.is_empty() {
        ErrorCode::InvalidRequest
    } else {
        ErrorCode::TransactionalIdAuthorizationFailed
    };
    AddOffsetsToTxnResponse { error_code: error.code(), ..Default::default() }
}
