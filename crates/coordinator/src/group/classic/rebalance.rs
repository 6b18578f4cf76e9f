//! The rebalance: moves a group from one generation to the next.

use crate::group::builder::DecisionBuilder;
use crate::group::decision::OnFailure;
use crate::group::record;
use crate::group::reply::{GroupReply, join_error, sync_error};
use crate::group::state::{ClassicGroup, GroupState, JoinTimer, Member, TimerKey};
use bytes::Bytes;
use model::ErrorCode;
use protocol::Str;
use protocol::messages::join_group_response::JoinGroupResponse;
use protocol::messages::sync_group_response::SyncGroupResponse;
use std::collections::HashMap;

/// Starts a rebalance, or continues the one in progress.
pub(crate) fn rebalance_or_complete(builder: &mut DecisionBuilder<'_>, group: &mut ClassicGroup) {
    if group.state == GroupState::PreparingRebalance {
        complete_join_if_all_joined(builder, group);
    } else {
        prepare_rebalance(builder, group);
    }
}

/// Starts a rebalance. Members learn of it from their next heartbeat. An empty group waits some
/// time for more members.
pub(crate) fn prepare_rebalance(builder: &mut DecisionBuilder<'_>, group: &mut ClassicGroup) {
    if group.state == GroupState::CompletingRebalance {
        reset_assignments(builder, group, ErrorCode::RebalanceInProgress);
    }
    group.pending_sync = imbl::OrdSet::new();
    builder.cancel(TimerKey::Sync(group.id.clone()));
    group.initial_rebalance = group.state == GroupState::Empty;
    group.enter(GroupState::PreparingRebalance, builder.wall());
    if group.initial_rebalance {
        let delay_ms = builder.config().initial_rebalance_delay_ms;
        let remaining_ms = group.rebalance_timeout_ms().saturating_sub(delay_ms).max(0);
        group.join_timer = JoinTimer::Initial { delay_ms, remaining_ms };
        builder.schedule(TimerKey::Join(group.id.clone()), i64::from(delay_ms));
    } else if group.all_joined() {
        complete_join(builder, group);
    } else {
        wait_for_joins(builder, group);
    }
}

fn wait_for_joins(builder: &mut DecisionBuilder<'_>, group: &mut ClassicGroup) {
    group.join_timer = JoinTimer::Complete;
    builder.schedule(TimerKey::Join(group.id.clone()), i64::from(group.rebalance_timeout_ms()));
}

/// Ends the join phase if all members have joined. An empty group's first join phase ends only with
/// its delay.
pub(crate) fn complete_join_if_all_joined(builder: &mut DecisionBuilder<'_>, group: &mut ClassicGroup) {
    if group.state == GroupState::PreparingRebalance && !group.initial_rebalance && group.all_joined() {
        complete_join(builder, group);
    }
}

/// Ends the join phase. Dynamic members that have not joined are removed; static members keep their
/// place.
pub(crate) fn complete_join(builder: &mut DecisionBuilder<'_>, group: &mut ClassicGroup) {
    builder.cancel(TimerKey::Join(group.id.clone()));
    remove_late(builder, group, |member| member.instance_id.is_none());
    if !group.has_candidate() {
        remove_late(builder, group, Member::repeats_a_protocol);
    }
    if !group.elect_joined_leader() && !group.members.is_empty() {
        // The remaining static members have not rejoined: they get the same time again.
        return wait_for_joins(builder, group);
    }
    if !group.has_candidate() && refuse_repeated_protocols(builder, group) {
        return wait_for_joins(builder, group);
    }
    group.next_generation(builder.wall());
    if group.state == GroupState::Empty {
        builder.append_group(record::group(group));
        builder.on_failure(OnFailure::KeepSoft(Box::new(group.clone())));
        return;
    }
    let ids: Vec<Str> = group.members.keys().cloned().collect();
    for id in ids {
        if let Some(ticket) = group.take_join(&id) {
            let response = join_response(group, &id, group.is_leader(&id));
            builder.reply(ticket, GroupReply::JoinGroup(response));
        }
        group.update(&id, |member| member.is_new = false);
        group.pending_sync.insert(id.clone());
        restart_session(builder, group, &id);
    }
    builder.schedule(TimerKey::Sync(group.id.clone()), i64::from(group.rebalance_timeout_ms()));
}

