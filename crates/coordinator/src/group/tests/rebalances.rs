//! Tests of joining and syncing, and of their timeouts.

use super::{Harness, ask_to_join, code, commit, join, join_request, join_static, sync};
use crate::group::GroupTypes;
use crate::{
    BatchContext, Command, CoordinatorShard, DecisionContext, Entry, GroupConfig, GroupReply, GroupRequest, GroupShard,
    NewRecord, ReplyId,
};
use bytes::Bytes;
use metadata::image::Image;
use model::{ErrorCode, LeaderEpoch, Now, Offset, Timestamp};
use protocol::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use protocol::messages::sync_group_request::SyncGroupRequest;

/// Returns a new member id to join with.
fn id(h: &mut Harness, group: &str) -> String {
    let ticket = h.send(join(group, ""));
    h.joined(ticket).member_id.to_string()
}

#[test]
fn a_group_that_was_empty_waits_for_more_members_and_longer_while_they_come() {
    let mut h = Harness::new();
    h.config.initial_rebalance_delay_ms = 3000;
    let (a, b) = (id(&mut h, "g"), id(&mut h, "g"));
    let first = h.send(join("g", &a));
    h.advance(2000);
    let second = h.send(join("g", &b));
    h.advance(1000);
    assert_eq!(h.parked.len(), 2, "the second one came within the delay, which starts anew");
    h.advance(2999);
    assert_eq!(h.parked.len(), 2);
    h.advance(1);
    let (first, second) = (h.joined(first), h.joined(second));
    assert_eq!((first.generation_id, first.leader.as_str(), first.members.len()), (1, a.as_str(), 2));
    assert_eq!((second.generation_id, second.leader.as_str(), second.members.len()), (1, a.as_str(), 0));
    assert_eq!(h.describe("g").group_state, "CompletingRebalance");
}

#[test]
fn the_first_delay_ends_with_the_rebalance_timeout() {
    let mut h = Harness::new();
    h.config.initial_rebalance_delay_ms = 3000;
    let ticket = h.send(join("g", ""));
    let a = h.joined(ticket).member_id;
    let short =
        |member: &str| ask_to_join(JoinGroupRequest { rebalance_timeout_ms: 5000, ..join_request("g", member) });
    let first = h.send(short(&a));
    let mut later = Vec::new();
    for _ in 0..2 {
        h.advance(1000);
        let b = id(&mut h, "g");
        later.push(h.send(short(&b)));
        h.advance(1400);
    }
    assert_eq!(h.parked.len(), 3, "3000 ms, then 2000 more");
    h.advance(200);
    assert_eq!(h.parked.len(), 0);
    assert_eq!(h.joined(first).members.len(), 3);
    assert!(later.into_iter().all(|ticket| h.joined(ticket).generation_id == 1));
}

#[test]
fn members_that_do_not_rejoin_in_time_are_removed() {
    let mut h = Harness::new();
    let a = h.stable_member("g");
    let b = id(&mut h, "g");
    let joining = h.send(join("g", &b));
    for _ in 0..3 {
        h.advance(6000);
        assert_eq!(h.heartbeat("g", &a, 1), ErrorCode::RebalanceInProgress);
    }
    h.advance(2000);
    let joined = h.joined(joining);
    assert_eq!((joined.generation_id, joined.leader.as_str(), joined.members.len()), (2, b.as_str(), 1));
    assert_eq!(h.heartbeat("g", &a, 1), ErrorCode::UnknownMemberId);
}

/// Kafka counts such a member twice, finds no protocol that all members support, and fails. Its
/// group then waits for ever.
#[test]
fn a_member_that_names_a_protocol_twice_is_refused_and_removed_after_the_rebalance_timeout() {
    for instance in [None, Some("i")] {
        let mut h = Harness::new();
        let a = h.stable_member("g");
        let twice = |member: &str| {
            let named = |metadata: u8| JoinGroupRequestProtocol {
                name: "range".into(),
                metadata: Bytes::copy_from_slice(&[metadata]),
                ..Default::default()
            };
            ask_to_join(JoinGroupRequest {
                protocols: vec![named(1), named(2)],
                group_instance_id: instance.map(Into::into),
                ..join_request("g", member)
            })
        };
        let b = if instance.is_some() { String::new() } else { id(&mut h, "g") };
        let refused = h.send(twice(&b));
        let rejoining = h.send(join("g", &a));
        let refused = h.joined(refused);
        assert_eq!((code(refused.error_code), refused.member_id.as_str()), (ErrorCode::UnknownServerError, ""));
        assert!(h.parked.contains(&rejoining), "the other member waits until the offender is out");
        assert_eq!(h.describe("g").group_state, "PreparingRebalance");
        let again = h.send(twice(""));
        assert_eq!(code(h.joined(again).error_code), ErrorCode::InconsistentGroupProtocol);
        h.advance(20_000);
        let joined = h.joined(rejoining);
        assert_eq!((joined.generation_id, joined.leader.as_str(), joined.members.len()), (2, a.as_str(), 1));
        assert_eq!(joined.protocol_name.as_deref(), Some("range"));
    }
}

