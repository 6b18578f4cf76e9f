//! Tests of offsets in transactions: who may commit, what waits for a marker, what a marker and a
//! tombstone do, and what readers and the search for expired offsets see of an open transaction.

use super::offsets::{RETENTION_MS, delete};
use super::{Harness, code, commit, end_transaction, hex, join, join_static, kinds, sync, transactional, uuid};
use crate::group::GroupEvent;
use crate::{BatchForm, Command, CoordinatorShard, Entry, GroupReply, GroupRequest, GroupShard};
use bytes::Bytes;
use model::{ErrorCode, LeaderEpoch, Offset, Timestamp};
use protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use protocol::messages::txn_offset_commit_request::TxnOffsetCommitRequest;
use protocol::messages::txn_offset_commit_response::TxnOffsetCommitResponse;
use records::BatchBuilder;

/// Returns the offset that is read without `require_stable`, and the error with it.
fn seen(h: &mut Harness, group: &str) -> (i64, ErrorCode) {
    let offset = h.fetch(group, "t1", false);
    assert_eq!(offset.error_code, 0);
    (offset.committed_offset, code(h.fetch(group, "t1", true).error_code))
}

fn by_member(member: &str, generation: i32, instance: Option<&str>) -> TxnOffsetCommitRequest {
    TxnOffsetCommitRequest {
        member_id: member.into(),
        generation_id: generation,
        group_instance_id: instance.map(Into::into),
        ..transactional(7, "g", 1)
    }
}

/// Adds partitions to the one topic of a request.
fn with_partitions(mut request: TxnOffsetCommitRequest, partitions: &[i32]) -> TxnOffsetCommitRequest {
    let first = request.topics[0].partitions[0].clone();
    for index in partitions {
        let mut partition = first.clone();
        partition.partition_index = *index;
        request.topics[0].partitions.push(partition);
    }
    request
}

fn tombstones(h: &Harness) -> usize {
    h.log.iter().filter(|(_, entry)| matches!(entry, Entry::Record { value: None, .. })).count()
}

#[test]
fn offsets_of_a_transaction_wait_for_its_marker() {
    let mut h = Harness::new();
    assert_eq!(h.commit_in_transaction(transactional(7, "g", 5)), ErrorCode::None);
    for _ in 0..2 {
        assert_eq!(seen(&mut h, "g"), (-1, ErrorCode::UnstableOffsetCommit));
        h.fail_over();
    }
    assert_eq!(h.end_transaction(7, 0, true), ErrorCode::None);
    for _ in 0..2 {
        assert_eq!(seen(&mut h, "g"), (5, ErrorCode::None));
        h.fail_over();
    }
}

#[test]
fn an_abort_keeps_the_offset_that_was_committed_before() {
    let mut h = Harness::new();
    assert_eq!(h.commit(commit("g", "", -1, 5)), ErrorCode::None);
    assert_eq!(h.commit_in_transaction(transactional(7, "g", 6)), ErrorCode::None);
    assert_eq!(seen(&mut h, "g"), (5, ErrorCode::UnstableOffsetCommit));
    assert_eq!(h.end_transaction(7, 0, false), ErrorCode::None);
    assert_eq!(seen(&mut h, "g"), (5, ErrorCode::None));
    assert_eq!(h.commit_in_transaction(transactional(7, "only", 6)), ErrorCode::None);
    assert_eq!(h.end_transaction(7, 0, false), ErrorCode::None);
    assert_eq!(seen(&mut h, "only"), (-1, ErrorCode::None));
}

