//! Tests of members: ids, sessions, static members, and leaving.

use super::{Harness, ask_to_join, code, commit, join, join_request, join_static, sync};
use crate::CoordinatorShard;
use crate::{GroupRequest, ReplyId};
use model::ErrorCode;
use protocol::messages::heartbeat_request::HeartbeatRequest;
use protocol::messages::join_group_request::JoinGroupRequest;
use std::collections::BTreeSet;

fn id(h: &mut Harness, group: &str) -> String {
    let ticket = h.send(join(group, ""));
    h.joined(ticket).member_id.to_string()
}

#[test]
fn an_id_that_is_not_used_is_forgotten() {
    let mut h = Harness::new();
    let a = h.stable_member("g");
    let pending = id(&mut h, "g");
    assert_eq!(h.heartbeat("g", &a, 1), ErrorCode::None, "asking for an id disturbs nobody");
    for _ in 0..2 {
        h.advance(5000);
        h.heartbeat("g", &a, 1);
    }
    let ticket = h.send(join("g", &pending));
    assert_eq!(code(h.joined(ticket).error_code), ErrorCode::UnknownMemberId);
    assert_eq!(h.describe("g").group_state, "Stable");
}

#[test]
fn old_clients_join_without_a_member_id() {
    let mut h = Harness::new();
    let GroupRequest::JoinGroup { client, request, .. } = join("g", "") else { panic!() };
    let ticket = h.send(GroupRequest::JoinGroup {
        client,
        request,
        require_known_member_id: false,
        supports_skipping_assignment: false,
    });
    h.advance(0);
    let joined = h.joined(ticket);
    assert_eq!((joined.generation_id, joined.members.len()), (1, 1));
    assert!(joined.member_id.starts_with("cl-") && joined.member_id.len() == 3 + 36, "{}", joined.member_id);
}

#[test]
fn a_member_without_heartbeats_is_removed_after_its_session() {
    let mut h = Harness::new();
    let a = h.stable_member("g");
    h.advance(9999);
    assert_eq!(h.heartbeat("g", &a, 1), ErrorCode::None);
    h.advance(9999);
    assert_eq!(h.commit(commit("g", &a, 1, 7)), ErrorCode::None, "a commit is a sign of life");
    h.advance(9999);
    assert_eq!(h.heartbeat("g", &a, 1), ErrorCode::None);
    h.advance(10_000);
    assert_eq!(h.heartbeat("g", &a, 1), ErrorCode::UnknownMemberId);
    assert_eq!(h.describe("g").group_state, "Empty");
    assert!(h.shard.soft.groups.is_empty(), "the log says all there is to know of it");
}

#[test]
fn what_a_heartbeat_can_find_wrong() {
    let mut h = Harness::new();
    let a = h.stable_member("g");
    let of = |group: &str, member: &str, generation, instance: Option<&str>| {
        GroupRequest::Heartbeat(HeartbeatRequest {
            group_id: group.into(),
            member_id: member.into(),
            generation_id: generation,
            group_instance_id: instance.map(Into::into),
            ..Default::default()
        })
    };
    assert_eq!(h.commit(commit("simple", "", -1, 1)), ErrorCode::None);
    let rows = [
        (of("", &a, 1, None), ErrorCode::InvalidGroupId),
        (of("missing", &a, 1, None), ErrorCode::UnknownMemberId),
        (of("simple", &a, 1, None), ErrorCode::UnknownMemberId),
        (of("g", "nobody", 1, None), ErrorCode::UnknownMemberId),
        (of("g", &a, 1, Some("nobody")), ErrorCode::UnknownMemberId),
        (of("g", &a, 0, None), ErrorCode::IllegalGeneration),
        (of("g", &a, 1, None), ErrorCode::None),
    ];
    for (request, expected) in rows {
        match h.ask(request.clone()) {
            crate::GroupReply::Heartbeat(response) => assert_eq!(code(response.error_code), expected, "{request:?}"),
            other => panic!("{other:?}"),
        }
    }
}

