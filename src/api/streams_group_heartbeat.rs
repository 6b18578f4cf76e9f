//! StreamsGroupHeartbeat (key 88), version 0: joins, keeps alive or leaves a streams group
//! (KIP-1071).
//!
//! Groups of this type are not served. The answer is that of a Kafka broker with
//! `group.coordinator.rebalance.protocols=classic`.

use super::Context;
use model::ErrorCode;
use protocol::messages::streams_group_heartbeat_request::StreamsGroupHeartbeatRequest;
use protocol::messages::streams_group_heartbeat_response::StreamsGroupHeartbeatResponse;

/// Refuses the member.
pub(super) async fn handle(_: Context, _: StreamsGroupHeartbeatRequest) -> StreamsGroupHeartbeatResponse {
    StreamsGroupHeartbeatResponse { error_code: ErrorCode::UnsupportedVersion.code(), ..Default::default() }
}
