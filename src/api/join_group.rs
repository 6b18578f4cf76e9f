//! JoinGroup (key 11), versions 0-9: joins a classic group.
//!
//! - 1: adds the rebalance timeout (KIP-62).
//! - 2: adds the throttle time.
//! - 4: answers MEMBER_ID_REQUIRED and an id to a member without one (KIP-394).
//! - 5: knows static members (KIP-345).
//! - 6: is flexible.
//! - 7: answers the protocol type (KIP-559).
//! - 8: gives a reason (KIP-800).
//! - 9: lets a static leader skip the assignment (KIP-814).
//!
//! Versions 0 and 1 stay served: Kafka 4.0 removed them and broke clients (KAFKA-19444).

use super::Context;
use super::authorization::{Operation, Resource};
use coordinator::{GroupReply, GroupRequest};
use model::ErrorCode;
use protocol::Str;
use protocol::messages::join_group_request::JoinGroupRequest;
use protocol::messages::join_group_response::JoinGroupResponse;

/// Joins a group. The answer comes when the rebalance that the join starts is complete.
pub(super) async fn handle(context: Context, mut request: JoinGroupRequest) -> JoinGroupResponse {
    if let Err(code) = context.need(Operation::Read, Resource::Group(&request.group_id)) {
        return refused(code, context.version);
    }
    let has_rebalance_timeout = context.version >= 1;
    let protocol_name_may_be_null = context.version >= 7;
    if !has_rebalance_timeout {
        request.rebalance_timeout_ms = request.session_timeout_ms;
    }
    let request = GroupRequest::JoinGroup {
        client: context.client(),
        require_known_member_id: context.version >= 4 && request.group_instance_id.is_none(),
        supports_skipping_assignment: context.version >= 9,
        request,
    };
    let mut response = match context.broker.groups.request(request).await {
        GroupReply::JoinGroup(response) => response,
        _ => JoinGroupResponse { error_code: ErrorCode::UnknownServerError.code(), ..Default::default() },
    };
    if !protocol_name_may_be_null && response.protocol_name.is_none() {
        response.protocol_name = Some(Str::default());
    }
    response
}

/// Returns the answer to a client that may not read the group.
fn refused(code: ErrorCode, version: i16) -> JoinGroupResponse {
    let protocol_name = (version < 7).then(Str::default);
    JoinGroupResponse { error_code: code.code(), protocol_name, ..Default::default() }
}
