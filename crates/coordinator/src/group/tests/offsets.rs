//! Tests of committed offsets: who may commit, what is kept and for how long.

use super::{Harness, code, commit, hex, join, sync};
use crate::group::GroupEvent;
use crate::{Command, CoordinatorShard, Entry, GroupReply, GroupRequest};
use bytes::Bytes;
use model::{ErrorCode, Uuid};
use protocol::messages::offset_delete_request::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;

pub(super) const RETENTION_MS: i64 = 10_080 * 60_000;

#[test]
fn commit_metadata_round_trips() {
    let mut h = Harness::new();
    let mut request = commit("g", "", -1, 42);
    request.topics[0].partitions[0].committed_metadata = Some("m\u{e9}ta \u{1F600}".into());
    request.topics[0].partitions[0].committed_leader_epoch = 7;
    assert_eq!(h.commit(request), ErrorCode::None);
    for _ in 0..2 {
        let offset = h.fetch("g", "t1", true);
        assert_eq!((offset.committed_offset, offset.committed_leader_epoch), (42, 7));
        assert_eq!(offset.metadata.as_deref(), Some("m\u{e9}ta \u{1F600}"));
        h.fail_over();
    }
    let nothing = h.fetch("g", "t2", false);
    assert_eq!((nothing.committed_offset, nothing.committed_leader_epoch, nothing.error_code), (-1, -1, 0));
    assert_eq!(nothing.metadata.as_deref(), Some(""));
}

#[test]
fn a_leader_epoch_is_stored_unchanged() {
    let mut h = Harness::new();
    for epoch in [-7, i32::MIN, 0, i32::MAX, -1] {
        let mut request = commit("g", "", -1, 42);
        request.topics[0].partitions[0].committed_leader_epoch = epoch;
        assert_eq!(h.commit(request), ErrorCode::None);
        for _ in 0..2 {
            assert_eq!(h.fetch("g", "t1", true).committed_leader_epoch, epoch);
            h.fail_over();
        }
    }
}

#[test]
fn metadata_has_a_limit_in_utf16_units() {
    let mut h = Harness::new();
    let mut with = |metadata: String| {
        let mut request = commit("g", "", -1, 42);
        request.topics[0].partitions[0].committed_metadata = Some(metadata.into());
        h.commit(request)
    };
    assert_eq!(with("x".repeat(4097)), ErrorCode::OffsetMetadataTooLarge);
    assert_eq!(with("\u{1F600}".repeat(2049)), ErrorCode::OffsetMetadataTooLarge);
    assert_eq!(with("\u{1F600}".repeat(2048)), ErrorCode::None);
    assert_eq!(with("\u{e9}".repeat(4096)), ErrorCode::None);
}

#[test]
fn who_may_commit() {
    let mut h = Harness::new();
    let a = h.stable_member("g");
    let rows = [
        (commit("g", &a, 1, 1), ErrorCode::None),
        (commit("g", &a, 2, 1), ErrorCode::IllegalGeneration),
        (commit("g", &a, -1, 1), ErrorCode::IllegalGeneration),
        (commit("g", "nobody", 1, 1), ErrorCode::UnknownMemberId),
        (commit("g", "", -1, 1), ErrorCode::UnknownMemberId),
        (commit("missing", "", 5, 1), ErrorCode::GroupIdNotFound),
        (commit("", "", -1, 1), ErrorCode::None),
    ];
    for (request, expected) in rows {
        assert_eq!(h.commit(request.clone()), expected, "{request:?}");
    }
    let request = GroupRequest::OffsetCommit { request: commit("missing", "", 5, 1), supports_member_epochs: false };
    match h.ask(request) {
        GroupReply::OffsetCommit(response) => {
            assert_eq!(code(response.topics[0].partitions[0].error_code), ErrorCode::IllegalGeneration);
        }
        other => panic!("{other:?}"),
    }
    let ticket = h.send(join("g", &a));
    h.advance(0);
    h.joined(ticket);
    assert_eq!(h.commit(commit("g", &a, 2, 1)), ErrorCode::RebalanceInProgress);
    let ticket = h.send(sync("g", &a, 2, &[]));
    h.synced(ticket);
    assert_eq!(h.leave("g", &[(&a, None)]), [ErrorCode::None]);
    assert_eq!(h.commit(commit("g", "", -1, 1)), ErrorCode::None, "an administrator resets an empty group");
    assert_eq!(h.commit(commit("g", &a, 2, 1)), ErrorCode::UnknownMemberId);
}

