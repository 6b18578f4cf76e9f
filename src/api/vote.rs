//! Vote (key 52), versions 0-2: asks a voter of the quorum for its vote (KIP-595).
//!
//! - 1: adds the voter's id and directory ids, and the leader's endpoint (KIP-853).
//! - 2: adds the pre-vote (KIP-996).

use super::Context;
use super::authorization::Operation;
use super::context::{METADATA_TOPIC, is_metadata_log};
use crate::runtime::quorum::messages::{vote_of, vote_reply};
use model::ErrorCode;
use protocol::messages::vote_request::VoteRequest;
use protocol::messages::vote_response::VoteResponse;
use raft::{QuorumReply, QuorumRequest};

/// Asks the replica of the metadata log on this node for its vote.
///
/// Errors for the whole request: INCONSISTENT_CLUSTER_ID for another cluster's id, and
/// INVALID_REQUEST for another topic or partition.
pub(super) async fn handle(context: Context, request: VoteRequest) -> VoteResponse {
    if let Err(code) = context.need_of_cluster(Operation::ClusterAction) {
        return VoteResponse { error_code: code.code(), ..Default::default() };
    }
    let answers_endpoints = context.version >= 1;
    let listener = answers_endpoints.then_some(context.connection.listener.name.as_str());
    let refused = |error: ErrorCode| VoteResponse { error_code: error.code(), ..Default::default() };
    if !context.is_of_this_cluster(request.cluster_id.as_deref()) {
        return refused(ErrorCode::InconsistentClusterId);
    }
    let is_metadata = is_metadata_log(
        &request.topics,
        |topic| topic.topic_name == METADATA_TOPIC,
        |topic| topic.partitions.iter().map(|one| one.partition_index).eq([0]),
    );
    let partition = request.topics.first().and_then(|topic| topic.partitions.first()).filter(|_| is_metadata);
    let Some(partition) = partition else { return refused(ErrorCode::InvalidRequest) };
    let Some(asked) = vote_of(&request, partition) else {
        return vote_reply(&context.quorum_view(ErrorCode::InvalidRequest), false, listener);
    };
    match context.quorum(QuorumRequest::Vote(asked)).await {
        Some(QuorumReply::Vote { view, granted }) => vote_reply(&view, granted, listener),
        _ => vote_reply(&context.quorum_view(ErrorCode::BrokerNotAvailable), false, listener),
    }
}