#[test]
fn members_that_never_sync_are_removed_after_the_rebalance_timeout() {
    let mut h = Harness::new();
    let (a, b) = (id(&mut h, "g"), id(&mut h, "g"));
    let (first, second) = (h.send(join("g", &a)), h.send(join("g", &b)));
    h.advance(0);
    assert_eq!((h.joined(first).generation_id, h.joined(second).generation_id), (1, 1));
    let ticket = h.send(sync("g", &a, 1, &[(&a, "A"), (&b, "B")]));
    assert_eq!(h.synced(ticket).assignment, "A");
    for _ in 0..3 {
        h.advance(6500);
        assert_eq!(h.heartbeat("g", &a, 1), ErrorCode::None);
        assert_eq!(h.heartbeat("g", &b, 1), ErrorCode::None);
    }
    h.advance(500);
    assert_eq!(h.heartbeat("g", &b, 1), ErrorCode::UnknownMemberId);
    assert_eq!(h.heartbeat("g", &a, 1), ErrorCode::RebalanceInProgress);
}

#[test]
fn a_follower_waits_for_the_leaders_assignment_and_gets_an_empty_one_if_it_is_left_out() {
    let mut h = Harness::new();
    let (a, b) = (id(&mut h, "g"), id(&mut h, "g"));
    let (first, second) = (h.send(join("g", &a)), h.send(join("g", &b)));
    h.advance(0);
    assert_eq!(h.joined(first).leader, a.as_str());
    assert_eq!(h.joined(second).members.len(), 0);
    let follower = h.send(sync("g", &b, 1, &[]));
    assert!(h.parked.contains(&follower));
    assert_eq!(h.commit(commit("g", &b, 1, 1)), ErrorCode::RebalanceInProgress);
    let leader = h.send(sync("g", &a, 1, &[(&a, "A")]));
    assert_eq!(h.synced(leader).assignment, "A");
    assert_eq!(h.synced(follower).assignment, "");
    assert_eq!(h.describe("g").group_state, "Stable");
}

#[test]
fn a_rebalance_ends_the_syncs_that_wait() {
    let mut h = Harness::new();
    let (a, b) = (id(&mut h, "g"), id(&mut h, "g"));
    let (first, second) = (h.send(join("g", &a)), h.send(join("g", &b)));
    h.advance(0);
    h.joined(first);
    h.joined(second);
    let follower = h.send(sync("g", &b, 1, &[]));
    assert_eq!(h.leave("g", &[(&a, None)]), [ErrorCode::None]);
    assert_eq!(code(h.synced(follower).error_code), ErrorCode::RebalanceInProgress);
    let again = h.send(join("g", &b));
    assert_eq!(h.joined(again).generation_id, 2);
}

#[test]
fn a_repeated_request_takes_the_place_of_the_first() {
    let mut h = Harness::new();
    let a = id(&mut h, "g");
    let lost = h.send(join("g", &a));
    let kept = h.send(join("g", &a));
    assert_eq!(code(h.joined(lost).error_code), ErrorCode::RebalanceInProgress);
    h.advance(0);
    assert_eq!(h.joined(kept).generation_id, 1);
    let again = h.send(join("g", &a));
    let again = h.joined(again);
    assert_eq!((again.generation_id, again.members.len()), (1, 1), "its answer was lost on the way");
}

#[test]
fn the_protocol_that_most_prefer_wins_and_ties_fall_as_in_java() {
    let mut h = Harness::new();
    let protocols = |names: &[&str]| -> Vec<JoinGroupRequestProtocol> {
        let protocol = |name: &&str| JoinGroupRequestProtocol { name: (*name).into(), ..Default::default() };
        names.iter().map(protocol).collect()
    };
    let mut rebalance = |group: &str, preferences: &[&[&str]]| {
        let tickets: Vec<ReplyId> = preferences
            .iter()
            .map(|names| {
                let mut request = join_request(group, "");
                request.protocols = protocols(names);
                let GroupRequest::JoinGroup { client, request, .. } = ask_to_join(request) else { panic!() };
                h.send(GroupRequest::JoinGroup {
                    client,
                    request,
                    require_known_member_id: false,
                    supports_skipping_assignment: false,
                })
            })
            .collect();
        h.advance(0);
        h.joined(tickets[0]).protocol_name.unwrap().to_string()
    };
    assert_eq!(rebalance("majority", &[&["range", "sticky"], &["sticky", "range"], &["sticky", "range"]]), "sticky");
    assert_eq!(rebalance("common", &[&["a", "range"], &["b", "range"]]), "range");
    // In a HashMap of both, "range" comes before "roundrobin", no matter which is inserted first.
    assert_eq!(rebalance("tie", &[&["range", "roundrobin"], &["roundrobin", "range"]]), "range");
    assert_eq!(rebalance("tie2", &[&["roundrobin", "range"], &["range", "roundrobin"]]), "range");
}