/// A static leader and a static follower, stable in generation 1.
fn two_static(h: &mut Harness) -> (String, String) {
    let (first, second) = (h.send(join_static("g", "", "one")), h.send(join_static("g", "", "two")));
    h.advance(0);
    let (first, second) = (h.joined(first).member_id.to_string(), h.joined(second).member_id.to_string());
    let follower = h.send(sync("g", &second, 1, &[]));
    let leader = h.send(sync("g", &first, 1, &[(&first, "A"), (&second, "B")]));
    h.synced(follower);
    h.synced(leader);
    (first, second)
}

#[test]
fn a_static_member_that_comes_back_takes_its_place_without_a_rebalance() {
    let mut h = Harness::new();
    let (leader, follower) = two_static(&mut h);
    let ticket = h.send(join_static("g", "", "two"));
    let back = h.joined(ticket);
    assert_eq!((code(back.error_code), back.generation_id), (ErrorCode::None, 1));
    assert_ne!(back.member_id, follower.as_str());
    assert_eq!(back.leader, leader.as_str());
    assert!(!back.skip_assignment && back.members.is_empty());
    let ticket = h.send(sync("g", &back.member_id, 1, &[]));
    assert_eq!(h.synced(ticket).assignment, "B");
    assert_eq!(h.heartbeat("g", &leader, 1), ErrorCode::None);
    h.fail_over();
    let ticket = h.send(sync("g", &back.member_id, 1, &[]));
    assert_eq!(h.synced(ticket).assignment, "B", "the log knows the new id");
}

#[test]
fn a_static_leader_that_comes_back_may_skip_the_assignment() {
    let mut h = Harness::new();
    let (leader, _) = two_static(&mut h);
    let ticket = h.send(join_static("g", "", "one"));
    let back = h.joined(ticket);
    assert!(back.skip_assignment);
    assert_eq!((back.leader.as_str(), back.members.len()), (back.member_id.as_str(), 2));
    let GroupRequest::JoinGroup { client, request, .. } = join_static("g", "", "one") else { panic!() };
    let ticket = h.send(GroupRequest::JoinGroup {
        client,
        request,
        require_known_member_id: true,
        supports_skipping_assignment: false,
    });
    let again = h.joined(ticket);
    assert_eq!((again.leader, again.members.len()), (back.member_id, 0), "it must not take itself for the leader");
    assert!(again.member_id != leader.as_str() && !again.skip_assignment);
}

#[test]
fn an_id_that_lost_its_place_is_fenced() {
    let mut h = Harness::new();
    let (_, follower) = two_static(&mut h);
    let ticket = h.send(join_static("g", "", "two"));
    h.joined(ticket);
    let ticket = h.send(join_static("g", &follower, "two"));
    assert_eq!(code(h.joined(ticket).error_code), ErrorCode::FencedInstanceId);
    assert_eq!(h.leave("g", &[(&follower, Some("two"))]), [ErrorCode::FencedInstanceId]);
    let mut request = commit("g", &follower, 1, 1);
    request.group_instance_id = Some("two".into());
    assert_eq!(h.commit(request), ErrorCode::FencedInstanceId);
    assert_eq!(h.commit(commit("g", &follower, 1, 1)), ErrorCode::UnknownMemberId);
}

#[test]
fn a_static_member_that_comes_back_during_a_rebalance_is_answered_once_with_it() {
    let mut h = Harness::new();
    let first = h.send(join_static("g", "", "one"));
    let second = h.send(join_static("g", "", "one"));
    assert_eq!(code(h.joined(first).error_code), ErrorCode::FencedInstanceId);
    h.advance(0);
    let joined = h.joined(second);
    assert_eq!((joined.generation_id, joined.members.len()), (1, 1));
    let waiting = h.send(join_static("g", "", "two"));
    let ticket = h.send(join_static("g", &joined.member_id, "one"));
    assert_eq!((h.joined(waiting).generation_id, h.joined(ticket).generation_id), (2, 2));
    let follower = h.parked.len();
    assert_eq!(follower, 0);
}

