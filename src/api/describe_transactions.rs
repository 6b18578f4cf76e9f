//! DescribeTransactions (key 65), versions 0.
//!
//! This broker coordinates no transactional id, since transactions are not served.

use super::Context;
use model::ErrorCode;
use protocol::messages::describe_transactions_request::DescribeTransactionsRequest;
use protocol::messages::describe_transactions_response::{DescribeTransactionsResponse, TransactionState};

/// Answers NOT_COORDINATOR for each, and INVALID_REQUEST for one that is empty.
pub(super) async fn handle(_: Context, request: DescribeTransactionsRequest) -> DescribeTransactionsResponse {
    let states = request.transactional_ids.into_iter().map(|transactional_id| TransactionState {
        error_code: match transactional_id.as_str() {
            "" => ErrorCode::InvalidRequest.code(),
            _ => ErrorCode::NotCoordinator.code(),
        },
        transactional_id,
        ..Default::default()
    });
    DescribeTransactionsResponse { transaction_states: states.collect(), ..Default::default() }
}
