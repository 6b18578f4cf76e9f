//! ReadShareGroupStateSummary (key 87), versions 0-1: reads a summary of the state of a share
//! group's partitions (KIP-932).
//!
//! - 1: adds the count of completed deliveries (KIP-1226).
//!
//! Share groups are not served. The answer is that of a Kafka broker without share groups.

use super::Context;
use model::ErrorCode;
use protocol::messages::read_share_group_state_summary_request::ReadShareGroupStateSummaryRequest;
use protocol::messages::read_share_group_state_summary_response::{
    PartitionResult, ReadShareGroupStateSummaryResponse, ReadStateSummaryResult,
};

/// Refuses every partition.
pub(super) async fn handle(
    _: Context,
    request: ReadShareGroupStateSummaryRequest,
) -> ReadShareGroupStateSummaryResponse {
    let results = request.topics.into_iter().map(|topic| ReadStateSummaryResult {
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
    ReadShareGroupStateSummaryResponse { results: results.collect(), ..Default::default() }
}
