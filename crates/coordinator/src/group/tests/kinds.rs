//! Tests of groups of other types: their records are not changed.

use super::{Harness, code, commit, join, sync};
use crate::{Command, Entry};
use model::ErrorCode;
use protocol::GroupRecord;
use protocol::messages::consumer_group_current_member_assignment_key::ConsumerGroupCurrentMemberAssignmentKey;
use protocol::messages::consumer_group_current_member_assignment_value::ConsumerGroupCurrentMemberAssignmentValue;
use protocol::messages::consumer_group_member_metadata_key::ConsumerGroupMemberMetadataKey;
use protocol::messages::consumer_group_member_metadata_value::ConsumerGroupMemberMetadataValue;
use protocol::messages::consumer_group_metadata_key::ConsumerGroupMetadataKey;
use protocol::messages::consumer_group_metadata_value::ConsumerGroupMetadataValue;
use protocol::messages::share_group_metadata_key::ShareGroupMetadataKey;
use protocol::messages::share_group_metadata_value::ShareGroupMetadataValue;
use protocol::messages::streams_group_member_metadata_key::StreamsGroupMemberMetadataKey;
use protocol::messages::streams_group_member_metadata_value::StreamsGroupMemberMetadataValue;
use protocol::messages::streams_group_metadata_key::StreamsGroupMetadataKey;
use protocol::messages::streams_group_metadata_value::StreamsGroupMetadataValue;

pub(super) fn append(h: &mut Harness, record: &GroupRecord) {
    let value = record.encode_value(record.max_version()).unwrap();
    h.append(None, Entry::Record { key: record.encode_key().unwrap(), value });
}

pub(super) fn consumer(h: &mut Harness, group: &str, epoch: Option<i32>) {
    let key = ConsumerGroupMetadataKey { group_id: group.into(), ..Default::default() };
    let value = epoch.map(|epoch| ConsumerGroupMetadataValue { epoch, ..Default::default() });
    append(h, &GroupRecord::ConsumerGroupMetadata(key, value));
}

pub(super) fn member(h: &mut Harness, group: &str, member: &str, epoch: Option<i32>) {
    let key = ConsumerGroupMemberMetadataKey { group_id: group.into(), member_id: member.into(), ..Default::default() };
    let value = epoch.map(|_| ConsumerGroupMemberMetadataValue::default());
    append(h, &GroupRecord::ConsumerGroupMemberMetadata(key, value));
    let key = ConsumerGroupCurrentMemberAssignmentKey {
        group_id: group.into(),
        member_id: member.into(),
        ..Default::default()
    };
    let value =
        epoch.map(|epoch| ConsumerGroupCurrentMemberAssignmentValue { member_epoch: epoch, ..Default::default() });
    append(h, &GroupRecord::ConsumerGroupCurrentMemberAssignment(key, value));
}

pub(super) fn other_kinds(h: &mut Harness) {
    consumer(h, "consumer", Some(3));
    let key = ShareGroupMetadataKey { group_id: "share".into(), ..Default::default() };
    append(h, &GroupRecord::ShareGroupMetadata(key, Some(ShareGroupMetadataValue::default())));
    let key = StreamsGroupMetadataKey { group_id: "streams".into(), ..Default::default() };
    append(h, &GroupRecord::StreamsGroupMetadata(key, Some(StreamsGroupMetadataValue::default())));
}

