//! AddRaftVoter (key 80), versions 0-1: changes the voters of the quorum (KIP-853).
//!
//! A quorum of one cannot be changed yet; the answer is Kafka's for a quorum whose `kraft.version` is 0.

use super::Context;
use model::ErrorCode;
use protocol::messages::add_raft_voter_request::AddRaftVoterRequest;
use protocol::messages::add_raft_voter_response::AddRaftVoterResponse;

/// Refuses.
pub(super) async fn handle(context: Context, request: AddRaftVoterRequest) -> AddRaftVoterResponse {
    let is_ours = request.cluster_id.as_deref().is_none_or(|id| id == context.broker.node.cluster_id);
    let error = if is_ours { ErrorCode::UnsupportedVersion } else { ErrorCode::InconsistentClusterId };
    AddRaftVoterResponse {
        error_code: error.code(),
        error_message: Some("Changing the voters of the quorum is not supported by this node.".into()),
        ..Default::default()
    }
}
