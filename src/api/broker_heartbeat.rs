//! BrokerHeartbeat (key 63), versions 0-2: keeps a broker's registration alive (KIP-631).
//!
//! - 1: adds log dirs that are offline (KIP-858).
//! - 2: adds cordoned log dirs (KIP-1066).

use super::Context;
use super::authorization::Operation;
use metadata::decide;
use model::{BrokerEpoch, BrokerId};
use protocol::messages::broker_heartbeat_request::BrokerHeartbeatRequest;
use protocol::messages::broker_heartbeat_response::BrokerHeartbeatResponse;

/// Passes the request to the controller, which decides. The connection then belongs to the broker:
/// its end is a sign that the broker is gone.
pub(super) async fn handle(context: Context, request: BrokerHeartbeatRequest) -> BrokerHeartbeatResponse {
    if let Err(code) = context.need_of_cluster(Operation::ClusterAction) {
        return BrokerHeartbeatResponse { error_code: code.code(), ..Default::default() };
    }
    let (id, epoch) = (BrokerId(request.broker_id), BrokerEpoch(request.broker_epoch));
    let Context { broker, connection, .. } = context;
    let decided =
        broker.controller.decide_at_commit(move |view, cx| decide::heartbeat(view.image, view.soft, cx, &request));
    match decided.await {
        Ok(response) => {
            let mut of = connection.heartbeats.lock();
            if !of.as_ref().is_some_and(|it| it.is_of(id, epoch)) {
                *of = Some(broker.lost_brokers.heartbeats_of(id, epoch));
            }
            response
        }
        Err(error) => BrokerHeartbeatResponse { error_code: error.code.code(), ..Default::default() },
    }
}