#[test]
fn a_coordinator_that_knows_only_classic_groups_deletes_nothing_of_the_others() {
    let mut h = Harness::new();
    // Compaction can leave the offset in the log before the record that defines the type of its
    // group.
    assert_eq!(h.commit(commit("consumer", "", -1, 5)), ErrorCode::None);
    assert_eq!(h.commit(commit("streams", "", -1, 6)), ErrorCode::None);
    other_kinds(&mut h);
    member(&mut h, "consumer", "c", Some(3));
    let key = StreamsGroupMemberMetadataKey { group_id: "streams".into(), member_id: "s".into(), ..Default::default() };
    append(&mut h, &GroupRecord::StreamsGroupMemberMetadata(key, Some(StreamsGroupMemberMetadataValue::default())));
    let before = h.log.len();
    h.fail_over();
    for _ in 0..3 {
        h.advance(30 * 24 * 3_600_000);
    }
    for group in ["consumer", "streams", "share"] {
        assert_eq!(h.delete_group(group), ErrorCode::NonEmptyGroup);
        let ticket = h.send(join(group, ""));
        assert_eq!(code(h.joined(ticket).error_code), ErrorCode::InconsistentGroupProtocol);
        let ticket = h.send(sync(group, "m", 1, &[]));
        assert_eq!(code(h.synced(ticket).error_code), ErrorCode::UnknownMemberId);
        assert_eq!(h.heartbeat(group, "m", 1), ErrorCode::UnknownMemberId);
        assert_eq!(h.leave(group, &[("m", None)]), [ErrorCode::UnknownMemberId]);
        let described = h.describe(group);
        assert_eq!((code(described.error_code), described.group_state.as_str()), (ErrorCode::GroupIdNotFound, "Dead"));
        assert_eq!(described.error_message.unwrap(), format!("Group {group} is not a classic group."));
    }
    assert_eq!(h.log.len(), before, "nothing was written");
    assert_eq!(h.fetch("consumer", "t1", false).committed_offset, 5);
    assert_eq!(h.fetch("streams", "t1", false).committed_offset, 6);
}

/// As in Apache Kafka: one record, and no tombstone of the other type.
#[test]
fn an_empty_consumer_group_becomes_a_classic_one_and_keeps_its_offsets() {
    let mut h = Harness::new();
    other_kinds(&mut h);
    assert_eq!(h.commit(commit("consumer", "", -1, 5)), ErrorCode::None);
    let ticket = h.send(join("consumer", "m"));
    assert_eq!(code(h.joined(ticket).error_code), ErrorCode::UnknownMemberId);
    let ticket = h.send(join("share", ""));
    assert_eq!(code(h.joined(ticket).error_code), ErrorCode::InconsistentGroupProtocol);
    assert_eq!(h.list()[0].2, "consumer");
    let a = h.stable_member("consumer");
    assert_eq!(h.fetch("consumer", "t1", false).committed_offset, 5);
    h.fail_over();
    assert_eq!(h.heartbeat("consumer", &a, 1), ErrorCode::None);
    assert_eq!(h.list()[0].2, "classic");
}

#[test]
fn lists_name_their_type() {
    let mut h = Harness::new();
    other_kinds(&mut h);
    member(&mut h, "consumer", "m", Some(0));
    let rows = h.list();
    let row = |group: &str, state: &str, kind: &str| (group.to_string(), state.to_string(), kind.to_string());
    assert_eq!(
        rows,
        [row("consumer", "Assigning", "consumer"), row("share", "Empty", "share"), row("streams", "Empty", "streams"),]
    );
}

#[test]
fn commits_to_a_consumer_group_are_checked_against_its_members() {
    let mut h = Harness::new();
    consumer(&mut h, "g", Some(3));
    assert_eq!(h.commit(commit("g", "", -1, 1)), ErrorCode::None, "nobody is in it");
    member(&mut h, "g", "m", Some(3));
    assert_eq!(h.commit(commit("g", "", -1, 1)), ErrorCode::UnknownMemberId);
    assert_eq!(h.commit(commit("g", "m", 2, 1)), ErrorCode::StaleMemberEpoch);
    assert_eq!(h.commit(commit("g", "m", 3, 2)), ErrorCode::None);
    assert_eq!(h.commit(commit("share", "m", 3, 2)), ErrorCode::GroupIdNotFound);
}

#[test]
fn a_group_can_change_its_kind_and_keep_its_offsets() {
    let mut h = Harness::new();
    let a = h.stable_member("g");
    assert_eq!(h.commit(commit("g", &a, 1, 5)), ErrorCode::None);
    h.leave("g", &[(&a, None)]);
    let tombstone = crate::group::record::group_tombstone(&"g".into()).unwrap();
    h.append(None, Entry::Record { key: tombstone.key, value: None });
    consumer(&mut h, "g", Some(1));
    member(&mut h, "g", "m", Some(1));
    h.fail_over();
    assert_eq!(h.list()[0].2, "consumer");
    assert_eq!(h.fetch("g", "t1", false).committed_offset, 5);
    member(&mut h, "g", "m", None);
    consumer(&mut h, "g", None);
    h.fail_over();
    assert!(h.list().is_empty());
    h.command(Command::TimerDue);
}
