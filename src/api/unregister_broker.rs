//! UnregisterBroker (key 64), version 0: removes the registration of a broker that was shut down
//! (KIP-631).

use super::Context;
use super::authorization::Operation;
use metadata::decide;
use protocol::messages::unregister_broker_request::UnregisterBrokerRequest;
use protocol::messages::unregister_broker_response::UnregisterBrokerResponse;

/// Passes the request to the controller, which decides.
pub(super) async fn handle(context: Context, request: UnregisterBrokerRequest) -> UnregisterBrokerResponse {
    let id = model::BrokerId(request.broker_id);
    let decided = context.broker.controller.decide(move |view, cx| decide::unregister_broker(view.image, cx, id));
    match context.if_permitted(Operation::Alter, decided).await {
        Ok(()) => UnregisterBrokerResponse::default(),
        Err(error) => UnregisterBrokerResponse {
            error_code: error.code.code(),
            error_message: error.message.map(Into::into),
            ..Default::default()
        },
    }
}
