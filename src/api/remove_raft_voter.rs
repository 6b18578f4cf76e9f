//! RemoveRaftVoter (key 81), versions 0: changes the voters of the quorum (KIP-853).
//!
//! A quorum of one cannot be changed yet; the answer is Kafka's for a quorum whose `kraft.version` is 0.

use super::Context;
use model::ErrorCode;
use protocol::messages::remove_raft_voter_request::RemoveRaftVoterRequest;
use protocol::messages::remove_raft_voter_response::RemoveRaftVoterResponse;

/// Refuses.
pub(super) async fn handle(context: Context, request: RemoveRaftVoterRequest) -> RemoveRaftVoterResponse {
    let is_ours = request.cluster_id.as_deref().is_none_or(|id| id == context.broker.node.cluster_id);
    let error = if is_ours { ErrorCode::UnsupportedVersion } else { ErrorCode::InconsistentClusterId };
    RemoveRaftVoterResponse {
        error_code: error.code(),
        error_message: Some("Changing the voters of the quorum is not supported by this node.".into()),
        ..Default::default()
    }
}
