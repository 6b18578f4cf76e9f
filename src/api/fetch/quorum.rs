//! Fetch of the metadata log on a listener of the controllers: a replica of the quorum acknowledges
//! what it has, and gets what it lacks.

use super::Facts;
use crate::api::Context;
use crate::api::authorization::Operation;
use crate::api::context::{METADATA_TOPIC, METADATA_TOPIC_ID, is_metadata_log};
use crate::runtime::quorum::messages::{fetch_of, fetch_reply};
use model::{ErrorCode, Offset};
use protocol::messages::fetch_request::FetchRequest;
use protocol::messages::fetch_response::FetchResponse;
use raft::{FetchContent, FetchReply, QuorumReply, QuorumRequest};

/// Answers a replica of the quorum. Errors for the whole request: INCONSISTENT_CLUSTER_ID for
/// another cluster's id, and INVALID_REQUEST for another topic or partition.
pub(super) async fn fetch(context: &Context, facts: Facts, request: &FetchRequest) -> FetchResponse {
    let listener = facts.leaders_are_named.then_some(context.connection.listener.name.as_str());
    let refused = |error: ErrorCode| FetchResponse { error_code: error.code(), ..Default::default() };
    if let Err(code) = context.need_of_cluster(Operation::ClusterAction) {
        return refused(code);
    }
    if !context.is_of_this_cluster(request.cluster_id.as_deref()) {
        return refused(ErrorCode::InconsistentClusterId);
    }
    let is_metadata = is_metadata_log(
        &request.topics,
        |topic| {
            if facts.topics_have_ids { topic.topic_id == METADATA_TOPIC_ID } else { topic.topic == METADATA_TOPIC }
        },
        |topic| topic.partitions.iter().map(|one| one.partition).eq([0]),
    );
    let partition = request.topics.first().and_then(|topic| topic.partitions.first()).filter(|_| is_metadata);
    let Some(partition) = partition else { return refused(ErrorCode::InvalidRequest) };
    let failed = |error| {
        let (view, content) = (context.quorum_view(error), FetchContent::Nothing);
        fetch_reply(FetchReply { view, high_watermark: None, log_start: Offset(-1), content }, listener)
    };
    let Some(asked) = fetch_of(request, partition) else { return failed(ErrorCode::InvalidRequest) };
    match context.quorum(QuorumRequest::Fetch(asked)).await {
        Some(QuorumReply::Fetch(reply)) => fetch_reply(reply, listener),
        _ => failed(ErrorCode::BrokerNotAvailable),
    }
}
