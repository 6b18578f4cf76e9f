//! InitProducerId: who gets which id and epoch, and who is fenced.

use super::{Harness, OK, init, initialized, producer};
use crate::{TransactionReply, TransactionRequest};
use model::{ErrorCode, ProducerId};
use std::collections::VecDeque;

#[test]
fn a_new_transactional_id_gets_a_new_producer_id_and_each_producer_a_new_epoch() {
    for version in [0, 1, 2] {
        let mut h = Harness::new(version);
        assert_eq!(h.init("a"), Ok(producer(1000, 0)));
        assert_eq!(h.init("a"), Ok(producer(1000, 1)));
        assert_eq!(h.init("b"), Ok(producer(1001, 0)));
        assert_eq!(h.state("a"), "Empty");
    }
}

#[test]
fn what_is_refused_before_the_transactional_id_is_looked_at() {
    let mut h = Harness::new(2);
    assert_eq!(h.init(""), Err(ErrorCode::InvalidRequest));
    for timeout_ms in [0, -1, i32::MIN, 900_001, i32::MAX] {
        assert_eq!(h.init_with("a", timeout_ms, None), Err(ErrorCode::InvalidTransactionTimeout));
    }
    assert_eq!(h.init_with("a", 900_000, None), Ok(producer(1000, 0)));
    let mut ask = |enable_2pc, keep_prepared| {
        let request = TransactionRequest::InitProducerId {
            transactional_id: "a".into(),
            timeout_ms: 0,
            expected: None,
            enable_2pc,
            keep_prepared,
        };
        initialized(h.ask(request))
    };
    assert_eq!(ask(true, false), Err(ErrorCode::TransactionalIdAuthorizationFailed));
    assert_eq!(ask(true, true), Err(ErrorCode::TransactionalIdAuthorizationFailed));
    assert_eq!(ask(false, true), Err(ErrorCode::UnsupportedVersion));
}

/// With two-phase commit the timeout of the request is not looked at, and there is none.
#[test]
fn two_phase_commit_has_no_timeout() {
    let mut h = Harness::new(2);
    h.config.two_phase_commit = true;
    let request = TransactionRequest::InitProducerId {
        transactional_id: "a".into(),
        timeout_ms: -1,
        expected: None,
        enable_2pc: true,
        keep_prepared: false,
    };
    let it = initialized(h.ask(request)).unwrap();
    assert_eq!(h.describe("a").transaction_timeout_ms, i32::MAX);
    assert_eq!(h.add("a", it, 2, &[("t", 0)]), OK);
    h.advance(i64::from(i32::MAX) + 1);
    assert_eq!(h.state("a"), "Ongoing");
    h.fail_over();
    h.advance(i64::from(i32::MAX) + 1);
    assert_eq!(h.state("a"), "Ongoing");
}

#[test]
fn a_producer_that_repeats_its_request_gets_the_same_epoch() {
    let mut h = Harness::new(2);
    let first = h.init("a").unwrap();
    let second = h.init_with("a", 60_000, Some(first)).unwrap();
    assert_eq!(second, producer(1000, 1));
    // The answer was lost: the producer asks with the epoch it has.
    assert_eq!(h.init_with("a", 60_000, Some(first)), Ok(second));
    assert_eq!(h.init_with("a", 60_000, Some(first)), Ok(second));
    assert_eq!(h.init_with("a", 60_000, Some(second)), Ok(producer(1000, 2)));
    assert_eq!(h.init_with("a", 60_000, Some(first)), Err(ErrorCode::ProducerFenced));
}

/// Kafka does not store the epoch before, so that a load forgets it.
#[test]
fn a_load_forgets_which_request_may_be_repeated() {
    let mut h = Harness::new(2);
    let first = h.init("a").unwrap();
    h.init_with("a", 60_000, Some(first)).unwrap();
    h.fail_over();
    assert_eq!(h.init_with("a", 60_000, Some(first)), Err(ErrorCode::ProducerFenced));
}

#[test]
fn a_producer_with_another_id_or_an_older_epoch_is_fenced() {
    let mut h = Harness::new(2);
    let first = h.init("a").unwrap();
    h.init("a").unwrap();
    assert_eq!(h.init_with("a", 60_000, Some(first)), Err(ErrorCode::ProducerFenced));
    assert_eq!(h.init_with("a", 60_000, Some(producer(7, 1))), Err(ErrorCode::ProducerFenced));
    assert_eq!(h.init_with("a", 60_000, Some(producer(1000, 2))), Err(ErrorCode::ProducerFenced));
    // A producer whose transactional id has expired keeps nothing: it gets a new id.
    assert_eq!(h.init_with("new", 60_000, Some(producer(7, 1))), Ok(producer(1001, 0)));
}

