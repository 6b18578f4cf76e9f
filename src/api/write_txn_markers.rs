//! WriteTxnMarkers (key 27), versions 1-2: writes the markers that end transactions into partitions
//! (KIP-98).
//!
//! - 1: is flexible.
//! - 2: adds the transaction version of each marker (KIP-1228).

use super::Context;
use crate::runtime::transaction::Marker;
use futures_util::future::join_all;
use model::{ErrorCode, ProducerEpoch, ProducerId};
use protocol::messages::write_txn_markers_request::{
    WritableTxnMarker, WritableTxnMarkerTopic, WriteTxnMarkersRequest,
};
use protocol::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult, WriteTxnMarkersResponse,
};
use records::EndTransactionMarker;

/// Writes every marker into its partitions. Answers when all replicas in sync have them.
pub(super) async fn handle(context: Context, request: WriteTxnMarkersRequest) -> WriteTxnMarkersResponse {
    let mut markers = Vec::with_capacity(request.markers.len());
    for marker in request.markers {
        markers.push(write(&context, marker).await);
    }
    WriteTxnMarkersResponse { markers, ..Default::default() }
}

async fn write(context: &Context, request: WritableTxnMarker) -> WritableTxnMarkerResult {
    let marker = Marker {
        producer_id: ProducerId(request.producer_id),
        producer_epoch: ProducerEpoch(request.producer_epoch),
        end: EndTransactionMarker {
            committed: request.transaction_result,
            coordinator_epoch: request.coordinator_epoch,
        },
        transaction_version: i16::from(request.transaction_version),
    };
    let topics = join_all(request.topics.into_iter().map(|topic| write_topic(context, topic, marker))).await;
    WritableTxnMarkerResult { producer_id: request.producer_id, topics, ..Default::default() }
}

async fn write_topic(context: &Context, topic: WritableTxnMarkerTopic, marker: Marker) -> WritableTxnMarkerTopicResult {
    let partitions = topic.partition_indexes.iter().map(|&partition_index| {
        let name = &topic.name;
        async move {
            let written = context.broker.markers.write(name, partition_index, marker).await;
            let code = written.err().unwrap_or(ErrorCode::None);
            WritableTxnMarkerPartitionResult { partition_index, error_code: code.code(), ..Default::default() }
        }
    });
    let partitions = join_all(partitions).await;
    WritableTxnMarkerTopicResult { name: topic.name, partitions, ..Default::default() }
}
