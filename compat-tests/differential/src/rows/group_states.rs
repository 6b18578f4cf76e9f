//! What members may do in each state of their group, member ids that were assigned before joining,
//! and offsets of topics that are deleted or named twice.

use super::group_offsets::{at, commit, fetch};
use super::groups::{heartbeat, join, leave, one_member, protocol, sync};
use super::members::described;
use super::{coordinator, metadata_of, topic};
use crate::run::Run;
use crate::side::Side;
use protocol::messages::delete_groups_request::DeleteGroupsRequest;
use protocol::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use protocol::messages::heartbeat_request::HeartbeatRequest;
use protocol::messages::join_group_request::JoinGroupRequest;
use protocol::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use protocol::messages::list_groups_request::ListGroupsRequest;
use protocol::messages::offset_commit_request::OffsetCommitRequest;
use protocol::messages::offset_delete_request::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};

pub fn rows(run: &mut Run) {
    topic(run, "gs", 3, &[]);
    topic(run, "gs-b", 1, &[]);
    // The topic to which the members subscribe.
    topic(run, "p", 2, &[]);
    pending(run);
    states(run);
    protocols(run);
    leaving(run);
    topics_twice(run);
    topics_gone(run);
}

fn committed(side: &Side, group: &str, member: &str, generation: i32) -> OffsetCommitRequest {
    OffsetCommitRequest {
        member_id: member.into(),
        generation_id_or_member_epoch: generation,
        ..commit(side, group, "gs", vec![at(0, 9)])
    }
}

fn listed() -> ListGroupsRequest {
    ListGroupsRequest::default()
}

/// A member id that was assigned and has not joined.
fn pending(run: &mut Run) {
    let me = "the pending one";
    for version in [4, 9] {
        let group = format!("pending-{version}");
        coordinator(run, &group);
        run.row("asks for an id", [version], |_, _| join(&group, ""));
        run.keep(me, "/memberId");
        // Kafka answers before the group's first record is committed, but describes only committed
        // state.
        run.until(
            "a group",
            5,
            |_| described(&[&group]),
            |answer| answer.pointer("/groups/0/groupState").is_some_and(|state| state != "Dead"),
        );
        run.row("a pending member's group", 0..=6, |_, _| described(&[&group]));
        run.row("a pending member's heartbeat", 0..=4, |side, _| heartbeat(&group, side.text(me), 0));
        run.row("a pending member's sync", 0..=5, |side, v| sync(v, &group, side.text(me), 0, &[]));
        run.row("a pending member's commit", 2..=10, |side, _| committed(side, &group, side.text(me), 0));
        run.row("a simple commit beside a pending member", 2..=10, |side, _| committed(side, &group, "", -1));
        run.row("a pending member joins as an instance", 5..=9, |side, _| JoinGroupRequest {
            group_instance_id: Some("i".into()),
            ..join(&group, side.text(me))
        });
        run.row("a pending member leaves", [version.min(5)], |side, v| leave(v, &group, side.text(me)));
        run.row("a pending member leaves again", [version.min(5)], |side, v| leave(v, &group, side.text(me)));
        run.row("a pending member joins after it", [version], |side, _| join(&group, side.text(me)));
        run.row("groups", 0..=5, |_, _| listed());
        run.row("a group that nobody joined is deleted", [2], |_, _| DeleteGroupsRequest {
            groups_names: vec![group.as_str().into()],
            ..Default::default()
        });
    }
}

