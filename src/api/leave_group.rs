//! LeaveGroup (key 13), versions 0-5: removes members from a classic group.
//!
//! - 1: adds the throttle time.
//! - 3: names several members, and answers each (KIP-345).
//! - 4: is flexible.
//! - 5: gives a reason (KIP-800).

use super::Context;
use super::authorization::{Operation, Resource};
use coordinator::{GroupReply, GroupRequest};
use model::ErrorCode;
use protocol::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use protocol::messages::leave_group_response::LeaveGroupResponse;

/// Removes members from a group.
pub(super) async fn handle(context: Context, mut request: LeaveGroupRequest) -> LeaveGroupResponse {
    if let Err(code) = context.need(Operation::Read, Resource::Group(&request.group_id)) {
        return LeaveGroupResponse { error_code: code.code(), ..Default::default() };
    }
    let names_several = context.version >= 3;
    if !names_several {
        let member_id = std::mem::take(&mut request.member_id);
        request.members = vec![MemberIdentity { member_id, ..Default::default() }];
    }
    let mut response = match context.broker.groups.request(GroupRequest::LeaveGroup(request)).await {
        GroupReply::LeaveGroup(response) => response,
        _ => LeaveGroupResponse { error_code: ErrorCode::UnknownServerError.code(), ..Default::default() },
    };
    if !names_several {
        // The error of the single member becomes the error of the answer.
        let members = std::mem::take(&mut response.members);
        if response.error_code == ErrorCode::None.code() {
            response.error_code = members.first().map_or(0, |member| member.error_code);
        }
    }
    response
}
