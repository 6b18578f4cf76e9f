//! Heartbeat: keeps a member's session alive, and tells it whether it must rejoin.

use crate::group::builder::{DecisionBuilder, StoredOrLiveGroup};
use crate::group::reply::GroupReply;
use crate::group::state::{GroupState, TimerKey};
use crate::shard::ReplyId;
use model::ErrorCode;
use protocol::messages::heartbeat_request::HeartbeatRequest;
use protocol::messages::heartbeat_response::HeartbeatResponse;

pub(crate) fn heartbeat(builder: &mut DecisionBuilder<'_>, id: ReplyId, request: &HeartbeatRequest) {
    let code = decide(builder, request).err().unwrap_or_default();
    builder.reply(id, GroupReply::Heartbeat(HeartbeatResponse { error_code: code.code(), ..Default::default() }));
}

fn decide(builder: &mut DecisionBuilder<'_>, request: &HeartbeatRequest) -> Result<(), ErrorCode> {
    if request.group_id.is_empty() {
        return Err(ErrorCode::InvalidGroupId);
    }
    let StoredOrLiveGroup::Classic(group) = builder.find_group(&request.group_id) else {
        return Err(ErrorCode::UnknownMemberId);
    };
    group.validate_member(&request.member_id, request.group_instance_id.as_deref())?;
    if request.generation_id != group.generation {
        return Err(ErrorCode::IllegalGeneration);
    }
    let Some(member) = group.members.get(&request.member_id) else { return Err(ErrorCode::UnknownMemberId) };
    let session = TimerKey::Session(request.group_id.clone(), request.member_id.clone());
    match group.state {
        GroupState::Empty => Err(ErrorCode::UnknownMemberId),
        GroupState::PreparingRebalance => {
            builder.schedule(session, i64::from(member.session_timeout_ms));
            Err(ErrorCode::RebalanceInProgress)
        }
        GroupState::CompletingRebalance | GroupState::Stable => {
            builder.schedule(session, i64::from(member.session_timeout_ms));
            Ok(())
        }
    }
}