#[test]
fn what_a_joining_member_can_do_wrong() {
    let mut h = Harness::new();
    let a = h.stable_member("g");
    let none = JoinGroupRequest { protocols: Vec::new(), ..join_request("new", "") };
    let mut other = join_request("g", "");
    other.protocols[0].name = "other".into();
    let rows = [
        (join_request("", ""), ErrorCode::InvalidGroupId),
        (JoinGroupRequest { session_timeout_ms: 5999, ..join_request("g", "") }, ErrorCode::InvalidSessionTimeout),
        (JoinGroupRequest { session_timeout_ms: 1_800_001, ..join_request("g", "") }, ErrorCode::InvalidSessionTimeout),
        (join_request("g", "nobody"), ErrorCode::UnknownMemberId),
        (join_request("missing", "nobody"), ErrorCode::UnknownMemberId),
        (none, ErrorCode::InconsistentGroupProtocol),
        (other, ErrorCode::InconsistentGroupProtocol),
        (
            JoinGroupRequest { protocol_type: "connect".into(), ..join_request("g", "") },
            ErrorCode::InconsistentGroupProtocol,
        ),
        (JoinGroupRequest { group_instance_id: Some("i".into()), ..join_request("g", &a) }, ErrorCode::UnknownMemberId),
    ];
    for (request, expected) in rows {
        let ticket = h.send(ask_to_join(request.clone()));
        assert_eq!(code(h.joined(ticket).error_code), expected, "{request:?}");
    }
    assert_eq!(h.describe("g").group_state, "Stable", "none of it disturbs the group");
}

#[test]
fn what_a_syncing_member_can_do_wrong() {
    let mut h = Harness::new();
    let a = h.stable_member("g");
    let request = |change: &dyn Fn(&mut SyncGroupRequest)| {
        let GroupRequest::SyncGroup(mut request) = sync("g", &a, 1, &[]) else { panic!() };
        change(&mut request);
        GroupRequest::SyncGroup(request)
    };
    let rows = [
        (request(&|_| {}), ErrorCode::None),
        (request(&|it| it.group_id = "".into()), ErrorCode::InvalidGroupId),
        (request(&|it| it.group_id = "missing".into()), ErrorCode::UnknownMemberId),
        (request(&|it| it.member_id = "nobody".into()), ErrorCode::UnknownMemberId),
        (request(&|it| it.generation_id = 2), ErrorCode::IllegalGeneration),
        (request(&|it| it.protocol_type = Some("connect".into())), ErrorCode::InconsistentGroupProtocol),
        (request(&|it| it.protocol_name = Some("sticky".into())), ErrorCode::InconsistentGroupProtocol),
        (request(&|it| (it.protocol_type, it.protocol_name) = (None, None)), ErrorCode::None),
    ];
    for (request, expected) in rows {
        let ticket = h.send(request.clone());
        assert_eq!(code(h.synced(ticket).error_code), expected, "{request:?}");
    }
}

#[test]
fn a_leader_that_rejoins_starts_a_rebalance_and_a_follower_does_not() {
    let mut h = Harness::new();
    let (a, b) = (id(&mut h, "g"), id(&mut h, "g"));
    let (first, second) = (h.send(join("g", &a)), h.send(join("g", &b)));
    h.advance(0);
    h.joined(first);
    h.joined(second);
    let ticket = h.send(sync("g", &a, 1, &[]));
    h.synced(ticket);
    let ticket = h.send(join("g", &b));
    assert_eq!(h.joined(ticket).generation_id, 1);
    let mut changed = join_request("g", &b);
    changed.protocols[0].metadata = Bytes::from_static(b"new");
    let follower = h.send(ask_to_join(changed));
    assert_eq!(h.heartbeat("g", &a, 1), ErrorCode::RebalanceInProgress);
    let leader = h.send(join("g", &a));
    assert_eq!((h.joined(leader).generation_id, h.joined(follower).generation_id), (2, 2));
    let ticket = h.send(sync("g", &a, 2, &[]));
    h.synced(ticket);
    let leader = h.send(join("g", &a));
    assert!(h.parked.contains(&leader), "a leader sees new topics or partitions");
    assert_eq!(h.heartbeat("g", &b, 2), ErrorCode::RebalanceInProgress);
}

