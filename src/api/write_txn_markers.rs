//! WriteTxnMarkers (key 27), versions 1-2: writes the markers that end transactions into partitions
//! (KIP-98).
//!
//! - 1: is flexible.
//! - 2: adds the transaction version of each marker (KIP-1228).
//!
//! Transaction coordinators send this request, and there is none yet. So every partition is
//! refused.

use super::Context;
use model::ErrorCode;
use protocol::messages::write_txn_markers_request::WriteTxnMarkersRequest;
use protocol::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult, WriteTxnMarkersResponse,
};

/// Refuses every partition of every marker.
pub(super) async fn handle(_: Context, request: WriteTxnMarkersRequest) -> WriteTxnMarkersResponse {
    let error_code = ErrorCode::UnsupportedVersion.code();
    let markers = request.markers.into_iter().map(|marker| WritableTxnMarkerResult {
        producer_id: marker.producer_id,
        topics: marker
            .topics
            .into_iter()
            .map(|topic| WritableTxnMarkerTopicResult {
                name: topic.name,
                partitions: topic
                    .partition_indexes
                    .into_iter()
                    .map(|partition_index| WritableTxnMarkerPartitionResult {
                        partition_index,
                        error_code,
                        ..Default::default()
                    })
                    .collect(),
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    });
    WriteTxnMarkersResponse { markers: markers.collect(), ..Default::default() }
}
