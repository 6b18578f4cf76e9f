//! BrokerRegistration (key 62), versions 0-4.
//!
//! 1 tells of a migration from ZooKeeper; 2 names log dirs (KIP-858); 3 the last broker epoch (KIP-966); 4 cordoned log dirs (KIP-1066).

use super::Context;
use metadata::decide;
use protocol::messages::broker_registration_request::BrokerRegistrationRequest;
use protocol::messages::broker_registration_response::BrokerRegistrationResponse;

/// The controller decides.
pub(super) async fn handle(context: Context, request: BrokerRegistrationRequest) -> BrokerRegistrationResponse {
    let decided = context
        .broker
        .controller
        .decide(move |view, cx| decide::register_broker(view.image, view.soft, cx, &request, view.next_offset));
    decided
        .await
        .unwrap_or_else(|error| BrokerRegistrationResponse { error_code: error.code.code(), ..Default::default() })
}
