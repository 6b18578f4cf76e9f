//! LeaveGroup: members go at once, without waiting for the end of their session; static ones can be sent away by name (KIP-345).

use super::group::{ClassicGroup, GroupState};
use super::rebalance::{complete_join_if_all_joined, rebalance_or_complete, remove_member};
use crate::command::{Reply, ReplyId};
use crate::reply::refused_leave;
use crate::turn::{Found, Turn};
use model::ErrorCode;
use protocol::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use protocol::messages::leave_group_response::{LeaveGroupResponse, MemberResponse};

pub(crate) fn leave_group(turn: &mut Turn<'_>, id: ReplyId, request: &LeaveGroupRequest) {
    let respond =
        |error_code, members| Reply::LeaveGroup(LeaveGroupResponse { error_code, members, ..Default::default() });
    if request.group_id.is_empty() {
        return turn.reply(id, respond(ErrorCode::InvalidGroupId.code(), Vec::new()));
    }
    let Found::Classic(mut group) = turn.find(&request.group_id) else {
        return turn.reply(id, refused_leave(request, ErrorCode::UnknownMemberId));
    };
    let mut members = Vec::with_capacity(request.members.len());
    for identity in &request.members {
        let code = leave(turn, &mut group, identity).err().unwrap_or_default();
        members.push(answer(identity, code));
    }
    if members.iter().any(|member| member.error_code == 0) {
        match group.state {
            GroupState::Stable | GroupState::CompletingRebalance => rebalance_or_complete(turn, &mut group),
            GroupState::PreparingRebalance => complete_join_if_all_joined(turn, &mut group),
            GroupState::Empty => {}
        }
        turn.keep(group);
    }
    turn.reply(id, respond(0, members));
}

fn answer(identity: &MemberIdentity, code: ErrorCode) -> MemberResponse {
    MemberResponse {
        member_id: identity.member_id.clone(),
        group_instance_id: identity.group_instance_id.clone(),
        error_code: code.code(),
        ..Default::default()
    }
}

fn leave(turn: &mut Turn<'_>, group: &mut ClassicGroup, identity: &MemberIdentity) -> Result<(), ErrorCode> {
    let instance = identity.group_instance_id.as_deref();
    let id = if identity.member_id.is_empty() {
        let member = instance.and_then(|instance| group.static_member(instance));
        member.cloned().ok_or(ErrorCode::UnknownMemberId)?
    } else {
        if !group.pending_join.contains(&identity.member_id) {
            group.validate_member(&identity.member_id, instance)?;
        }
        identity.member_id.clone()
    };
    remove_member(turn, group, &id);
    Ok(())
}
