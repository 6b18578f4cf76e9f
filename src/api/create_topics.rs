//! CreateTopics (key 19), versions 2-7: creates topics (KIP-4).
//!
//! - 4: may leave partition count and replication factor to the broker's defaults (KIP-464).
//! - 5: is flexible; answers the topic's configs (KIP-525).
//! - 6: may be throttled (KIP-599).
//! - 7: answers the topic's id (KIP-516).

use super::Context;
use metadata::decide;
use protocol::messages::create_topics_request::CreateTopicsRequest;
use protocol::messages::create_topics_response::{CreatableTopicResult, CreateTopicsResponse};

/// Creates topics, each separately. The controller decides.
pub(super) async fn handle(context: Context, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let names: Vec<_> = request.topics.iter().map(|topic| topic.name.clone()).collect();
    let timeout_ms = request.timeout_ms;
    let decided = context
        .broker
        .controller
        .decide_within(timeout_ms, move |view, cx| decide::create_topics(view.image, cx, &request, &|_| true));
    decided.await.unwrap_or_else(|error| {
        let failed = names.into_iter().map(|name| CreatableTopicResult {
            name,
            error_code: error.code.code(),
            error_message: error.message.as_deref().map(Into::into),
            ..Default::default()
        });
        CreateTopicsResponse { topics: failed.collect(), ..Default::default() }
    })
}
