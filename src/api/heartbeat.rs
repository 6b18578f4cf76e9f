//! Heartbeat (key 12), versions 0-4: keeps a member of a classic group alive.
//!
//! - 1: adds the throttle time.
//! - 3: knows static members (KIP-345).
//! - 4: is flexible.

use super::Context;
use super::authorization::{Operation, Resource};
use coordinator::{GroupReply, GroupRequest};
use model::ErrorCode;
use protocol::messages::heartbeat_request::HeartbeatRequest;
use protocol::messages::heartbeat_response::HeartbeatResponse;

/// Keeps a member's session alive, and tells the member about a rebalance.
pub(super) async fn handle(context: Context, request: HeartbeatRequest) -> HeartbeatResponse {
    if let Err(code) = context.need(Operation::Read, Resource::Group(&request.group_id)) {
        return HeartbeatResponse { error_code: code.code(), ..Default::default() };
    }
    match context.broker.groups.request(GroupRequest::Heartbeat(request)).await {
        GroupReply::Heartbeat(response) => response,
        _ => HeartbeatResponse { error_code: ErrorCode::UnknownServerError.code(), ..Default::default() },
    }
}
