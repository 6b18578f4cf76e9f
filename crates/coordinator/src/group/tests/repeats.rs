//! Tests of lists with repeated items. What Kafka treats as a list is a list here, and what it
//! treats as a set is a set.

use super::{Harness, ask_to_join, code, commit, join, join_request, sync};
use crate::{GroupReply, GroupRequest};
use bytes::Bytes;
use model::ErrorCode;
use protocol::Str;
use protocol::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use protocol::messages::offset_delete_request::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use std::fmt::Write;

/// Returns a JoinGroup with these protocols. The subscription of each is its index in the list.
fn listing(member: &str, instance: Option<&str>, names: &[&str]) -> GroupRequest {
    let protocols = (1u8..).zip(names).map(|(place, name)| JoinGroupRequestProtocol {
        name: (*name).into(),
        metadata: Bytes::copy_from_slice(&[place]),
        ..Default::default()
    });
    ask_to_join(JoinGroupRequest {
        protocols: protocols.collect(),
        group_instance_id: instance.map(Into::into),
        ..join_request("g", member)
    })
}

/// Joins the members one after the other in one join phase, and returns each result.
fn joining(lists: &[&[&str]]) -> String {
    let mut h = Harness::new();
    h.config.initial_rebalance_delay_ms = 3000;
    let mut tickets = Vec::new();
    for (index, names) in lists.iter().enumerate() {
        tickets.push(h.send(listing("", Some(&format!("i{index}")), names)));
    }
    h.advance(30_000);
    let mut text = String::new();
    for (names, ticket) in lists.iter().zip(tickets) {
        let joined = h.joined(ticket);
        let outcome = match code(joined.error_code) {
            ErrorCode::None => joined.protocol_name.unwrap_or_default().to_string(),
            error => format!("{error:?}"),
        };
        writeln!(text, "{} -> {outcome}", names.join(" ")).unwrap();
    }
    text
}

/// Apache Kafka 4.3.1 answers the first four groups like this; the differential test sends them to
/// both. In the last three, Kafka finds no protocol and never answers again.
#[test]
fn a_member_that_lists_one_protocol_twice_joins_with_one_that_each_member_lists_once() {
    let groups: &[&[&[&str]]] = &[
        &[&["range", "range", "sticky"]],
        &[&["range", "sticky", "range"], &["sticky", "range"]],
        &[&["range", "range", "sticky"], &["range", "range", "sticky"]],
        &[&["range", "range", "sticky"], &["range"]],
        &[&["range", "range"]],
        &[&["range", "range"], &["range"]],
        &[&["range", "sticky"], &["range", "range", "sticky", "sticky"], &["sticky"]],
    ];
    let text: Vec<String> = groups.iter().map(|lists| joining(lists)).collect();
    assert_eq!(
        text.join("\n"),
        "\
range range sticky -> sticky

range sticky range -> sticky
sticky range -> sticky

range range sticky -> sticky
range range sticky -> sticky

range range sticky -> sticky
range -> INCONSISTENT_GROUP_PROTOCOL

range range -> UNKNOWN_SERVER_ERROR

range range -> UNKNOWN_SERVER_ERROR
range -> range

range sticky -> sticky
range range sticky sticky -> UNKNOWN_SERVER_ERROR
sticky -> sticky
"
    );
}

#[test]
fn a_static_member_that_repeats_a_protocol_keeps_its_place_while_it_is_away() {
    let mut h = Harness::new();
    let first = h.send(listing("", Some("i"), &["range", "range", "sticky"]));
    h.advance(0);
    let a = h.joined(first).member_id;
    let ticket = h.send(GroupRequest::SyncGroup(protocol::messages::sync_group_request::SyncGroupRequest {
        group_id: "g".into(),
        member_id: a.clone(),
        generation_id: 1,
        ..Default::default()
    }));
    assert_eq!(code(h.synced(ticket).error_code), ErrorCode::None);
    let second = h.send(listing("", Some("j"), &["sticky"]));
    for _ in 0..4 {
        h.advance(5000);
        h.heartbeat("g", &a, 1);
    }
    let joined = h.joined(second);
    assert_eq!((joined.generation_id, joined.members.len()), (2, 2), "the first one stays, since it is static");
    assert_eq!(joined.protocol_name.as_deref(), Some("sticky"));
}