#[test]
fn of_two_commits_the_later_record_wins_and_not_the_later_marker() {
    let mut h = Harness::new();
    h.commit_in_transaction(transactional(7, "g", 7));
    assert_eq!(h.commit(commit("g", "", -1, 8)), ErrorCode::None);
    h.end_transaction(7, 0, true);
    assert_eq!(seen(&mut h, "g"), (8, ErrorCode::None), "a plain commit in between");
    h.commit_in_transaction(transactional(7, "g", 9));
    h.commit_in_transaction(transactional(8, "g", 10));
    h.end_transaction(8, 0, true);
    assert_eq!(seen(&mut h, "g"), (10, ErrorCode::UnstableOffsetCommit));
    h.end_transaction(7, 0, true);
    assert_eq!(seen(&mut h, "g"), (10, ErrorCode::None), "the transactions end in the other order");
    h.commit_in_transaction(transactional(7, "g", 12));
    h.commit_in_transaction(transactional(7, "g", 11));
    h.end_transaction(7, 0, true);
    assert_eq!(seen(&mut h, "g"), (11, ErrorCode::None), "the last one of a transaction");
}

#[test]
fn a_marker_ends_the_transaction_of_its_producer_in_all_groups() {
    let mut h = Harness::new();
    for (producer, group) in [(7, "a"), (7, "b"), (8, "b"), (8, "c")] {
        h.commit_in_transaction(transactional(producer, group, producer));
    }
    h.end_transaction(7, 0, true);
    assert_eq!(seen(&mut h, "a"), (7, ErrorCode::None));
    assert_eq!(seen(&mut h, "b"), (7, ErrorCode::UnstableOffsetCommit));
    assert_eq!(seen(&mut h, "c"), (-1, ErrorCode::UnstableOffsetCommit));
    h.end_transaction(8, 0, false);
    assert_eq!(["a", "b", "c"].map(|group| seen(&mut h, group)), [7, 7, -1].map(|it| (it, ErrorCode::None)));
}

#[test]
fn a_marker_is_written_also_if_nothing_is_pending() {
    let mut h = Harness::new();
    for committed in [true, false] {
        assert_eq!(h.end_transaction(7, 3, committed), ErrorCode::None);
    }
    assert!(h.log.iter().all(|(at, entry)| at.producer.is_some() && matches!(entry, Entry::Marker { .. })));
    assert_eq!(h.log.len(), 2);
    assert!(h.list().is_empty());
}

#[test]
fn a_tombstone_removes_the_pending_offsets_of_its_partition() {
    let committed = |h: &mut Harness| {
        h.commit_in_transaction(with_partitions(transactional(7, "g", 5), &[1]));
        h.commit_in_transaction(transactional(8, "g", 6));
    };
    let ended = |h: &mut Harness| {
        assert_eq!(seen(h, "g"), (-1, ErrorCode::None));
        h.fail_over();
        h.end_transaction(7, 0, true);
        h.end_transaction(8, 0, true);
        assert_eq!(seen(h, "g"), (-1, ErrorCode::None));
        tombstones(h)
    };
    let mut h = Harness::new();
    committed(&mut h);
    assert_eq!(delete(&mut h, "g", "t1"), (ErrorCode::None, Some(ErrorCode::None)));
    assert_eq!(ended(&mut h), 1, "OffsetDelete writes one though nothing is committed");
    assert_eq!(h.shard.census().offsets, 1, "the other partition's offset is committed");

    let mut h = Harness::new();
    committed(&mut h);
    let gone = vec![(uuid("ab0b8b34-9c79-4a41-815e-04f2a1295ee2"), "t1".into())];
    h.command(Command::Event(GroupEvent::TopicsDeleted(gone)));
    assert_eq!(ended(&mut h), 2, "both partitions: pending offsets have no topic id");
    assert_eq!(h.shard.census().offsets, 0);

    let mut h = Harness::new();
    committed(&mut h);
    assert_eq!(h.commit(commit("g", "", -1, 8)), ErrorCode::None);
    assert_eq!(h.delete_group("g"), ErrorCode::None);
    assert_eq!(ended(&mut h), 3, "both partitions once, and the group");
    assert_eq!(h.shard.census(), crate::group::Census::default());
}

