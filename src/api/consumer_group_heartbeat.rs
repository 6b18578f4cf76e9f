//! ConsumerGroupHeartbeat (key 68), versions 0-1: joins, keeps alive or leaves a group of the
//! consumer protocol (KIP-848).
//!
//! - 1: may subscribe to topics by a regular expression (KIP-848), and the client chooses the
//!   member id (KIP-1082).
//!
//! Groups of this type are not served. The answer is that of a Kafka broker with
//! `group.coordinator.rebalance.protocols=classic`.

use super::Context;
use model::ErrorCode;
use protocol::messages::consumer_group_heartbeat_request::ConsumerGroupHeartbeatRequest;
use protocol::messages::consumer_group_heartbeat_response::ConsumerGroupHeartbeatResponse;

/// Refuses the member.
pub(super) async fn handle(_: Context, _: ConsumerGroupHeartbeatRequest) -> ConsumerGroupHeartbeatResponse {
    ConsumerGroupHeartbeatResponse { error_code: ErrorCode::UnsupportedVersion.code(), ..Default::default() }
}
