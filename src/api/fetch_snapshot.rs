//! FetchSnapshot (key 59), versions 0-1: a replica of the quorum asks for a snapshot (KIP-630).
//!
//! A quorum of one has no other replica, and no snapshot is given away yet.

use super::Context;
use model::ErrorCode;
use protocol::messages::fetch_snapshot_request::FetchSnapshotRequest;
use protocol::messages::fetch_snapshot_response::FetchSnapshotResponse;

/// Refuses.
pub(super) async fn handle(context: Context, request: FetchSnapshotRequest) -> FetchSnapshotResponse {
    let is_ours = request.cluster_id.as_deref().is_none_or(|id| id == context.broker.node.cluster_id);
    let error = if is_ours { ErrorCode::UnsupportedVersion } else { ErrorCode::InconsistentClusterId };
    FetchSnapshotResponse { error_code: error.code(), ..Default::default() }
}