#[test]
fn a_commit_after_a_tombstone_is_pending_again() {
    let mut h = Harness::new();
    h.commit_in_transaction(transactional(7, "g", 5));
    assert_eq!(h.delete_group("g"), ErrorCode::None);
    h.commit_in_transaction(transactional(7, "g", 6));
    assert_eq!(seen(&mut h, "g"), (-1, ErrorCode::UnstableOffsetCommit));
    h.end_transaction(7, 0, true);
    assert_eq!(seen(&mut h, "g"), (6, ErrorCode::None));
}

/// A group's tombstone alone does not remove its pending offsets. The marker commits them, but only
/// a group that exists shows its offsets.
#[test]
fn offsets_of_a_group_that_is_gone_are_committed_without_a_group() {
    let mut h = Harness::new();
    h.commit_in_transaction(transactional(7, "g", 5));
    let tombstone = crate::group::record::group_tombstone(&"g".into()).unwrap();
    h.append(None, Entry::Record { key: tombstone.key, value: None });
    h.end_transaction(7, 0, true);
    h.fail_over();
    assert_eq!(seen(&mut h, "g"), (-1, ErrorCode::None));
    assert!(h.list().is_empty());
    assert_eq!(delete(&mut h, "g", "t1"), (ErrorCode::GroupIdNotFound, None));
    h.stable_member("g");
    assert_eq!(seen(&mut h, "g"), (5, ErrorCode::None));
}

#[test]
fn who_may_commit_in_a_transaction() {
    let mut h = Harness::new();
    let a = h.stable_member("g");
    let rows = [
        (by_member("", -1, None), ErrorCode::None),
        (by_member(&a, 1, None), ErrorCode::None),
        (by_member(&a, 2, None), ErrorCode::IllegalGeneration),
        (by_member(&a, 0, None), ErrorCode::IllegalGeneration),
        (by_member(&a, -1, None), ErrorCode::IllegalGeneration),
        (by_member("nobody", 1, None), ErrorCode::UnknownMemberId),
        (by_member("nobody", -1, None), ErrorCode::UnknownMemberId),
        (by_member("", 1, None), ErrorCode::UnknownMemberId),
        (by_member("", -1, Some("nobody")), ErrorCode::UnknownMemberId),
        (by_member(&a, 1, Some("nobody")), ErrorCode::UnknownMemberId),
        (TxnOffsetCommitRequest { generation_id: 5, ..transactional(7, "missing", 1) }, ErrorCode::IllegalGeneration),
        (TxnOffsetCommitRequest { generation_id: 0, ..transactional(7, "missing", 1) }, ErrorCode::IllegalGeneration),
        (TxnOffsetCommitRequest { member_id: "m".into(), ..transactional(7, "missing", 1) }, ErrorCode::None),
        (transactional(7, "", 1), ErrorCode::InvalidGroupId),
    ];
    for (request, expected) in rows {
        let before = h.log.len();
        assert_eq!(h.commit_in_transaction(request.clone()), expected, "{request:?}");
        assert_eq!(h.log.len() - before, usize::from(expected == ErrorCode::None));
    }
    assert_eq!(h.leave("g", &[(&a, None)]), [ErrorCode::None]);
    let rows = [
        (by_member("", -1, None), ErrorCode::None),
        (by_member("anybody", -1, Some("any")), ErrorCode::None),
        (by_member(&a, 1, None), ErrorCode::UnknownMemberId),
        (by_member("", 2, None), ErrorCode::UnknownMemberId),
    ];
    for (request, expected) in rows {
        assert_eq!(h.commit_in_transaction(request.clone()), expected, "no member is left: {request:?}");
    }
}

#[test]
fn a_static_member_that_was_replaced_is_fenced() {
    let mut h = Harness::new();
    let ticket = h.send(join_static("g", "", "one"));
    h.advance(0);
    let a = h.joined(ticket).member_id;
    let ticket = h.send(sync("g", &a, 1, &[]));
    h.synced(ticket);
    let ticket = h.send(join_static("g", "", "one"));
    let b = h.joined(ticket).member_id;
    assert_eq!(h.commit_in_transaction(by_member(&a, 1, Some("one"))), ErrorCode::FencedInstanceId);
    assert_eq!(h.commit_in_transaction(by_member(&b, 1, Some("one"))), ErrorCode::None);
}

