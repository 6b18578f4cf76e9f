//! AlterPartitionReassignments (key 45), versions 0-1: starts, changes or cancels reassignments of
//! partitions (KIP-455).
//!
//! - 1: may forbid a change of the replication factor (KIP-860).

use super::Context;
use super::authorization::Operation;
use metadata::decide;
use model::ApiError;
use protocol::messages::alter_partition_reassignments_request::{
    AlterPartitionReassignmentsRequest, ReassignableTopic,
};
use protocol::messages::alter_partition_reassignments_response::{
    AlterPartitionReassignmentsResponse, ReassignablePartitionResponse, ReassignableTopicResponse,
};

/// Starts, changes or cancels reassignments. The controller decides.
pub(super) async fn handle(
    context: Context,
    request: AlterPartitionReassignmentsRequest,
) -> AlterPartitionReassignmentsResponse {
    let timeout_ms = request.timeout_ms;
    let asked = request.topics.clone();
    let decided = context
        .broker
        .controller
        .decide_within(timeout_ms, move |view, cx| decide::alter_partition_reassignments(view.image, cx, &request));
    context.if_permitted(Operation::Alter, decided).await.unwrap_or_else(|error| AlterPartitionReassignmentsResponse {
        responses: asked.into_iter().map(|topic| failed(topic, &error)).collect(),
        error_code: error.code.code(),
        error_message: error.message.map(Into::into),
        ..Default::default()
    })
}

/// Returns the answer for a topic whose partitions were not looked at.
fn failed(asked: ReassignableTopic, error: &ApiError) -> ReassignableTopicResponse {
    let partitions = asked.partitions.into_iter().map(|partition| ReassignablePartitionResponse {
        partition_index: partition.partition_index,
        error_code: error.code.code(),
        error_message: error.message.as_deref().map(Into::into),
        ..Default::default()
    });
    ReassignableTopicResponse { name: asked.name, partitions: partitions.collect(), ..Default::default() }
}
