//! Groups of one member: JoinGroup, SyncGroup, Heartbeat and LeaveGroup in every version, and every
//! refusal.

use super::coordinator;
use crate::run::Run;
use crate::side::Side;
use bytes::Bytes;
use protocol::Str;
use protocol::messages::describe_groups_request::DescribeGroupsRequest;
use protocol::messages::heartbeat_request::HeartbeatRequest;
use protocol::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use protocol::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use protocol::messages::sync_group_request::{SyncGroupRequest, SyncGroupRequestAssignment};

/// A subscription of version 0 to the topic `p`.
const SUBSCRIPTION: &[u8] = &[0, 0, 0, 0, 0, 1, 0, 1, b'p', 0xff, 0xff, 0xff, 0xff];

/// Returns a request to join with one protocol.
pub fn join(group: &str, member: &str) -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: group.into(),
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: 5_000,
        member_id: member.into(),
        protocol_type: "consumer".into(),
        protocols: vec![protocol("range", SUBSCRIPTION)],
        ..Default::default()
    }
}

pub fn protocol(name: &str, metadata: &'static [u8]) -> JoinGroupRequestProtocol {
    JoinGroupRequestProtocol { name: name.into(), metadata: Bytes::from_static(metadata), ..Default::default() }
}

/// Returns a request to sync, with assignments by member.
pub fn sync(version: i16, group: &str, member: &str, generation: i32, assigned: &[(&str, &str)]) -> SyncGroupRequest {
    let one = |(member, bytes): &(&str, &str)| SyncGroupRequestAssignment {
        member_id: (*member).into(),
        assignment: Bytes::copy_from_slice(bytes.as_bytes()),
        ..Default::default()
    };
    SyncGroupRequest {
        group_id: group.into(),
        generation_id: generation,
        member_id: member.into(),
        protocol_type: (version >= 5).then(|| Str::from("consumer")),
        protocol_name: (version >= 5).then(|| Str::from("range")),
        assignments: assigned.iter().map(one).collect(),
        ..Default::default()
    }
}

pub fn heartbeat(group: &str, member: &str, generation: i32) -> HeartbeatRequest {
    HeartbeatRequest {
        group_id: group.into(),
        generation_id: generation,
        member_id: member.into(),
        ..Default::default()
    }
}

pub fn leave(version: i16, group: &str, member: &str) -> LeaveGroupRequest {
    let listed = MemberIdentity { member_id: member.into(), ..Default::default() };
    LeaveGroupRequest {
        group_id: group.into(),
        member_id: if version < 3 { member.into() } else { Str::default() },
        members: if version < 3 { Vec::new() } else { vec![listed] },
        ..Default::default()
    }
}

/// Creates a group of one member in its first generation. The member's id is kept under `kept`.
pub fn one_member(run: &mut Run, group: &str, kept: &str) {
    run.row("joins", [3], |_, _| join(group, ""));
    run.keep(kept, "/memberId");
    run.row("syncs", [3], |side, version| sync(version, group, side.text(kept), 1, &[(side.text(kept), "assigned")]));
}

pub fn rows(run: &mut Run) {
    coordinator(run, "warm");
    lives(run);
    full(run);
    refused(run);
    strangers(run);
    generations(run);
}

