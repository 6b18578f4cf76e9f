//! UpdateRaftVoter (key 82), versions 0: changes the voters of the quorum (KIP-853).
//!
//! A quorum of one cannot be changed yet; the answer is Kafka's for a quorum whose `kraft.version` is 0.

use super::Context;
use model::ErrorCode;
use protocol::messages::update_raft_voter_request::UpdateRaftVoterRequest;
use protocol::messages::update_raft_voter_response::UpdateRaftVoterResponse;

/// Refuses.
pub(super) async fn handle(context: Context, request: UpdateRaftVoterRequest) -> UpdateRaftVoterResponse {
    let is_ours = request.cluster_id.as_deref().is_none_or(|id| id == context.broker.node.cluster_id);
    let error = if is_ours { ErrorCode::UnsupportedVersion } else { ErrorCode::InconsistentClusterId };
    UpdateRaftVoterResponse { error_code: error.code(), ..Default::default() }
}
