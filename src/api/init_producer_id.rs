//! InitProducerId (key 22), versions 0-5: gives a producer its id and epoch (KIP-98).
//!
//! - 2: is flexible.
//! - 3: lets a producer raise its epoch (KIP-360).
//! - 4: may answer PRODUCER_FENCED (KIP-588).
//! - 5: may answer TRANSACTION_ABORTABLE (KIP-890).
//!
//! Transactions are not served. A transactional id gets an error that no client retries.

use super::Context;
use model::ErrorCode;
use protocol::messages::init_producer_id_request::InitProducerIdRequest;
use protocol::messages::init_producer_id_response::InitProducerIdResponse;

/// Gives an idempotent producer a new id.
pub(super) async fn handle(context: Context, request: InitProducerIdRequest) -> InitProducerIdResponse {
    let failed =
        |code: ErrorCode| InitProducerIdResponse { error_code: code.code(), producer_epoch: -1, ..Default::default() };
    match request.transactional_id {
        Some(id) if id.is_empty() => failed(ErrorCode::InvalidRequest),
        Some(_) => failed(ErrorCode::TransactionalIdAuthorizationFailed),
        // A producer gives both its id and its epoch, or neither.
        None if (request.producer_id == -1) != (request.producer_epoch == -1) => failed(ErrorCode::InvalidRequest),
        None => match context.broker.producer_ids.next(&context.broker.controller) {
            Ok(id) => InitProducerIdResponse { producer_id: id.0, producer_epoch: 0, ..Default::default() },
            Err(error) => failed(error.code),
        },
    }
}