#[test]
fn group_max_size_holds_in_every_state() {
    let mut h = Harness::new();
    h.config.max_size = 2;
    let ids: Vec<String> = (0..3).map(|_| id(&mut h, "g")).collect();
    let tickets: Vec<ReplyId> = ids.iter().map(|member| h.send(join("g", member))).collect();
    assert_eq!(code(h.joined(tickets[2]).error_code), ErrorCode::GroupMaxSizeReached);
    h.advance(0);
    assert_eq!(h.joined(tickets[0]).members.len(), 2);
    assert_eq!(h.joined(tickets[1]).generation_id, 1);
    let ticket = h.send(join("g", ""));
    assert_eq!(code(h.joined(ticket).error_code), ErrorCode::GroupMaxSizeReached);
    let ticket = h.send(sync("g", &ids[0], 1, &[]));
    h.synced(ticket);
    let ticket = h.send(join("g", ""));
    assert_eq!(code(h.joined(ticket).error_code), ErrorCode::GroupMaxSizeReached);
    h.config.max_size = 1;
    h.fail_over();
    assert_eq!(h.heartbeat("g", &ids[0], 1), ErrorCode::RebalanceInProgress, "a group that is too large rebalances");
}

#[test]
fn fifty_members_balance_with_two_records_and_one_generation() {
    let mut h = Harness::new();
    h.config.initial_rebalance_delay_ms = 10;
    let ids: Vec<String> = (0..50).map(|_| id(&mut h, "g")).collect();
    let joins: Vec<ReplyId> = ids.iter().map(|member| h.send(join("g", member))).collect();
    h.advance(20);
    let joined: Vec<_> = joins.into_iter().map(|ticket| h.joined(ticket)).collect();
    assert!(joined.iter().all(|it| it.generation_id == 1 && it.leader == ids[0].as_str()));
    let syncs: Vec<ReplyId> = ids[1..].iter().map(|member| h.send(sync("g", member, 1, &[]))).collect();
    let assignments: Vec<(&str, &str)> = ids.iter().map(|member| (member.as_str(), member.as_str())).collect();
    let leader = h.send(sync("g", &ids[0], 1, &assignments));
    assert_eq!(h.synced(leader).assignment, ids[0].as_str());
    for (ticket, member) in syncs.into_iter().zip(&ids[1..]) {
        assert_eq!(h.synced(ticket).assignment, member.as_str());
    }
    assert_eq!(h.log.len(), 2);
}

#[test]
fn an_empty_tick_changes_nothing() {
    let mut h = Harness::new();
    h.stable_member("g");
    let before = h.log.len();
    h.command(Command::TimerDue);
    assert_eq!(h.log.len(), before);
}

/// Without the harness, which replays its log after each step.
#[test]
fn five_thousand_members_balance() {
    let config = GroupConfig { initial_rebalance_delay_ms: 0, ..Default::default() };
    let mut shard = GroupShard::new();
    let mut count = 0u64;
    let mut execute = |shard: &mut GroupShard, command: Command<GroupTypes>| {
        count += 1;
        let random = u128::from(count).to_be_bytes();
        let image = Image::default();
        let context = DecisionContext {
            now: Now::default(),
            random: &|| random,
            leader_epoch: LeaderEpoch(0),
            image: &image,
            config: &config,
        };
        let decision = shard.decide(&context, &command);
        for (offset, NewRecord { key, value }) in decision.records.into_iter().enumerate() {
            let offset = Offset(offset as i64);
            let at = BatchContext { offset, leader_epoch: LeaderEpoch(0), timestamp: Timestamp(0), producer: None };
            shard.apply(&at, Entry::Record { key, value }).unwrap();
        }
        shard.apply_soft(decision.soft);
        decision.replies
    };
    let ask = |number: u64, instance: u64| {
        Command::Request(ReplyId(number), join_static("g", "", &format!("instance-{instance}")))
    };
    for instance in 0..5000 {
        assert!(execute(&mut shard, ask(instance, instance)).is_empty());
    }
    assert!(execute(&mut shard, Command::TimerDue).is_empty(), "members have come within the delay of nothing");
    let joined = execute(&mut shard, Command::TimerDue);
    assert_eq!(joined.len(), 5000);
    let mut leader = None;
    let mut parked = 5000;
    for (_, reply) in joined {
        let GroupReply::JoinGroup(joined) = reply else { panic!("{reply:?}") };
        if joined.leader == joined.member_id {
            assert_eq!(joined.members.len(), 5000);
            leader = Some(joined.member_id);
        } else {
            parked += 1;
            let request = sync("g", &joined.member_id, 1, &[]);
            assert!(execute(&mut shard, Command::Request(ReplyId(parked), request)).is_empty());
        }
    }
    let request = sync("g", &leader.unwrap(), 1, &[]);
    assert_eq!(execute(&mut shard, Command::Request(ReplyId(0), request)).len(), 5000);
}
