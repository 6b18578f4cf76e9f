//! BrokerHeartbeat (key 63), versions 0-2.
//!
//! 1 names log dirs that are offline (KIP-858); 2 cordoned ones (KIP-1066).

use super::Context;
use metadata::decide;
use protocol::messages::broker_heartbeat_request::BrokerHeartbeatRequest;
use protocol::messages::broker_heartbeat_response::BrokerHeartbeatResponse;

/// The controller decides.
pub(super) async fn handle(context: Context, request: BrokerHeartbeatRequest) -> BrokerHeartbeatResponse {
    let decided =
        context.broker.controller.decide(move |view, cx| decide::heartbeat(view.image, view.soft, cx, &request));
    decided
        .await
        .unwrap_or_else(|error| BrokerHeartbeatResponse { error_code: error.code.code(), ..Default::default() })
}
