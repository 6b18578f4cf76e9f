//! AlterPartition (key 56), versions 2-3: changes the ISR of partitions (KIP-497).
//!
//! - 2: names topics by id (KIP-841).
//! - 3: adds the broker epochs of the ISR (KIP-903).

use super::Context;
use super::authorization::Operation;
use metadata::decide;
use protocol::messages::alter_partition_request::AlterPartitionRequest;
use protocol::messages::alter_partition_response::AlterPartitionResponse;

/// Passes the request to the controller, which decides. As in Kafka, an empty request gets no
/// checks.
pub(super) async fn handle(context: Context, request: AlterPartitionRequest) -> AlterPartitionResponse {
    if request.topics.is_empty() {
        return AlterPartitionResponse::default();
    }
    let decided =
        context.broker.controller.decide_at_commit(move |view, cx| decide::alter_partition(view.image, cx, &request));
    context
        .if_permitted(Operation::ClusterAction, decided)
        .await
        .unwrap_or_else(|error| AlterPartitionResponse { error_code: error.code.code(), ..Default::default() })
}