#[test]
fn an_exhausted_epoch_gives_a_new_producer_id() {
    for version in [0, 1, 2] {
        let mut h = Harness::new(version);
        h.init("a").unwrap();
        let exhausted = producer(1000, i16::MAX - 1);
        let transaction = crate::transaction::state::Transaction { producer: exhausted, ..h.transaction("a").clone() };
        h.stored("a", &transaction);
        assert_eq!(h.init_with("a", 60_000, Some(exhausted)), Ok(producer(1001, 0)), "version {version}");
        // A repeated request finds the new id, although it names the old one.
        assert_eq!(h.init_with("a", 60_000, Some(exhausted)), Ok(producer(1001, 0)));
        assert_eq!(h.init_with("a", 60_000, Some(producer(1000, 5))), Err(ErrorCode::ProducerFenced));
        assert_eq!(h.init("a"), Ok(producer(1001, 1)));
        assert_eq!(h.init_with("a", 60_000, Some(exhausted)), Err(ErrorCode::ProducerFenced));
    }
}

/// Kafka cannot raise the epoch, and answers with the error of its own fault.
#[test]
fn an_older_epoch_of_an_exhausted_producer_is_an_error() {
    let mut h = Harness::new(2);
    h.init("a").unwrap();
    let exhausted = producer(1000, i16::MAX - 1);
    let transaction = crate::transaction::state::Transaction { producer: exhausted, ..h.transaction("a").clone() };
    h.stored("a", &transaction);
    assert_eq!(h.init_with("a", 60_000, Some(producer(1000, 4))), Err(ErrorCode::UnknownServerError));
}

#[test]
fn a_request_waits_for_a_producer_id_and_gets_its_error() {
    let mut h = Harness::new(2);
    h.producer_ids = VecDeque::from([Err(ErrorCode::CoordinatorLoadInProgress)]);
    assert_eq!(h.init("a"), Err(ErrorCode::CoordinatorLoadInProgress));
    assert!(h.shard.state.transactions.is_empty());

    // Two requests for the same new id: the second uses what the first has written.
    let (first, second) = (h.send(init("a", 60_000, None)), h.send(init("a", 60_000, None)));
    assert!(h.replies.is_empty());
    for id in [7, 8] {
        let token = h.allocations.pop_front().unwrap();
        let result = Ok(ProducerId(id));
        let event = crate::TransactionEvent::ProducerIdAllocated { token, result };
        h.command(crate::Command::Event(event.clone()));
        // An event that comes twice changes nothing.
        let records = h.log.len();
        h.command(crate::Command::Event(event));
        assert_eq!(h.log.len(), records);
    }
    assert_eq!(initialized(h.replies.remove(&first).unwrap()), Ok(producer(7, 0)));
    assert_eq!(initialized(h.replies.remove(&second).unwrap()), Ok(producer(7, 1)));
}

#[test]
fn the_end_of_a_leadership_answers_what_waits_for_a_producer_id() {
    let mut h = Harness::new(2);
    h.producer_ids.clear();
    let id = h.send(init("a", 60_000, None));
    h.fail_over();
    let reply = h.replies.remove(&id).unwrap();
    assert!(matches!(&reply, TransactionReply::InitProducerId(_)));
    assert_eq!(initialized(reply), Err(ErrorCode::NotCoordinator));
}

/// The open transaction is aborted, and the producer asks again.
#[test]
fn an_open_transaction_is_aborted_first() {
    for (version, marker_epoch) in [(0, 1), (1, 1), (2, 1)] {
        let mut h = Harness::new(version);
        let old = h.init("a").unwrap();
        assert_eq!(h.add("a", old, 0, &[("t", 0)]), OK);
        assert_eq!(h.init("a"), Err(ErrorCode::ConcurrentTransactions));
        assert_eq!(h.state("a"), "CompleteAbort");
        assert_eq!(h.transaction("a").producer, producer(1000, marker_epoch));
        assert_eq!(h.init("a"), Ok(producer(1000, 2)));
        // Whatever the old producer does, it is fenced.
        assert_eq!(h.add("a", old, 0, &[("t", 0)]), ErrorCode::ProducerFenced);
        assert_eq!(h.end("a", old, 0, true), Err(ErrorCode::ProducerFenced));
        assert_eq!(h.end("a", old, 2, true), Err(ErrorCode::ProducerFenced));
    }
}

/// The epoch that fences the producer is the last one, and the next InitProducerId gives a new id.
#[test]
fn fencing_an_exhausted_producer() {
    for version in [0, 1, 2] {
        let mut h = Harness::new(version);
        h.init("a").unwrap();
        let exhausted = producer(1000, i16::MAX - 1);
        let transaction = crate::transaction::state::Transaction { producer: exhausted, ..h.transaction("a").clone() };
        h.stored("a", &transaction);
        assert_eq!(h.add("a", exhausted, 0, &[("t", 0)]), OK);
        assert_eq!(h.init("a"), Err(ErrorCode::ConcurrentTransactions));
        let found = h.init("a").unwrap();
        // In version 2 the abort itself has changed the producer id.
        assert_eq!(found, producer(1001, if version == 2 { 1 } else { 0 }), "version {version}");
    }
}
