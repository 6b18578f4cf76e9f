//! DescribeProducers (key 61), version 0: what a partition's leader knows of its idempotent producers (KIP-664).

use super::Context;
use model::{ErrorCode, Offset};
use protocol::messages::describe_producers_request::DescribeProducersRequest;
use protocol::messages::describe_producers_response::{
    DescribeProducersResponse, PartitionResponse, ProducerState, TopicResponse,
};

/// Lists each partition's producers.
pub(super) async fn handle(context: Context, request: DescribeProducersRequest) -> DescribeProducersResponse {
    let image = context.broker.image();
    let topics = request.topics.into_iter().map(|topic| {
        let known = image.topics.by_name(&topic.name);
        let partitions = topic.partition_indexes.into_iter().map(|index| {
            let partition = match known {
                None => Err(ErrorCode::UnknownTopicOrPartition),
                Some(known) => context.broker.replicas.of(known, index),
            };
            match partition.and_then(|partition| partition.check_leader(None).map(|_| partition)) {
                Ok(partition) => PartitionResponse {
                    partition_index: index,
                    active_producers: partition.log().producers().into_iter().map(describe).collect(),
                    ..Default::default()
                },
                Err(code) => PartitionResponse {
                    partition_index: index,
                    error_code: code.code(),
                    error_message: Some(code.message().into()),
                    ..Default::default()
                },
            }
        });
        TopicResponse { partitions: partitions.collect(), name: topic.name, ..Default::default() }
    });
    DescribeProducersResponse { topics: topics.collect(), ..Default::default() }
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
