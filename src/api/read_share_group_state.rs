//! ReadShareGroupState (key 84), version 0: reads the state of a share group's partitions
//! (KIP-932).
//!
//! Share groups are not served. The answer is that of a Kafka broker without share groups.

use super::Context;
use model::ErrorCode;
use protocol::messages::read_share_group_state_request::ReadShareGroupStateRequest;
use protocol::messages::read_share_group_state_response::{
    PartitionResult, ReadShareGroupStateResponse, ReadStateResult,
};

/// Refuses every partition.
pub(super) async fn handle(_: Context, request: ReadShareGroupStateRequest) -> ReadShareGroupStateResponse {
    let results = request.topics.into_iter().map(|topic| ReadStateResult {
        topic_id: topic.topic_id,
        partitions: topic
            .partitions
            .into_iter()
            .map(|partition| PartitionResult {
                partition: partition.partition,
                error_code: ErrorCode::UnsupportedVersion.code(),
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    });
    ReadShareGroupStateResponse { results: results.collect(), ..Default::default() }
}
