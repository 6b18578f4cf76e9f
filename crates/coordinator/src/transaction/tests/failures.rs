//! Appends that fail: nothing changes, and the client gets Kafka's error.

use super::{Harness, Leaders, OK, end, ended, init, initialized, producer};
use crate::transaction::MarkerOutcome;
use model::ErrorCode;

const MAPPED: [(ErrorCode, ErrorCode); 8] = [
    (ErrorCode::UnknownTopicOrPartition, ErrorCode::CoordinatorNotAvailable),
    (ErrorCode::NotEnoughReplicas, ErrorCode::CoordinatorNotAvailable),
    (ErrorCode::NotEnoughReplicasAfterAppend, ErrorCode::CoordinatorNotAvailable),
    (ErrorCode::RequestTimedOut, ErrorCode::CoordinatorNotAvailable),
    (ErrorCode::NotLeaderOrFollower, ErrorCode::NotCoordinator),
    (ErrorCode::KafkaStorageError, ErrorCode::NotCoordinator),
    (ErrorCode::MessageTooLarge, ErrorCode::UnknownServerError),
    (ErrorCode::RecordListTooLarge, ErrorCode::UnknownServerError),
];

#[test]
fn errors_are_mapped_as_in_kafka() {
    for (error, code) in MAPPED {
        let mut h = Harness::new(2);
        h.fail = Some(error);
        assert_eq!(h.init("a"), Err(code));
        assert!(h.shard.state.transactions.is_empty());
        let it = h.init("a").unwrap();
        h.fail = Some(error);
        assert_eq!(h.add("a", it, 2, &[("t", 0)]), code);
        assert_eq!(h.add("a", it, 2, &[("t", 0)]), OK);
        h.fail = Some(error);
        assert_eq!(h.end("a", it, 2, true), Err(code));
        assert_eq!(h.state("a"), "Ongoing");
        assert_eq!(h.end("a", it, 2, true), Ok(producer(it.id.0, 1)));
    }
}

/// The epoch is not raised twice when the fence is tried again.
#[test]
fn a_fence_that_fails_is_repeated() {
    for version in [0, 1, 2] {
        let mut h = Harness::new(version);
        let it = h.init("a").unwrap();
        assert_eq!(h.add("a", it, 0, &[("t", 0)]), OK);
        h.fail = Some(ErrorCode::NotEnoughReplicas);
        assert_eq!(h.init("a"), Err(ErrorCode::CoordinatorNotAvailable));
        assert_eq!(h.state("a"), "Ongoing");
        assert_eq!(h.init("a"), Err(ErrorCode::ConcurrentTransactions));
        assert_eq!(h.transaction("a").producer.epoch.0, 1);
    }
}

/// All markers are written, and the last record cannot be: it is written later, and the client's
/// transaction has committed.
#[test]
fn a_last_record_that_fails_is_repeated() {
    let mut h = Harness::new(2);
    let it = h.init("a").unwrap();
    assert_eq!(h.add("a", it, 2, &[("t", 0)]), OK);
    h.leaders = Leaders::Silent;
    let id = h.send(end("a", it, 2, true));
    h.fail = Some(ErrorCode::NotEnoughReplicas);
    h.outcome(MarkerOutcome::Written);
    assert_eq!(ended(h.replies.remove(&id).unwrap()), Ok(producer(1000, 1)));
    assert_eq!(h.state("a"), "PrepareCommit");
    h.fail = Some(ErrorCode::NotEnoughReplicas);
    h.advance(20);
    assert_eq!(h.state("a"), "PrepareCommit");
    h.advance(40);
    assert_eq!(h.state("a"), "CompleteCommit");
    assert!(h.sent.is_empty(), "no marker is sent twice");
}

/// The new producer id of a request that failed is given to nobody.
#[test]
fn an_allocated_producer_id_is_not_used_after_a_failure() {
    let mut h = Harness::new(2);
    h.producer_ids.clear();
    let id = h.send(init("a", 60_000, None));
    let token = h.allocations.pop_front().unwrap();
    h.fail = Some(ErrorCode::NotEnoughReplicas);
    let result = Ok(model::ProducerId(7));
    h.command(crate::Command::Event(crate::TransactionEvent::ProducerIdAllocated { token, result }));
    assert_eq!(initialized(h.replies.remove(&id).unwrap()), Err(ErrorCode::CoordinatorNotAvailable));
    assert!(h.shard.state.transactions.is_empty());
    assert!(h.shard.soft.allocations.is_empty());
}
