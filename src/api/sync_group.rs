//! SyncGroup (key 14), versions 0-5: distributes the assignment of a classic group.
//!
//! - 1: adds the throttle time.
//! - 3: knows static members (KIP-345).
//! - 4: is flexible.
//! - 5: names protocol type and protocol in request and response (KIP-559).

use super::Context;
use super::authorization::{Operation, Resource};
use coordinator::{GroupReply, GroupRequest};
use model::ErrorCode;
use protocol::messages::sync_group_request::SyncGroupRequest;
use protocol::messages::sync_group_response::SyncGroupResponse;

/// Takes the leader's assignment, or waits for it.
pub(super) async fn handle(context: Context, request: SyncGroupRequest) -> SyncGroupResponse {
    let must_name_protocol = context.version >= 5;
    if must_name_protocol && (request.protocol_type.is_none() || request.protocol_name.is_none()) {
        return SyncGroupResponse { error_code: ErrorCode::InconsistentGroupProtocol.code(), ..Default::default() };
    }
    if let Err(code) = context.need(Operation::Read, Resource::Group(&request.group_id)) {
        return SyncGroupResponse { error_code: code.code(), ..Default::default() };
    }
    match context.broker.groups.request(GroupRequest::SyncGroup(request)).await {
        GroupReply::SyncGroup(response) => response,
        _ => SyncGroupResponse { error_code: ErrorCode::UnknownServerError.code(), ..Default::default() },
    }
}
