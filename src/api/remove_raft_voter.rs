//! RemoveRaftVoter (key 81), version 0: removes a voter from the metadata quorum (KIP-853).
//!
//! A quorum of one voter keeps that voter and knows no other, so there is no voter to remove.

use super::Context;
use super::add_raft_voter::{check_cluster, voter};
use model::{ApiError, ErrorCode};
use protocol::messages::remove_raft_voter_request::RemoveRaftVoterRequest;
use protocol::messages::remove_raft_voter_response::RemoveRaftVoterResponse;

/// Refuses the removal and says why.
pub(super) async fn handle(context: Context, request: RemoveRaftVoterRequest) -> RemoveRaftVoterResponse {
    let refusal = remove(&context, &request).await.err();
    // No node with several voters starts here, so no removal passes all checks.
    let refusal = refusal.unwrap_or_else(|| ErrorCode::UnsupportedVersion.into());
    RemoveRaftVoterResponse {
        error_code: refusal.code.code(),
        error_message: refusal.message.map(Into::into),
        ..Default::default()
    }
}

async fn remove(context: &Context, request: &RemoveRaftVoterRequest) -> Result<(), ApiError> {
    check_cluster(context, request.cluster_id.as_deref())?;
    let quorum = context.broker.controller.describe().await.ok_or(ErrorCode::NotLeaderOrFollower)?;
    let voter = voter(request.voter_id, request.voter_directory_id)
        .ok_or_else(|| ApiError::new(ErrorCode::InvalidRequest, "Remove voter request didn't include a valid voter"))?;
    quorum.check_removal(&voter)
}
