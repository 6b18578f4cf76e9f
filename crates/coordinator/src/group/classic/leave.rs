//! LeaveGroup: removes members at once, before their session expires. Static members can be removed
//! by name (KIP-345).

use super::rebalance::{complete_join_if_all_joined, rebalance_or_complete, remove_member};
use crate::group::builder::{DecisionBuilder, StoredOrLiveGroup};
use crate::group::reply::{GroupReply, refused_leave};
use crate::group::state::{ClassicGroup, GroupState};
use crate::shard::ReplyId;
use model::ErrorCode;
use protocol::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use protocol::messages::leave_group_response::{LeaveGroupResponse, MemberResponse};

pub(crate) fn leave_group(builder: &mut DecisionBuilder<'_>, id: ReplyId, request: &LeaveGroupRequest) {
    let respond =
        |error_code, members| GroupReply::LeaveGroup(LeaveGroupResponse { error_code, members, ..Default::default() });
    if request.group_id.is_empty() {
        return builder.reply(id, respond(ErrorCode::InvalidGroupId.code(), Vec::new()));
    }
    let StoredOrLiveGroup::Classic(mut group) = builder.find_group(&request.group_id) else {
        return builder.reply(id, refused_leave(request, ErrorCode::UnknownMemberId));
    };
    let mut members = Vec::with_capacity(request.members.len());
    for identity in &request.members {
        let code = leave(builder, &mut group, identity).err().unwrap_or_default();
        members.push(answer(identity, code));
    }
    if members.iter().any(|member| member.error_code == 0) {
        match group.state {
            GroupState::Stable | GroupState::CompletingRebalance => rebalance_or_complete(builder, &mut group),
            GroupState::PreparingRebalance => complete_join_if_all_joined(builder, &mut group),
            GroupState::Empty => {}
        }
        builder.keep_group(group);
    }
    builder.reply(id, respond(0, members));
}

fn answer(identity: &MemberIdentity, code: ErrorCode) -> MemberResponse {
    MemberResponse {
        member_id: identity.member_id.clone(),
        group_instance_id: identity.group_instance_id.clone(),
        error_code: code.code(),
        ..Default::default()
    }
}

fn leave(
    builder: &mut DecisionBuilder<'_>,
    group: &mut ClassicGroup,
    identity: &MemberIdentity,
) -> Result<(), ErrorCode> {
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
    remove_member(builder, group, &id);
    Ok(())
}