#[test]
fn a_static_member_that_changes_the_protocol_or_comes_back_between_causes_a_rebalance() {
    let mut h = Harness::new();
    let (leader, _) = two_static(&mut h);
    let waiting = h.send(join_static("g", &leader, "one"));
    let back = h.send(join_static("g", "", "two"));
    assert_eq!((h.joined(waiting).generation_id, h.joined(back).generation_id), (2, 2));
    // The group waits for the assignment.
    let back = h.send(join_static("g", "", "two"));
    assert!(h.parked.contains(&back));
    assert_eq!(h.heartbeat("g", &leader, 2), ErrorCode::RebalanceInProgress);
    let ticket = h.send(join_static("g", &leader, "one"));
    assert_eq!((h.joined(ticket).generation_id, h.joined(back).generation_id), (3, 3));
}

#[test]
fn concurrent_joins_with_static_members_lose_no_member() {
    let mut h = Harness::new();
    h.config.initial_rebalance_delay_ms = 100;
    let instances: Vec<String> = (0..20).map(|number| format!("instance-{number}")).collect();
    // Every member sends two requests, the second before the first is answered, as clients do that
    // lost their connection.
    let first: Vec<ReplyId> = instances.iter().map(|it| h.send(join_static("g", "", it))).collect();
    let second: Vec<ReplyId> = instances.iter().map(|it| h.send(join_static("g", "", it))).collect();
    for ticket in first {
        assert_eq!(code(h.joined(ticket).error_code), ErrorCode::FencedInstanceId);
    }
    h.advance(200);
    let joined: Vec<_> = second.into_iter().map(|ticket| h.joined(ticket)).collect();
    let ids: BTreeSet<&str> = joined.iter().map(|it| it.member_id.as_str()).collect();
    assert_eq!(ids.len(), 20);
    let leader = joined.iter().find(|it| it.leader == it.member_id).unwrap();
    assert!(joined.iter().all(|it| it.generation_id == 1 && it.leader == leader.member_id));
    let named: BTreeSet<_> = leader.members.iter().map(|it| it.group_instance_id.as_deref().unwrap()).collect();
    assert_eq!(named, instances.iter().map(String::as_str).collect());
    assert!(leader.members.iter().all(|it| ids.contains(it.member_id.as_str())));
}

#[test]
fn a_static_member_that_does_not_rejoin_keeps_its_place_until_its_session_ends() {
    let mut h = Harness::new();
    let (_, follower) = two_static(&mut h);
    let newcomer = h.send(join_static("g", "", "three"));
    let leader = h
        .describe("g")
        .members
        .iter()
        .find(|it| it.group_instance_id.as_deref() == Some("one"))
        .unwrap()
        .member_id
        .clone();
    let rejoined = h.send(join_static("g", &leader, "one"));
    for _ in 0..4 {
        assert_eq!(h.heartbeat("g", &follower, 1), ErrorCode::RebalanceInProgress);
        h.advance(5000);
    }
    assert_eq!(h.joined(newcomer).generation_id, 2);
    assert_eq!(h.joined(rejoined).members.len(), 3, "it is given an assignment though it has not joined");
}

#[test]
fn members_leave_alone_or_together_by_id_or_by_instance() {
    let mut h = Harness::new();
    let (leader, _) = two_static(&mut h);
    let pending = id(&mut h, "g");
    let left = h.leave("g", &[("", Some("two")), ("", Some("nobody")), ("", None), (&pending, None), ("nobody", None)]);
    use ErrorCode::{None as Fine, UnknownMemberId};
    assert_eq!(left, [Fine, UnknownMemberId, UnknownMemberId, Fine, UnknownMemberId]);
    assert_eq!(h.heartbeat("g", &leader, 1), ErrorCode::RebalanceInProgress);
    assert_eq!(h.leave("missing", &[("m", None)]), [UnknownMemberId]);
    assert_eq!(h.leave("g", &[(&leader, Some("one"))]), [Fine]);
    assert_eq!(h.describe("g").group_state, "Empty");
    assert_eq!(h.delete_group("g"), Fine);
    assert!(h.list().is_empty());
}

