//! BeginQuorumEpoch (key 53), versions 0-1: tells the other voters of the quorum that a leader
//! starts its epoch (KIP-595).
//!
//! - 1: is flexible; adds the voter's id and directory, and endpoints (KIP-853).

use super::Context;
use super::authorization::Operation;
use super::context::{METADATA_TOPIC, is_metadata_log};
use crate::runtime::quorum::messages::{begin_of, begin_reply};
use model::ErrorCode;
use protocol::messages::begin_quorum_epoch_request::BeginQuorumEpochRequest;
use protocol::messages::begin_quorum_epoch_response::BeginQuorumEpochResponse;
use raft::{QuorumReply, QuorumRequest};

/// Tells the replica of the metadata log on this node who leads.
///
/// Errors for the whole request: INCONSISTENT_CLUSTER_ID for another cluster's id, and
/// INVALID_REQUEST for another topic or partition.
pub(super) async fn handle(context: Context, request: BeginQuorumEpochRequest) -> BeginQuorumEpochResponse {
    if let Err(code) = context.need_of_cluster(Operation::ClusterAction) {
        return BeginQuorumEpochResponse { error_code: code.code(), ..Default::default() };
    }
    let answers_endpoints = context.version >= 1;
    let listener = answers_endpoints.then_some(context.connection.listener.name.as_str());
    let refused = |error: ErrorCode| BeginQuorumEpochResponse { error_code: error.code(), ..Default::default() };
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
    let Some(asked) = begin_of(&request, partition) else {
        return begin_reply(&context.quorum_view(ErrorCode::InvalidRequest), listener);
    };
    match context.quorum(QuorumRequest::BeginQuorumEpoch(asked)).await {
        Some(QuorumReply::BeginQuorumEpoch(view)) => begin_reply(&view, listener),
        _ => begin_reply(&context.quorum_view(ErrorCode::BrokerNotAvailable), listener),
    }
}