/// Commits, heartbeats and deletions while a group waits for its members or its leader.
fn states(run: &mut Run) {
    let group = "in-states";
    coordinator(run, group);
    run.row("joins", [3], |_, _| join(group, ""));
    run.keep("s-a", "/memberId");
    run.row("a commit before sync", 2..=10, |side, _| committed(side, group, side.text("s-a"), 1));
    run.row("a simple commit before sync", 2..=10, |side, _| committed(side, group, "", -1));
    run.row("a fetch before sync", 1..=10, |side, v| fetch(side, v, group, Some(&[("gs", &[0])])));
    run.row("a rejoin before sync", 0..=9, |side, _| join(group, side.text("s-a")));
    run.row("an offset deleted before sync", [0], |_, _| deleted(group, &[("gs", &[0])]));
    run.row("deleted before sync", [2], |_, _| DeleteGroupsRequest {
        groups_names: vec![group.into()],
        ..Default::default()
    });
    run.row("syncs", [3], |side, v| sync(v, group, side.text("s-a"), 1, &[(side.text("s-a"), "a")]));
    run.row("an offset deleted when stable", [0], |_, _| deleted(group, &[("gs", &[0]), ("p", &[0, 1, 2])]));
    run.post(1, "another joins", 3, |_| join(group, ""));
    run.until(
        "a rebalance",
        3,
        |side| heartbeat(group, side.text("s-a"), 1),
        |answer| super::code(answer, "/errorCode") == 27,
    );
    run.row("a commit in a rebalance", 2..=10, |side, _| committed(side, group, side.text("s-a"), 1));
    run.row("a commit of the next generation", 2..=10, |side, _| committed(side, group, side.text("s-a"), 2));
    run.row("an offset deleted in a rebalance", [0], |_, _| deleted(group, &[("gs", &[0]), ("p", &[0])]));
    run.row("leaves in a rebalance", [3], |side, v| leave(v, group, side.text("s-a")));
    run.answer(1);
    run.keep("s-b", "/memberId");
    run.row("a commit of who is left", 2..=10, |side, _| committed(side, group, side.text("s-b"), 2));
    run.row("who is left leaves", [3], |side, v| leave(v, group, side.text("s-b")));
    run.row("a commit after all have left", 2..=10, |side, _| committed(side, group, side.text("s-b"), 2));
    run.row("a commit of the empty generation", 2..=10, |side, _| committed(side, group, "", 3));
    run.row("a simple commit after all have left", 2..=10, |side, _| committed(side, group, "", -1));
    run.row("a commit of an instance after all have left", 7..=10, |side, _| OffsetCommitRequest {
        group_instance_id: Some("i".into()),
        ..committed(side, group, "", -1)
    });
    run.row("described after all have left", 0..=6, |_, _| described(&[group]));
    run.row("everything fetched after all have left", 2..=10, |side, v| fetch(side, v, group, None));
}

/// The protocol that a group of two gets, and members that change their protocols.
fn protocols(run: &mut Run) {
    let group = "voting";
    let with = |member: &str, names: &[&str]| JoinGroupRequest {
        protocols: names.iter().map(|name| protocol(name, &[0])).collect(),
        ..join(group, member)
    };
    coordinator(run, group);
    run.row("joins with three protocols", [3], |_, _| with("", &["x", "y", "z"]));
    run.keep("v-a", "/memberId");
    run.row("a protocol that is none", [5], |side, v| sync(v, group, side.text("v-a"), 1, &[]));
    run.row("syncs", [3], |side, v| sync(v, group, side.text("v-a"), 1, &[(side.text("v-a"), "a")]));
    run.row("joins without one in common", [3], |_, _| with("", &["w"]));
    run.post(1, "joins with two of them", 3, |_| with("", &["z", "y"]));
    run.until(
        "a rebalance",
        3,
        |side| heartbeat(group, side.text("v-a"), 1),
        |answer| super::code(answer, "/errorCode") == 27,
    );
    run.row("rejoins with the one that is not in common", [3], |side, _| with(side.text("v-a"), &["x"]));
    run.post(0, "rejoins with two", 3, |side| with(side.text("v-a"), &["y", "x"]));
    run.answer(0);
    run.answer(1);
    run.keep("v-b", "/memberId");
    run.row("both leave", [4], |side, _| LeaveGroupRequest {
        group_id: group.into(),
        members: ["v-a", "v-b"]
            .map(|name| MemberIdentity { member_id: side.text(name).into(), ..Default::default() })
            .to_vec(),
        ..Default::default()
    });
    run.row("a group of another type before", [3], |_, _| JoinGroupRequest {
        protocol_type: "connect".into(),
        ..with("", &["x"])
    });
    run.row("groups", 0..=5, |_, _| listed());
}

/// Members that leave twice in one request, by id, by instance, and by both.
fn leaving(run: &mut Run) {
    let group = "leaving";
    let one = |member: &str, instance: Option<&str>| MemberIdentity {
        member_id: member.into(),
        group_instance_id: instance.map(Into::into),
        ..Default::default()
    };
    for version in 3..=5 {
        coordinator(run, group);
        run.row("an instance joins", [5], |_, _| JoinGroupRequest {
            group_instance_id: Some("i".into()),
            ..join(group, "")
        });
        run.keep("l-a", "/memberId");
        run.keep("l-generation", "/generationId");
        run.row("a dynamic heartbeat of a static member", 0..=4, |side, _| {
            heartbeat(group, side.text("l-a"), side.int("l-generation") as i32)
        });
        run.row("an instance's heartbeat with a wrong generation", 3..=4, |side, _| HeartbeatRequest {
            group_instance_id: Some("i".into()),
            ..heartbeat(group, side.text("l-a"), 99)
        });
        run.row("leaves under a wrong id", [version], |_, _| LeaveGroupRequest {
            group_id: group.into(),
            members: vec![one("somebody", Some("i")), one("somebody", Some("j")), one("", Some("j"))],
            ..Default::default()
        });
        run.row("leaves twice", [version], |side, _| LeaveGroupRequest {
            group_id: group.into(),
            members: vec![
                one(side.text("l-a"), Some("i")),
                one("", Some("i")),
                one(side.text("l-a"), None),
                one("", None),
            ],
            ..Default::default()
        });
    }
}

