//! Tests of appends that fail: which state stays, and which is lost nevertheless.

use super::{Harness, code, commit, join, join_static, sync};
use model::ErrorCode;

#[test]
fn a_commit_that_is_not_in_the_log_has_not_happened() {
    let mut h = Harness::new();
    let rows = [
        (ErrorCode::NotEnoughReplicas, ErrorCode::CoordinatorNotAvailable),
        (ErrorCode::NotLeaderOrFollower, ErrorCode::NotCoordinator),
        (ErrorCode::KafkaStorageError, ErrorCode::NotCoordinator),
        (ErrorCode::MessageTooLarge, ErrorCode::UnknownServerError),
    ];
    for (fault, expected) in rows {
        h.fail = Some(fault);
        assert_eq!(h.commit(commit("g", "", -1, 1)), expected);
    }
    assert_eq!(h.fetch("g", "t1", false).committed_offset, -1);
    assert!(h.list().is_empty());
}

#[test]
fn a_group_that_is_not_in_the_log_does_not_exist() {
    let mut h = Harness::new();
    h.fail = Some(ErrorCode::NotEnoughReplicas);
    let ticket = h.send(join("g", ""));
    assert_eq!(code(h.joined(ticket).error_code), ErrorCode::CoordinatorNotAvailable);
    assert!(h.list().is_empty());
    h.stable_member("g");
}

#[test]
fn a_lost_assignment_makes_every_member_rejoin() {
    let mut h = Harness::new();
    let (first, second) = (h.send(join_static("g", "", "one")), h.send(join_static("g", "", "two")));
    h.advance(0);
    let (a, b) = (h.joined(first).member_id, h.joined(second).member_id);
    let follower = h.send(sync("g", &b, 1, &[]));
    h.fail = Some(ErrorCode::NotEnoughReplicas);
    let leader = h.send(sync("g", &a, 1, &[(&a, "A"), (&b, "B")]));
    assert_eq!(code(h.synced(leader).error_code), ErrorCode::CoordinatorNotAvailable);
    assert_eq!(code(h.synced(follower).error_code), ErrorCode::CoordinatorNotAvailable);
    assert_eq!(h.describe("g").group_state, "PreparingRebalance");
    assert_eq!(h.heartbeat("g", &b, 1), ErrorCode::RebalanceInProgress);
    let (first, second) = (h.send(join_static("g", &a, "one")), h.send(join_static("g", &b, "two")));
    assert_eq!((h.joined(first).generation_id, h.joined(second).generation_id), (2, 2));
}

#[test]
fn a_static_member_whose_return_is_not_in_the_log_has_its_old_place() {
    let mut h = Harness::new();
    let ticket = h.send(join_static("g", "", "one"));
    h.advance(0);
    let a = h.joined(ticket).member_id;
    let ticket = h.send(sync("g", &a, 1, &[]));
    h.synced(ticket);
    h.fail = Some(ErrorCode::KafkaStorageError);
    let ticket = h.send(join_static("g", "", "one"));
    assert_eq!(code(h.joined(ticket).error_code), ErrorCode::NotCoordinator);
    assert_eq!(h.heartbeat("g", &a, 1), ErrorCode::None);
}

#[test]
fn removed_members_stay_removed_even_if_the_append_fails() {
    let mut h = Harness::new();
    let a = h.stable_member("g");
    h.fail = Some(ErrorCode::NotEnoughReplicas);
    h.advance(10_000);
    assert_eq!(h.fail, None);
    assert_eq!(h.heartbeat("g", &a, 1), ErrorCode::UnknownMemberId);
    assert_eq!(h.describe("g").group_state, "Empty");
    assert_eq!(h.log.len(), 2, "the log still has its member");
    let ticket = h.send(join("g", ""));
    let b = h.joined(ticket).member_id;
    let ticket = h.send(join("g", &b));
    h.advance(0);
    assert_eq!(h.joined(ticket).generation_id, 3, "generation 2 was the empty one");
}

#[test]
fn the_search_for_expired_offsets_continues_after_a_failure() {
    let mut h = Harness::new();
    assert_eq!(h.commit(commit("g", "", -1, 1)), ErrorCode::None);
    h.config.offsets_retention_ms = 1;
    h.fail = Some(ErrorCode::NotEnoughReplicas);
    h.advance(600_000);
    assert_eq!(h.fail, None);
    assert_eq!(h.fetch("g", "t1", false).committed_offset, 1);
    h.advance(600_000);
    assert_eq!(h.fetch("g", "t1", false).committed_offset, -1);
}
