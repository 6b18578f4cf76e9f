//! AllocateProducerIds (key 67), version 0: gives a broker a block of producer ids (KIP-730).

use super::Context;
use super::authorization::Operation;
use metadata::decide;
use protocol::messages::allocate_producer_ids_request::AllocateProducerIdsRequest;
use protocol::messages::allocate_producer_ids_response::AllocateProducerIdsResponse;

/// Passes the request to the controller, which decides.
pub(super) async fn handle(context: Context, request: AllocateProducerIdsRequest) -> AllocateProducerIdsResponse {
    let decided =
        context.broker.controller.decide_at_commit(move |view, _| decide::allocate_producer_ids(view.image, &request));
    context
        .if_permitted(Operation::ClusterAction, decided)
        .await
        .unwrap_or_else(|error| AllocateProducerIdsResponse { error_code: error.code.code(), ..Default::default() })
}