fn deleted(group: &str, topics: &[(&str, &[i32])]) -> OffsetDeleteRequest {
    let partition = |index: &i32| OffsetDeleteRequestPartition { partition_index: *index, ..Default::default() };
    let one = |(name, partitions): &(&str, &[i32])| OffsetDeleteRequestTopic {
        name: (*name).into(),
        partitions: partitions.iter().map(partition).collect(),
        ..Default::default()
    };
    OffsetDeleteRequest { group_id: group.into(), topics: topics.iter().map(one).collect(), ..Default::default() }
}

/// Requests that name a topic twice, or known and unknown topics alternately.
fn topics_twice(run: &mut Run) {
    let group = "twice";
    coordinator(run, group);
    let several = |side: &Side, topics: &[(&str, &[i32])]| {
        let mut request = commit(side, group, "gs", Vec::new());
        request.topics.clear();
        for (index, (name, partitions)) in topics.iter().enumerate() {
            let partitions = partitions.iter().map(|partition| at(*partition, index as i64)).collect();
            request.topics.extend(commit(side, group, name, partitions).topics);
        }
        request
    };
    let mixed: &[(&str, &[i32])] =
        &[("gs", &[0, 9]), ("unknown", &[0]), ("gs-b", &[0]), ("gs", &[1, 8]), ("unknown", &[1]), ("gs-b", &[7])];
    run.row("known and unknown in turn", 2..=10, |side, _| several(side, mixed));
    run.row("all known, one twice", 2..=10, |side, _| several(side, &[("gs", &[0]), ("gs-b", &[0]), ("gs", &[0, 1])]));
    run.row("all unknown, one twice", 2..=10, |side, _| several(side, &[("u", &[0]), ("v", &[]), ("u", &[1])]));
    run.row("fetched twice", 1..=10, |side, v| {
        fetch(side, v, group, Some(&[("gs", &[0]), ("unknown", &[0]), ("gs-b", &[0]), ("gs", &[1, 0])]))
    });
    run.row("everything fetched", 2..=10, |side, v| fetch(side, v, group, None));
    run.row("deleted, known and unknown in turn", [0], |_, _| deleted(group, mixed));
    run.row("everything fetched after it", 2..=10, |side, v| fetch(side, v, group, None));
}

/// Offsets of a topic that is deleted and created again.
fn topics_gone(run: &mut Run) {
    let group = "goner";
    coordinator(run, group);
    topic(run, "gone", 2, &[]);
    coordinator(run, "gone-member");
    one_member(run, "gone-member", "g-a");
    run.row("good", [9], |side, _| commit(side, group, "gone", vec![at(0, 5), at(1, 6)]));
    run.row("good by id", [10], |side, _| commit(side, group, "gone", vec![at(0, 7)]));
    run.row("another topic's", [9], |side, _| commit(side, group, "gs", vec![at(0, 5)]));
    run.row("a member's", [9], |side, _| OffsetCommitRequest {
        member_id: side.text("g-a").into(),
        generation_id_or_member_epoch: 1,
        ..commit(side, "gone-member", "gone", vec![at(0, 5)])
    });
    let delete = |_: &Side| DeleteTopicsRequest {
        topics: vec![DeleteTopicState { name: Some("gone".into()), ..Default::default() }],
        timeout_ms: 5000,
        ..Default::default()
    };
    run.until("a deletion", 6, delete, |answer| matches!(super::code(answer, "/responses/0/errorCode"), 0 | 3));
    run.until("its end", 12, |_| metadata_of(&["gone"]), |answer| super::code(answer, "/topics/0/errorCode") == 3);
    run.until(
        "its offsets' end",
        9,
        |side| fetch(side, 9, group, None),
        |answer| answer.pointer("/groups/0/topics").and_then(|it| it.as_array()).is_some_and(|list| list.len() == 1),
    );
    run.row("fetched, gone", 1..=10, |side, v| fetch(side, v, group, Some(&[("gone", &[0, 1])])));
    run.row("everything fetched, one gone", 2..=10, |side, v| fetch(side, v, group, None));
    run.row("a commit, gone", 2..=10, |side, _| commit(side, group, "gone", vec![at(0, 1)]));
    run.row("an offset deleted, gone", [0], |_, _| deleted(group, &[("gone", &[0])]));
    topic(run, "gone", 1, &[]);
    run.row("fetched, made anew", 1..=10, |side, v| fetch(side, v, group, Some(&[("gone", &[0, 1])])));
    run.row("a commit, made anew", 2..=10, |side, _| commit(side, group, "gone", vec![at(0, 1), at(1, 1)]));
    run.row("everything fetched, made anew", 2..=10, |side, v| fetch(side, v, group, None));
}
