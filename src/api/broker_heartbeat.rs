//! BrokerHeartbeat (key 63), versions 0-2: keeps a broker's registration alive (KIP-631).
//!
//! - 1: adds log dirs that are offline (KIP-858).
//! - 2: adds cordoned log dirs (KIP-1066).

use super::Context;
use metadata::decide;
use protocol::messages::broker_heartbeat_request::BrokerHeartbeatRequest;
use protocol::messages::broker_heartbeat_response::BrokerHeartbeatResponse;

/// Passes the request to the controller, which decides.
pub(super) async fn handle(context: Context, request: BrokerHeartbeatRequest) -> BrokerHeartbeatResponse {
    let decided = context
        .broker
        .controller
        .decide_at_commit(move |view, cx| decide::heartbeat(view.image, view.soft, cx, &request));
    decided
        .await
        .unwrap_or_else(|error| BrokerHeartbeatResponse { error_code: error.code.code(), ..Default::default() })
}
