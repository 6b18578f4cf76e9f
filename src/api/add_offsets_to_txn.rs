//! AddOffsetsToTxn (key 25), versions 0-4: adds a consumer group's offsets to a transaction
//! (KIP-98).
//!
//! - 2: may answer PRODUCER_FENCED (KIP-588).
//! - 3: is flexible.
//! - 4: may answer TRANSACTION_ABORTABLE (KIP-890).
//!
//! Transactions are not served. The answer is TRANSACTIONAL_ID_AUTHORIZATION_FAILED, which no
//! client retries.

use super::Context;
use model::ErrorCode;
use protocol::messages::add_offsets_to_txn_request::AddOffsetsToTxnRequest;
use protocol::messages::add_offsets_to_txn_response::AddOffsetsToTxnResponse;

/// Refuses the transactional id. An empty one is invalid.
pub(super) async fn handle(_: Context, request: AddOffsetsToTxnRequest) -> AddOffsetsToTxnResponse {
    let error = if request.transactional_id.is_empty() {
        ErrorCode::InvalidRequest
    } else {
        ErrorCode::TransactionalIdAuthorizationFailed
    };
    AddOffsetsToTxnResponse { error_code: error.code(), ..Default::default() }
}
