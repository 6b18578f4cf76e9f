//! DeleteTopics (key 20), versions 1-6: deletes topics (KIP-4).
//!
//! - 3: may answer TOPIC_DELETION_DISABLED (KIP-322).
//! - 4: is flexible.
//! - 5: answers error messages, and may be throttled (KIP-599).
//! - 6: may also name topics by id (KIP-516).

use super::Context;
use super::authorization::{Operation, Resource};
use metadata::decide;
use model::ErrorCode;
use protocol::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use protocol::messages::delete_topics_response::{DeletableTopicResult, DeleteTopicsResponse};

/// Deletes topics, each separately. The controller decides.
pub(super) async fn handle(context: Context, mut request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let names_are_a_list = context.version < 6;
    let knows_disabled = context.version >= 3;
    if names_are_a_list {
        let names = std::mem::take(&mut request.topic_names).into_iter();
        request.topics = names.map(|name| DeleteTopicState { name: Some(name), ..Default::default() }).collect();
    }
    let asked = request.topics.clone();
    let may_delete_all = context.may_also(Operation::Delete, Resource::Cluster);
    let asking = context.clone();
    let may = move |operation, name: &str| may_delete_all || asking.may(operation, Resource::Topic(name));
    let authorize = move |name: &str| decide::TopicToDelete {
        describable: may(Operation::Describe, name),
        deletable: may(Operation::Delete, name),
    };
    let timeout_ms = request.timeout_ms;
    let decided = context
        .broker
        .controller
        .decide_within(timeout_ms, move |view, cx| decide::delete_topics(view.image, cx, &request, &authorize));
    decided.await.unwrap_or_else(|error| {
        let code = match error.code {
            ErrorCode::TopicDeletionDisabled if !knows_disabled => ErrorCode::InvalidRequest,
            code => code,
        };
        let failed = asked.into_iter().map(|topic| DeletableTopicResult {
            name: topic.name,
            topic_id: topic.topic_id,
            error_code: code.code(),
            // Kafka sends no message if the whole request fails.
            error_message: None,
            ..Default::default()
        });
        DeleteTopicsResponse { responses: failed.collect(), ..Default::default() }
    })
}
