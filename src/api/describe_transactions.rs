//! DescribeTransactions (key 65), version 0: describes transactions (KIP-664).
//!
//! Transactions are not served. So this broker coordinates no transactional id.

use super::Context;
use model::ErrorCode;
use protocol::messages::describe_transactions_request::DescribeTransactionsRequest;
use protocol::messages::describe_transactions_response::{DescribeTransactionsResponse, TransactionState};

/// Answers NOT_COORDINATOR for each id, and INVALID_REQUEST for an empty one.
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
