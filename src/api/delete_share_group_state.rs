//! DeleteShareGroupState (key 86), version 0: deletes the state of a share group's partitions
//! (KIP-932).
//!
//! Share groups are not served. The answer is that of a Kafka broker without share groups.

use super::Context;
use model::ErrorCode;
use protocol::messages::delete_share_group_state_request::DeleteShareGroupStateRequest;
use protocol::messages::delete_share_group_state_response::{
    DeleteShareGroupStateResponse, DeleteStateResult, PartitionResult,
};

/// Refuses every partition.
pub(super) async fn handle(_: Context, request: DeleteShareGroupStateRequest) -> DeleteShareGroupStateResponse {
    let results = request.topics.into_iter().map(|topic| DeleteStateResult {
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
    DeleteShareGroupStateResponse { results: results.collect(), ..Default::default() }
}
