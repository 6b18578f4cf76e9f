//! Transactions that are open for too long.

use super::{Harness, Leaders, OK, end, producer};
use crate::transaction::MarkerOutcome;
use crate::transaction::state::Transaction;
use model::{ErrorCode, ProducerId};
use std::collections::VecDeque;

#[test]
fn a_transaction_is_aborted_after_its_timeout() {
    for version in [0, 1, 2] {
        let client = if version == 2 { 2 } else { 0 };
        let mut h = Harness::new(version);
        let it = h.init_with("a", 5_000, None).unwrap();
        h.advance(100_000);
        assert_eq!(h.state("a"), "Empty", "only an open transaction times out");
        assert_eq!(h.add("a", it, client, &[("t", 0)]), OK);
        h.advance(3_000);
        // Another partition does not prolong the transaction.
        assert_eq!(h.add("a", it, client, &[("t", 1)]), OK);
        h.advance(2_000);
        assert_eq!(h.state("a"), "Ongoing");
        h.advance(1);
        assert_eq!(h.state("a"), "CompleteAbort");
        assert_eq!(h.transaction("a").producer, producer(1000, 1), "the producer is fenced");
        let late = h.end("a", it, client, true);
        let wanted = if version == 2 { ErrorCode::InvalidTxnState } else { ErrorCode::ProducerFenced };
        assert_eq!(late, Err(wanted));
        assert_eq!(h.add("a", it, client, &[("t", 0)]), ErrorCode::ProducerFenced);
    }
}

#[test]
fn the_end_stops_the_timeout() {
    let mut h = Harness::new(2);
    let it = h.init_with("a", 5_000, None).unwrap();
    assert_eq!(h.add("a", it, 2, &[("t", 0)]), OK);
    h.leaders = Leaders::Silent;
    h.send(end("a", it, 2, true));
    h.advance(100_000);
    assert_eq!(h.state("a"), "PrepareCommit");
    h.outcome(MarkerOutcome::Written);
    h.advance(100_000);
    assert_eq!(h.state("a"), "CompleteCommit");
}

/// The start is in the log, on the wall clock.
#[test]
fn a_load_does_not_prolong_a_transaction() {
    let mut h = Harness::new(2);
    let it = h.init_with("a", 5_000, None).unwrap();
    assert_eq!(h.add("a", it, 2, &[("t", 0)]), OK);
    h.advance(4_000);
    h.fail_over();
    h.advance(1_000);
    assert_eq!(h.state("a"), "Ongoing");
    h.advance(1);
    assert_eq!(h.state("a"), "CompleteAbort");
    // One that has timed out meanwhile is aborted at once.
    let it = h.init_with("a", 5_000, None).unwrap();
    assert_eq!(h.add("a", it, 2, &[("t", 0)]), OK);
    h.now += 60_000;
    h.fail_over();
    h.advance(0);
    assert_eq!(h.state("a"), "CompleteAbort");
}

/// However the wall clock jumps, a transaction that was begun here has its time.
#[test]
fn a_jump_of_the_wall_clock_aborts_nothing() {
    let mut h = Harness::new(2);
    let it = h.init_with("a", 5_000, None).unwrap();
    assert_eq!(h.add("a", it, 2, &[("t", 0)]), OK);
    h.wall_ahead_ms += 1_000_000;
    h.advance(5_000);
    assert_eq!(h.state("a"), "Ongoing");
    h.wall_ahead_ms -= 2_000_000;
    h.advance(1);
    assert_eq!(h.state("a"), "CompleteAbort");
}

/// An abort that cannot be appended is tried again after the configured interval.
#[test]
fn an_abort_that_fails_is_repeated() {
    let mut h = Harness::new(1);
    let it = h.init_with("a", 5_000, None).unwrap();
    assert_eq!(h.add("a", it, 0, &[("t", 0)]), OK);
    h.fail = Some(ErrorCode::NotEnoughReplicas);
    h.advance(5_001);
    assert_eq!(h.state("a"), "Ongoing");
    // Kafka does not raise the epoch twice for the two attempts.
    h.advance(10_000);
    assert_eq!(h.state("a"), "CompleteAbort");
    assert_eq!(h.transaction("a").producer.epoch.0, 1);
}

#[test]
fn the_abort_of_an_exhausted_producer_waits_for_a_producer_id() {
    let mut h = Harness::new(2);
    h.init_with("a", 5_000, None).unwrap();
    let exhausted = producer(1000, i16::MAX - 1);
    h.stored("a", &Transaction { producer: exhausted, ..h.transaction("a").clone() });
    assert_eq!(h.add("a", exhausted, 2, &[("t", 0)]), OK);
    h.producer_ids = VecDeque::from([Err(ErrorCode::RequestTimedOut), Ok(ProducerId(9))]);
    h.advance(5_001);
    assert_eq!(h.state("a"), "Ongoing");
    h.advance(10_000);
    assert_eq!(h.state("a"), "CompleteAbort");
    assert_eq!(h.transaction("a").producer, producer(9, 0));
}

/// The producer id comes after the transaction has ended and another one was begun with the same
/// epoch: that one has its own time.
#[test]
fn a_late_producer_id_does_not_abort_the_next_transaction() {
    let mut h = Harness::new(2);
    h.init_with("a", 5_000, None).unwrap();
    let exhausted = producer(1000, i16::MAX - 1);
    h.stored("a", &Transaction { producer: exhausted, ..h.transaction("a").clone() });
    assert_eq!(h.add("a", exhausted, 0, &[("t", 0)]), OK);
    h.producer_ids.clear();
    h.advance(5_001);
    let token = h.allocations.pop_front().unwrap();
    assert_eq!(h.end("a", exhausted, 0, true), Ok(super::NO_PRODUCER));
    assert_eq!(h.add("a", exhausted, 0, &[("t", 0)]), OK);
    let result = Ok(ProducerId(9));
    h.command(crate::Command::Event(crate::TransactionEvent::ProducerIdAllocated { token, result }));
    assert_eq!(h.state("a"), "Ongoing");
    assert_eq!(h.transaction("a").producer, exhausted);
}
