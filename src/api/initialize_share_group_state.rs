//! InitializeShareGroupState (key 83), versions 0.
//!
//! Share groups are not served; the answer is that of a Kafka without them.

use super::Context;
use model::ErrorCode;
use protocol::messages::initialize_share_group_state_request::InitializeShareGroupStateRequest;
use protocol::messages::initialize_share_group_state_response::{
    InitializeShareGroupStateResponse, InitializeStateResult, PartitionResult,
};

/// Refuses every partition.
pub(super) async fn handle(_: Context, request: InitializeShareGroupStateRequest) -> InitializeShareGroupStateResponse {
    let results = request.topics.into_iter().map(|topic| InitializeStateResult {
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
    InitializeShareGroupStateResponse { results: results.collect(), ..Default::default() }
}
