//! FetchSnapshot (key 59), versions 0-1: reads a snapshot of the metadata log for a replica of the
//! quorum (KIP-630).
//!
//! - 1: adds the replica's directory id and the leader's endpoint (KIP-853).

use super::Context;
use super::authorization::Operation;
use super::context::METADATA_TOPIC;
use crate::runtime::quorum::messages::{snapshot_of, snapshot_reply};
use model::ErrorCode;
use protocol::messages::fetch_snapshot_request::FetchSnapshotRequest;
use protocol::messages::fetch_snapshot_response::{FetchSnapshotResponse, PartitionSnapshot, TopicSnapshot};
use raft::{FetchSnapshotReply, QuorumReply, QuorumRequest};

/// Reads a piece of a snapshot. Errors: INCONSISTENT_CLUSTER_ID for another cluster's id,
/// INVALID_REQUEST for several partitions or none, UNKNOWN_TOPIC_OR_PARTITION for another one.
pub(super) async fn handle(context: Context, request: FetchSnapshotRequest) -> FetchSnapshotResponse {
    if let Err(code) = context.need_of_cluster(Operation::ClusterAction) {
        return FetchSnapshotResponse { error_code: code.code(), ..Default::default() };
    }
    let answers_endpoints = context.version >= 1;
    let listener = answers_endpoints.then_some(context.connection.listener.name.as_str());
    let refused = |error: ErrorCode| FetchSnapshotResponse { error_code: error.code(), ..Default::default() };
    if !context.is_of_this_cluster(request.cluster_id.as_deref()) {
        return refused(ErrorCode::InconsistentClusterId);
    }
    let [topic] = &*request.topics else { return refused(ErrorCode::InvalidRequest) };
    let [partition] = &*topic.partitions else { return refused(ErrorCode::InvalidRequest) };
    if topic.name != METADATA_TOPIC || partition.partition != 0 {
        let unknown = PartitionSnapshot {
            index: partition.partition,
            error_code: ErrorCode::UnknownTopicOrPartition.code(),
            ..Default::default()
        };
        let topic = TopicSnapshot { name: topic.name.clone(), partitions: vec![unknown], ..Default::default() };
        return FetchSnapshotResponse { topics: vec![topic], ..Default::default() };
    }
    let failed = |error| FetchSnapshotReply { view: context.quorum_view(error), piece: None };
    let asked = match snapshot_of(&request, partition) {
        Ok(asked) => asked,
        Err(error) => return snapshot_reply(failed(error), listener),
    };
    match context.quorum(QuorumRequest::FetchSnapshot(asked)).await {
        Some(QuorumReply::FetchSnapshot(reply)) => snapshot_reply(reply, listener),
        _ => snapshot_reply(failed(ErrorCode::BrokerNotAvailable), listener),
    }
}