#[test]
fn a_list_in_another_order_or_with_another_repeat_is_a_change() {
    let mut h = Harness::new();
    let first = h.send(listing("", Some("i"), &["range", "range", "sticky"]));
    h.advance(0);
    let a = h.joined(first).member_id;
    let again = h.send(listing(&a, Some("i"), &["range", "range", "sticky"]));
    assert_eq!(h.joined(again).generation_id, 1, "the same list is a repeated request");
    let changed = h.send(listing(&a, Some("i"), &["sticky", "range", "range"]));
    assert_eq!(h.joined(changed).generation_id, 2);
    let fewer = h.send(listing(&a, Some("i"), &["sticky", "range"]));
    assert_eq!(h.joined(fewer).generation_id, 3);
}

#[test]
fn the_last_assignment_of_a_member_counts() {
    let mut h = Harness::new();
    let ticket = h.send(join("g", ""));
    let a = h.joined(ticket).member_id;
    let ticket = h.send(join("g", &a));
    h.advance(0);
    h.joined(ticket);
    let ticket = h.send(sync("g", &a, 1, &[(&a, "first"), (&a, "last"), ("nobody", "none")]));
    assert_eq!(h.synced(ticket).assignment, "last");
}

#[test]
fn a_member_that_leaves_twice_in_one_request_is_unknown_the_second_time() {
    let mut h = Harness::new();
    let a = h.stable_member("g");
    assert_eq!(h.leave("g", &[(&a, None), (&a, None)]), [ErrorCode::None, ErrorCode::UnknownMemberId]);
    assert_eq!(h.describe("g").group_state, "Empty");
}

#[test]
fn groups_are_described_as_often_as_they_are_named_and_deleted_once() {
    let mut h = Harness::new();
    assert_eq!(h.commit(commit("g", "", -1, 1)), ErrorCode::None);
    let groups: Vec<Str> = vec!["g".into(), "x".into(), "g".into()];
    match h.ask(GroupRequest::DescribeGroups { groups: groups.clone(), report_missing: true }) {
        GroupReply::DescribeGroups(described) => {
            let ids: Vec<&str> = described.iter().map(|it| it.group_id.as_str()).collect();
            assert_eq!(ids, ["g", "x", "g"]);
        }
        other => panic!("{other:?}"),
    }
    match h.ask(GroupRequest::DeleteGroups(groups)) {
        GroupReply::DeleteGroups(results) => {
            let results: Vec<_> = results.iter().map(|it| (it.group_id.as_str(), code(it.error_code))).collect();
            assert_eq!(results, [("g", ErrorCode::None), ("x", ErrorCode::GroupIdNotFound)]);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn offsets_are_committed_fetched_and_deleted_as_often_as_they_are_named() {
    let mut h = Harness::new();
    let mut request = commit("g", "", -1, 1);
    let mut last = request.topics[0].partitions[0].clone();
    last.committed_offset = 2;
    request.topics[0].partitions.push(last);
    request.topics.push(commit("g", "", -1, 3).topics[0].clone());
    match h.ask(GroupRequest::OffsetCommit { request, supports_member_epochs: true }) {
        GroupReply::OffsetCommit(response) => {
            let counts: Vec<usize> = response.topics.iter().map(|it| it.partitions.len()).collect();
            assert_eq!(counts, [2, 1]);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(h.fetch("g", "t1", false).committed_offset, 3, "the last one counts");
    let topic = OffsetFetchRequestTopics { name: "t1".into(), partition_indexes: vec![0, 0], ..Default::default() };
    let group = OffsetFetchRequestGroup {
        group_id: "g".into(),
        topics: Some(vec![topic.clone(), topic]),
        ..Default::default()
    };
    match h.ask(GroupRequest::OffsetFetch { group, require_stable: false }) {
        GroupReply::OffsetFetch(response) => {
            let offsets = response.topics.iter().flat_map(|it| &it.partitions).map(|it| it.committed_offset);
            assert_eq!(offsets.collect::<Vec<i64>>(), [3, 3, 3, 3]);
        }
        other => panic!("{other:?}"),
    }
    let index = OffsetDeleteRequestPartition { partition_index: 0, ..Default::default() };
    let topic =
        OffsetDeleteRequestTopic { name: "t1".into(), partitions: vec![index.clone(), index], ..Default::default() };
    let topics = vec![topic.clone(), topic];
    match h.ask(GroupRequest::OffsetDelete(OffsetDeleteRequest { group_id: "g".into(), topics, ..Default::default() }))
    {
        GroupReply::OffsetDelete(response) => {
            let counts: Vec<usize> = response.topics.iter().map(|it| it.partitions.len()).collect();
            assert_eq!(counts, [2, 2]);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(h.fetch("g", "t1", false).committed_offset, -1);
}
