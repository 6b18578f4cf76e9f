//! AlterPartition (key 56), versions 2-3.
//!
//! 2 names topics by id; 3 broker epochs of the ISR (KIP-903).

use super::Context;
use metadata::decide;
use protocol::messages::alter_partition_request::AlterPartitionRequest;
use protocol::messages::alter_partition_response::AlterPartitionResponse;

/// The controller decides; as in Kafka, a request about nothing is not looked at.
pub(super) async fn handle(context: Context, request: AlterPartitionRequest) -> AlterPartitionResponse {
    if request.topics.is_empty() {
        return AlterPartitionResponse::default();
    }
    let decided = context.broker.controller.decide(move |view, cx| decide::alter_partition(view.image, cx, &request));
    decided.await.unwrap_or_else(|error| AlterPartitionResponse { error_code: error.code.code(), ..Default::default() })
}
