//! Transaction version 2 (KIP-890, part 2): every transaction has its own epoch.

use super::{Harness, Leaders, OK, end, ended, producer};
use crate::transaction::MarkerOutcome;
use crate::transaction::state::Transaction;
use model::{ErrorCode, ProducerId};
use std::collections::VecDeque;

const V2: i16 = 2;

#[test]
fn each_end_raises_the_epoch() {
    let mut h = Harness::new(2);
    let first = h.init("a").unwrap();
    assert_eq!(h.add("a", first, V2, &[("t", 0)]), OK);
    let second = h.end("a", first, V2, true).unwrap();
    assert_eq!(second, producer(1000, 1));
    assert_eq!(h.state("a"), "CompleteCommit");
    assert_eq!(h.add("a", second, V2, &[("t", 0)]), OK);
    assert_eq!(h.end("a", second, V2, false), Ok(producer(1000, 2)));
    assert_eq!(h.state("a"), "CompleteAbort");
}

/// KAFKA-17754: an EndTxn of the last transaction that arrives while the next one is open is
/// fenced, and the next transaction goes on.
#[test]
fn a_delayed_end_does_not_touch_the_next_transaction_kafka_17754() {
    for committed in [true, false] {
        let mut h = Harness::new(2);
        let first = h.init("a").unwrap();
        assert_eq!(h.add("a", first, V2, &[("t", 0)]), OK);
        let second = h.end("a", first, V2, committed).unwrap();
        assert_eq!(h.add("a", second, V2, &[("t", 1)]), OK);
        let records = h.log.len();
        for delayed in [true, false] {
            assert_eq!(h.end("a", first, V2, delayed), Err(ErrorCode::ProducerFenced));
        }
        // Nor does a delayed addition.
        assert_eq!(h.add("a", first, V2, &[("t", 2)]), ErrorCode::ProducerFenced);
        assert_eq!(h.log.len(), records);
        assert_eq!(h.state("a"), "Ongoing");
        assert_eq!(h.end("a", second, V2, true), Ok(producer(1000, 2)));
    }
}

#[test]
fn a_repeated_end_is_answered_with_the_next_epoch() {
    for committed in [true, false] {
        let mut h = Harness::new(2);
        let first = h.init("a").unwrap();
        assert_eq!(h.add("a", first, V2, &[("t", 0)]), OK);
        let second = h.end("a", first, V2, committed).unwrap();
        assert_eq!(h.end("a", first, V2, committed), Ok(second));
        assert_eq!(h.end("a", first, V2, !committed), Err(ErrorCode::InvalidTxnState));
        h.fail_over();
        assert_eq!(h.end("a", first, V2, committed), Ok(second));
    }
}

/// Kafka's table of what EndTxn does when no transaction is open.
#[test]
fn an_end_without_an_open_transaction() {
    let retry_of = |it: crate::transaction::ProducerIdAndEpoch| producer(it.id.0, it.epoch.0 - 1);
    // Empty.
    let mut h = Harness::new(2);
    h.init("a").unwrap();
    let current = h.init("a").unwrap();
    assert_eq!(h.end("a", retry_of(current), V2, false), Err(ErrorCode::ProducerFenced));
    assert_eq!(h.end("a", retry_of(current), V2, true), Err(ErrorCode::ProducerFenced));
    assert_eq!(h.end("a", current, V2, true), Err(ErrorCode::InvalidTxnState));
    assert_eq!(h.end("a", current, V2, false), Ok(producer(1000, 2)));
    // CompleteAbort: the abort of nothing is repeated, and nothing is aborted again.
    let current = producer(1000, 2);
    assert_eq!(h.state("a"), "CompleteAbort");
    assert_eq!(h.end("a", retry_of(current), V2, false), Ok(current));
    assert_eq!(h.end("a", retry_of(current), V2, true), Err(ErrorCode::InvalidTxnState));
    assert_eq!(h.end("a", current, V2, true), Err(ErrorCode::InvalidTxnState));
    assert_eq!(h.end("a", current, V2, false), Ok(producer(1000, 3)));
    // CompleteCommit.
    let current = producer(1000, 3);
    assert_eq!(h.add("a", current, V2, &[("t", 0)]), OK);
    let current = h.end("a", current, V2, true).unwrap();
    assert_eq!(h.end("a", retry_of(current), V2, false), Err(ErrorCode::InvalidTxnState));
    assert_eq!(h.end("a", retry_of(current), V2, true), Ok(current));
    assert_eq!(h.end("a", current, V2, true), Err(ErrorCode::InvalidTxnState));
    assert_eq!(h.end("a", current, V2, false), Ok(producer(1000, 5)));
    for future in [producer(1000, 6), producer(1000, 7)] {
        assert_eq!(h.end("a", future, V2, false), Err(ErrorCode::ProducerFenced));
    }
}

