//! The rebalance: how a group gets from one generation to the next.

use super::group::{ClassicGroup, GroupState, JoinTimer};
use super::member::Member;
use crate::command::{OnFailure, Reply};
use crate::record;
use crate::reply::{join_error, sync_error};
use crate::soft::TimerKey;
use crate::turn::Turn;
use bytes::Bytes;
use model::ErrorCode;
use protocol::Str;
use protocol::messages::join_group_response::JoinGroupResponse;
use protocol::messages::sync_group_response::SyncGroupResponse;
use std::collections::HashMap;

/// Starts a rebalance, or goes on with the one under way.
pub(super) fn rebalance_or_complete(turn: &mut Turn<'_>, group: &mut ClassicGroup) {
    if group.state == GroupState::PreparingRebalance {
        complete_join_if_all_joined(turn, group);
    } else {
        prepare_rebalance(turn, group);
    }
}

/// Starts a rebalance: members learn of it from their next heartbeat. An empty group waits a while for more members to come.
pub(super) fn prepare_rebalance(turn: &mut Turn<'_>, group: &mut ClassicGroup) {
    if group.state == GroupState::CompletingRebalance {
        reset_assignments(turn, group, ErrorCode::RebalanceInProgress);
    }
    group.pending_sync = imbl::OrdSet::new();
    turn.cancel(TimerKey::Sync(group.id.clone()));
    group.initial_rebalance = group.state == GroupState::Empty;
    group.enter(GroupState::PreparingRebalance, turn.wall());
    if group.initial_rebalance {
        let delay_ms = turn.config().initial_rebalance_delay_ms;
        let remaining_ms = group.rebalance_timeout_ms().saturating_sub(delay_ms).max(0);
        group.join_timer = JoinTimer::Initial { delay_ms, remaining_ms };
        turn.schedule(TimerKey::Join(group.id.clone()), i64::from(delay_ms));
    } else if group.all_joined() {
        complete_join(turn, group);
    } else {
        wait_for_joins(turn, group);
    }
}

fn wait_for_joins(turn: &mut Turn<'_>, group: &mut ClassicGroup) {
    group.join_timer = JoinTimer::Complete;
    turn.schedule(TimerKey::Join(group.id.clone()), i64::from(group.rebalance_timeout_ms()));
}

/// Ends the join phase when everybody is there; an empty group's first one ends with its delay only.
pub(super) fn complete_join_if_all_joined(turn: &mut Turn<'_>, group: &mut ClassicGroup) {
    if group.state == GroupState::PreparingRebalance && !group.initial_rebalance && group.all_joined() {
        complete_join(turn, group);
    }
}

/// Ends the join phase: dynamic members that have not joined are out, static ones keep their place.
pub(super) fn complete_join(turn: &mut Turn<'_>, group: &mut ClassicGroup) {
    turn.cancel(TimerKey::Join(group.id.clone()));
    remove_late(turn, group, |member| member.instance_id.is_none());
    if !group.has_candidate() {
        remove_late(turn, group, Member::repeats_a_protocol);
    }
    if !group.elect_joined_leader() && !group.members.is_empty() {
        // Static members are left that have not come back: they get as long again.
        return wait_for_joins(turn, group);
    }
    if !group.has_candidate() && refuse_repeated_protocols(turn, group) {
        return wait_for_joins(turn, group);
    }
    group.next_generation(turn.wall());
    if group.state == GroupState::Empty {
        turn.append_group(record::group(group));
        turn.on_failure(OnFailure::KeepSoft(Box::new(group.clone())));
        return;
    }
    let ids: Vec<Str> = group.members.keys().cloned().collect();
    for id in ids {
        if let Some(ticket) = group.take_join(&id) {
            let response = joined(group, &id, group.is_leader(&id));
            turn.reply(ticket, Reply::JoinGroup(response));
        }
        group.update(&id, |member| member.is_new = false);
        group.pending_sync.insert(id.clone());
        restart_session(turn, group, &id);
    }
    turn.schedule(TimerKey::Sync(group.id.clone()), i64::from(group.rebalance_timeout_ms()));
}