/// Removes members that have not joined.
fn remove_late(builder: &mut DecisionBuilder<'_>, group: &mut ClassicGroup, is_removed: impl Fn(&Member) -> bool) {
    let is_late = |member: &Member| member.awaiting_join.is_none() && is_removed(member);
    let late: Vec<Str> = group.members.values().filter(|it| is_late(it)).map(|it| it.id.clone()).collect();
    for id in late {
        remove_member(builder, group, &id);
    }
}

/// Refuses members that list a protocol twice, if the group has no protocol that each member lists
/// once. Kafka finds no protocol then and fails with an exception, after which the group waits for
/// ever. Here these members get Kafka's answer and are removed when the next join phase ends; the
/// others wait for that. Returns whether there was such a member.
fn refuse_repeated_protocols(builder: &mut DecisionBuilder<'_>, group: &mut ClassicGroup) -> bool {
    let repeating = group.members.values().filter(|member| member.repeats_a_protocol());
    let repeating: Vec<Str> = repeating.map(|member| member.id.clone()).collect();
    for id in &repeating {
        if let Some(ticket) = group.take_join(id) {
            builder.reply(ticket, join_error(&Str::default(), ErrorCode::UnknownServerError));
        }
    }
    !repeating.is_empty()
}

/// Returns the answer to a member of the generation.
pub(crate) fn join_response(group: &ClassicGroup, member: &Str, with_members: bool) -> JoinGroupResponse {
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

/// Removes a member: answers its parked requests and ends its session.
pub(crate) fn remove_member(builder: &mut DecisionBuilder<'_>, group: &mut ClassicGroup, id: &Str) {
    builder.cancel(TimerKey::Session(group.id.clone(), id.clone()));
    let Some(member) = group.remove(id) else { return };
    if let Some(ticket) = member.awaiting_join {
        builder.reply(ticket, join_error(&Str::default(), ErrorCode::UnknownMemberId));
    }
    if let Some(ticket) = member.awaiting_sync {
        builder.reply(ticket, sync_error(ErrorCode::UnknownMemberId));
    }
}

/// Restarts a member's session timeout.
pub(crate) fn restart_session(builder: &mut DecisionBuilder<'_>, group: &ClassicGroup, id: &Str) {
    if let Some(member) = group.members.get(id) {
        builder.schedule(TimerKey::Session(group.id.clone(), id.clone()), i64::from(member.session_timeout_ms));
    }
}

/// Clears the assignments. Members that wait for one get the error.
pub(crate) fn reset_assignments(builder: &mut DecisionBuilder<'_>, group: &mut ClassicGroup, error: ErrorCode) {
    let ids: Vec<Str> = group.members.keys().cloned().collect();
    for id in ids {
        group.update(&id, |member| member.assignment = Bytes::new());
        if let Some(ticket) = group.take_sync(&id) {
            builder.reply(ticket, sync_error(error));
            restart_session(builder, group, &id);
        }
    }
}

/// Sets every member's assignment. A member that the leader omitted gets an empty one.
pub(crate) fn set_assignments(
    builder: &mut DecisionBuilder<'_>,
    group: &mut ClassicGroup,
    assignments: &HashMap<&str, &Bytes>,
) {
    let ids: Vec<Str> = group.members.keys().cloned().collect();
    for id in ids {
        let assignment = assignments.get(id.as_str()).map(|it| Bytes::copy_from_slice(it)).unwrap_or_default();
        group.update(&id, |member| member.assignment = assignment);
        if let Some(ticket) = group.take_sync(&id) {
            builder.reply(ticket, GroupReply::SyncGroup(sync_response(group, &id)));
            restart_session(builder, group, &id);
        }
    }
}

/// Returns the answer to a member that has its assignment.
pub(crate) fn sync_response(group: &ClassicGroup, member: &str) -> SyncGroupResponse {
    SyncGroupResponse {
        protocol_type: group.protocol_type.clone(),
        protocol_name: group.protocol_name.clone(),
        assignment: group.members.get(member).map(|member| member.assignment.clone()).unwrap_or_default(),
        ..Default::default()
    }
}
