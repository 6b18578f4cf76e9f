//! DescribeProducers (key 61), version 0: lists the idempotent producers that a partition's leader
//! knows (KIP-664).

use super::Context;
use metadata::image::Topic;
use model::{ApiError, ErrorCode, Offset};
use protocol::messages::describe_producers_request::DescribeProducersRequest;
use protocol::messages::describe_producers_response::{
    DescribeProducersResponse, PartitionResponse, ProducerState, TopicResponse,
};

/// Lists each partition's producers.
pub(super) async fn handle(context: Context, request: DescribeProducersRequest) -> DescribeProducersResponse {
    let image = context.broker.image();
    let topics = request.topics.into_iter().map(|topic| {
        let known = match metadata::decide::validate_topic_name(&topic.name) {
            Err(error) => Err(error),
            Ok(()) => image.topics.by_name(&topic.name).ok_or_else(|| {
                let code = ErrorCode::UnknownTopicOrPartition;
                ApiError::new(code, code.message())
            }),
        };
        let partitions = topic.partition_indexes.into_iter().map(|index| match &known {
            Ok(known) => partition(&context, known, index),
            Err(error) => refused(index, error),
        });
        TopicResponse { partitions: partitions.collect(), name: topic.name, ..Default::default() }
    });
    DescribeProducersResponse { topics: topics.collect(), ..Default::default() }
}

/// Returns the producers of a partition. As in Kafka, an error of a topic has a message, and an
/// error of a partition has only its code.
fn partition(context: &Context, topic: &Topic, index: i32) -> PartitionResponse {
    let partition = context.broker.replicas.of(topic, index);
    match partition.and_then(|partition| partition.check_leader(None).map(|_| partition)) {
        Ok(partition) => PartitionResponse {
            partition_index: index,
            active_producers: partition.log().producers().into_iter().map(describe).collect(),
            ..Default::default()
        },
        Err(code) => refused(index, &code.into()),
    }
}

fn refused(index: i32, error: &ApiError) -> PartitionResponse {
    PartitionResponse {
        partition_index: index,
        error_code: error.code.code(),
        error_message: error.message.as_deref().map(Into::into),
        ..Default::default()
    }
}

fn describe((id, entry): (model::ProducerId, storage::ProducerEntry)) -> ProducerState {
    ProducerState {
        producer_id: id.0,
        producer_epoch: entry.epoch.map_or(-1, |epoch| i32::from(epoch.0)),
        last_sequence: entry.last_sequence().unwrap_or(-1),
        last_timestamp: entry.last_timestamp.0,
        coordinator_epoch: entry.coordinator_epoch.unwrap_or(-1),
        current_txn_start_offset: Offset::to_wire(entry.txn_first_offset),
        ..Default::default()
    }
}
