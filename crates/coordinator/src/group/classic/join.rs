//! JoinGroup: a member asks to join the next generation, and waits until that starts.

use super::rebalance::{
    complete_join_if_all_joined, join_response, prepare_rebalance, rebalance_or_complete, remove_member,
    restart_session,
};
use crate::group::builder::{DecisionBuilder, StoredOrLiveGroup};
use crate::group::record;
use crate::group::reply::{GroupReply, join_error, sync_error};
use crate::group::request::Client;
use crate::group::state::{ClassicGroup, GroupState, Member, TimerKey, own_protocols};
use crate::shard::ReplyId;
use bytes::Bytes;
use model::ErrorCode;
use protocol::Str;
use protocol::messages::join_group_request::JoinGroupRequest;

/// How long a new member may wait for its first generation, in milliseconds. A client that
/// disconnects may leave nothing else that expires.
const NEW_MEMBER_JOIN_TIMEOUT_MS: i64 = 300_000;

/// A JoinGroup request.
pub(crate) struct JoinAttempt<'a> {
    pub(crate) id: ReplyId,
    pub(crate) client: &'a Client,
    pub(crate) request: &'a JoinGroupRequest,
    pub(crate) require_known_member_id: bool,
    pub(crate) supports_skipping_assignment: bool,
}

impl JoinAttempt<'_> {
    /// Answers with an error and the request's member id.
    fn refuse(&self, builder: &mut DecisionBuilder<'_>, code: ErrorCode) {
        builder.reply(self.id, join_error(&self.request.member_id, code));
    }

    /// Answers with an error and no member id.
    fn refuse_unknown(&self, builder: &mut DecisionBuilder<'_>, code: ErrorCode) {
        builder.reply(self.id, join_error(&Str::default(), code));
    }

    fn is_supported_by(&self, group: &ClassicGroup) -> bool {
        group.supports(&self.request.protocol_type, &self.request.protocols)
    }
}

pub(crate) fn join_group(builder: &mut DecisionBuilder<'_>, attempt: &JoinAttempt<'_>) {
    let (request, config) = (attempt.request, builder.config());
    if request.group_id.is_empty() {
        return attempt.refuse(builder, ErrorCode::InvalidGroupId);
    }
    if !(config.min_session_timeout_ms..=config.max_session_timeout_ms).contains(&request.session_timeout_ms) {
        return attempt.refuse(builder, ErrorCode::InvalidSessionTimeout);
    }
    let unknown = request.member_id.is_empty();
    let (mut group, is_created) = match builder.find_group(&request.group_id) {
        StoredOrLiveGroup::Classic(group) => (group, false),
        StoredOrLiveGroup::Carried(carried) if !carried.may_become_classic() => {
            return attempt.refuse_unknown(builder, ErrorCode::InconsistentGroupProtocol);
        }
        StoredOrLiveGroup::Missing | StoredOrLiveGroup::Carried(_) if !unknown => {
            return attempt.refuse(builder, ErrorCode::UnknownMemberId);
        }
        // An empty consumer or streams group becomes a classic one, and keeps its offsets.
        StoredOrLiveGroup::Missing | StoredOrLiveGroup::Carried(_) => {
            (Box::new(ClassicGroup::created(request.group_id.clone(), builder.wall())), true)
        }
    };
    if !accepts_joining_member(&group, &request.member_id, config.max_size) {
        remove_member(builder, &mut group, &request.member_id);
        attempt.refuse_unknown(builder, ErrorCode::GroupMaxSizeReached);
    } else if unknown {
        join_new(builder, attempt, &mut group);
    } else {
        join_known(builder, attempt, &mut group);
    }
    if is_created && !builder.has_records() {
        builder.append_group(record::new_group(&group));
    }
    builder.keep_group(group);
}

/// Whether one more member may join. In the join phase, only members that have joined already
/// count.
fn accepts_joining_member(group: &ClassicGroup, member: &str, max_size: usize) -> bool {
    let known = group.members.get(member);
    match group.state {
        GroupState::Empty => true,
        GroupState::PreparingRebalance => {
            known.is_some_and(|it| it.awaiting_join.is_some()) || group.awaiting_join_count() < max_size
        }
        GroupState::CompletingRebalance | GroupState::Stable => known.is_some() || group.members.len() < max_size,
    }
}

/// Handles a member without an id.
fn join_new(builder: &mut DecisionBuilder<'_>, attempt: &JoinAttempt<'_>, group: &mut ClassicGroup) {
    if !attempt.is_supported_by(group) {
        return attempt.refuse_unknown(builder, ErrorCode::InconsistentGroupProtocol);
    }
    let prefix = attempt.request.group_instance_id.as_ref().unwrap_or(&attempt.client.id);
    let id = Str::from(format!("{prefix}-{}", builder.random_uuid()));
    match &attempt.request.group_instance_id {
        Some(instance) => match group.static_member(instance).cloned() {
            Some(old) => replace_static(builder, attempt, group, instance, &old, &id),
            None => add_member(builder, attempt, group, id),
        },
        None if attempt.require_known_member_id => {
            // KIP-394: clients that give up before they learn their id would leave members behind.
            group.pending_join.insert(id.clone());
            let session = TimerKey::Session(group.id.clone(), id.clone());
            builder.schedule(session, i64::from(attempt.request.session_timeout_ms));
            builder.reply(attempt.id, join_error(&id, ErrorCode::MemberIdRequired));
        }
        None => add_member(builder, attempt, group, id),
    }
}

