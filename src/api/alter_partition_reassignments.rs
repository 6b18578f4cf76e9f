//! AlterPartitionReassignments (key 45), versions 0-1.
//!
//! 1 may forbid a change of the replication factor (KIP-860).

use super::Context;
use metadata::decide;
use protocol::messages::alter_partition_reassignments_request::AlterPartitionReassignmentsRequest;
use protocol::messages::alter_partition_reassignments_response::AlterPartitionReassignmentsResponse;

/// Begins, changes or cancels reassignments; the controller decides.
pub(super) async fn handle(
    context: Context,
    request: AlterPartitionReassignmentsRequest,
) -> AlterPartitionReassignmentsResponse {
    let decided = context
        .broker
        .controller
        .decide(move |view, cx| decide::alter_partition_reassignments(view.image, cx, &request));
    decided.await.unwrap_or_else(|error| AlterPartitionReassignmentsResponse {
        error_code: error.code.code(),
        error_message: error.message.map(Into::into),
        ..Default::default()
    })
}