/// Removes members that have not joined.
fn remove_late(turn: &mut Turn<'_>, group: &mut ClassicGroup, is_removed: impl Fn(&Member) -> bool) {
    let is_late = |member: &Member| member.awaiting_join.is_none() && is_removed(member);
    let late: Vec<Str> = group.members.values().filter(|it| is_late(it)).map(|it| it.id.clone()).collect();
    for id in late {
        remove_member(turn, group, &id);
    }
}

/// Refuses members that list a protocol twice, in a group where no protocol is left that each member
/// lists once. Kafka finds no protocol there and fails with an exception that leaves the group waiting
/// for ever. Here these members get Kafka's answer and are out when the join phase that follows ends;
/// the others wait for that. Gives back whether there was anyone.
fn refuse_repeated_protocols(turn: &mut Turn<'_>, group: &mut ClassicGroup) -> bool {
    let repeating = group.members.values().filter(|member| member.repeats_a_protocol());
    let repeating: Vec<Str> = repeating.map(|member| member.id.clone()).collect();
    for id in &repeating {
        if let Some(ticket) = group.take_join(id) {
            turn.reply(ticket, join_error(&Str::default(), ErrorCode::UnknownServerError));
        }
    }
    !repeating.is_empty()
}

/// The answer to a member that is part of the generation.
pub(super) fn joined(group: &ClassicGroup, member: &Str, with_members: bool) -> JoinGroupResponse {
    JoinGroupResponse {
        generation_id: group.generation,
        protocol_type: group.protocol_type.clone(),
        protocol_name: group.protocol_name.clone(),
        leader: group.leader.clone().unwrap_or_default(),
        member_id: member.clone(),
        members: if with_members { group.members_for_leader() } else { Vec::new() },
        ..Default::default()
    }
}

/// Takes a member out for good: what it waits for is answered, and its session ends.
pub(super) fn remove_member(turn: &mut Turn<'_>, group: &mut ClassicGroup, id: &Str) {
    turn.cancel(TimerKey::Session(group.id.clone(), id.clone()));
    let Some(member) = group.remove(id) else { return };
    if let Some(ticket) = member.awaiting_join {
        turn.reply(ticket, join_error(&Str::default(), ErrorCode::UnknownMemberId));
    }
    if let Some(ticket) = member.awaiting_sync {
        turn.reply(ticket, sync_error(ErrorCode::UnknownMemberId));
    }
}

/// Gives a member a session timeout from now.
pub(super) fn restart_session(turn: &mut Turn<'_>, group: &ClassicGroup, id: &Str) {
    if let Some(member) = group.members.get(id) {
        turn.schedule(TimerKey::Session(group.id.clone(), id.clone()), i64::from(member.session_timeout_ms));
    }
}

/// Takes the assignments back; who waits for one gets the error.
pub(super) fn reset_assignments(turn: &mut Turn<'_>, group: &mut ClassicGroup, error: ErrorCode) {
    let ids: Vec<Str> = group.members.keys().cloned().collect();
    for id in ids {
        group.update(&id, |member| member.assignment = Bytes::new());
        if let Some(ticket) = group.take_sync(&id) {
            turn.reply(ticket, sync_error(error));
            restart_session(turn, group, &id);
        }
    }
}

/// Gives every member its assignment, and an empty one to those that the leader has left out.
pub(super) fn set_assignments(turn: &mut Turn<'_>, group: &mut ClassicGroup, assignments: &HashMap<&str, &Bytes>) {
    let ids: Vec<Str> = group.members.keys().cloned().collect();
    for id in ids {
        let assignment = assignments.get(id.as_str()).map(|it| Bytes::copy_from_slice(it)).unwrap_or_default();
        group.update(&id, |member| member.assignment = assignment);
        if let Some(ticket) = group.take_sync(&id) {
            turn.reply(ticket, Reply::SyncGroup(synced(group, &id)));
            restart_session(turn, group, &id);
        }
    }
}

/// The answer to a member that has its assignment.
pub(super) fn synced(group: &ClassicGroup, member: &str) -> SyncGroupResponse {
    SyncGroupResponse {
        protocol_type: group.protocol_type.clone(),
        protocol_name: group.protocol_name.clone(),
        assignment: group.members.get(member).map(|member| member.assignment.clone()).unwrap_or_default(),
        ..Default::default()
    }
}
