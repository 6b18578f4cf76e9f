//! SyncGroup: the leader sends the assignment, and the other members fetch theirs.

use super::rebalance::{set_assignments, sync_response};
use crate::group::builder::{DecisionBuilder, StoredOrLiveGroup};
use crate::group::decision::OnFailure;
use crate::group::record;
use crate::group::reply::{GroupReply, sync_error};
use crate::group::state::{ClassicGroup, GroupState, TimerKey};
use crate::shard::ReplyId;
use bytes::Bytes;
use model::ErrorCode;
use protocol::Str;
use protocol::messages::sync_group_request::SyncGroupRequest;
use std::collections::HashMap;

pub(crate) fn sync_group(builder: &mut DecisionBuilder<'_>, id: ReplyId, request: &SyncGroupRequest) {
    if request.group_id.is_empty() {
        return builder.reply(id, sync_error(ErrorCode::InvalidGroupId));
    }
    let mut group = match builder.find_group(&request.group_id) {
        StoredOrLiveGroup::Classic(group) if group.state != GroupState::Empty => group,
        StoredOrLiveGroup::Classic(_) | StoredOrLiveGroup::Carried(_) | StoredOrLiveGroup::Missing => {
            return builder.reply(id, sync_error(ErrorCode::UnknownMemberId));
        }
    };
    if let Err(code) = validate(&group, request) {
        return builder.reply(id, sync_error(code));
    }
    let member = &request.member_id;
    match group.state {
        GroupState::Empty | GroupState::PreparingRebalance => {
            return builder.reply(id, sync_error(ErrorCode::RebalanceInProgress));
        }
        GroupState::CompletingRebalance => {
            park(builder, &mut group, member, id);
            no_longer_pending(builder, &mut group, member);
            if group.is_leader(member) {
                complete(builder, &mut group, id, request);
            }
        }
        GroupState::Stable => {
            builder.reply(id, GroupReply::SyncGroup(sync_response(&group, member)));
            if !group.pending_sync.contains(member) {
                return;
            }
            no_longer_pending(builder, &mut group, member);
        }
    }
    builder.keep_group(group);
}

/// Checks the protocol that a client may send (KIP-559).
fn validate(group: &ClassicGroup, request: &SyncGroupRequest) -> Result<(), ErrorCode> {
    let differs = |its: &Option<Str>, own: &Option<Str>| its.is_some() && own.is_some() && its != own;
    group.validate_member(&request.member_id, request.group_instance_id.as_deref())?;
    if request.generation_id != group.generation {
        Err(ErrorCode::IllegalGeneration)
    } else if differs(&request.protocol_type, &group.protocol_type)
        || differs(&request.protocol_name, &group.protocol_name)
    {
        Err(ErrorCode::InconsistentGroupProtocol)
    } else {
        Ok(())
    }
}

/// Parks a member's SyncGroup in place of an earlier one.
pub(crate) fn park(builder: &mut DecisionBuilder<'_>, group: &mut ClassicGroup, member: &str, id: ReplyId) {
    let mut earlier = None;
    group.update(member, |member| earlier = member.awaiting_sync.replace(id));
    if let Some(earlier) = earlier {
        // Kafka drops the earlier request without an answer. Here its sender is told to rejoin.
        builder.reply(earlier, sync_error(ErrorCode::RebalanceInProgress));
    }
}

fn no_longer_pending(builder: &mut DecisionBuilder<'_>, group: &mut ClassicGroup, member: &Str) {
    group.pending_sync.remove(member);
    if group.pending_sync.is_empty() {
        builder.cancel(TimerKey::Sync(group.id.clone()));
    }
}

/// Writes the leader's assignment to the log and sends it to the members that wait for it.
fn complete(builder: &mut DecisionBuilder<'_>, group: &mut ClassicGroup, id: ReplyId, request: &SyncGroupRequest) {
    let assignments: HashMap<&str, &Bytes> =
        request.assignments.iter().map(|it| (it.member_id.as_str(), &it.assignment)).collect();
    set_assignments(builder, group, &assignments);
    // The record has the timestamp of the previous state, because it is written before the group
    // becomes stable.
    builder.append_group(record::group(group));
    group.enter(GroupState::Stable, builder.wall());
    let leader = request.member_id.clone();
    builder.on_failure(OnFailure::Rebalance { group: group.id.clone(), leader, reply: id });
}
