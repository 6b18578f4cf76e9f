//! DescribeTransactions (key 65), version 0: describes transactions (KIP-664).

use super::Context;
use super::authorization::{Operation, Resource};
use coordinator::{TransactionReply, TransactionRequest};
use model::ErrorCode;
use protocol::Str;
use protocol::messages::describe_transactions_request::DescribeTransactionsRequest;
use protocol::messages::describe_transactions_response::{DescribeTransactionsResponse, TransactionState};

/// Describes each transaction. An empty transactional id is INVALID_REQUEST.
pub(super) async fn handle(context: Context, request: DescribeTransactionsRequest) -> DescribeTransactionsResponse {
    let mut transaction_states = Vec::with_capacity(request.transactional_ids.len());
    for id in request.transactional_ids {
        transaction_states.push(describe(&context, id).await);
    }
    DescribeTransactionsResponse { transaction_states, ..Default::default() }
}

async fn describe(context: &Context, id: Str) -> TransactionState {
    let failed = |code: ErrorCode| TransactionState {
        error_code: code.code(),
        transactional_id: id.clone(),
        ..Default::default()
    };
    if let Err(code) = context.need(Operation::Describe, Resource::TransactionalId(&id)) {
        return failed(code);
    }
    if id.is_empty() {
        return failed(ErrorCode::InvalidRequest);
    }
    match context.broker.transactions.ask(&id, TransactionRequest::Describe(vec![id.clone()])).await {
        TransactionReply::Describe(states) => {
            let mut state = states.into_iter().next().unwrap_or_else(|| failed(ErrorCode::TransactionalIdNotFound));
            state.topics.retain(|topic| context.may_also(Operation::Describe, Resource::Topic(&topic.topic)));
            state
        }
        _ => failed(ErrorCode::UnknownServerError),
    }
}
