//! The start of a leadership, and appends that fail.

use crate::group::builder::{DecisionBuilder, StoredOrLiveGroup};
use crate::group::classic::rebalance::{prepare_rebalance, rebalance_or_complete, reset_assignments, restart_session};
use crate::group::classic::sync;
use crate::group::decision::{GroupTypes, OnFailure};
use crate::group::offsets::expire;
use crate::group::reply::{GroupReply, append_error, join_error};
use crate::group::request::GroupRequest;
use crate::group::state::{ClassicGroup, GroupState, SoftChange, StoredGroup, TimerKey};
use crate::shard::{ReplyId, Unappended};
use model::ErrorCode;
use protocol::Str;

/// Starts a session for each member of the replayed groups, and the search for expired offsets.
pub(crate) fn loaded(builder: &mut DecisionBuilder<'_>) {
    for (id, stored) in &builder.state.groups {
        let StoredGroup::Classic(value) = stored else { continue };
        if value.as_ref().is_none_or(|value| value.members.is_empty()) {
            continue;
        }
        let mut group = Box::new(ClassicGroup::from_stored(id.clone(), value.as_deref()));
        for member in group.members.keys() {
            restart_session(builder, &group, member);
        }
        if group.members.len() > builder.config().max_size {
            prepare_rebalance(builder, &mut group);
        }
        builder.change(SoftChange::Group(group));
    }
    expire::schedule(builder);
}

/// Handles records that could not be appended. In most cases nothing else changes, and the client
/// gets an error. But removed members stay removed, and a lost assignment is requested again.
pub(crate) fn append_failed(builder: &mut DecisionBuilder<'_>, failed: &Unappended<GroupTypes>, error: ErrorCode) {
    let asked = failed.request().map(|(id, request)| (id, refusal(request, error)));
    match &failed.decision.on_failure {
        OnFailure::Refuse => {
            if let Some((id, reply)) = asked {
                builder.reply(id, reply);
            } else {
                // The next search for expired offsets is still scheduled.
                let is_search = |it: &&SoftChange| matches!(it, SoftChange::SetTimer(TimerKey::Expire, _));
                builder.take_over(failed.decision.soft.iter().filter(is_search).cloned().collect(), Vec::new());
            }
        }
        OnFailure::KeepSoft(emptied) => keep_soft(builder, failed, emptied, asked),
        OnFailure::Rebalance { group, leader, reply } => {
            lose_assignment(builder, group, leader, *reply, append_error(error))
        }
    }
}

fn refusal(request: &GroupRequest, error: ErrorCode) -> GroupReply {
    match request {
        GroupRequest::JoinGroup { .. } => join_error(&Str::default(), append_error(error)),
        GroupRequest::EndTransaction { .. } => request.refused(error),
        other => other.refused(append_error(error)),
    }
}

/// Keeps the group as empty although the log does not say so.
fn keep_soft(
    builder: &mut DecisionBuilder<'_>,
    failed: &Unappended<GroupTypes>,
    emptied: &ClassicGroup,
    asked: Option<(ReplyId, GroupReply)>,
) {
    let own = asked.as_ref().map(|(id, _)| *id);
    let others = failed.decision.replies.iter().filter(|(id, _)| Some(*id) != own).cloned().collect();
    builder.take_over(failed.decision.soft.clone(), others);
    builder.change(SoftChange::Group(Box::new(emptied.clone())));
    if let Some((id, reply)) = asked {
        builder.reply(id, reply);
    }
}

/// Handles an assignment that did not reach the log: every member that waits for it is told, and
/// rejoins.
fn lose_assignment(builder: &mut DecisionBuilder<'_>, group: &str, leader: &Str, reply: ReplyId, code: ErrorCode) {
    let StoredOrLiveGroup::Classic(mut group) = builder.find_group(group) else { return };
    if group.state != GroupState::CompletingRebalance {
        return;
    }
    sync::park(builder, &mut group, leader, reply);
    reset_assignments(builder, &mut group, code);
    rebalance_or_complete(builder, &mut group);
    builder.keep_group(group);
}