/// A whole group life in each version of each request.
fn lives(run: &mut Run) {
    for version in 0..=9 {
        let group = format!("life-{version}");
        let me = format!("member of {group}");
        coordinator(run, &group);
        run.row("joins", [version], |_, _| join(&group, ""));
        run.keep(&me, "/memberId");
        if version >= 4 {
            run.row("joins with its id", [version], |side, _| join(&group, side.text(&me)));
        }
        let (syncs, beats, leaves) = (version.min(5), version.min(4), version.min(5));
        run.row("heartbeat before sync", [beats], |side, _| heartbeat(&group, side.text(&me), 1));
        run.row("syncs", [syncs], |side, v| sync(v, &group, side.text(&me), 1, &[(side.text(&me), "a")]));
        run.row("syncs again", [syncs], |side, v| sync(v, &group, side.text(&me), 1, &[(side.text(&me), "b")]));
        run.row("heartbeat", [beats], |side, _| heartbeat(&group, side.text(&me), 1));
        run.row("rejoins as it is", [version], |side, _| join(&group, side.text(&me)));
        run.row("rejoins with another subscription", [version], |side, _| JoinGroupRequest {
            protocols: vec![protocol("range", &[0, 1]), protocol("other", &[])],
            ..join(&group, side.text(&me))
        });
        run.row("heartbeat of the old generation", [beats], |side, _| heartbeat(&group, side.text(&me), 1));
        run.row("syncs in the third generation", [syncs], |side, v| {
            sync(v, &group, side.text(&me), 3, &[(side.text(&me), "c")])
        });
        run.row("leaves", [leaves], |side, v| leave(v, &group, side.text(&me)));
        run.row("heartbeat after leaving", [beats], |side, _| heartbeat(&group, side.text(&me), 3));
        run.row("leaves again", [leaves], |side, v| leave(v, &group, side.text(&me)));
        run.row("rejoins after leaving", [version], |side, _| join(&group, side.text(&me)));
    }
}

fn refused(run: &mut Run) {
    coordinator(run, "refused");
    let all = 0..=9;
    run.row("an empty group", all.clone(), |_, _| join("", ""));
    run.row("an unknown member", all.clone(), |_, _| join("refused", "somebody"));
    run.row("an unknown member of a new group", all.clone(), |_, version| join(&format!("new-{version}"), "somebody"));
    for timeout in [0, -1, 5999, 1_800_001, i32::MAX, i32::MIN] {
        run.row(&format!("a session timeout of {timeout}"), all.clone(), |_, _| JoinGroupRequest {
            session_timeout_ms: timeout,
            ..join("refused", "")
        });
    }
    run.row("no protocol", all.clone(), |_, _| JoinGroupRequest { protocols: Vec::new(), ..join("refused", "") });
    run.row("no protocol type", all.clone(), |_, _| JoinGroupRequest {
        protocol_type: Str::default(),
        ..join("refused", "")
    });
    let long = "i".repeat(250);
    for (index, instance) in ["", ".", "a b", "ä", &long].into_iter().enumerate() {
        let shown: String = instance.chars().take(20).collect();
        run.row(&format!("instance {shown:?}"), 5..=9, |_, version| JoinGroupRequest {
            group_instance_id: Some(instance.into()),
            ..join(&format!("instance-{index}-{version}"), "")
        });
    }
    coordinator(run, "typed");
    one_member(run, "typed", "member of typed");
    run.row("another protocol type", all.clone(), |_, _| JoinGroupRequest {
        protocol_type: "connect".into(),
        ..join("typed", "")
    });
    run.row("no protocol in common", all.clone(), |_, _| JoinGroupRequest {
        protocols: vec![protocol("none of theirs", &[])],
        ..join("typed", "")
    });
    run.row("a protocol twice", all, |side, _| JoinGroupRequest {
        protocols: vec![protocol("range", &[1]), protocol("range", &[2])],
        ..join("typed", side.text("member of typed"))
    });
    run.row("leaves", [3], |side, version| leave(version, "typed", side.text("member of typed")));
}

/// A group with a limit of three members, of which three wait for the first one to rejoin.
fn full(run: &mut Run) {
    coordinator(run, "full");
    run.row("the first joins", [3], |_, _| join("full", ""));
    for connection in 1..=3u32 {
        run.post(connection, "one more joins", 3, |_| join("full", ""));
        let described = |_: &Side| DescribeGroupsRequest { groups: vec!["full".into()], ..Default::default() };
        run.until("another member", 5, described, |answer| {
            let members = answer.pointer("/groups/0/members").and_then(serde_json::Value::as_array);
            members.is_some_and(|list| list.len() as u32 == connection + 1)
        });
    }
    for version in 0..=9 {
        run.post(4, "one too many joins", version, |_| join("full", ""));
        run.answer(4);
    }
    // The next leader depends on random ids.
    for connection in 1..=3 {
        run.hang_up(connection);
    }
}