/// OffsetCommit is refused while members wait for their assignment, and restarts the session.
#[test]
fn a_commit_in_a_transaction_may_come_in_a_rebalance_and_is_no_heartbeat() {
    let mut h = Harness::new();
    let a = h.stable_member("g");
    let ticket = h.send(join("g", &a));
    h.advance(0);
    assert_eq!(h.joined(ticket).generation_id, 2);
    assert_eq!(h.describe("g").group_state, "CompletingRebalance");
    assert_eq!(h.commit(commit("g", &a, 2, 1)), ErrorCode::RebalanceInProgress);
    assert_eq!(h.commit_in_transaction(by_member(&a, 2, None)), ErrorCode::None);
    let ticket = h.send(sync("g", &a, 2, &[]));
    h.synced(ticket);
    h.advance(9_000);
    assert_eq!(h.commit_in_transaction(by_member(&a, 2, None)), ErrorCode::None);
    h.advance(1_000);
    assert_eq!(h.heartbeat("g", &a, 2), ErrorCode::UnknownMemberId, "the session ended");
}

#[test]
fn members_of_groups_of_other_types_are_checked_by_their_epochs() {
    let mut h = Harness::new();
    kinds::other_kinds(&mut h);
    let of = |group: &str, member: &str, epoch: i32| TxnOffsetCommitRequest {
        member_id: member.into(),
        generation_id: epoch,
        ..transactional(7, group, 1)
    };
    assert_eq!(h.commit_in_transaction(of("consumer", "m", -2)), ErrorCode::None, "nobody is in it");
    assert_eq!(h.commit_in_transaction(of("consumer", "m", 0)), ErrorCode::UnknownMemberId);
    kinds::member(&mut h, "consumer", "m", Some(3));
    let instance = TxnOffsetCommitRequest { group_instance_id: Some("i".into()), ..of("consumer", "", -1) };
    let rows = [
        (of("consumer", "", -1), ErrorCode::None),
        (of("consumer", "m", 3), ErrorCode::None),
        (of("consumer", "m", 4), ErrorCode::IllegalGeneration),
        (of("consumer", "m", 2), ErrorCode::IllegalGeneration),
        (of("consumer", "m", -1), ErrorCode::IllegalGeneration),
        (of("consumer", "nobody", 3), ErrorCode::UnknownMemberId),
        (of("consumer", "", -2), ErrorCode::UnknownMemberId),
        (instance, ErrorCode::UnknownMemberId),
        (of("streams", "", -1), ErrorCode::None),
        (of("share", "", -1), ErrorCode::GroupIdNotFound),
    ];
    for (request, expected) in rows {
        assert_eq!(h.commit_in_transaction(request.clone()), expected, "{request:?}");
    }
    h.end_transaction(7, 0, true);
    assert_eq!(seen(&mut h, "consumer"), (1, ErrorCode::None));
    let types: Vec<String> = h.list().into_iter().map(|row| row.2).collect();
    assert_eq!(types, ["consumer", "share", "streams"], "no group has changed its type");
}

