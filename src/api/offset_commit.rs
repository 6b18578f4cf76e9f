//! OffsetCommit (key 8), versions 2-10: commits offsets of a group.
//!
//! - 3: adds the throttle time.
//! - 5: drops the retention time (KIP-211).
//! - 6: adds the leader epoch (KIP-320).
//! - 7: knows static members (KIP-345).
//! - 8: is flexible.
//! - 9: knows the errors of the consumer protocol (KIP-848).
//! - 10: names topics by id (KIP-848).
//!
//! The answer lists first the partitions that are refused here because they do not exist, then the
//! coordinator's answers. A topic with both appears once.

use super::Context;
use super::authorization::{Operation, Resource};
use coordinator::{GroupReply, GroupRequest};
use model::{ErrorCode, PartitionIndex, TopicId};
use protocol::Str;
use protocol::messages::offset_commit_request::{OffsetCommitRequest, OffsetCommitRequestTopic};
use protocol::messages::offset_commit_response::{
    OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use std::collections::HashMap;

/// Commits the offsets of partitions that exist. Other partitions are refused one by one.
pub(super) async fn handle(context: Context, mut request: OffsetCommitRequest) -> OffsetCommitResponse {
    let topics_have_ids = context.version >= 10;
    let supports_member_epochs = context.version >= 9;
    if let Err(code) = context.need(Operation::Read, Resource::Group(&request.group_id)) {
        return refuse_all(request, code);
    }
    let mut answers = Answers::default();
    let asked = std::mem::take(&mut request.topics);
    request.topics = existing(&context, topics_have_ids, asked, &mut answers);
    let request = GroupRequest::OffsetCommit { request, supports_member_epochs };
    if matches!(&request, GroupRequest::OffsetCommit { request, .. } if !request.topics.is_empty())
        && let GroupReply::OffsetCommit(response) = context.broker.groups.request(request).await
    {
        if answers.topics.is_empty() {
            return response;
        }
        for topic in response.topics {
            answers.topic(topic.topic_id, &topic.name).partitions.extend(topic.partitions);
        }
    }
    OffsetCommitResponse { topics: answers.topics, ..Default::default() }
}

/// Returns the requested partitions that exist, with topic names and ids. The others are answered
/// in `answers`.
fn existing(
    context: &Context,
    topics_have_ids: bool,
    asked: Vec<OffsetCommitRequestTopic>,
    answers: &mut Answers,
) -> Vec<OffsetCommitRequestTopic> {
    let image = context.broker.image();
    let mut known = Vec::with_capacity(asked.len());
    for mut topic in asked {
        let found =
            if topics_have_ids { image.topics.by_id(topic.topic_id) } else { image.topics.by_name(&topic.name) };
        let name = found.map_or(&topic.name, |found| &found.name);
        let is_unknown_id = topics_have_ids && found.is_none();
        if !is_unknown_id && let Err(error) = context.need(Operation::Read, Resource::Topic(name)) {
            let refused = topic.partitions.iter().map(|partition| refuse(partition.partition_index, error));
            answers.topic(topic.topic_id, name).partitions.extend(refused);
            continue;
        }
        let Some(found) = found else {
            let error = if topics_have_ids { ErrorCode::UnknownTopicId } else { ErrorCode::UnknownTopicOrPartition };
            let refused = topic.partitions.iter().map(|partition| refuse(partition.partition_index, error));
            answers.topic(topic.topic_id, &topic.name).partitions.extend(refused);
            continue;
        };
        topic.topic_id = found.id;
        topic.name = found.name.clone();
        topic.partitions.retain(|partition| {
            let index = partition.partition_index;
            let exists = found.partition(PartitionIndex(index)).is_some();
            if !exists {
                let refused = refuse(index, ErrorCode::UnknownTopicOrPartition);
                answers.topic(found.id, &found.name).partitions.push(refused);
            }
            exists
        });
        if !topic.partitions.is_empty() {
            known.push(topic);
        }
    }
    known
}

/// Returns the answer to a client that may not read the group.
fn refuse_all(request: OffsetCommitRequest, error: ErrorCode) -> OffsetCommitResponse {
    let topics = request.topics.into_iter().map(|topic| OffsetCommitResponseTopic {
        partitions: topic.partitions.iter().map(|partition| refuse(partition.partition_index, error)).collect(),
        topic_id: topic.topic_id,
        name: topic.name,
        ..Default::default()
    });
    OffsetCommitResponse { topics: topics.collect(), ..Default::default() }
}

fn refuse(partition_index: i32, error: ErrorCode) -> OffsetCommitResponsePartition {
    OffsetCommitResponsePartition { partition_index, error_code: error.code(), ..Default::default() }
}

/// The answers so far, one for each topic, in the order in which the topics were first answered.
#[derive(Debug, Default)]
struct Answers {
    topics: Vec<OffsetCommitResponseTopic>,
    places: HashMap<(TopicId, Str), usize>,
}

impl Answers {
    fn topic(&mut self, id: TopicId, name: &Str) -> &mut OffsetCommitResponseTopic {
        let place = *self.places.entry((id, name.clone())).or_insert_with(|| {
            self.topics.push(OffsetCommitResponseTopic { topic_id: id, name: name.clone(), ..Default::default() });
            self.topics.len() - 1
        });
        &mut self.topics[place]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Uuid;

    #[test]
    fn a_partly_refused_topic_appears_once_at_its_first_place() {
        let mut answers = Answers::default();
        let ids = [(Uuid([1; 16]), "a"), (Uuid([2; 16]), "b"), (Uuid([1; 16]), "a"), (TopicId::ZERO, "a")];
        for (index, (id, name)) in (0..).zip(ids) {
            answers.topic(id, &name.into()).partitions.push(refuse(index, ErrorCode::UnknownTopicOrPartition));
        }
        let partitions = |topic: &OffsetCommitResponseTopic| -> Vec<i32> {
            topic.partitions.iter().map(|partition| partition.partition_index).collect()
        };
        let found: Vec<_> = answers.topics.iter().map(|topic| (topic.name.as_str(), partitions(topic))).collect();
        assert_eq!(found, [("a", vec![0, 2]), ("b", vec![1]), ("a", vec![3])]);
    }
}
