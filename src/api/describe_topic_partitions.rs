//! DescribeTopicPartitions (key 75), version 0: lists topics and their partitions, one page in
//! each answer. It is the only request that answers the ELR (KIP-966).

use super::Context;
use super::authorization::{Operation, Resource};
use super::context::is_internal;
use metadata::image::{Partition, Topic};
use model::{BrokerId, ErrorCode, PartitionIndex, TopicIdPartition};
use protocol::Str;
use protocol::messages::describe_topic_partitions_request::DescribeTopicPartitionsRequest;
use protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponse, DescribeTopicPartitionsResponsePartition,
    DescribeTopicPartitionsResponseTopic,
};
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

/// Answers topics in the order of their names, from the cursor on, up to the limit of partitions.
pub(super) async fn handle(
    context: Context,
    request: DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let image = context.broker.image();
    if let Err(error) = check(&request) {
        let refused = request.topics.into_iter().map(|topic| DescribeTopicPartitionsResponseTopic {
            error_code: error.code(),
            name: Some(topic.name),
            ..Default::default()
        });
        return DescribeTopicPartitionsResponse { topics: refused.collect(), ..Default::default() };
    }
    let (first_topic, first_partition) =
        request.cursor.map_or((Str::default(), 0), |cursor| (cursor.topic_name, cursor.partition_index));
    let may_describe = |name: &Str| context.may_also(Operation::Describe, Resource::Topic(name));
    let mut forbidden = HashSet::new();
    let mut names: BTreeSet<Str> = if request.topics.is_empty() {
        image.topics.iter().map(|topic| topic.name.clone()).filter(may_describe).collect()
    } else {
        forbidden = context.forbidden_topics(Operation::Describe, request.topics.iter().map(|topic| &topic.name));
        request.topics.into_iter().map(|topic| topic.name).collect()
    };
    names.retain(|name| !forbidden.contains(name));
    let most = context.broker.settings().max_request_partition_size_limit.min(request.response_partition_limit);
    let mut left = usize::try_from(most).unwrap_or(0).max(1);
    let mut response = DescribeTopicPartitionsResponse::default();
    for name in names.range(first_topic.clone()..) {
        let first = if *name == first_topic { first_partition } else { 0 };
        if left == 0 {
            response.next_cursor =
                Some(Cursor { topic_name: name.clone(), partition_index: first, ..Default::default() });
            break;
        }
        let Some(topic) = image.topics.by_name(name) else {
            let valid = metadata::decide::validate_topic_name(name).is_ok();
            let error = if valid { ErrorCode::UnknownTopicOrPartition } else { ErrorCode::InvalidTopicException };
            response.topics.push(failed(&context, name.clone(), error));
            continue;
        };
        let page = topic.partitions.iter().filter(|(index, _)| index.0 >= first).take(left);
        let describe = |(index, partition): (&PartitionIndex, &Arc<Partition>)| {
            let id = TopicIdPartition { topic_id: topic.id, partition: *index };
            describe(partition, *index, |replica| context.broker.is_offline(&image, replica, (id, partition)))
        };
        let partitions: Vec<_> = page.map(describe).collect();
        left -= partitions.len();
        let next = first + i32::try_from(partitions.len()).unwrap_or(i32::MAX);
        response.topics.push(entry(&context, topic, partitions));
        if topic.partitions.len() > usize::try_from(next).unwrap_or(usize::MAX) {
            response.next_cursor =
                Some(Cursor { topic_name: name.clone(), partition_index: next, ..Default::default() });
            break;
        }
    }
    let refused = forbidden.into_iter().map(|name| DescribeTopicPartitionsResponseTopic {
        error_code: ErrorCode::TopicAuthorizationFailed.code(),
        name: Some(name),
        ..Default::default()
    });
    response.topics.extend(refused);
    response.topics.sort_by(|one, other| one.name.cmp(&other.name));
    response
}

/// Checks for the errors with which Kafka refuses the whole request: a cursor at an invalid
/// partition, or outside the named topics. On a topic without a name, Kafka fails with
/// UNKNOWN_SERVER_ERROR.
fn check(request: &DescribeTopicPartitionsRequest) -> Result<(), ErrorCode> {
    let begins_before_names = request.cursor.as_ref().is_none_or(|cursor| cursor.topic_name.is_empty());
    if begins_before_names && request.topics.iter().any(|topic| topic.name.is_empty()) {
        return Err(ErrorCode::UnknownServerError);
    }
    let Some(cursor) = &request.cursor else { return Ok(()) };
    let is_named = request.topics.is_empty() || request.topics.iter().any(|topic| topic.name == cursor.topic_name);
    if is_named && cursor.partition_index >= 0 { Ok(()) } else { Err(ErrorCode::InvalidRequest) }
}

fn entry(
    context: &Context,
    topic: &Topic,
    partitions: Vec<DescribeTopicPartitionsResponsePartition>,
) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic {
        name: Some(topic.name.clone()),
        topic_id: topic.id,
        is_internal: is_internal(&topic.name),
        partitions,
        topic_authorized_operations: context.operations(Resource::Topic(&topic.name)),
        ..Default::default()
    }
}

fn failed(context: &Context, name: Str, error: ErrorCode) -> DescribeTopicPartitionsResponseTopic {
    let (is_internal, operations) = (is_internal(&name), context.operations(Resource::Topic(&name)));
    DescribeTopicPartitionsResponseTopic {
        error_code: error.code(),
        name: Some(name),
        is_internal,
        topic_authorized_operations: operations,
        ..Default::default()
    }
}

fn describe(
    partition: &Partition,
    index: PartitionIndex,
    is_offline: impl Fn(BrokerId) -> bool,
) -> DescribeTopicPartitionsResponsePartition {
    let ids = |ids: &[BrokerId]| ids.iter().map(|id| id.0).collect::<Vec<i32>>();
    let leader = partition.leader.filter(|id| !is_offline(*id));
    let error = if leader.is_some() { ErrorCode::None } else { ErrorCode::LeaderNotAvailable };
    DescribeTopicPartitionsResponsePartition {
        error_code: error.code(),
        partition_index: index.0,
        leader_id: leader.map_or(-1, |id| id.0),
        leader_epoch: partition.leader_epoch.0,
        replica_nodes: ids(&partition.replicas),
        isr_nodes: ids(&partition.isr),
        eligible_leader_replicas: Some(ids(&partition.elr)),
        last_known_elr: Some(ids(&partition.last_known_elr)),
        offline_replicas: partition.replicas.iter().filter(|id| is_offline(**id)).map(|id| id.0).collect(),
        ..Default::default()
    }
}
