//! ListPartitionReassignments (key 46), version 0: lists the reassignments in progress (KIP-455).

use super::Context;
use super::authorization::Operation;
use metadata::decide;
use metadata::decide::Decision;
use protocol::messages::list_partition_reassignments_request::ListPartitionReassignmentsRequest;
use protocol::messages::list_partition_reassignments_response::ListPartitionReassignmentsResponse;

/// Asks the controller for the reassignments.
pub(super) async fn handle(
    context: Context,
    request: ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    let decided = context
        .broker
        .controller
        .decide(move |view, _| Ok(Decision::reply(decide::list_partition_reassignments(view.image, &request))));
    context.if_permitted(Operation::Describe, decided).await.unwrap_or_else(|error| {
        ListPartitionReassignmentsResponse {
            error_code: error.code.code(),
            error_message: error.message.map(Into::into),
            ..Default::default()
        }
    })
}
