//! Lists in requests of groups that name one thing twice.

use super::group_offsets::{at, commit, fetch};
use super::groups::{join, one_member, protocol, sync};
use super::members::described;
use super::{coordinator, topic};
use crate::run::Run;
use protocol::messages::delete_groups_request::DeleteGroupsRequest;
use protocol::messages::find_coordinator_request::FindCoordinatorRequest;
use protocol::messages::join_group_request::JoinGroupRequest;
use protocol::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use protocol::messages::list_groups_request::ListGroupsRequest;
use protocol::messages::offset_delete_request::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};

pub fn rows(run: &mut Run) {
    topic(run, "rep", 2, &[]);
    joins(run);
    members(run);
    offsets(run);
    groups(run);
}

/// A static member joins without an id, in one round trip.
fn listing(group: &str, member: &str, instance: &str, names: &[&str]) -> JoinGroupRequest {
    JoinGroupRequest {
        protocols: names.iter().map(|name| protocol(name, &[0, 1])).collect(),
        group_instance_id: Some(instance.into()),
        ..join(group, member)
    }
}

fn joins(run: &mut Run) {
    let lists: &[&[&str]] = &[
        &["range", "range", "sticky"],
        &["range", "sticky", "range"],
        &["sticky", "range", "range"],
        &["range", "range", "range", "sticky"],
    ];
    for (index, list) in lists.iter().enumerate() {
        let group = format!("rep-{index}");
        coordinator(run, &group);
        run.row(&format!("lists {list:?}"), [5], |_, _| listing(&group, "", "i", list));
        run.keep("rep", "/memberId");
        run.row("the same list again", [5], |side, _| listing(&group, side.text("rep"), "i", list));
        run.row("only the repeated one, once", [5], |_, _| listing(&group, "", "j", &["range"]));
        run.row("only the repeated one, twice", [5], |_, _| listing(&group, "", "k", &["range", "range"]));
        run.row("syncs", [3], |side, version| {
            let mut request = sync(version, &group, side.text("rep"), 1, &[(side.text("rep"), "a")]);
            request.group_instance_id = Some("i".into());
            request
        });
        run.row("described", [5], |_, _| described(&[&group]));
        run.row("another order", [5], |side, _| listing(&group, side.text("rep"), "i", &["sticky", "range", "range"]));
    }
    // Two members that both repeat the same one.
    coordinator(run, "rep-two");
    run.row("the first", [5], |_, _| listing("rep-two", "", "i", lists[0]));
    run.keep("rep one", "/memberId");
    run.post(1, "the second", 5, |_| listing("rep-two", "", "j", lists[0]));
    run.until(
        "a rebalance",
        5,
        |_| described(&["rep-two"]),
        |answer| answer.pointer("/groups/0/members").and_then(|it| it.as_array()).is_some_and(|it| it.len() == 2),
    );
    run.post(0, "the first again", 5, |side| listing("rep-two", side.text("rep one"), "i", lists[0]));
    run.answer(0);
    run.answer(1);
}

fn members(run: &mut Run) {
    coordinator(run, "rep-sync");
    run.row("joins", [3], |_, _| join("rep-sync", ""));
    run.keep("rep sync", "/memberId");
    run.row("two assignments for one member", [3], |side, version| {
        let me = side.text("rep sync");
        sync(version, "rep-sync", me, 1, &[(me, "first"), (me, "last")])
    });
    run.row("leaves twice", 3..=3, |side, _| {
        let me = MemberIdentity { member_id: side.text("rep sync").into(), ..Default::default() };
        LeaveGroupRequest { group_id: "rep-sync".into(), members: vec![me.clone(), me], ..Default::default() }
    });
    one_member(run, "rep-none", "rep none");
    run.row("nobody leaves", 3..=5, |_, _| LeaveGroupRequest { group_id: "rep-none".into(), ..Default::default() });
}

fn offsets(run: &mut Run) {
    coordinator(run, "rep-o");
    for version in [2, 9, 10] {
        run.row("one partition twice", [version], |side, _| {
            commit(side, "rep-o", "rep", vec![at(0, 1), at(0, 2), at(1, 3)])
        });
        run.row("one topic twice", [version], |side, _| {
            let mut request = commit(side, "rep-o", "rep", vec![at(0, 4)]);
            request.topics.extend(commit(side, "rep-o", "rep", vec![at(0, 5), at(9, 5)]).topics);
            request.topics.extend(commit(side, "rep-o", "rep", vec![at(1, 6)]).topics);
            request
        });
        run.row("one topic twice, all known", [version], |side, _| {
            let mut request = commit(side, "rep-o", "rep", vec![at(0, 7)]);
            request.topics.extend(commit(side, "rep-o", "rep", vec![at(0, 8)]).topics);
            request
        });
    }
    run.row("fetched twice", 1..=10, |side, version| {
        fetch(side, version, "rep-o", Some(&[("rep", &[0, 0, 1]), ("rep", &[0]), ("no", &[0, 0]), ("no", &[0])]))
    });
    run.row("two times the group", 8..=10, |side, version| {
        let mut request = fetch(side, version, "rep-o", Some(&[("rep", &[0])]));
        request.groups.extend(fetch(side, version, "rep-x", Some(&[("rep", &[1])])).groups);
        request.groups.extend(fetch(side, version, "rep-o", Some(&[("rep", &[1])])).groups);
        request
    });
    let deleted = |partitions: &[&[i32]]| OffsetDeleteRequest {
        group_id: "rep-o".into(),
        topics: partitions
            .iter()
            .map(|partitions| OffsetDeleteRequestTopic {
                name: "rep".into(),
                partitions: partitions
                    .iter()
                    .map(|&partition_index| OffsetDeleteRequestPartition { partition_index, ..Default::default() })
                    .collect(),
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    };
    run.row("a partition deleted twice", [0], |_, _| deleted(&[&[0, 0]]));
    run.row("a topic deleted twice", [0], |_, _| deleted(&[&[0], &[1, 0]]));
    run.row("twice and unknown", [0], |_, _| deleted(&[&[0, 9], &[1], &[9, 0]]));
    run.row("unknown twice", [0], |_, _| deleted(&[&[9, 9], &[9]]));
}

fn groups(run: &mut Run) {
    coordinator(run, "rep-g");
    run.row("a group for it", [9], |side, _| commit(side, "rep-g", "rep", vec![at(0, 1)]));
    run.row("described twice", [0, 5, 6], |_, _| described(&["rep-g", "rep-x", "rep-g", "rep-x", "", ""]));
    run.row("found twice", 4..=6, |_, _| FindCoordinatorRequest {
        coordinator_keys: ["rep-g", "rep-x", "rep-g"].map(Into::into).to_vec(),
        ..Default::default()
    });
    run.row("listed with a state twice", 4..=5, |_, _| ListGroupsRequest {
        states_filter: vec!["Dead".into(), "Dead".into()],
        ..Default::default()
    });
    run.row("deleted twice", 0..=2, |_, _| DeleteGroupsRequest {
        groups_names: ["rep-g", "rep-x", "rep-g", "", ""].map(Into::into).to_vec(),
        ..Default::default()
    });
}
