//! UpdateRaftVoter (key 82), version 0: changes the listeners and the version range of a voter of
//! the metadata quorum (KIP-853).

use super::Context;
use super::authorization::Operation;
use crate::runtime::quorum::messages::{update_of, update_reply};
use model::{ErrorCode, LeaderEpoch};
use protocol::messages::update_raft_voter_request::UpdateRaftVoterRequest;
use protocol::messages::update_raft_voter_response::UpdateRaftVoterResponse;
use raft::{QuorumReply, QuorumRequest, VoterChange, VoterChangeRequest};

/// Asks the replica of the metadata log on this node for the change. Errors:
/// INCONSISTENT_CLUSTER_ID for another cluster's id, INVALID_REQUEST without a voter, and those of
/// the machine.
pub(super) async fn handle(context: Context, request: UpdateRaftVoterRequest) -> UpdateRaftVoterResponse {
    if let Err(code) = context.need_of_cluster(Operation::ClusterAction) {
        return UpdateRaftVoterResponse { error_code: code.code(), ..Default::default() };
    }
    let listener = context.connection.listener.name.clone();
    let refused = |error| update_reply(&context.quorum_view(error), &listener);
    if !context.is_of_this_cluster(request.cluster_id.as_deref()) {
        return refused(ErrorCode::InconsistentClusterId);
    }
    let Some(voter) = update_of(&request) else { return refused(ErrorCode::InvalidRequest) };
    let asked = VoterChangeRequest {
        epoch: Some(LeaderEpoch(request.current_leader_epoch)),
        change: VoterChange::Update(voter),
        waits_for_commit: false,
    };
    match context.quorum(QuorumRequest::ChangeVoters(asked)).await {
        Some(QuorumReply::ChangeVoters(reply)) => update_reply(&reply.view, &listener),
        _ => refused(ErrorCode::BrokerNotAvailable),
    }
}
