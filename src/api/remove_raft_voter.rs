//! RemoveRaftVoter (key 81), version 0: removes a voter from the metadata quorum (KIP-853).

use super::Context;
use super::add_raft_voter::{changed, check_cluster, voter};
use super::authorization::Operation;
use model::{ApiError, ErrorCode};
use protocol::messages::remove_raft_voter_request::RemoveRaftVoterRequest;
use protocol::messages::remove_raft_voter_response::RemoveRaftVoterResponse;
use raft::{VoterChange, VoterChangeRequest};
use std::time::Duration;

/// How long the change may take to be committed. The request has no timeout of its own.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Removes the voter, or says why not.
pub(super) async fn handle(context: Context, request: RemoveRaftVoterRequest) -> RemoveRaftVoterResponse {
    let error = remove(&context, &request).await.err();
    RemoveRaftVoterResponse {
        error_code: error.as_ref().map_or(ErrorCode::None, |error| error.code).code(),
        error_message: error.and_then(|error| error.message).map(Into::into),
        ..Default::default()
    }
}

async fn remove(context: &Context, request: &RemoveRaftVoterRequest) -> Result<(), ApiError> {
    context.need_or_say(Operation::Alter)?;
    check_cluster(context, request.cluster_id.as_deref())?;
    let quorum = context.broker.controller.describe().await.ok_or(ErrorCode::NotLeaderOrFollower)?;
    let voter = voter(request.voter_id, request.voter_directory_id)
        .ok_or_else(|| ApiError::new(ErrorCode::InvalidRequest, "Remove voter request didn't include a valid voter"))?;
    quorum.check_removal(&voter)?;
    let change = VoterChange::Remove(voter);
    changed(context, VoterChangeRequest { epoch: None, change, waits_for_commit: true }, TIMEOUT).await
}
