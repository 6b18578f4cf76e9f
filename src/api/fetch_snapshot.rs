//! FetchSnapshot (key 59), versions 0-1: reads a snapshot of the metadata log for a replica of the
//! quorum (KIP-630).
//!
//! - 1: adds the replica's directory id and the leader's endpoint (KIP-853).
//!
//! The quorum has one voter and no other replica, so no snapshot is sent yet.

use super::Context;
use model::ErrorCode;
use protocol::messages::fetch_snapshot_request::FetchSnapshotRequest;
use protocol::messages::fetch_snapshot_response::FetchSnapshotResponse;

/// Refuses the request.
pub(super) async fn handle(context: Context, request: FetchSnapshotRequest) -> FetchSnapshotResponse {
    let is_ours = request.cluster_id.as_deref().is_none_or(|id| id == context.broker.node.cluster_id);
    let error = if is_ours { ErrorCode::UnsupportedVersion } else { ErrorCode::InconsistentClusterId };
    FetchSnapshotResponse { error_code: error.code(), ..Default::default() }
}
