//! WriteTxnMarkers (key 27), versions 1-2: writes the markers that end transactions into partitions
//! (KIP-98).
//!
//! - 1: is flexible.
//! - 2: adds the transaction version of each marker (KIP-1228).

use super::Context;
use super::authorization::{Operation, Resource};
use crate::runtime::transaction::Marker;
use futures_util::future::join_all;
use indexmap::IndexMap;
use model::{ErrorCode, PartitionIndex, ProducerEpoch, ProducerId};
use protocol::Str;
use protocol::messages::write_txn_markers_request::{
    WritableTxnMarker, WritableTxnMarkerTopic, WriteTxnMarkersRequest,
};
use protocol::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult, WriteTxnMarkersResponse,
};
use records::EndTransactionMarker;

/// The producer id of a batch without a producer.
const NO_PRODUCER_ID: i64 = -1;
/// The epoch of a producer that is not known.
const NO_EPOCH: i16 = -1;
/// The maximum number of partitions of a marker that are written at the same time.
const PARTITIONS_AT_ONCE: usize = 256;

/// Writes every marker into its partitions. Answers when all replicas in sync have them. The answer
/// has one result for each producer. If Kafka cannot build a marker, it answers
/// UNKNOWN_SERVER_ERROR for all of them, and writes only those before it.
pub(super) async fn handle(context: Context, request: WriteTxnMarkersRequest) -> WriteTxnMarkersResponse {
    if !context.may_also(Operation::Alter, Resource::Cluster)
        && let Err(code) = context.need_of_cluster(Operation::ClusterAction)
    {
        return answer(request.markers.iter().map(|marker| failed(marker, code)));
    }
    let mut written = Vec::with_capacity(request.markers.len());
    for marker in &request.markers {
        if !can_be_built(marker) {
            return answer(request.markers.iter().map(|marker| failed(marker, ErrorCode::UnknownServerError)));
        }
        written.push(write(&context, marker).await);
    }
    answer(written.into_iter())
}

/// Whether Kafka can build the batch of a marker.
fn can_be_built(marker: &WritableTxnMarker) -> bool {
    let has_partition = marker.topics.iter().any(|topic| !topic.partition_indexes.is_empty());
    !has_partition
        || (marker.producer_id != NO_PRODUCER_ID
            && marker.producer_epoch != NO_EPOCH
            && marker.transaction_version >= 0)
}

fn failed(marker: &WritableTxnMarker, code: ErrorCode) -> WritableTxnMarkerResult {
    let partition = |&partition_index: &i32| WritableTxnMarkerPartitionResult {
        partition_index,
        error_code: code.code(),
        ..Default::default()
    };
    let topic = |topic: &WritableTxnMarkerTopic| WritableTxnMarkerTopicResult {
        name: topic.name.clone(),
        partitions: topic.partition_indexes.iter().map(partition).collect(),
        ..Default::default()
    };
    let topics = marker.topics.iter().map(topic).collect();
    WritableTxnMarkerResult { producer_id: marker.producer_id, topics, ..Default::default() }
}

/// Joins the results of each producer. A producer without partitions is left out.
fn answer(results: impl Iterator<Item = WritableTxnMarkerResult>) -> WriteTxnMarkersResponse {
    let mut joined: IndexMap<i64, IndexMap<Str, IndexMap<i32, WritableTxnMarkerPartitionResult>>> = IndexMap::new();
    for result in results {
        for topic in result.topics.into_iter().filter(|topic| !topic.partitions.is_empty()) {
            // The last result of a partition counts.
            let partitions = topic.partitions.into_iter().map(|partition| (partition.partition_index, partition));
            joined.entry(result.producer_id).or_default().entry(topic.name).or_default().extend(partitions);
        }
    }
    let topic = |(name, partitions): (Str, IndexMap<i32, WritableTxnMarkerPartitionResult>)| {
        WritableTxnMarkerTopicResult { name, partitions: partitions.into_values().collect(), ..Default::default() }
    };
    let markers = joined.into_iter().map(|(producer_id, topics)| WritableTxnMarkerResult {
        producer_id,
        topics: topics.into_iter().map(topic).collect(),
        ..Default::default()
    });
    WriteTxnMarkersResponse { markers: markers.collect(), ..Default::default() }
}

