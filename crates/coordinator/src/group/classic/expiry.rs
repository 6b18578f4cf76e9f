//! Timers of classic groups: expired sessions, join phases that take too long, and members that
//! never send SyncGroup.

use super::rebalance::{complete_join, prepare_rebalance, rebalance_or_complete, remove_member};
use crate::group::builder::{DecisionBuilder, StoredOrLiveGroup};
use crate::group::state::{ClassicGroup, GroupState, JoinTimer, TimerKey};
use protocol::Str;

fn find(builder: &DecisionBuilder<'_>, group: &str) -> Option<Box<ClassicGroup>> {
    match builder.find_group(group) {
        StoredOrLiveGroup::Classic(group) => Some(group),
        StoredOrLiveGroup::Carried(_) | StoredOrLiveGroup::Missing => None,
    }
}

/// Removes a member whose session has expired.
pub(crate) fn session_ended(builder: &mut DecisionBuilder<'_>, group: &Str, member: &Str) {
    let Some(mut group) = find(builder, group) else { return };
    if group.pending_join.contains(member) {
        remove_member(builder, &mut group, member);
        complete_if_ready(builder, &mut group);
    } else {
        let Some(known) = group.members.get(member) else { return };
        if known.needs_no_heartbeat() {
            return;
        }
        remove_member(builder, &mut group, member);
        match group.state {
            GroupState::Stable | GroupState::CompletingRebalance => rebalance_or_complete(builder, &mut group),
            GroupState::PreparingRebalance => complete_if_ready(builder, &mut group),
            GroupState::Empty => {}
        }
    }
    builder.keep_group(group);
}

/// Unlike a join or a leave, an expired session can end the first join phase of an empty group
/// before its delay.
fn complete_if_ready(builder: &mut DecisionBuilder<'_>, group: &mut ClassicGroup) {
    if group.state == GroupState::PreparingRebalance && group.all_joined() {
        complete_join(builder, group);
    }
}

/// Handles the end of the join phase's time.
pub(crate) fn join_phase_ended(builder: &mut DecisionBuilder<'_>, group: &Str) {
    let Some(mut group) = find(builder, group) else { return };
    match group.join_timer {
        JoinTimer::Initial { delay_ms, remaining_ms } if group.new_member_added && remaining_ms != 0 => {
            // Members are still joining: wait for one more delay, up to the rebalance timeout.
            group.new_member_added = false;
            let next_ms = builder.config().initial_rebalance_delay_ms.min(remaining_ms);
            let remaining_ms = remaining_ms.saturating_sub(delay_ms).max(0);
            group.join_timer = JoinTimer::Initial { delay_ms: next_ms, remaining_ms };
            builder.schedule(TimerKey::Join(group.id.clone()), i64::from(next_ms));
        }
        JoinTimer::Initial { .. } | JoinTimer::Complete => complete_join(builder, &mut group),
    }
    builder.keep_group(group);
}

/// Removes members of the generation that have not sent SyncGroup.
pub(crate) fn sync_phase_ended(builder: &mut DecisionBuilder<'_>, group: &Str) {
    let Some(mut group) = find(builder, group) else { return };
    let is_under_way = matches!(group.state, GroupState::CompletingRebalance | GroupState::Stable);
    if !is_under_way || group.pending_sync.is_empty() {
        return;
    }
    for member in group.pending_sync.clone() {
        remove_member(builder, &mut group, &member);
    }
    prepare_rebalance(builder, &mut group);
    builder.keep_group(group);
}
