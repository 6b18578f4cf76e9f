//! SyncGroup: the leader brings the assignment, the others fetch theirs.

use super::group::{ClassicGroup, GroupState};
use super::rebalance::{set_assignments, synced};
use crate::command::{OnFailure, Reply, ReplyId};
use crate::record;
use crate::reply::sync_error;
use crate::soft::TimerKey;
use crate::turn::{Found, Turn};
use bytes::Bytes;
use model::ErrorCode;
use protocol::Str;
use protocol::messages::sync_group_request::SyncGroupRequest;
use std::collections::HashMap;

pub(crate) fn sync_group(turn: &mut Turn<'_>, id: ReplyId, request: &SyncGroupRequest) {
    if request.group_id.is_empty() {
        return turn.reply(id, sync_error(ErrorCode::InvalidGroupId));
    }
    let mut group = match turn.find(&request.group_id) {
        Found::Classic(group) if group.state != GroupState::Empty => group,
        Found::Classic(_) | Found::Carried(_) | Found::Missing => {
            return turn.reply(id, sync_error(ErrorCode::UnknownMemberId));
        }
    };
    if let Err(code) = validate(&group, request) {
        return turn.reply(id, sync_error(code));
    }
    let member = &request.member_id;
    match group.state {
        GroupState::Empty | GroupState::PreparingRebalance => {
            return turn.reply(id, sync_error(ErrorCode::RebalanceInProgress));
        }
        GroupState::CompletingRebalance => {
            park(turn, &mut group, member, id);
            no_longer_pending(turn, &mut group, member);
            if group.is_leader(member) {
                complete(turn, &mut group, id, request);
            }
        }
        GroupState::Stable => {
            turn.reply(id, Reply::SyncGroup(synced(&group, member)));
            if !group.pending_sync.contains(member) {
                return;
            }
            no_longer_pending(turn, &mut group, member);
        }
    }
    turn.keep(group);
}

/// KIP-559: a client may say which protocol it thinks it is in.
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

/// Parks a member's SyncGroup in the place of an earlier one.
pub(super) fn park(turn: &mut Turn<'_>, group: &mut ClassicGroup, member: &str, id: ReplyId) {
    let mut earlier = None;
    group.update(member, |member| earlier = member.awaiting_sync.replace(id));
    if let Some(earlier) = earlier {
        // Kafka forgets the earlier request. Whoever still waits for it is told to try again.
        turn.reply(earlier, sync_error(ErrorCode::RebalanceInProgress));
    }
}

fn no_longer_pending(turn: &mut Turn<'_>, group: &mut ClassicGroup, member: &Str) {
    group.pending_sync.remove(member);
    if group.pending_sync.is_empty() {
        turn.cancel(TimerKey::Sync(group.id.clone()));
    }
}

/// The leader's assignment goes to the log and to all that wait for it.
fn complete(turn: &mut Turn<'_>, group: &mut ClassicGroup, id: ReplyId, request: &SyncGroupRequest) {
    let assignments: HashMap<&str, &Bytes> =
        request.assignments.iter().map(|it| (it.member_id.as_str(), &it.assignment)).collect();
    set_assignments(turn, group, &assignments);
    // The record's time is that of the state before: it is written before the group counts as stable.
    turn.append_group(record::group(group));
    group.enter(GroupState::Stable, turn.wall());
    let leader = request.member_id.clone();
    turn.on_failure(OnFailure::Rebalance { group: group.id.clone(), leader, reply: id });
}
