//! AssignReplicasToDirs (key 73), versions 0.
//!
//! A broker tells in which log dir its replicas are (KIP-858).

use super::Context;
use metadata::decide;
use protocol::messages::assign_replicas_to_dirs_request::AssignReplicasToDirsRequest;
use protocol::messages::assign_replicas_to_dirs_response::AssignReplicasToDirsResponse;

/// The controller decides.
pub(super) async fn handle(context: Context, request: AssignReplicasToDirsRequest) -> AssignReplicasToDirsResponse {
    let decided =
        context.broker.controller.decide(move |view, cx| decide::assign_replicas_to_dirs(view.image, cx, &request));
    decided
        .await
        .unwrap_or_else(|error| AssignReplicasToDirsResponse { error_code: error.code.code(), ..Default::default() })
}
