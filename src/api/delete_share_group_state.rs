//! DeleteShareGroupState (key 86), versions 0.
//!
//! Share groups are not served; the answer is that of a Kafka without them.

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
