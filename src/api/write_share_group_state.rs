//! WriteShareGroupState (key 85), versions 0-1: writes the state of a share group's partitions
//! (KIP-932).
//!
//! - 1: adds the count of completed deliveries (KIP-1226).
//!
//! Share groups are not served. The answer is that of a Kafka broker without share groups.

use super::Context;
use model::ErrorCode;
use protocol::messages::write_share_group_state_request::WriteShareGroupStateRequest;
use protocol::messages::write_share_group_state_response::{
    PartitionResult, WriteShareGroupStateResponse, WriteStateResult,
};

/// Refuses every partition.
pub(super) async fn handle(_: Context, request: WriteShareGroupStateRequest) -> WriteShareGroupStateResponse {
    let results = request.topics.into_iter().map(|topic| WriteStateResult {
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
    WriteShareGroupStateResponse { results: results.collect(), ..Default::default() }
}
