//! InitializeShareGroupState (key 83), version 0: initializes the state of a share group's
//! partitions (KIP-932).
//!
//! Share groups are not served. The answer is that of a Kafka broker without share groups.

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
