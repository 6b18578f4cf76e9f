//! CreatePartitions (key 37), versions 0-3: adds partitions to topics (KIP-195).
//!
//! - 2: is flexible.
//! - 3: may be throttled (KIP-599).

use super::Context;
use super::authorization::{Operation, names_twice};
use metadata::decide;
use model::ErrorCode;
use protocol::messages::create_partitions_request::CreatePartitionsRequest;
use protocol::messages::create_partitions_response::{CreatePartitionsResponse, CreatePartitionsTopicResult};

/// Adds partitions to topics, each topic separately. The controller decides.
pub(super) async fn handle(context: Context, mut request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let forbidden = context.forbidden_topics(Operation::Alter, request.topics.iter().map(|topic| &topic.name));
    // As in Kafka, a name that is given twice is answered as such.
    let is_twice = names_twice(request.topics.iter().map(|topic| &topic.name));
    request.topics.retain(|topic| !forbidden.contains(&topic.name) || is_twice.contains(&topic.name));
    let refused =
        forbidden.into_iter().filter(|name| !is_twice.contains(name)).map(|name| CreatePartitionsTopicResult {
            name,
            error_code: ErrorCode::TopicAuthorizationFailed.code(),
            ..Default::default()
        });
    let refused: Vec<_> = refused.collect();
    let names: Vec<_> = request.topics.iter().map(|topic| topic.name.clone()).collect();
    let timeout_ms = request.timeout_ms;
    let decided = context
        .broker
        .controller
        .decide_within(timeout_ms, move |view, cx| decide::create_partitions(view.image, cx, &request));
    let mut response = decided.await.unwrap_or_else(|error| {
        let failed = names.into_iter().map(|name| CreatePartitionsTopicResult {
            name,
            error_code: error.code.code(),
            error_message: error.message.as_deref().map(Into::into),
            ..Default::default()
        });
        CreatePartitionsResponse { results: failed.collect(), ..Default::default() }
    });
    response.results.extend(refused);
    response
}
