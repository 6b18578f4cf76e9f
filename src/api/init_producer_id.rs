//! InitProducerId (key 22), versions 0-5.
//!
//! 2 is flexible; 3 lets a producer raise its epoch (KIP-360); 4 knows PRODUCER_FENCED (KIP-588); 5 transactions of version 2 (KIP-890). A
//! transactional id is refused with a code that no client retries, until transactions are served.

use super::Context;
use model::ErrorCode;
use protocol::messages::init_producer_id_request::InitProducerIdRequest;
use protocol::messages::init_producer_id_response::InitProducerIdResponse;

/// Gives an idempotent producer an id of its own.
pub(super) async fn handle(context: Context, request: InitProducerIdRequest) -> InitProducerIdResponse {
    let failed =
        |code: ErrorCode| InitProducerIdResponse { error_code: code.code(), producer_epoch: -1, ..Default::default() };
    match request.transactional_id {
        Some(id) if id.is_empty() => failed(ErrorCode::InvalidRequest),
        Some(_) => failed(ErrorCode::TransactionalIdAuthorizationFailed),
        // A producer gives both its id and its epoch, or neither.
        None if (request.producer_id == -1) != (request.producer_epoch == -1) => failed(ErrorCode::InvalidRequest),
        None => match context.broker.producer_ids.next(&context.broker.controller).await {
            Ok(id) => InitProducerIdResponse { producer_id: id.0, producer_epoch: 0, ..Default::default() },
            Err(error) => failed(error.code),
        },
    }
}