/// An abort without partitions is complete at once, in one batch, and its start is its end.
#[test]
fn the_abort_of_an_empty_transaction_has_no_markers() {
    let mut h = Harness::new(2);
    h.leaders = Leaders::Silent;
    let it = h.init("a").unwrap();
    h.now += 50;
    assert_eq!(h.end("a", it, V2, false), Ok(producer(1000, 1)));
    assert!(h.sent.is_empty());
    assert_eq!(h.log.len(), 3);
    assert_eq!(h.state("a"), "CompleteAbort");
    assert_eq!(h.transaction("a").start, Some(h.wall()));
}

#[test]
fn an_exhausted_epoch_gives_a_new_producer_id_with_the_end() {
    let mut h = Harness::new(2);
    h.init("a").unwrap();
    let exhausted = producer(1000, i16::MAX - 1);
    h.stored("a", &Transaction { producer: exhausted, ..h.transaction("a").clone() });
    assert_eq!(h.add("a", exhausted, V2, &[("t", 0)]), OK);
    h.leaders = Leaders::Silent;
    let id = h.send(end("a", exhausted, V2, true));
    assert_eq!(h.sent[0].producer, producer(1000, i16::MAX));
    assert_eq!(h.transaction("a").next_id, Some(ProducerId(1001)));
    assert_eq!(h.end("a", exhausted, V2, true), Err(ErrorCode::ConcurrentTransactions));
    h.outcome(MarkerOutcome::Written);
    assert_eq!(ended(h.replies.remove(&id).unwrap()), Ok(producer(1001, 0)));
    assert_eq!(h.transaction("a").producer, producer(1001, 0));
    // The repeated EndTxn names the old id.
    assert_eq!(h.end("a", exhausted, V2, true), Ok(producer(1001, 0)));
    assert_eq!(h.end("a", exhausted, V2, false), Err(ErrorCode::InvalidTxnState));
    h.fail_over();
    assert_eq!(h.end("a", exhausted, V2, true), Ok(producer(1001, 0)));
    // Over the next transaction it is not accepted any more.
    assert_eq!(h.add("a", producer(1001, 0), V2, &[("t", 0)]), OK);
    assert_eq!(h.end("a", exhausted, V2, true), Err(ErrorCode::InvalidProducerIdMapping));
}

#[test]
fn an_end_waits_for_a_producer_id_and_gets_its_error() {
    let mut h = Harness::new(2);
    h.init("a").unwrap();
    let exhausted = producer(1000, i16::MAX - 1);
    h.stored("a", &Transaction { producer: exhausted, ..h.transaction("a").clone() });
    assert_eq!(h.add("a", exhausted, V2, &[("t", 0)]), OK);
    h.producer_ids = VecDeque::from([Err(ErrorCode::RequestTimedOut)]);
    assert_eq!(h.end("a", exhausted, V2, true), Err(ErrorCode::RequestTimedOut));
    assert_eq!(h.state("a"), "Ongoing");
    h.producer_ids = VecDeque::from([Ok(ProducerId(9))]);
    assert_eq!(h.end("a", exhausted, V2, true), Ok(producer(9, 0)));
}

/// The last epoch of all fences producers, and no client gets it. An abort with it goes through, a
/// commit cannot raise it.
#[test]
fn the_last_epoch() {
    let mut h = Harness::new(2);
    h.init("a").unwrap();
    let last = producer(1000, i16::MAX);
    h.stored("a", &Transaction { producer: last, ..h.transaction("a").clone() });
    assert_eq!(h.add("a", last, V2, &[("t", 0)]), OK);
    assert_eq!(h.end("a", last, V2, true), Err(ErrorCode::UnknownServerError));
    assert_eq!(h.state("a"), "Ongoing");
    assert!(h.end("a", last, V2, false).is_ok());
    assert_eq!(h.state("a"), "CompleteAbort");
    assert_eq!(h.transaction("a").producer.epoch.0, 0);
}

/// At `transaction.version` 0 the log cannot say that a client has version 2.
#[test]
fn version_2_needs_the_finalized_feature() {
    let mut h = Harness::new(0);
    let it = h.init("a").unwrap();
    assert_eq!(h.add("a", it, V2, &[("t", 0)]), ErrorCode::UnsupportedVersion);
    assert_eq!(h.add("a", it, 0, &[("t", 0)]), OK);
    assert_eq!(h.end("a", it, V2, true), Err(ErrorCode::UnsupportedVersion));
    assert_eq!(h.end("a", it, 0, true), Ok(super::NO_PRODUCER));
}
