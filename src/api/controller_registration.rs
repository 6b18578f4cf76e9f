//! ControllerRegistration (key 70), version 0: registers the listeners and features of a controller
//! (KIP-919).

use super::Context;
use super::authorization::Operation;
use metadata::decide;
use protocol::messages::controller_registration_request::ControllerRegistrationRequest;
use protocol::messages::controller_registration_response::ControllerRegistrationResponse;

/// Passes the request to the controller, which decides.
pub(super) async fn handle(context: Context, request: ControllerRegistrationRequest) -> ControllerRegistrationResponse {
    let decided =
        context.broker.controller.decide_at_commit(move |view, _| decide::register_controller(view.image, &request));
    context.if_permitted(Operation::ClusterAction, decided).await.unwrap_or_else(|error| {
        ControllerRegistrationResponse {
            error_code: error.code.code(),
            error_message: error.message.map(Into::into),
            ..Default::default()
        }
    })
}
