//! ListTransactions (key 66), versions 0-2: lists transactions (KIP-664).
//!
//! - 1: filters by age (KIP-994).
//! - 2: filters by a pattern of transactional ids (KIP-1152).

use super::Context;
use super::authorization::{Operation, Resource};
use coordinator::{TransactionReply, TransactionRequest};
use model::{ErrorCode, ProducerId};
use protocol::messages::list_transactions_request::ListTransactionsRequest;
use protocol::messages::list_transactions_response::ListTransactionsResponse;

/// Lists the transactions of every coordinator of this broker. The answer of a broker without one
/// is that of a coordinator without transactions.
pub(super) async fn handle(context: Context, request: ListTransactionsRequest) -> ListTransactionsResponse {
    let producer_ids: Vec<ProducerId> = request.producer_id_filters.into_iter().map(ProducerId).collect();
    let (states, pattern) = (request.state_filters, request.transactional_id_pattern);
    let list = || TransactionRequest::List {
        states: states.clone(),
        producer_ids: producer_ids.clone(),
        duration_ms: request.duration_filter,
        pattern: pattern.clone(),
    };
    let may_describe = |id: &str| context.may_also(Operation::Describe, Resource::TransactionalId(id));
    let mut response = ListTransactionsResponse::default();
    for reply in context.broker.transactions.ask_all_or_none(list).await {
        match reply {
            TransactionReply::List(part) if part.error_code != ErrorCode::None.code() => return part,
            TransactionReply::List(part) => {
                // Each part names the same unknown states.
                response.unknown_state_filters = part.unknown_state_filters;
                response.transaction_states.extend(part.transaction_states);
            }
            _ => return failed(ErrorCode::UnknownServerError),
        }
    }
    response.transaction_states.retain(|state| may_describe(&state.transactional_id));
    response
}

fn failed(code: ErrorCode) -> ListTransactionsResponse {
    ListTransactionsResponse { error_code: code.code(), ..Default::default() }
}
