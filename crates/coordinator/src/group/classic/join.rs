//! JoinGroup: a member asks to be part of the next generation, and waits until there is one.

use super::group::{ClassicGroup, GroupState};
use super::member::{Member, own_protocols};
use super::rebalance::{
    complete_join_if_all_joined, joined, prepare_rebalance, rebalance_or_complete, remove_member, restart_session,
};
use crate::command::{Client, Reply, ReplyId};
use crate::record;
use crate::reply::{join_error, sync_error};
use crate::soft::TimerKey;
use crate::turn::{Found, Turn};
use bytes::Bytes;
use model::ErrorCode;
use protocol::Str;
use protocol::messages::join_group_request::JoinGroupRequest;

/// How long a member that has just joined may wait for its first generation, in milliseconds: a client that is gone may leave nothing else behind.
const NEW_MEMBER_JOIN_TIMEOUT_MS: i64 = 300_000;

/// A JoinGroup as it came.
pub(crate) struct Ask<'a> {
    pub(crate) id: ReplyId,
    pub(crate) client: &'a Client,
    pub(crate) request: &'a JoinGroupRequest,
    pub(crate) require_known_member_id: bool,
    pub(crate) supports_skipping_assignment: bool,
}

impl Ask<'_> {
    /// An answer that names the member as the request did.
    fn refuse(&self, turn: &mut Turn<'_>, code: ErrorCode) {
        turn.reply(self.id, join_error(&self.request.member_id, code));
    }

    /// An answer that names no member.
    fn refuse_unknown(&self, turn: &mut Turn<'_>, code: ErrorCode) {
        turn.reply(self.id, join_error(&Str::default(), code));
    }

    fn is_supported_by(&self, group: &ClassicGroup) -> bool {
        group.supports(&self.request.protocol_type, &self.request.protocols)
    }
}

pub(crate) fn join_group(turn: &mut Turn<'_>, ask: &Ask<'_>) {
    let (request, config) = (ask.request, turn.config());
    if request.group_id.is_empty() {
        return ask.refuse(turn, ErrorCode::InvalidGroupId);
    }
    if !(config.min_session_timeout_ms..=config.max_session_timeout_ms).contains(&request.session_timeout_ms) {
        return ask.refuse(turn, ErrorCode::InvalidSessionTimeout);
    }
    let unknown = request.member_id.is_empty();
    let (mut group, is_created) = match turn.find(&request.group_id) {
        Found::Classic(group) => (group, false),
        Found::Carried(carried) if !carried.gives_way() => {
            return ask.refuse_unknown(turn, ErrorCode::InconsistentGroupProtocol);
        }
        Found::Missing | Found::Carried(_) if !unknown => return ask.refuse(turn, ErrorCode::UnknownMemberId),
        // A consumer or streams group that everybody has left becomes a classic one, and keeps its offsets.
        Found::Missing | Found::Carried(_) => {
            (Box::new(ClassicGroup::created(request.group_id.clone(), turn.wall())), true)
        }
    };
    if !has_room(&group, &request.member_id, config.max_size) {
        remove_member(turn, &mut group, &request.member_id);
        ask.refuse_unknown(turn, ErrorCode::GroupMaxSizeReached);
    } else if unknown {
        join_new(turn, ask, &mut group);
    } else {
        join_known(turn, ask, &mut group);
    }
    if is_created && !turn.has_records() {
        turn.append_group(record::new_group(&group));
    }
    turn.keep(group);
}

/// Whether one more may join. In the join phase those count that have joined already.
fn has_room(group: &ClassicGroup, member: &str, max_size: usize) -> bool {
    let known = group.members.get(member);
    match group.state {
        GroupState::Empty => true,
        GroupState::PreparingRebalance => {
            known.is_some_and(|it| it.awaiting_join.is_some()) || group.awaiting_join_count() < max_size
        }
        GroupState::CompletingRebalance | GroupState::Stable => known.is_some() || group.members.len() < max_size,
    }
}

/// A member without an id.
fn join_new(turn: &mut Turn<'_>, ask: &Ask<'_>, group: &mut ClassicGroup) {
    if !ask.is_supported_by(group) {
        return ask.refuse_unknown(turn, ErrorCode::InconsistentGroupProtocol);
    }
    let prefix = ask.request.group_instance_id.as_ref().unwrap_or(&ask.client.id);
    let id = Str::from(format!("{prefix}-{}", turn.random_uuid()));
    match &ask.request.group_instance_id {
        Some(instance) => match group.static_member(instance).cloned() {
            Some(old) => replace_static(turn, ask, group, instance, &old, &id),
            None => add_member(turn, ask, group, id),
        },
        None if ask.require_known_member_id => {
            // KIP-394: clients that give up before they learn their id would leave members behind.
            group.pending_join.insert(id.clone());
            let session = TimerKey::Session(group.id.clone(), id.clone());
            turn.schedule(session, i64::from(ask.request.session_timeout_ms));
            turn.reply(ask.id, join_error(&id, ErrorCode::MemberIdRequired));
        }
        None => add_member(turn, ask, group, id),
    }
}