#[test]
fn metadata_that_is_too_large_refuses_only_its_partition() {
    let mut h = Harness::new();
    let mut request = with_partitions(transactional(7, "g", 5), &[1]);
    request.topics[0].partitions[0].committed_metadata = Some("x".repeat(4097).into());
    let mut codes = |request: &TxnOffsetCommitRequest| match h
        .ask(GroupRequest::TxnOffsetCommit { request: request.clone(), guard: None })
    {
        GroupReply::TxnOffsetCommit(TxnOffsetCommitResponse { topics, .. }) => {
            (topics[0].partitions.iter().map(|it| code(it.error_code)).collect::<Vec<_>>(), h.log.len())
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(codes(&request), (vec![ErrorCode::OffsetMetadataTooLarge, ErrorCode::None], 1));
    request.topics[0].partitions.pop();
    assert_eq!(codes(&request), (vec![ErrorCode::OffsetMetadataTooLarge], 1), "nothing is left to append");
    request.topics.clear();
    match h.ask(GroupRequest::TxnOffsetCommit { request, guard: None }) {
        GroupReply::TxnOffsetCommit(response) => assert!(response.topics.is_empty()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_partitions_with_pending_offsets_are_unstable() {
    let mut h = Harness::new();
    let mut request = commit("g", "", -1, 1);
    let mut second = request.topics[0].partitions[0].clone();
    second.partition_index = 1;
    request.topics[0].partitions.push(second);
    assert_eq!(h.commit(request), ErrorCode::None);
    assert_eq!(h.commit(commit("other", "", -1, 1)), ErrorCode::None);
    // Partition 1 has a committed and a pending offset, partition 2 only a pending one.
    let mut request = with_partitions(transactional(7, "g", 5), &[1, 2]);
    request.topics[0].partitions.remove(0);
    assert_eq!(h.commit_in_transaction(request), ErrorCode::None);
    let mut ask = |group: &str, partitions: Option<Vec<i32>>, require_stable: bool| {
        let topics = partitions.map(|partition_indexes| {
            vec![OffsetFetchRequestTopics { name: "t1".into(), partition_indexes, ..Default::default() }]
        });
        let group = OffsetFetchRequestGroup { group_id: group.into(), topics, ..Default::default() };
        match h.ask(GroupRequest::OffsetFetch { group, require_stable }) {
            GroupReply::OffsetFetch(response) => {
                assert_eq!(response.error_code, 0);
                let partitions = response.topics.into_iter().flat_map(|topic| topic.partitions);
                partitions.map(|it| (it.partition_index, it.committed_offset, code(it.error_code))).collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        }
    };
    let (good, bad) = (ErrorCode::None, ErrorCode::UnstableOffsetCommit);
    assert_eq!(ask("g", Some(vec![0, 1, 2]), true), [(0, 1, good), (1, -1, bad), (2, -1, bad)]);
    assert_eq!(ask("g", Some(vec![0, 1, 2]), false), [(0, 1, good), (1, 1, good), (2, -1, good)]);
    assert_eq!(ask("g", None, true), [(0, 1, good), (1, -1, bad)], "what is only pending is not listed");
    assert_eq!(ask("g", None, false), [(0, 1, good), (1, 1, good)]);
    assert_eq!(ask("other", Some(vec![1]), true), [(1, -1, good)]);
}

#[test]
fn an_open_transaction_blocks_expiry() {
    let mut h = Harness::new();
    let mut request = commit("g", "", -1, 1);
    let mut second = request.topics[0].clone();
    second.name = "t2".into();
    request.topics.push(second);
    assert_eq!(h.commit(request), ErrorCode::None);
    h.commit_in_transaction(transactional(7, "g", 5));
    h.commit_in_transaction(transactional(8, "only", 5));
    h.advance(RETENTION_MS + 600_000);
    assert_eq!(h.fetch("g", "t1", false).committed_offset, 1);
    assert_eq!(h.fetch("g", "t2", false).committed_offset, -1, "a partition without pending offsets");
    assert_eq!(h.list().len(), 2);
    h.end_transaction(8, 0, false);
    h.advance(600_000);
    assert_eq!(h.list().len(), 1);
    h.end_transaction(7, 0, true);
    h.advance(600_000);
    assert!(h.list().is_empty(), "the retention counts from the commit and not from the marker");
}

#[test]
fn a_group_with_only_pending_offsets_is_a_simple_group() {
    let mut h = Harness::new();
    h.commit_in_transaction(transactional(7, "g", 5));
    let row = |state: &str| [("g".to_owned(), state.to_owned(), "classic".to_owned())];
    for _ in 0..2 {
        assert_eq!(h.list(), row("Empty"));
        let described = h.describe("g");
        assert_eq!((described.group_state.as_str(), described.protocol_type.as_str()), ("Empty", ""));
        assert_eq!(h.shard.census().offsets, 0);
        assert_eq!(h.shard.committed_offsets().count(), 0);
        h.fail_over();
    }
    h.stable_member("g");
    assert_eq!(h.list(), row("Stable"));
    h.end_transaction(7, 0, true);
    assert_eq!((h.list()[0].1.as_str(), h.shard.census().offsets), ("Stable", 1));
}

/// The coordinator fences a producer with an abort marker of a later epoch.
#[test]
fn a_marker_ends_pending_offsets_of_every_epoch_of_its_producer() {
    for (committed, left) in [(true, [4, 5]), (false, [-1, -1])] {
        let mut h = Harness::new();
        h.commit_in_transaction(transactional(7, "first", 4));
        h.commit_in_transaction(TxnOffsetCommitRequest { producer_epoch: 1, ..transactional(7, "second", 5) });
        h.fail_over();
        h.end_transaction(7, 2, committed);
        assert_eq!(["first", "second"].map(|group| seen(&mut h, group).0), left);
        h.end_transaction(7, 0, !committed);
        assert_eq!(["first", "second"].map(|group| seen(&mut h, group)), left.map(|it| (it, ErrorCode::None)));
    }
}

#[test]
fn pending_offsets_of_a_producer_that_never_ends_stay() {
    let mut h = Harness::new();
    h.commit_in_transaction(transactional(7, "g", 4));
    for round in 0..3 {
        h.commit_in_transaction(transactional(8, "g", 10 + round));
        h.end_transaction(8, 0, true);
        h.advance(RETENTION_MS + 600_000);
        h.fail_over();
        assert_eq!(seen(&mut h, "g"), (10 + round, ErrorCode::UnstableOffsetCommit), "nothing expires either");
    }
    h.end_transaction(7, 1, false);
    assert_eq!(seen(&mut h, "g"), (12, ErrorCode::None));
}

/// A fault that another broker had: redpanda 6423.
#[test]
fn a_new_transactional_id_per_start_leaves_no_unstable_offset_behind() {
    let mut h = Harness::new();
    for producer in 0..50 {
        h.commit_in_transaction(transactional(producer, "g", producer));
        h.end_transaction(producer, 0, producer % 3 != 0);
        if producer % 7 == 0 {
            h.fail_over();
        }
    }
    assert_eq!(seen(&mut h, "g"), (49, ErrorCode::None));
    h.commit_in_transaction(transactional(50, "g", 50));
    assert_eq!(h.delete_group("g"), ErrorCode::None);
    assert_eq!(h.shard.state, crate::group::state::ReplicatedState::default(), "nothing is kept of any producer");
}

#[test]
fn append_errors_of_a_commit_are_kafkas() {
    let rows = [
        (ErrorCode::InvalidProducerEpoch, ErrorCode::InvalidProducerEpoch),
        (ErrorCode::InvalidTxnState, ErrorCode::InvalidTxnState),
        (ErrorCode::TransactionAbortable, ErrorCode::TransactionAbortable),
        (ErrorCode::InvalidProducerIdMapping, ErrorCode::InvalidProducerIdMapping),
        (ErrorCode::ConcurrentTransactions, ErrorCode::ConcurrentTransactions),
        (ErrorCode::NetworkException, ErrorCode::CoordinatorLoadInProgress),
        (ErrorCode::UnknownTopicOrPartition, ErrorCode::CoordinatorNotAvailable),
        (ErrorCode::NotEnoughReplicas, ErrorCode::CoordinatorNotAvailable),
        (ErrorCode::RequestTimedOut, ErrorCode::CoordinatorNotAvailable),
        (ErrorCode::NotLeaderOrFollower, ErrorCode::NotCoordinator),
        (ErrorCode::KafkaStorageError, ErrorCode::NotCoordinator),
        (ErrorCode::MessageTooLarge, ErrorCode::UnknownServerError),
        (ErrorCode::RecordListTooLarge, ErrorCode::UnknownServerError),
    ];
    let mut h = Harness::new();
    for (fault, expected) in rows {
        h.fail = Some(fault);
        assert_eq!(h.commit_in_transaction(transactional(7, "g", 1)), expected);
        let request = GroupRequest::TxnOffsetCommit { request: transactional(7, "g", 1), guard: None };
        assert_eq!(request.unverified(fault), GroupShard::refused(&request, expected));
    }
    assert_eq!(seen(&mut h, "g"), (-1, ErrorCode::None));
    assert!(h.list().is_empty());
}

#[test]
fn append_errors_of_a_marker_are_kafkas() {
    let mut h = Harness::new();
    h.commit_in_transaction(transactional(7, "g", 1));
    for fault in [
        ErrorCode::InvalidProducerEpoch,
        ErrorCode::TransactionCoordinatorFenced,
        ErrorCode::NotEnoughReplicas,
        ErrorCode::NotLeaderOrFollower,
        ErrorCode::KafkaStorageError,
        ErrorCode::UnknownServerError,
    ] {
        h.fail = Some(fault);
        assert_eq!(h.end_transaction(7, 0, true), fault);
        assert_eq!(seen(&mut h, "g"), (-1, ErrorCode::UnstableOffsetCommit), "the transaction is open");
    }
    assert_eq!(h.end_transaction(7, 0, true), ErrorCode::None);
    assert_eq!(seen(&mut h, "g"), (1, ErrorCode::None));
}

/// The sender of a marker knows only errors of partitions.
#[test]
fn a_shard_that_cannot_serve_a_marker_is_not_the_leader() {
    let marker = end_transaction(7, 0, true);
    let commit =
        GroupRequest::TxnOffsetCommit { request: with_partitions(transactional(7, "g", 1), &[1]), guard: None };
    let rows = [
        (ErrorCode::CoordinatorNotAvailable, ErrorCode::NotLeaderOrFollower, ErrorCode::CoordinatorNotAvailable),
        (ErrorCode::CoordinatorLoadInProgress, ErrorCode::NotLeaderOrFollower, ErrorCode::CoordinatorLoadInProgress),
        (ErrorCode::NotCoordinator, ErrorCode::NotLeaderOrFollower, ErrorCode::NotCoordinator),
    ];
    for (error, for_marker, for_commit) in rows {
        assert_eq!(GroupShard::refused(&marker, error), GroupReply::EndTransaction(for_marker));
        let held = GroupReply::EndTransaction(ErrorCode::None);
        assert_eq!(GroupShard::into_error(held, error), GroupReply::EndTransaction(for_marker));
        let GroupReply::TxnOffsetCommit(refused) = GroupShard::refused(&commit, error) else { panic!() };
        let codes = refused.topics[0].partitions.iter().map(|it| (it.partition_index, code(it.error_code)));
        assert_eq!(codes.collect::<Vec<_>>(), [(0, for_commit), (1, for_commit)]);
        let held = GroupShard::refused(&commit, ErrorCode::None);
        assert_eq!(GroupShard::into_error(held, error), GroupReply::TxnOffsetCommit(refused));
    }
    let held = GroupReply::EndTransaction(ErrorCode::None);
    let timed_out = GroupShard::into_error(held, ErrorCode::RequestTimedOut);
    assert_eq!(timed_out, GroupReply::EndTransaction(ErrorCode::RequestTimedOut));
    let held = GroupShard::refused(&commit, ErrorCode::None);
    let expected = GroupShard::refused(&commit, ErrorCode::CoordinatorNotAvailable);
    assert_eq!(GroupShard::into_error(held, ErrorCode::RequestTimedOut), expected);
}

/// Two transactions of one producer as Apache Kafka 4.3.1 wrote them to `__consumer_offsets`: with
/// `transaction.version=2`, each marker has the next epoch. The first was committed and the second
/// aborted.
const BATCHES: [&str; 4] = [
    "00000000000000000000006400000000026690870f001000000000000001a22be5d4d8000001a22be5d4d800000000000000000000000000000000000164000000240001000673696d706c650002743100000000340004000000000000003d0000000303c3a9000001a22be5d4d30000",
    "0000000000000001000000420000000002474a0dae003000000000000001a22be5d515000001a22be5d51500000000000000000001ffffffff000000012000000008000000010c00000000000000",
    "0000000000000002000000620000000002fb6cfa93001000000000000001a22be5d580000001a22be5d58000000000000000000001000000000000000160000000240001000673696d706c650002743100000000300004000000000000003effffffff01000001a22be5d5800000",
    "000000000000000300000042000000000273645252003000000000000001a22be5d58c000001a22be5d58c00000000000000000002ffffffff000000012000000008000000000c00000000000000",
];

/// Builds a batch as the driver appends it.
fn encode(h: &Harness, index: usize, timestamp: Timestamp) -> Bytes {
    let (form, records) = &h.batches[index];
    let batch = BatchBuilder::new(Offset(index as i64)).leader_epoch(LeaderEpoch(0));
    let batch = match form {
        BatchForm::Transactional { producer_id, producer_epoch, .. } => {
            let mut batch = batch.producer(*producer_id, *producer_epoch, Some(0)).transactional();
            records.iter().for_each(|it| batch.append(timestamp, Some(&it.key), it.value.as_deref()));
            batch
        }
        BatchForm::Marker { producer_id, producer_epoch, end, .. } => {
            let mut batch = batch.producer(*producer_id, *producer_epoch, None);
            batch.append_end_transaction(timestamp, *end);
            batch
        }
        BatchForm::Atomic | BatchForm::Split => panic!("{form:?}"),
    };
    batch.finish().unwrap()
}

#[test]
fn transactional_batches_and_markers_equal_kafkas_in_every_byte() {
    let mut h = Harness::new();
    let start = 0x01a2_2be5_d4d3;
    h.now = start;
    let mut request = transactional(0, "simple", 61);
    request.topics[0].partitions[0].committed_leader_epoch = 3;
    request.topics[0].partitions[0].committed_metadata = Some("\u{e9}".into());
    assert_eq!(h.commit_in_transaction(request), ErrorCode::None);
    assert_eq!(h.end_transaction(0, 1, true), ErrorCode::None);
    h.now = 0x01a2_2be5_d580;
    let mut request = TxnOffsetCommitRequest { producer_epoch: 1, ..transactional(0, "simple", 62) };
    request.topics[0].partitions[0].committed_metadata = None;
    assert_eq!(h.commit_in_transaction(request), ErrorCode::None);
    assert_eq!(h.end_transaction(0, 2, false), ErrorCode::None);
    // Kafka reads the clock again for each batch.
    let times = [0x01a2_2be5_d4d8, 0x01a2_2be5_d515, 0x01a2_2be5_d580, 0x01a2_2be5_d58c];
    for (index, (golden, time)) in BATCHES.iter().zip(times).enumerate() {
        assert_eq!(encode(&h, index, Timestamp(time)), hex(golden), "batch {index}");
    }
    assert_eq!(h.batches.len(), BATCHES.len());
}

/// Releases before 3.4.1 load nothing of a partition that contains an offset in version 4.
#[test]
fn offsets_of_transactions_are_written_for_the_oldest_release_that_may_run() {
    let mut h = Harness::new();
    h.config.flexible_records = false;
    h.now = 0x01a1_fd65_2fab;
    let mut request = transactional(7, "simple", 61);
    request.topics[0].partitions[0].committed_metadata = Some("\u{e9}".into());
    request.topics[0].partitions[0].committed_leader_epoch = 3;
    assert_eq!(h.commit_in_transaction(request), ErrorCode::None);
    let wanted = Entry::Record {
        key: hex("0001000673696d706c650002743100000000"),
        value: Some(hex("0003000000000000003d000000030002c3a9000001a1fd652fab")),
    };
    assert_eq!(h.log[0].1, wanted);
}