#[test]
fn all_topics_of_a_group_can_be_asked_for() {
    let mut h = Harness::new();
    let mut request = commit("g", "", -1, 1);
    let second = request.topics[0].clone();
    request.topics.push(second);
    request.topics[1].name = "t2".into();
    assert_eq!(h.commit(request), ErrorCode::None);
    let group = OffsetFetchRequestGroup { group_id: "g".into(), topics: None, ..Default::default() };
    match h.ask(GroupRequest::OffsetFetch { group, require_stable: false }) {
        GroupReply::OffsetFetch(response) => {
            let names: Vec<&str> = response.topics.iter().map(|topic| topic.name.as_str()).collect();
            assert_eq!(names, ["t1", "t2"]);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn offsets_of_an_earlier_topic_of_the_same_name_are_not_returned() {
    let mut h = Harness::new();
    let mut request = commit("g", "", -1, 1);
    request.topics[0].topic_id = Uuid([1; 16]);
    assert_eq!(h.commit(request), ErrorCode::None);
    let mut ask = |id: Uuid| {
        let topic = protocol::messages::offset_fetch_request::OffsetFetchRequestTopics {
            name: "t1".into(),
            topic_id: id,
            partition_indexes: vec![0],
            ..Default::default()
        };
        let group = OffsetFetchRequestGroup { group_id: "g".into(), topics: Some(vec![topic]), ..Default::default() };
        match h.ask(GroupRequest::OffsetFetch { group, require_stable: false }) {
            GroupReply::OffsetFetch(response) => response.topics[0].partitions[0].committed_offset,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((ask(Uuid::ZERO), ask(Uuid([1; 16])), ask(Uuid([2; 16]))), (1, 1, -1));
}

#[test]
fn a_simple_group_expires_by_its_commits() {
    let mut h = Harness::new();
    assert_eq!(h.commit(commit("g", "", -1, 1)), ErrorCode::None);
    h.advance(RETENTION_MS - 600_000);
    assert_eq!(h.fetch("g", "t1", false).committed_offset, 1);
    h.advance(1_200_000);
    assert_eq!(h.fetch("g", "t1", false).committed_offset, -1);
    assert!(h.list().is_empty());
    let tombstones = h.log.iter().filter(|(_, entry)| matches!(entry, Entry::Record { value: None, .. })).count();
    assert_eq!(tombstones, 2, "the offset, and the group though it never had a record");
}

#[test]
fn an_offset_with_a_time_to_live_expires_by_it() {
    let mut h = Harness::new();
    let mut request = commit("g", "", -1, 1);
    request.retention_time_ms = 700_000;
    assert_eq!(h.commit(request), ErrorCode::None);
    h.advance(600_001);
    assert_eq!(h.fetch("g", "t1", false).committed_offset, 1);
    h.advance(600_001);
    assert_eq!(h.fetch("g", "t1", false).committed_offset, -1);
}

#[test]
fn a_group_of_members_expires_from_the_moment_it_is_empty() {
    let mut h = Harness::new();
    let a = h.stable_member("g");
    assert_eq!(h.commit(commit("g", &a, 1, 1)), ErrorCode::None);
    h.advance(5000);
    assert_eq!(h.leave("g", &[(&a, None)]), [ErrorCode::None]);
    h.now += RETENTION_MS - 1000;
    h.advance(0);
    assert_eq!(
        h.fetch("g", "t1", false).committed_offset,
        1,
        "the commit is older than the retention, the group is not"
    );
    h.advance(601_000);
    assert!(h.list().is_empty());
}

#[test]
fn a_stable_group_keeps_what_it_reads() {
    let mut h = Harness::new();
    let a = h.stable_member("g");
    let mut request = commit("g", &a, 1, 1);
    let second = request.topics[0].clone();
    request.topics.push(second);
    request.topics[1].name = "unread".into();
    assert_eq!(h.commit(request), ErrorCode::None);
    // Without sessions: the group stays stable.
    h.config.offsets_retention_ms = 5000;
    h.config.offsets_retention_check_interval_ms = 9000;
    h.fail_over();
    h.advance(9000);
    assert_eq!(h.describe("g").group_state, "Stable");
    assert_eq!(h.fetch("g", "t1", false).committed_offset, 1);
    assert_eq!(h.fetch("g", "unread", false).committed_offset, -1);
}

pub(super) fn delete(h: &mut Harness, group: &str, topic: &str) -> (ErrorCode, Option<ErrorCode>) {
    let partition = OffsetDeleteRequestPartition { partition_index: 0, ..Default::default() };
    let topic = OffsetDeleteRequestTopic { name: topic.into(), partitions: vec![partition], ..Default::default() };
    let request = OffsetDeleteRequest { group_id: group.into(), topics: vec![topic], ..Default::default() };
    match h.ask(GroupRequest::OffsetDelete(request)) {
        GroupReply::OffsetDelete(response) => {
            let partition = response.topics.first().map(|topic| code(topic.partitions[0].error_code));
            (code(response.error_code), partition)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn offsets_of_topics_that_the_group_does_not_read_are_deleted() {
    let mut h = Harness::new();
    let a = h.stable_member("g");
    let mut request = commit("g", &a, 1, 1);
    let second = request.topics[0].clone();
    request.topics.push(second);
    request.topics[1].name = "unread".into();
    assert_eq!(h.commit(request), ErrorCode::None);
    assert_eq!(delete(&mut h, "g", "t1"), (ErrorCode::None, Some(ErrorCode::GroupSubscribedToTopic)));
    assert_eq!(delete(&mut h, "g", "unread"), (ErrorCode::None, Some(ErrorCode::None)));
    assert_eq!(h.fetch("g", "unread", false).committed_offset, -1);
    assert_eq!(delete(&mut h, "missing", "t1"), (ErrorCode::GroupIdNotFound, None));
    assert_eq!(delete(&mut h, "", "t1"), (ErrorCode::InvalidGroupId, None));
    assert_eq!(h.leave("g", &[(&a, None)]), [ErrorCode::None]);
    assert_eq!(delete(&mut h, "g", "t1"), (ErrorCode::None, Some(ErrorCode::None)));
    assert_eq!(h.fetch("g", "t1", false).committed_offset, -1);
    assert_eq!(h.list().len(), 1, "the group stays");
}

#[test]
fn a_group_is_deleted_with_its_offsets_once_it_is_empty() {
    let mut h = Harness::new();
    let a = h.stable_member("g");
    assert_eq!(h.commit(commit("g", &a, 1, 1)), ErrorCode::None);
    assert_eq!(h.delete_group("g"), ErrorCode::NonEmptyGroup);
    assert_eq!(h.delete_group("missing"), ErrorCode::GroupIdNotFound);
    h.leave("g", &[(&a, None)]);
    assert_eq!(h.delete_group("g"), ErrorCode::None);
    assert_eq!(h.fetch("g", "t1", false).committed_offset, -1);
    assert_eq!(h.shard.census(), crate::group::Census::default());
}

#[test]
fn offsets_of_deleted_topics_are_deleted() {
    let mut h = Harness::new();
    for (group, id) in [("old", Uuid([1; 16])), ("unknown", Uuid::ZERO), ("anew", Uuid([2; 16]))] {
        let mut request = commit(group, "", -1, 1);
        request.topics[0].topic_id = id;
        assert_eq!(h.commit(request), ErrorCode::None);
    }
    h.command(Command::Event(GroupEvent::TopicsDeleted(vec![
        (Uuid([1; 16]), "t1".into()),
        (Uuid([9; 16]), "other".into()),
    ])));
    let left = ["old", "unknown", "anew"].map(|group| h.fetch(group, "t1", false).committed_offset);
    assert_eq!(left, [-1, -1, 1], "the last was committed for the topic that has the name now");
}

#[test]
fn unknown_records_are_skipped_and_corrupt_ones_are_not() {
    let mut h = Harness::new();
    h.append(None, Entry::Record { key: hex("7fff0000"), value: Some(Bytes::new()) });
    let at = h.log[0].0;
    for (key, value) in
        [("", Some("")), ("0002", None), ("000200026732", Some("0003ff")), ("000200026732", Some("7fff"))]
    {
        let entry = Entry::Record { key: hex(key), value: value.map(hex) };
        assert!(h.shard.apply(&at, entry).is_err(), "{key} {value:?}");
    }
}
