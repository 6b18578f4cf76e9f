//! InitProducerId (key 22), versions 0-5: gives a producer its id and epoch (KIP-98).
//!
//! - 2: is flexible.
//! - 3: lets a producer raise its epoch (KIP-360).
//! - 4: may answer PRODUCER_FENCED (KIP-588).
//! - 5: may answer TRANSACTION_ABORTABLE (KIP-890).

use super::Context;
use super::authorization::{Operation, Resource};
use super::error::fenced_for;
use coordinator::transaction::ProducerIdAndEpoch;
use coordinator::{TransactionReply, TransactionRequest};
use model::{ErrorCode, ProducerEpoch, ProducerId};
use protocol::messages::init_producer_id_request::InitProducerIdRequest;
use protocol::messages::init_producer_id_response::InitProducerIdResponse;

/// Gives a producer its id and epoch. With a transactional id, its coordinator does so.
pub(super) async fn handle(context: Context, request: InitProducerIdRequest) -> InitProducerIdResponse {
    if let Err(code) = permitted(&context, &request) {
        return failed(code);
    }
    // A producer gives both its id and its epoch, or neither.
    if (request.producer_id == -1) != (request.producer_epoch == -1) {
        return failed(ErrorCode::InvalidRequest);
    }
    match &request.transactional_id {
        Some(id) if id.is_empty() => failed(ErrorCode::InvalidRequest),
        Some(id) => {
            let id = id.clone();
            let mut response = match context.broker.transactions.ask(&id, of_transactional_id(request, &id)).await {
                TransactionReply::InitProducerId(response) => response,
                _ => failed(ErrorCode::UnknownServerError),
            };
            response.error_code = fenced_for(response.error_code, context.version >= 4);
            response
        }
        None => match context.broker.producer_ids.next(&context.broker.active_controller) {
            Ok(id) => InitProducerIdResponse { producer_id: id.0, producer_epoch: 0, ..Default::default() },
            Err(error) => failed(error.code),
        },
    }
}

/// Checks what the client needs: to write with the transactional id, or to write to any topic
/// (KIP-679).
fn permitted(context: &Context, request: &InitProducerIdRequest) -> Result<(), ErrorCode> {
    let Some(id) = &request.transactional_id else {
        if context.may_on_any_topic(Operation::Write) {
            return Ok(());
        }
        return context.need_of_cluster(Operation::IdempotentWrite);
    };
    context.need(Operation::Write, Resource::TransactionalId(id))?;
    if request.enable2_pc {
        context.need(Operation::TwoPhaseCommit, Resource::TransactionalId(id))?;
    }
    Ok(())
}

fn of_transactional_id(request: InitProducerIdRequest, id: &protocol::Str) -> TransactionRequest {
    let expected = (request.producer_id != -1).then_some(ProducerIdAndEpoch {
        id: ProducerId(request.producer_id),
        epoch: ProducerEpoch(request.producer_epoch),
    });
    TransactionRequest::InitProducerId {
        transactional_id: id.clone(),
        timeout_ms: request.transaction_timeout_ms,
        expected,
        enable_2pc: request.enable2_pc,
        keep_prepared: request.keep_prepared_txn,
    }
}

fn failed(code: ErrorCode) -> InitProducerIdResponse {
    InitProducerIdResponse { error_code: code.code(), producer_epoch: -1, ..Default::default() }
}
