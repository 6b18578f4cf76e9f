//! CreateTopics (key 19), versions 2-7: creates topics (KIP-4).
//!
//! - 4: may leave partition count and replication factor to the broker's defaults (KIP-464).
//! - 5: is flexible; answers the topic's configs (KIP-525).
//! - 6: may be throttled (KIP-599).
//! - 7: answers the topic's id (KIP-516).

use super::Context;
use super::authorization::{Operation, Resource, names_twice};
use super::context::METADATA_TOPIC;
use metadata::decide;
use model::ErrorCode;
use protocol::messages::create_topics_request::CreateTopicsRequest;
use protocol::messages::create_topics_response::{CreatableTopicResult, CreateTopicsResponse};
use std::collections::HashSet;

/// Creates topics, each separately. The controller decides.
pub(super) async fn handle(context: Context, mut request: CreateTopicsRequest) -> CreateTopicsResponse {
    let mut forbidden = match context.may_also(Operation::Create, Resource::Cluster) {
        true => HashSet::new(),
        false => context.forbidden_topics(Operation::Create, request.topics.iter().map(|topic| &topic.name)),
    };
    // Nobody may create it, and everybody learns that.
    forbidden.remove(METADATA_TOPIC);
    // As in Kafka, a name that is given twice is answered as such.
    let is_twice = names_twice(request.topics.iter().map(|topic| &topic.name));
    request.topics.retain(|topic| !forbidden.contains(&topic.name) || is_twice.contains(&topic.name));
    let refused = forbidden.into_iter().filter(|name| !is_twice.contains(name)).map(|name| CreatableTopicResult {
        name,
        error_code: ErrorCode::TopicAuthorizationFailed.code(),
        error_message: Some("Authorization failed.".into()),
        ..Default::default()
    });
    let refused: Vec<_> = refused.collect();
    let asking = context.clone();
    let may_see_configs = move |name: &str| asking.may_also(Operation::DescribeConfigs, Resource::Topic(name));
    let names: Vec<_> = request.topics.iter().map(|topic| topic.name.clone()).collect();
    let timeout_ms = request.timeout_ms;
    let decided = context
        .broker
        .controller
        .decide_within(timeout_ms, move |view, cx| decide::create_topics(view.image, cx, &request, &may_see_configs));
    let mut response = decided.await.unwrap_or_else(|error| {
        let failed = names.into_iter().map(|name| CreatableTopicResult {
            name,
            error_code: error.code.code(),
            error_message: error.message.as_deref().map(Into::into),
            ..Default::default()
        });
        CreateTopicsResponse { topics: failed.collect(), ..Default::default() }
    });
    response.topics.extend(refused);
    response
}
