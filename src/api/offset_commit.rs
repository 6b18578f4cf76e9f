//! OffsetCommit (key 8), versions 2-10.
//!
//! 2 to 4 give the offsets a time to live; 6 the leader epoch (KIP-320); 7 knows static members; 8 is flexible; 9 knows the errors of the newer
//! protocol (KIP-848); 10 names topics by id.

use super::Context;
use coordinator::{Reply, Request};
use model::ErrorCode;
use protocol::messages::offset_commit_request::{OffsetCommitRequest, OffsetCommitRequestTopic};
use protocol::messages::offset_commit_response::{
    OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};

/// Commits offsets of topics that exist; the others are refused one by one.
pub(super) async fn handle(context: Context, mut request: OffsetCommitRequest) -> OffsetCommitResponse {
    let topics_have_ids = context.version >= 10;
    let supports_member_epochs = context.version >= 9;
    let image = context.broker.image();
    let mut refused = Vec::new();
    let mut known = Vec::new();
    for mut topic in std::mem::take(&mut request.topics) {
        let found = if topics_have_ids { image.topics.by_id(topic.topic_id) } else { image.topics.by_name(&topic.name) };
        match found {
            Some(found) => {
                topic.topic_id = found.id;
                topic.name = found.name.clone();
                known.push(topic);
            }
            None if topics_have_ids => refused.push(refuse(topic, ErrorCode::UnknownTopicId)),
            None => refused.push(refuse(topic, ErrorCode::UnknownTopicOrPartition)),
        }
    }
    drop(image);
    let mut response = OffsetCommitResponse::default();
    if !known.is_empty() {
        request.topics = known;
        response = match context.broker.groups.request(Request::OffsetCommit { request, supports_member_epochs }).await {
            Reply::OffsetCommit(response) => response,
            _ => OffsetCommitResponse::default(),
        };
    }
    response.topics.extend(refused);
    response
}

fn refuse(topic: OffsetCommitRequestTopic, error: ErrorCode) -> OffsetCommitResponseTopic {
    let partitions = topic.partitions.into_iter().map(|partition| OffsetCommitResponsePartition {
        partition_index: partition.partition_index,
        error_code: error.code(),
        ..Default::default()
    });
    OffsetCommitResponseTopic {
        name: topic.name,
        topic_id: topic.topic_id,
        partitions: partitions.collect(),
        ..Default::default()
    }
}
