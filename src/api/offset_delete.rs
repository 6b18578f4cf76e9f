//! OffsetDelete (key 47), version 0: deletes committed offsets of topics that a group does not
//! consume (KIP-496).
//!
//! The answer lists first the partitions that are refused here because they do not exist, then the
//! coordinator's answers. A topic with both appears once.

use super::Context;
use super::authorization::{Operation, Resource};
use coordinator::{GroupReply, GroupRequest};
use model::{ErrorCode, PartitionIndex};
use protocol::Str;
use protocol::messages::offset_delete_request::OffsetDeleteRequest;
use protocol::messages::offset_delete_response::{
    OffsetDeleteResponse, OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Deletes the offsets of partitions that exist. Other partitions are refused one by one.
pub(super) async fn handle(context: Context, mut request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    if let Err(code) = context.need(Operation::Delete, Resource::Group(&request.group_id)) {
        return OffsetDeleteResponse { error_code: code.code(), ..Default::default() };
    }
    let forbidden = context.forbidden_topics(Operation::Read, request.topics.iter().map(|topic| &topic.name));
    let image = context.broker.image();
    let mut refused = Vec::new();
    for topic in &mut request.topics {
        let known = image.topics.by_name(&topic.name).cloned();
        let mut unknown = Vec::new();
        let is_forbidden = forbidden.contains(&topic.name);
        let error = if is_forbidden { ErrorCode::TopicAuthorizationFailed } else { ErrorCode::UnknownTopicOrPartition };
        topic.partitions.retain(|partition| {
            let index = PartitionIndex(partition.partition_index);
            let exists = !is_forbidden && known.as_ref().is_some_and(|known| known.partition(index).is_some());
            if !exists {
                unknown.push(OffsetDeleteResponsePartition {
                    partition_index: partition.partition_index,
                    error_code: error.code(),
                    ..Default::default()
                });
            }
            exists
        });
        if !unknown.is_empty() {
            refused.push(OffsetDeleteResponseTopic {
                name: topic.name.clone(),
                partitions: unknown,
                ..Default::default()
            });
        }
    }
    drop(image);
    request.topics.retain(|topic| !topic.partitions.is_empty());
    let mut response = match context.broker.groups.request(GroupRequest::OffsetDelete(request)).await {
        GroupReply::OffsetDelete(response) => response,
        _ => OffsetDeleteResponse { error_code: ErrorCode::UnknownServerError.code(), ..Default::default() },
    };
    if response.error_code == ErrorCode::None.code() && !refused.is_empty() {
        response.topics = merge(refused, response.topics);
    }
    response
}

/// Merges the answers to one entry for each topic. The first answers come first.
fn merge(
    first: Vec<OffsetDeleteResponseTopic>,
    then: Vec<OffsetDeleteResponseTopic>,
) -> Vec<OffsetDeleteResponseTopic> {
    let mut places: HashMap<Str, usize> = HashMap::new();
    let mut topics: Vec<OffsetDeleteResponseTopic> = Vec::with_capacity(first.len() + then.len());
    for topic in first.into_iter().chain(then) {
        match places.entry(topic.name.clone()) {
            Entry::Occupied(place) => topics[*place.get()].partitions.extend(topic.partitions),
            Entry::Vacant(place) => {
                place.insert(topics.len());
                topics.push(topic);
            }
        }
    }
    topics
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partly_refused_topic_appears_once() {
        let topic = |name: &str, index: i32| OffsetDeleteResponseTopic {
            name: name.into(),
            partitions: vec![OffsetDeleteResponsePartition { partition_index: index, ..Default::default() }],
            ..Default::default()
        };
        let merged = merge(vec![topic("a", 9), topic("b", 8)], vec![topic("c", 0), topic("a", 1)]);
        let found = merged.iter().map(|topic| {
            (topic.name.as_str(), topic.partitions.iter().map(|partition| partition.partition_index).collect())
        });
        assert_eq!(found.collect::<Vec<(_, Vec<_>)>>(), [("a", vec![9, 1]), ("b", vec![8]), ("c", vec![0])]);
    }
}
