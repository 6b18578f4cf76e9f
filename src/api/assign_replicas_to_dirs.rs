//! AssignReplicasToDirs (key 73), version 0: tells the controller in which log dirs a broker's
//! replicas are (KIP-858).

use super::Context;
use super::authorization::Operation;
use metadata::decide;
use protocol::messages::assign_replicas_to_dirs_request::AssignReplicasToDirsRequest;
use protocol::messages::assign_replicas_to_dirs_response::AssignReplicasToDirsResponse;

/// Passes the request to the controller, which decides.
pub(super) async fn handle(context: Context, request: AssignReplicasToDirsRequest) -> AssignReplicasToDirsResponse {
    let controller = &context.broker.controller;
    let decided =
        controller.decide_at_commit(move |view, cx| decide::assign_replicas_to_dirs(view.image, cx, &request));
    context
        .if_permitted(Operation::ClusterAction, decided)
        .await
        .unwrap_or_else(|error| AssignReplicasToDirsResponse { error_code: error.code.code(), ..Default::default() })
}