#[test]
fn a_new_leader_of_the_partition_gives_members_a_session_from_then_on() {
    let mut h = Harness::new();
    let a = h.stable_member("g");
    let waiting = h.send(join("other", ""));
    h.joined(waiting);
    h.advance(9000);
    h.fail_over();
    h.advance(9999);
    assert_eq!(h.heartbeat("g", &a, 1), ErrorCode::None);
    assert_eq!(h.describe("g").members[0].member_assignment, "A");
}

#[test]
fn waiting_members_are_answered_when_the_leadership_ends() {
    let mut h = Harness::new();
    let a = h.stable_member("g");
    let b = id(&mut h, "g");
    let joining = h.send(join("g", &b));
    h.fail_over();
    let refused = h.joined(joining);
    assert_eq!((code(refused.error_code), refused.member_id.as_str()), (ErrorCode::NotCoordinator, b.as_str()));
    assert_eq!(h.heartbeat("g", &a, 1), ErrorCode::None);
    let ticket = h.send(ask_to_join(JoinGroupRequest { ..join_request("g", &b) }));
    assert_eq!(code(h.joined(ticket).error_code), ErrorCode::UnknownMemberId, "ids are soft, as in Kafka");
}

/// The jump of the wall clock: one day.
const DAY_MS: i64 = 86_400_000;

#[test]
fn a_wall_clock_jump_expires_no_member_and_keeps_none_alive() {
    for jump_ms in [DAY_MS, -DAY_MS] {
        let mut h = Harness::new();
        h.now += 10 * DAY_MS;
        let a = h.stable_member("g");
        let pending = id(&mut h, "g");
        h.wall_ahead_ms = jump_ms;
        h.advance(9999);
        assert_eq!(h.heartbeat("g", &a, 1), ErrorCode::None, "{jump_ms}: its session goes on");
        let joining = h.send(join("g", &pending));
        assert_eq!(h.heartbeat("g", &a, 1), ErrorCode::RebalanceInProgress, "{jump_ms}: so does that of the id");
        h.wall_ahead_ms = 0;
        let rejoining = h.send(join("g", &a));
        assert_eq!((h.joined(joining).generation_id, h.joined(rejoining).generation_id), (2, 2));
        h.wall_ahead_ms = jump_ms;
        h.advance(9999);
        assert_eq!(h.heartbeat("g", &a, 2), ErrorCode::None, "{jump_ms}: the sync phase has not ended");
        h.advance(10_000);
        assert_eq!(h.describe("g").group_state, "Empty", "{jump_ms}: silent members are out on time");
        assert_eq!(h.heartbeat("g", &a, 2), ErrorCode::UnknownMemberId);
    }
}

#[test]
fn a_wall_clock_jump_neither_ends_nor_delays_a_join_phase() {
    for jump_ms in [DAY_MS, -DAY_MS] {
        let mut h = Harness::new();
        h.now += 10 * DAY_MS;
        h.config.initial_rebalance_delay_ms = 3000;
        let a = id(&mut h, "g");
        let joining = h.send(join("g", &a));
        h.wall_ahead_ms = jump_ms;
        h.advance(2999);
        assert!(h.parked.contains(&joining));
        h.advance(1);
        assert_eq!(h.joined(joining).generation_id, 1);
        // The search for expired offsets also fires at its interval.
        let expire = h.shard.next_deadline();
        h.wall_ahead_ms = 0;
        assert_eq!(h.shard.next_deadline(), expire);
    }
}
