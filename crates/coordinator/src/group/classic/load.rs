//! The start of a leadership, and appends that fail.

use super::group::{ClassicGroup, GroupState};
use super::rebalance::{prepare_rebalance, rebalance_or_complete, reset_assignments, restart_session};
use super::sync;
use crate::command::{OnFailure, Reply, ReplyId, Request, SoftChange, Unappended};
use crate::group::kind::StoredGroup;
use crate::offsets::expire;
use crate::reply::{append_error, join_error};
use crate::soft::TimerKey;
use crate::turn::{Found, Turn};
use model::ErrorCode;
use protocol::Str;

/// Members of the groups that the log tells of get a session each, and the search for what has expired begins.
pub(crate) fn loaded(turn: &mut Turn<'_>) {
    for (id, stored) in &turn.shard.state.groups {
        let StoredGroup::Classic(value) = stored else { continue };
        if value.as_ref().is_none_or(|value| value.members.is_empty()) {
            continue;
        }
        let mut group = Box::new(ClassicGroup::from_stored(id.clone(), value.as_deref()));
        for member in group.members.keys() {
            restart_session(turn, &group, member);
        }
        if group.members.len() > turn.config().max_size {
            prepare_rebalance(turn, &mut group);
        }
        turn.change(SoftChange::Group(group));
    }
    expire::schedule(turn);
}

/// The records of a decision are not in the log. Mostly that means that nothing has happened, and whoever asked is told; but members that are
/// gone are gone, and an assignment that is lost is made anew.
pub(crate) fn append_failed(turn: &mut Turn<'_>, failed: &Unappended, error: ErrorCode) {
    let code = append_error(error);
    let asked = failed.asked.as_ref().map(|(id, request)| (*id, refusal(request, code)));
    match &failed.decision.on_failure {
        OnFailure::Refuse => {
            if let Some((id, reply)) = asked {
                turn.reply(id, reply);
            } else {
                // What has expired is looked for again, in its own time.
                let is_search = |it: &&SoftChange| matches!(it, SoftChange::SetTimer(TimerKey::Expire, _));
                turn.take_over(failed.decision.soft.iter().filter(is_search).cloned().collect(), Vec::new());
            }
        }
        OnFailure::KeepSoft(emptied) => keep_soft(turn, failed, emptied, asked),
        OnFailure::Rebalance { group, leader, reply } => lose_assignment(turn, group, leader, *reply, code),
    }
}

fn refusal(request: &Request, code: ErrorCode) -> Reply {
    match request {
        Request::JoinGroup { .. } => join_error(&Str::default(), code),
        other => other.refused(code),
    }
}

/// The group is empty though the log does not say so.
fn keep_soft(turn: &mut Turn<'_>, failed: &Unappended, emptied: &ClassicGroup, asked: Option<(ReplyId, Reply)>) {
    let own = asked.as_ref().map(|(id, _)| *id);
    let others = failed.decision.replies.iter().filter(|(id, _)| Some(*id) != own).cloned().collect();
    turn.take_over(failed.decision.soft.clone(), others);
    turn.change(SoftChange::Group(Box::new(emptied.clone())));
    if let Some((id, reply)) = asked {
        turn.reply(id, reply);
    }
}

/// The leader's assignment did not reach the log: everybody who waits for it is told, and joins again.
fn lose_assignment(turn: &mut Turn<'_>, group: &str, leader: &Str, reply: ReplyId, code: ErrorCode) {
    let Found::Classic(mut group) = turn.find(group) else { return };
    if group.state != GroupState::CompletingRebalance {
        return;
    }
    sync::park(turn, &mut group, leader, reply);
    reset_assignments(turn, &mut group, code);
    rebalance_or_complete(turn, &mut group);
    turn.keep(group);
}
