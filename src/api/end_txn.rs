//! EndTxn (key 26), versions 0-5: commits or aborts a transaction (KIP-98).
//!
//! - 2: may answer PRODUCER_FENCED (KIP-588).
//! - 3: is flexible.
//! - 4: may answer TRANSACTION_ABORTABLE (KIP-890).
//! - 5: answers the producer id and epoch for the next transaction (KIP-890).

use super::Context;
use super::authorization::{Operation, Resource};
use super::error::fenced_for;
use coordinator::transaction::ProducerIdAndEpoch;
use coordinator::{TransactionReply, TransactionRequest};
use model::{ErrorCode, ProducerEpoch, ProducerId};
use protocol::messages::end_txn_request::EndTxnRequest;
use protocol::messages::end_txn_response::EndTxnResponse;

/// Asks the coordinator of the transactional id to end the transaction.
pub(super) async fn handle(context: Context, request: EndTxnRequest) -> EndTxnResponse {
    let failed = |code: ErrorCode| EndTxnResponse { error_code: code.code(), ..Default::default() };
    if let Err(code) = context.need(Operation::Write, Resource::TransactionalId(&request.transactional_id)) {
        return failed(code);
    }
    if request.transactional_id.is_empty() {
        return failed(ErrorCode::InvalidRequest);
    }
    let id = request.transactional_id.clone();
    let end = TransactionRequest::EndTxn {
        transactional_id: request.transactional_id,
        producer: ProducerIdAndEpoch {
            id: ProducerId(request.producer_id),
            epoch: ProducerEpoch(request.producer_epoch),
        },
        committed: request.committed,
        transaction_version: if context.version >= 5 { 2 } else { 0 },
    };
    let mut response = match context.broker.transactions.ask(&id, end).await {
        TransactionReply::EndTxn(response) => response,
        _ => failed(ErrorCode::UnknownServerError),
    };
    response.error_code = fenced_for(response.error_code, context.version >= 2);
    response
}
