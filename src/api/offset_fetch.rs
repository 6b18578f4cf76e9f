//! OffsetFetch (key 9), versions 1-10: reads committed offsets of groups.
//!
//! - 2: may ask for all topics (null), and has an error of the whole group.
//! - 3: adds the throttle time.
//! - 5: answers leader epochs (KIP-320).
//! - 6: is flexible.
//! - 7: may ask for stable offsets (KIP-447).
//! - 8: names several groups (KIP-709).
//! - 9: names the member and its epoch (KIP-848).
//! - 10: names topics by id (KIP-848).

use super::Context;
use super::authorization::{Operation, Resource};
use coordinator::{GroupReply, GroupRequest};
use futures_util::future::join_all;
use metadata::image::Image;
use model::{ErrorCode, TopicId};
use protocol::messages::offset_fetch_request::{OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use protocol::messages::offset_fetch_response::{
    OffsetFetchResponse, OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};

/// Facts about the request that the version gives.
#[derive(Clone, Copy)]
struct Facts {
    /// From version 8 on.
    asks_for_several_groups: bool,
    /// From version 10 on.
    topics_have_ids: bool,
    /// From version 2 on. Before, each partition carries the error of its group.
    has_group_error: bool,
}

/// Answers committed offsets.
pub(super) async fn handle(context: Context, request: OffsetFetchRequest) -> OffsetFetchResponse {
    let facts = Facts {
        asks_for_several_groups: context.version >= 8,
        topics_have_ids: context.version >= 10,
        has_group_error: context.version >= 2,
    };
    let require_stable = request.require_stable;
    if facts.asks_for_several_groups {
        let groups = request.groups.into_iter().map(|group| fetch(&context, facts, require_stable, group));
        return OffsetFetchResponse { groups: join_all(groups).await, ..Default::default() };
    }
    let topics = request.topics.map(|topics| {
        let topics = topics.into_iter().map(|topic| OffsetFetchRequestTopics {
            name: topic.name,
            partition_indexes: topic.partition_indexes,
            ..Default::default()
        });
        topics.collect()
    });
    let group = OffsetFetchRequestGroup { group_id: request.group_id, topics, ..Default::default() };
    let asked = group.clone();
    older(facts, asked, fetch(&context, facts, require_stable, group).await)
}

async fn fetch(
    context: &Context,
    facts: Facts,
    require_stable: bool,
    mut group: OffsetFetchRequestGroup,
) -> OffsetFetchResponseGroup {
    let group_id = group.group_id.clone();
    if let Err(code) = context.need(Operation::Describe, Resource::Group(&group_id)) {
        return OffsetFetchResponseGroup { group_id, error_code: code.code(), ..Default::default() };
    }
    let image = context.broker.image();
    let mut unknown = Vec::new();
    let asks_for_all = group.topics.is_none();
    if let Some(topics) = &mut group.topics {
        if facts.topics_have_ids {
            topics.retain_mut(|topic| match image.topics.by_id(topic.topic_id) {
                Some(found) => {
                    topic.name = found.name.clone();
                    true
                }
                None => {
                    unknown.push(refuse(std::mem::take(topic), ErrorCode::UnknownTopicId));
                    false
                }
            });
        } else {
            // The request may name a deleted topic whose offsets still exist.
            for topic in topics {
                topic.topic_id = image.topics.by_name(&topic.name).map_or(TopicId::ZERO, |found| found.id);
            }
        }
    }
    if let Some(topics) = &mut group.topics {
        let forbidden = context.forbidden_topics(Operation::Describe, topics.iter().map(|topic| &topic.name));
        let refused = topics.extract_if(.., |topic| forbidden.contains(&topic.name));
        unknown.extend(refused.map(|topic| refuse(topic, ErrorCode::TopicAuthorizationFailed)));
    }
    let mut response = match context.broker.groups.request(GroupRequest::OffsetFetch { group, require_stable }).await {
        GroupReply::OffsetFetch(response) => response,
        _ => OffsetFetchResponseGroup {
            group_id,
            error_code: ErrorCode::UnknownServerError.code(),
            ..Default::default()
        },
    };
    if asks_for_all {
        response.topics.retain(|topic| context.may_also(Operation::Describe, Resource::Topic(&topic.name)));
    }
    if facts.topics_have_ids {
        name_by_id(&image, &mut response);
    }
    if response.error_code == ErrorCode::None.code() {
        response.topics.extend(unknown);
    }
    response
}

/// Replaces names by ids. A deleted topic has no id and is left out.
fn name_by_id(image: &Image, response: &mut OffsetFetchResponseGroup) {
    response.topics.retain_mut(|topic| match image.topics.by_name(&topic.name) {
        Some(found) => {
            topic.topic_id = found.id;
            true
        }
        None => false,
    });
}

fn refuse(topic: OffsetFetchRequestTopics, error: ErrorCode) -> OffsetFetchResponseTopics {
    let partitions = topic.partition_indexes.into_iter().map(|partition_index| OffsetFetchResponsePartitions {
        partition_index,
        committed_offset: -1,
        metadata: Some(Default::default()),
        error_code: error.code(),
        ..Default::default()
    });
    OffsetFetchResponseTopics {
        name: topic.name,
        topic_id: topic.topic_id,
        partitions: partitions.collect(),
        ..Default::default()
    }
}

/// Returns the answer in the form before version 8.
fn older(facts: Facts, asked: OffsetFetchRequestGroup, group: OffsetFetchResponseGroup) -> OffsetFetchResponse {
    let mut topics = group.topics;
    if !facts.has_group_error && group.error_code != ErrorCode::None.code() {
        let error = ErrorCode::from_code(group.error_code).unwrap_or(ErrorCode::UnknownServerError);
        topics = asked.topics.unwrap_or_default().into_iter().map(|topic| refuse(topic, error)).collect();
    }
    let topics = topics.into_iter().map(|topic| OffsetFetchResponseTopic {
        name: topic.name,
        partitions: topic
            .partitions
            .into_iter()
            .map(|partition| OffsetFetchResponsePartition {
                partition_index: partition.partition_index,
                committed_offset: partition.committed_offset,
                committed_leader_epoch: partition.committed_leader_epoch,
                metadata: partition.metadata,
                error_code: partition.error_code,
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    });
    OffsetFetchResponse { topics: topics.collect(), error_code: group.error_code, ..Default::default() }
}
