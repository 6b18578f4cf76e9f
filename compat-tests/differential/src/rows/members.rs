//! Groups of several members, static members, and the requests that describe, list and delete
//! groups.

use super::coordinator;
use super::groups::{heartbeat, join, leave, one_member, protocol, sync};
use crate::run::Run;
use crate::side::Side;
use protocol::Str;
use protocol::messages::delete_groups_request::DeleteGroupsRequest;
use protocol::messages::describe_groups_request::DescribeGroupsRequest;
use protocol::messages::heartbeat_request::HeartbeatRequest;
use protocol::messages::join_group_request::JoinGroupRequest;
use protocol::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use protocol::messages::list_groups_request::ListGroupsRequest;
use protocol::messages::sync_group_request::SyncGroupRequest;

pub fn rows(run: &mut Run) {
    three(run);
    fixed(run);
    describe(run);
    list(run);
    delete(run);
}

/// Three members join one after another, each with a rebalance. Then one leaves.
fn three(run: &mut Run) {
    coordinator(run, "three");
    one_member(run, "three", "a");
    run.post(1, "the second joins", 3, |_| join("three", ""));
    run.until(
        "a rebalance",
        3,
        |side| heartbeat("three", side.text("a"), 1),
        |answer| super::code(answer, "/errorCode") == 27,
    );
    run.row("heartbeat in a rebalance", 0..=4, |side, _| heartbeat("three", side.text("a"), 1));
    run.row("sync in a rebalance", 0..=5, |side, version| sync(version, "three", side.text("a"), 1, &[]));
    run.row("described in a rebalance", [5], |_, _| described(&["three"]));
    run.post(0, "the first rejoins", 3, |side| join("three", side.text("a")));
    run.answer(1);
    run.keep("b", "/memberId");
    run.answer(0);
    run.row("described before sync", [5], |_, _| described(&["three"]));
    run.post(1, "the second syncs", 3, |side| sync(3, "three", side.text("b"), 2, &[]));
    run.post(0, "the first syncs", 3, |side| {
        let assigned = [(side.text("a"), "for a"), (side.text("b"), "for b")];
        sync(3, "three", side.text("a"), 2, &assigned)
    });
    run.answer(0);
    run.answer(1);
    run.row("described when stable", 0..=6, |_, _| described(&["three"]));
    run.post(2, "the third joins", 5, |_| join("three", ""));
    run.answer(2);
    run.keep("c", "/memberId");
    run.post(2, "the third joins with its id", 5, |side| join("three", side.text("c")));
    run.until(
        "a rebalance",
        3,
        |side| heartbeat("three", side.text("a"), 2),
        |answer| super::code(answer, "/errorCode") == 27,
    );
    run.post(0, "the first rejoins", 5, |side| join("three", side.text("a")));
    run.post(1, "the second rejoins", 5, |side| join("three", side.text("b")));
    for connection in 0..3 {
        run.answer(connection);
    }
    for (connection, name) in [(1, "b"), (2, "c")] {
        run.post(connection, &format!("{name} syncs"), 5, |side| sync(5, "three", side.text(name), 3, &[]));
    }
    run.post(0, "the first syncs", 5, |side| {
        let assigned = [(side.text("a"), "1"), (side.text("b"), "2"), (side.text("c"), "3")];
        sync(5, "three", side.text("a"), 3, &assigned)
    });
    for connection in 0..3 {
        run.answer(connection);
    }
    run.row("the third leaves", [5], |side, version| leave(version, "three", side.text("c")));
    run.row("heartbeat after that", [4], |side, _| heartbeat("three", side.text("a"), 3));
    run.row("the third's heartbeat", [4], |side, _| heartbeat("three", side.text("c"), 3));
    run.post(0, "the first rejoins", 9, |side| join("three", side.text("a")));
    run.post(1, "the second rejoins", 9, |side| join("three", side.text("b")));
    run.answer(0);
    run.answer(1);
    run.row("both leave", [5], |side, _| LeaveGroupRequest {
        group_id: "three".into(),
        members: ["a", "b"]
            .map(|name| MemberIdentity { member_id: side.text(name).into(), ..Default::default() })
            .to_vec(),
        ..Default::default()
    });
    run.row("described when empty", 0..=6, |_, _| described(&["three"]));
}

