//! EndTxn (key 26), versions 0-5.
//!
//! Transactions are not served, and the answer is one that no client retries: Kafka's code for a transactional id that may not be used.

use super::Context;
use model::ErrorCode;
use protocol::messages::end_txn_request::EndTxnRequest;
use protocol::messages::end_txn_response::EndTxnResponse;

/// Refuses the transactional id; an empty one is none.
pub(super) async fn handle(_: Context, request: EndTxnRequest) -> EndTxnResponse {
    let error = if request.transactional_id.is_empty() {
        ErrorCode::InvalidRequest
    } else {
        ErrorCode::TransactionalIdAuthorizationFailed
    };
    EndTxnResponse { error_code: error.code(), ..Default::default() }
}
