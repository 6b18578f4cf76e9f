//! DescribeProducers (key 61), version 0: lists the idempotent and transactional producers of a
//! partition (KIP-664). `kafka-transactions find-hanging` finds open transactions in it.

use super::Context;
use super::authorization::{Operation, Resource};
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
        let permitted = context.need(Operation::Read, Resource::Topic(&topic.name));
        let known = match permitted
            .map_err(|code| ApiError::new(code, code.message()))
            .and_then(|()| metadata::decide::validate_topic_name(&topic.name))
        {
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
    match partition.and_then(|partition| partition.producers()) {
        Ok(producers) => PartitionResponse {
            partition_index: index,
            active_producers: producers.into_iter().map(describe).collect(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use model::{ProducerEpoch, ProducerId, Timestamp};
    use storage::ProducerEntry;

    #[test]
    fn a_hanging_transaction_is_described_with_all_that_an_abort_needs() {
        let mut entry = ProducerEntry::default();
        (entry.epoch, entry.coordinator_epoch) = (Some(ProducerEpoch(3)), Some(9));
        (entry.last_timestamp, entry.txn_first_offset) = (Timestamp(1_000), Some(Offset(17)));
        let expected = ProducerState {
            producer_id: 7,
            producer_epoch: 3,
            last_sequence: -1,
            last_timestamp: 1_000,
            coordinator_epoch: 9,
            current_txn_start_offset: 17,
            ..Default::default()
        };
        assert_eq!(describe((ProducerId(7), entry)), expected);
        let unknown = describe((ProducerId(7), ProducerEntry::default()));
        let fields = (unknown.producer_epoch, unknown.coordinator_epoch, unknown.current_txn_start_offset);
        assert_eq!(fields, (-1, -1, -1));
    }
}
