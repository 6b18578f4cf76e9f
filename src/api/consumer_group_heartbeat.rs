//! ConsumerGroupHeartbeat (key 68), versions 0-1.
//!
//! Groups of this kind are not served; the answer is that of a Kafka with `group.coordinator.rebalance.protocols=classic`.

use super::Context;
use model::ErrorCode;
use protocol::messages::consumer_group_heartbeat_request::ConsumerGroupHeartbeatRequest;
use protocol::messages::consumer_group_heartbeat_response::ConsumerGroupHeartbeatResponse;

/// Refuses the member.
pub(super) async fn handle(_: Context, _: ConsumerGroupHeartbeatRequest) -> ConsumerGroupHeartbeatResponse {
    ConsumerGroupHeartbeatResponse { error_code: ErrorCode::UnsupportedVersion.code(), ..Default::default() }
}