/// Static members (KIP-345): replaced, fenced, and removed by instance.
fn fixed(run: &mut Run) {
    coordinator(run, "static");
    let instance = |member: &str| JoinGroupRequest { group_instance_id: Some("i-1".into()), ..join("static", member) };
    for version in 5..=9 {
        run.row("an instance joins", [version], |_, _| instance(""));
        run.keep("old", "/memberId");
        run.keep("old generation", "/generationId");
        run.row("an instance syncs", [5], |side, _| SyncGroupRequest {
            group_instance_id: Some("i-1".into()),
            ..sync(5, "static", side.text("old"), side.int("old generation") as i32, &[(side.text("old"), "a")])
        });
        run.row("an instance joins again without its id", [version], |_, _| instance(""));
        run.keep("new", "/memberId");
        run.keep("new generation", "/generationId");
        run.row("the old one joins", [version], |side, _| instance(side.text("old")));
        run.row("the old one's heartbeat", 3..=4, |side, _| HeartbeatRequest {
            group_instance_id: Some("i-1".into()),
            ..heartbeat("static", side.text("old"), side.int("new generation") as i32)
        });
        run.row("the old one's sync", 3..=5, |side, v| SyncGroupRequest {
            group_instance_id: Some("i-1".into()),
            ..sync(v, "static", side.text("old"), side.int("new generation") as i32, &[])
        });
        run.row("the old one leaves", 3..=5, |side, _| LeaveGroupRequest {
            group_id: "static".into(),
            members: vec![MemberIdentity {
                member_id: side.text("old").into(),
                group_instance_id: Some("i-1".into()),
                ..Default::default()
            }],
            ..Default::default()
        });
        run.row("the new one's heartbeat", 3..=4, |side, _| HeartbeatRequest {
            group_instance_id: Some("i-1".into()),
            ..heartbeat("static", side.text("new"), side.int("new generation") as i32)
        });
        run.row("a stranger with the instance", [version], |_, _| instance("somebody"));
        run.row("described", [5], |_, _| described(&["static"]));
        run.row("the instance is removed", [version.min(5)], |_, _| LeaveGroupRequest {
            group_id: "static".into(),
            members: vec![MemberIdentity { group_instance_id: Some("i-1".into()), ..Default::default() }],
            ..Default::default()
        });
    }
}

pub fn described(groups: &[&str]) -> DescribeGroupsRequest {
    DescribeGroupsRequest { groups: groups.iter().map(|name| Str::from(*name)).collect(), ..Default::default() }
}

fn describe(run: &mut Run) {
    run.row("an unknown group", 0..=6, |_, _| described(&["no-such-group"]));
    run.row("an empty name", 0..=6, |_, _| described(&[""]));
    run.row("none", 0..=6, |_, _| described(&[]));
    run.row("two", 0..=6, |_, _| described(&["three", "no-such-group"]));
    run.row("one twice", 0..=6, |_, _| described(&["three", "three"]));
    run.row("authorized operations", 3..=6, |_, _| DescribeGroupsRequest {
        include_authorized_operations: true,
        ..described(&["three"])
    });
    coordinator(run, "plugin");
    run.row("joins of another type", [3], |_, _| JoinGroupRequest {
        protocol_type: "connect".into(),
        protocols: vec![protocol("one", &[1, 2, 3]), protocol("two", &[4])],
        ..join("plugin", "")
    });
    run.keep("plugged", "/memberId");
    run.row("of another type, joined", 0..=6, |_, _| described(&["plugin"]));
    run.row("of another type, syncs", [3], |side, version| {
        sync(version, "plugin", side.text("plugged"), 1, &[(side.text("plugged"), "x"), ("somebody", "y")])
    });
    run.row("of another type, stable", 0..=6, |_, _| described(&["plugin"]));
}

fn list(run: &mut Run) {
    let of = |states: &[&str], types: &[&str]| ListGroupsRequest {
        states_filter: states.iter().map(|state| Str::from(*state)).collect(),
        types_filter: types.iter().map(|kind| Str::from(*kind)).collect(),
        ..Default::default()
    };
    run.row("all", 0..=5, |_, _| of(&[], &[]));
    for states in [
        &["Stable"][..],
        &["Empty"],
        &["Stable", "Empty"],
        &["stable"],
        &["Nonsense"],
        &["Dead"],
        &["PreparingRebalance"],
        &[""],
    ] {
        run.row(&format!("states {states:?}"), 4..=5, |_, _| of(states, &[]));
    }
    for types in [
        &["classic"][..],
        &["Classic"],
        &["consumer"],
        &["share"],
        &["streams"],
        &["nonsense"],
        &["classic", "consumer"],
        &[""],
    ] {
        run.row(&format!("types {types:?}"), [5], |_, _| of(&[], types));
    }
    run.row("states and types", [5], |_, _| of(&["Empty"], &["classic"]));
}

fn delete(run: &mut Run) {
    let of = |groups: &[&str]| DeleteGroupsRequest {
        groups_names: groups.iter().map(|name| Str::from(*name)).collect(),
        ..Default::default()
    };
    for version in 0..=2 {
        let group = format!("doomed-{version}");
        coordinator(run, &group);
        one_member(run, &group, "doomed");
        run.row("with a member", [version], |_, _| of(&[&group]));
        run.row("leaves", [3], |side: &Side, v| leave(v, &group, side.text("doomed")));
        run.row("good", [version], |_, _| of(&[&group]));
        run.row("again", [version], |_, _| of(&[&group]));
        run.row("described after it", [5, 6], |_, _| described(&[&group]));
    }
    run.row("an unknown group", 0..=2, |_, _| of(&["no-such-group"]));
    run.row("an empty name", 0..=2, |_, _| of(&[""]));
    run.row("none", 0..=2, |_, _| of(&[]));
    run.row("one twice", 0..=2, |_, _| of(&["no-such-group", "no-such-group"]));
    run.row("two, one with a member", 0..=2, |_, _| of(&["plugin", "no-such-group"]));
}