/// A member that names its id.
fn join_known(turn: &mut Turn<'_>, ask: &Ask<'_>, group: &mut ClassicGroup) {
    let (request, id) = (ask.request, &ask.request.member_id);
    if !ask.is_supported_by(group) {
        return ask.refuse(turn, ErrorCode::InconsistentGroupProtocol);
    }
    if group.pending_join.contains(id) {
        if request.group_instance_id.is_some() {
            // A static member never gets an id in advance.
            return ask.refuse_unknown(turn, ErrorCode::UnknownServerError);
        }
        return add_member(turn, ask, group, id.clone());
    }
    if let Err(code) = group.validate_member(id, request.group_instance_id.as_deref()) {
        return ask.refuse(turn, code);
    }
    let unchanged = group.members.get(id).is_some_and(|member| member.matches(&request.protocols));
    match group.state {
        GroupState::PreparingRebalance => update_member(turn, ask, group, id),
        // Its answer was lost on the way.
        GroupState::CompletingRebalance if unchanged => {
            turn.reply(ask.id, Reply::JoinGroup(joined(group, id, group.is_leader(id))));
        }
        // A leader that joins again wants a new assignment: what it saw of the topics has changed.
        GroupState::Stable if unchanged && !group.is_leader(id) => {
            turn.reply(ask.id, Reply::JoinGroup(joined(group, id, false)));
        }
        GroupState::CompletingRebalance | GroupState::Stable => update_member(turn, ask, group, id),
        GroupState::Empty => ask.refuse(turn, ErrorCode::UnknownMemberId),
    }
}

fn add_member(turn: &mut Turn<'_>, ask: &Ask<'_>, group: &mut ClassicGroup, id: Str) {
    let request = ask.request;
    if group.state == GroupState::PreparingRebalance && group.initial_rebalance {
        group.new_member_added = true;
    }
    if group.members.is_empty() {
        group.protocol_type = Some(request.protocol_type.clone());
    }
    group.insert(Member {
        id: id.clone(),
        instance_id: request.group_instance_id.clone(),
        client: ask.client.clone(),
        rebalance_timeout_ms: request.rebalance_timeout_ms,
        session_timeout_ms: request.session_timeout_ms,
        protocols: own_protocols(&request.protocols),
        assignment: Bytes::new(),
        awaiting_join: Some(ask.id),
        awaiting_sync: None,
        is_new: true,
    });
    turn.schedule(TimerKey::Session(group.id.clone(), id), NEW_MEMBER_JOIN_TIMEOUT_MS);
    rebalance_or_complete(turn, group);
}

/// Takes a member's new protocols and timeouts, and parks its JoinGroup in the place of an earlier one.
fn park(turn: &mut Turn<'_>, ask: &Ask<'_>, group: &mut ClassicGroup, id: &Str) {
    let Some(member) = group.members.get(id) else { return };
    let mut member = Member::clone(member);
    if let Some(earlier) = member.awaiting_join.replace(ask.id) {
        // Kafka forgets the earlier request. Whoever still waits for it is told to try again.
        turn.reply(earlier, join_error(id, ErrorCode::RebalanceInProgress));
    }
    member.protocols = own_protocols(&ask.request.protocols);
    member.rebalance_timeout_ms = ask.request.rebalance_timeout_ms;
    member.session_timeout_ms = ask.request.session_timeout_ms;
    group.insert(member);
}

fn update_member(turn: &mut Turn<'_>, ask: &Ask<'_>, group: &mut ClassicGroup, id: &Str) {
    park(turn, ask, group, id);
    rebalance_or_complete(turn, group);
}

/// A static member is back and has forgotten its id: it gets a new one, and what was said to the old one is void (KIP-345).
fn replace_static(turn: &mut Turn<'_>, ask: &Ask<'_>, group: &mut ClassicGroup, instance: &Str, old: &Str, new: &Str) {
    let led_before = group.leader.clone().unwrap_or_default();
    let Some(was) = group.replace_static(instance, old, new) else { return };
    turn.cancel(TimerKey::Session(group.id.clone(), old.clone()));
    if let Some(ticket) = was.awaiting_join {
        turn.reply(ticket, join_error(old, ErrorCode::FencedInstanceId));
    }
    if let Some(ticket) = was.awaiting_sync {
        turn.reply(ticket, sync_error(ErrorCode::FencedInstanceId));
    }
    restart_session(turn, group, new);
    if group.pending_sync.remove(old).is_some() {
        group.pending_sync.insert(new.clone());
    }
    park(turn, ask, group, new);
    match group.state {
        GroupState::Stable if group.select_protocol() == group.protocol_name => {
            // Nothing that the others do depends on the new id: they need not know.
            group.take_join(new);
            turn.append_group(record::group(group));
            let leads = group.is_leader(new);
            let mut response = joined(group, new, leads && ask.supports_skipping_assignment);
            response.skip_assignment = leads && ask.supports_skipping_assignment;
            if !ask.supports_skipping_assignment {
                // A client that cannot skip the assignment is told of the old leader, so that it does not take itself for one.
                response.leader = led_before;
            }
            turn.reply(ask.id, Reply::JoinGroup(response));
        }
        GroupState::Stable => rebalance_or_complete(turn, group),
        GroupState::CompletingRebalance => prepare_rebalance(turn, group),
        GroupState::PreparingRebalance | GroupState::Empty => complete_join_if_all_joined(turn, group),
    }
}
