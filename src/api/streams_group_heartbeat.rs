//! StreamsGroupHeartbeat (key 88), versions 0.
//!
//! Groups of this kind are not served; the answer is that of a Kafka with `group.coordinator.rebalance.protocols=classic`.

use super::Context;
use model::ErrorCode;
use protocol::messages::streams_group_heartbeat_request::StreamsGroupHeartbeatRequest;
use protocol::messages::streams_group_heartbeat_response::StreamsGroupHeartbeatResponse;

/// Refuses the member.
pub(super) async fn handle(_: Context, _: StreamsGroupHeartbeatRequest) -> StreamsGroupHeartbeatResponse {
    StreamsGroupHeartbeatResponse { error_code: ErrorCode::UnsupportedVersion.code(), ..Default::default() }
}