/// Requests of unknown members and groups.
fn strangers(run: &mut Run) {
    coordinator(run, "empty-group");
    for group in ["", "no-such-group", "empty-group"] {
        run.row(&format!("sync in {group:?}"), 0..=5, |_, version| sync(version, group, "somebody", 1, &[]));
        run.row(&format!("heartbeat in {group:?}"), 0..=4, |_, _| heartbeat(group, "somebody", 1));
        run.row(&format!("leave {group:?}"), 0..=5, |_, version| leave(version, group, "somebody"));
        run.row(&format!("leave {group:?} without an id"), 0..=5, |_, version| leave(version, group, ""));
        run.row(&format!("instance's heartbeat in {group:?}"), 3..=4, |_, _| HeartbeatRequest {
            group_instance_id: Some("i".into()),
            ..heartbeat(group, "somebody", 1)
        });
        run.row(&format!("instance's sync in {group:?}"), 3..=5, |_, version| SyncGroupRequest {
            group_instance_id: Some("i".into()),
            ..sync(version, group, "somebody", 1, &[])
        });
        run.row(&format!("instance leaves {group:?}"), 3..=5, |_, _| LeaveGroupRequest {
            group_id: group.into(),
            members: vec![MemberIdentity { group_instance_id: Some("i".into()), ..Default::default() }],
            ..Default::default()
        });
    }
    run.row("nobody leaves", 3..=5, |_, _| LeaveGroupRequest { group_id: "empty-group".into(), ..Default::default() });
}

/// Wrong generations, protocols and members of a live group.
fn generations(run: &mut Run) {
    let me = "member of alive";
    coordinator(run, "alive");
    one_member(run, "alive", me);
    let text = |side: &Side| side.text(me).to_string();
    for generation in [0, 2, -1, i32::MAX] {
        run.row(&format!("heartbeat of generation {generation}"), 0..=4, |side, _| {
            heartbeat("alive", &text(side), generation)
        });
        run.row(&format!("sync of generation {generation}"), 0..=5, |side, version| {
            sync(version, "alive", &text(side), generation, &[])
        });
    }
    run.row("heartbeat of nobody", 0..=4, |_, _| heartbeat("alive", "", 1));
    run.row("heartbeat of a stranger", 0..=4, |_, _| heartbeat("alive", "somebody", 1));
    run.row("heartbeat of an instance that is none", 3..=4, |side, _| HeartbeatRequest {
        group_instance_id: Some("i".into()),
        ..heartbeat("alive", &text(side), 1)
    });
    run.row("sync of a stranger", 0..=5, |_, version| sync(version, "alive", "somebody", 1, &[]));
    run.row("sync of another protocol type", [5], |side, version| SyncGroupRequest {
        protocol_type: Some("connect".into()),
        ..sync(version, "alive", &text(side), 1, &[])
    });
    run.row("sync of another protocol", [5], |side, version| SyncGroupRequest {
        protocol_name: Some("other".into()),
        ..sync(version, "alive", &text(side), 1, &[])
    });
    run.row("sync of no protocol", [5], |side, version| SyncGroupRequest {
        protocol_type: None,
        protocol_name: None,
        ..sync(version, "alive", &text(side), 1, &[])
    });
    run.row("sync without what version 5 wants", [5], |side, version| SyncGroupRequest {
        protocol_name: None,
        ..sync(version, "alive", &text(side), 1, &[])
    });
    run.row("two leave, one a stranger", 3..=4, |_, _| LeaveGroupRequest {
        group_id: "alive".into(),
        members: vec![
            MemberIdentity { member_id: "somebody".into(), ..Default::default() },
            MemberIdentity { group_instance_id: Some("i".into()), ..Default::default() },
        ],
        ..Default::default()
    });
    run.row("leaves with a reason", [5], |side, _| LeaveGroupRequest {
        group_id: "alive".into(),
        members: vec![MemberIdentity {
            member_id: text(side).into(),
            reason: Some("done".into()),
            ..Default::default()
        }],
        ..Default::default()
    });
}
