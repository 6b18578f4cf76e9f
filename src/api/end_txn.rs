//! EndTxn (key 26), versions 0-5: commits or aborts a transaction (KIP-98).
//!
//! - 2: may answer PRODUCER_FENCED (KIP-588).
//! - 3: is flexible.
//! - 4: may answer TRANSACTION_ABORTABLE (KIP-890).
//! - 5: answers the producer id and epoch for the next transaction (KIP-890).
//!
//! Transactions are not served. The answer is TRANSACTIONAL_ID_AUTHORIZATION_FAILED, which no
//! client retries.

use super::Context;
use model::ErrorCode;
use protocol::messages::end_txn_request::EndTxnRequest;
use protocol::messages::end_txn_response::EndTxnResponse;

/// Refuses the transactional id. An empty one is invalid.
pub(super) async fn handle(_: Context, request: EndTxnRequest) -> EndTxnResponse {
    let error = if request.transactional_id.is_empty() {
        ErrorCode::InvalidRequest
    } else {
        ErrorCode::TransactionalIdAuthorizationFailed
    };
    EndTxnResponse { error_code: error.code(), ..Default::default() }
}
