//! BrokerRegistration (key 62), versions 0-4: registers a broker with the controller (KIP-631).
//!
//! - 1: says whether the broker migrates from ZooKeeper (KIP-866).
//! - 2: adds the log dirs (KIP-858).
//! - 3: adds the previous broker epoch (KIP-966).
//! - 4: includes features whose lowest level is 0 (KAFKA-17492).

use super::Context;
use super::authorization::Operation;
use metadata::decide;
use model::{BrokerId, ErrorCode};
use protocol::messages::broker_registration_request::BrokerRegistrationRequest;
use protocol::messages::broker_registration_response::BrokerRegistrationResponse;

/// Passes the request to the controller, which decides. A broker whose id another process holds is
/// refused while that one's session lasts; but it is a sign that the other one is gone.
pub(super) async fn handle(context: Context, request: BrokerRegistrationRequest) -> BrokerRegistrationResponse {
    let id = BrokerId(request.broker_id);
    let decided = context.broker.controller.decide_at_commit(move |view, cx| {
        decide::register_broker(view.image, view.soft, cx, &request, view.next_offset)
    });
    context.if_permitted(Operation::ClusterAction, decided).await.unwrap_or_else(|error| {
        let registered = context.broker.image().cluster.brokers.get(&id).map(|it| it.epoch);
        if let (ErrorCode::DuplicateBrokerRegistration, Some(epoch)) = (error.code, registered) {
            context.broker.lost_brokers.suspect(id, epoch);
        }
        BrokerRegistrationResponse { error_code: error.code.code(), ..Default::default() }
    })
}
