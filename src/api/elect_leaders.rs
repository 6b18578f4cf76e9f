//! ElectLeaders (key 43), versions 0-2: elects the leaders of partitions (KIP-183).
//!
//! - 1: may elect unclean leaders, and has an error of the whole request (KIP-460).
//! - 2: is flexible.

use super::Context;
use super::authorization::Operation;
use metadata::decide;
use model::ApiError;
use protocol::messages::elect_leaders_request::{ElectLeadersRequest, TopicPartitions};
use protocol::messages::elect_leaders_response::{ElectLeadersResponse, PartitionResult, ReplicaElectionResult};

/// Elects leaders. The controller decides.
pub(super) async fn handle(context: Context, request: ElectLeadersRequest) -> ElectLeadersResponse {
    let has_error = context.version >= 1;
    let timeout_ms = request.timeout_ms;
    let asked = request.topic_partitions.clone().unwrap_or_default();
    let decided = context
        .broker
        .controller
        .decide_within(timeout_ms, move |view, cx| decide::elect_leaders(view.image, cx, &request));
    context.if_permitted(Operation::Alter, decided).await.unwrap_or_else(|error| ElectLeadersResponse {
        error_code: if has_error { error.code.code() } else { 0 },
        replica_election_results: asked.into_iter().map(|topic| failed(topic, &error)).collect(),
        ..Default::default()
    })
}

/// Returns the answer for a topic whose partitions were not looked at.
fn failed(asked: TopicPartitions, error: &ApiError) -> ReplicaElectionResult {
    let partition = |partition_id| PartitionResult {
        partition_id,
        error_code: error.code.code(),
        error_message: error.message.as_deref().map(Into::into),
        ..Default::default()
    };
    let partition_result = asked.partitions.into_iter().map(partition).collect();
    ReplicaElectionResult { topic: asked.topic, partition_result, ..Default::default() }
}
