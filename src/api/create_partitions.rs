//! CreatePartitions (key 37), versions 0-3: adds partitions to topics (KIP-195).
//!
//! - 2: is flexible.
//! - 3: may be throttled (KIP-599).

use super::Context;
use metadata::decide;
use protocol::messages::create_partitions_request::CreatePartitionsRequest;
use protocol::messages::create_partitions_response::{CreatePartitionsResponse, CreatePartitionsTopicResult};

/// Adds partitions to topics, each topic separately. The controller decides.
pub(super) async fn handle(context: Context, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let names: Vec<_> = request.topics.iter().map(|topic| topic.name.clone()).collect();
    let timeout_ms = request.timeout_ms;
    let decided = context
        .broker
        .controller
        .decide_within(timeout_ms, move |view, cx| decide::create_partitions(view.image, cx, &request));
    decided.await.unwrap_or_else(|error| {
        let failed = names.into_iter().map(|name| CreatePartitionsTopicResult {
            name,
            error_code: error.code.code(),
            error_message: error.message.as_deref().map(Into::into),
            ..Default::default()
        });
        CreatePartitionsResponse { results: failed.collect(), ..Default::default() }
    })
}