async fn write(context: &Context, request: &WritableTxnMarker) -> WritableTxnMarkerResult {
    let marker = Marker {
        producer_id: ProducerId(request.producer_id),
        producer_epoch: ProducerEpoch(request.producer_epoch),
        end: EndTransactionMarker {
            committed: request.transaction_result,
            coordinator_epoch: request.coordinator_epoch,
        },
        transaction_version: i16::from(request.transaction_version),
    };
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        topics.push(write_topic(context, topic, marker).await);
    }
    WritableTxnMarkerResult { producer_id: request.producer_id, topics, ..Default::default() }
}

async fn write_topic(
    context: &Context,
    topic: &WritableTxnMarkerTopic,
    marker: Marker,
) -> WritableTxnMarkerTopicResult {
    let write = |partition_index: i32| async move {
        let name = &topic.name;
        let written = match marker.producer_epoch.0 < NO_EPOCH && exists(context, name, partition_index) {
            // It is below the epoch of every producer, also of one that is not known.
            true => Err(ErrorCode::InvalidProducerEpoch),
            false => context.broker.markers.write(name, partition_index, marker).await,
        };
        let code = written.err().unwrap_or(ErrorCode::None);
        WritableTxnMarkerPartitionResult { partition_index, error_code: code.code(), ..Default::default() }
    };
    let mut partitions = Vec::with_capacity(topic.partition_indexes.len());
    for some in topic.partition_indexes.chunks(PARTITIONS_AT_ONCE) {
        partitions.extend(join_all(some.iter().map(|&index| write(index))).await);
    }
    WritableTxnMarkerTopicResult { name: topic.name.clone(), partitions, ..Default::default() }
}

fn exists(context: &Context, topic: &str, index: i32) -> bool {
    let image = context.broker.image();
    image.topics.by_name(topic).is_some_and(|topic| topic.partition(PartitionIndex(index)).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(producer_id: i64, topics: &[(&'static str, &[(i32, i16)])]) -> WritableTxnMarkerResult {
        let partition = |&(partition_index, error_code): &(i32, i16)| WritableTxnMarkerPartitionResult {
            partition_index,
            error_code,
            ..Default::default()
        };
        let topic = |(name, partitions): &(&'static str, &[(i32, i16)])| WritableTxnMarkerTopicResult {
            name: Str::const_new(name),
            partitions: partitions.iter().map(partition).collect(),
            ..Default::default()
        };
        WritableTxnMarkerResult { producer_id, topics: topics.iter().map(topic).collect(), ..Default::default() }
    }

    #[test]
    fn an_answer_has_one_result_for_each_producer_topic_and_partition() {
        let results = [
            result(1, &[("a", &[(0, 0)]), ("b", &[]), ("a", &[(1, 3)])]),
            result(2, &[]),
            result(3, &[("b", &[])]),
            result(1, &[("a", &[(1, 0)]), ("b", &[(5, 47)])]),
        ];
        let joined = answer(results.into_iter()).markers;
        assert_eq!(joined, [result(1, &[("a", &[(0, 0), (1, 0)]), ("b", &[(5, 47)])])]);
    }

    #[test]
    fn a_marker_without_a_producer_is_refused() {
        let marker = |producer_id, producer_epoch, transaction_version, partitions: &[i32]| WritableTxnMarker {
            producer_id,
            producer_epoch,
            transaction_version,
            topics: vec![WritableTxnMarkerTopic { partition_indexes: partitions.to_vec(), ..Default::default() }],
            ..Default::default()
        };
        let rows = [(5, 0, 0, true), (-7, 0, 2, true), (5, -7, 0, true), (-1, 0, 0, false), (5, -1, 0, false)];
        for (producer_id, epoch, version, can) in rows {
            assert_eq!(can_be_built(&marker(producer_id, epoch, version, &[0])), can, "{producer_id} {epoch}");
            assert!(can_be_built(&marker(producer_id, epoch, version, &[])));
        }
        assert!(!can_be_built(&marker(5, 0, -1, &[0])));
    }
}