/// Handles a member that sends its id.
fn join_known(builder: &mut DecisionBuilder<'_>, attempt: &JoinAttempt<'_>, group: &mut ClassicGroup) {
    let (request, id) = (attempt.request, &attempt.request.member_id);
    if !attempt.is_supported_by(group) {
        return attempt.refuse(builder, ErrorCode::InconsistentGroupProtocol);
    }
    if group.pending_join.contains(id) {
        if request.group_instance_id.is_some() {
            // A static member never gets an id in advance.
            return attempt.refuse_unknown(builder, ErrorCode::UnknownServerError);
        }
        return add_member(builder, attempt, group, id.clone());
    }
    if let Err(code) = group.validate_member(id, request.group_instance_id.as_deref()) {
        return attempt.refuse(builder, code);
    }
    let unchanged = group.members.get(id).is_some_and(|member| member.matches(&request.protocols));
    match group.state {
        GroupState::PreparingRebalance => update_member(builder, attempt, group, id),
        // The answer to an earlier JoinGroup was lost.
        GroupState::CompletingRebalance if unchanged => {
            builder.reply(attempt.id, GroupReply::JoinGroup(join_response(group, id, group.is_leader(id))));
        }
        // A leader that rejoins wants a new assignment, because its view of the topics has changed.
        GroupState::Stable if unchanged && !group.is_leader(id) => {
            builder.reply(attempt.id, GroupReply::JoinGroup(join_response(group, id, false)));
        }
        GroupState::CompletingRebalance | GroupState::Stable => update_member(builder, attempt, group, id),
        GroupState::Empty => attempt.refuse(builder, ErrorCode::UnknownMemberId),
    }
}

fn add_member(builder: &mut DecisionBuilder<'_>, attempt: &JoinAttempt<'_>, group: &mut ClassicGroup, id: Str) {
    let request = attempt.request;
    if group.state == GroupState::PreparingRebalance && group.initial_rebalance {
        group.new_member_added = true;
    }
    if group.members.is_empty() {
        group.protocol_type = Some(request.protocol_type.clone());
    }
    group.insert(Member {
        id: id.clone(),
        instance_id: request.group_instance_id.clone(),
        client: attempt.client.clone(),
        rebalance_timeout_ms: request.rebalance_timeout_ms,
        session_timeout_ms: request.session_timeout_ms,
        protocols: own_protocols(&request.protocols),
        assignment: Bytes::new(),
        awaiting_join: Some(attempt.id),
        awaiting_sync: None,
        is_new: true,
    });
    builder.schedule(TimerKey::Session(group.id.clone(), id), NEW_MEMBER_JOIN_TIMEOUT_MS);
    rebalance_or_complete(builder, group);
}

/// Stores a member's new protocols and timeouts, and parks its JoinGroup in place of an earlier
/// one.
fn park(builder: &mut DecisionBuilder<'_>, attempt: &JoinAttempt<'_>, group: &mut ClassicGroup, id: &Str) {
    let Some(member) = group.members.get(id) else { return };
    let mut member = Member::clone(member);
    if let Some(earlier) = member.awaiting_join.replace(attempt.id) {
        // Kafka drops the earlier request without an answer. Here its sender is told to rejoin.
        builder.reply(earlier, join_error(id, ErrorCode::RebalanceInProgress));
    }
    member.protocols = own_protocols(&attempt.request.protocols);
    member.rebalance_timeout_ms = attempt.request.rebalance_timeout_ms;
    member.session_timeout_ms = attempt.request.session_timeout_ms;
    group.insert(member);
}

fn update_member(builder: &mut DecisionBuilder<'_>, attempt: &JoinAttempt<'_>, group: &mut ClassicGroup, id: &Str) {
    park(builder, attempt, group, id);
    rebalance_or_complete(builder, group);
}

/// Handles a static member that has returned without its id. It gets a new id, and requests with
/// the old id are fenced (KIP-345).
fn replace_static(
    builder: &mut DecisionBuilder<'_>,
    attempt: &JoinAttempt<'_>,
    group: &mut ClassicGroup,
    instance: &Str,
    old: &Str,
    new: &Str,
) {
    let led_before = group.leader.clone().unwrap_or_default();
    let Some(was) = group.replace_static(instance, old, new) else { return };
    builder.cancel(TimerKey::Session(group.id.clone(), old.clone()));
    if let Some(ticket) = was.awaiting_join {
        builder.reply(ticket, join_error(old, ErrorCode::FencedInstanceId));
    }
    if let Some(ticket) = was.awaiting_sync {
        builder.reply(ticket, sync_error(ErrorCode::FencedInstanceId));
    }
    restart_session(builder, group, new);
    if group.pending_sync.remove(old).is_some() {
        group.pending_sync.insert(new.clone());
    }
    park(builder, attempt, group, new);
    match group.state {
        GroupState::Stable if group.select_protocol() == group.protocol_name => {
            // The other members do not depend on the new id, so no rebalance is needed.
            group.take_join(new);
            builder.append_group(record::group(group));
            let leads = group.is_leader(new);
            let mut response = join_response(group, new, leads && attempt.supports_skipping_assignment);
            response.skip_assignment = leads && attempt.supports_skipping_assignment;
            if !attempt.supports_skipping_assignment {
                // A client that cannot skip the assignment gets the old leader's id, so that it
                // does not act as the leader.
                response.leader = led_before;
            }
            builder.reply(attempt.id, GroupReply::JoinGroup(response));
        }
        GroupState::Stable => rebalance_or_complete(builder, group),
        GroupState::CompletingRebalance => prepare_rebalance(builder, group),
        GroupState::PreparingRebalance | GroupState::Empty => complete_join_if_all_joined(builder, group),
    }
}
