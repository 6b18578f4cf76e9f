//! ReadShareGroupState (key 84), versions 0.
//!
//! Share groups are not served; the answer is that of a Kafka without them.

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
