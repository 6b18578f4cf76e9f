//! Clients before transaction version 2, and what every version has in common.

use super::{Harness, Leaders, NO_PRODUCER, OK, add, end, ended, producer, verify};
use crate::TransactionReply;
use crate::transaction::MarkerOutcome;
use model::ErrorCode;

fn codes(reply: TransactionReply) -> Vec<(String, i32, ErrorCode)> {
    let TransactionReply::VerifyPartitions(topics) = reply else { panic!("{reply:?}") };
    let result = |topic: &str, index, code| (topic.to_string(), index, ErrorCode::from_code(code).unwrap());
    topics
        .iter()
        .flat_map(|it| {
            it.results_by_partition.iter().map(|p| result(&it.name, p.partition_index, p.partition_error_code))
        })
        .collect()
}

#[test]
fn a_transaction_keeps_its_epoch() {
    for version in [0, 1] {
        let mut h = Harness::new(version);
        let it = h.init("a").unwrap();
        for committed in [true, false, true] {
            assert_eq!(h.add("a", it, 0, &[("t", 0), ("t", 1)]), OK);
            assert_eq!(h.end("a", it, 0, committed), Ok(NO_PRODUCER));
            assert_eq!(h.transaction("a").producer, it);
        }
    }
}

#[test]
fn a_repeated_end_succeeds_until_the_next_transaction() {
    for committed in [true, false] {
        let mut h = Harness::new(1);
        let it = h.init("a").unwrap();
        assert_eq!(h.end("a", it, 0, committed), Err(ErrorCode::InvalidTxnState));
        assert_eq!(h.add("a", it, 0, &[("t", 0)]), OK);
        assert_eq!(h.end("a", it, 0, committed), Ok(NO_PRODUCER));
        assert_eq!(h.end("a", it, 0, committed), Ok(NO_PRODUCER));
        assert_eq!(h.end("a", it, 0, !committed), Err(ErrorCode::InvalidTxnState));
    }
}

#[test]
fn unknown_ids_and_epochs() {
    for (version, client) in [(0, 0), (1, 0), (2, 2)] {
        let mut h = Harness::new(version);
        let it = h.init("a").unwrap();
        let other = producer(4, 0);
        for (id, it, code) in [
            ("", it, ErrorCode::InvalidRequest),
            ("unknown", it, ErrorCode::InvalidProducerIdMapping),
            ("a", other, ErrorCode::InvalidProducerIdMapping),
            ("a", producer(-1, -1), ErrorCode::InvalidProducerIdMapping),
            ("a", producer(it.id.0, 1), ErrorCode::ProducerFenced),
            ("a", producer(it.id.0, -1), ErrorCode::ProducerFenced),
            ("a", producer(it.id.0, i16::MAX), ErrorCode::ProducerFenced),
            ("a", producer(it.id.0, i16::MIN), ErrorCode::ProducerFenced),
        ] {
            assert_eq!(h.add(id, it, client, &[("t", 0)]), code, "{id} {it:?}");
            assert_eq!(h.end(id, it, client, true), Err(code), "{id} {it:?}");
            assert_eq!(codes(h.ask(verify(id, it, &[("t", 0)]))), [("t".into(), 0, code)]);
        }
        assert_eq!(h.log.len(), 1);
    }
}

#[test]
fn partitions_that_are_there_already_need_no_record() {
    let mut h = Harness::new(1);
    let it = h.init("a").unwrap();
    assert_eq!(h.add("a", it, 0, &[("t", 0), ("t", 1)]), OK);
    let records = h.log.len();
    assert_eq!(h.add("a", it, 0, &[("t", 1)]), OK);
    assert_eq!(h.add("a", it, 0, &[]), OK);
    assert_eq!(h.log.len(), records);
    assert_eq!(h.add("a", it, 0, &[("t", 1), ("u", 0), ("u", 0)]), OK);
    assert_eq!(h.log.len(), records + 1);
    assert_eq!(h.transaction("a").partitions.len(), 3);
}

#[test]
fn a_verification_names_the_partitions_that_are_missing() {
    let mut h = Harness::new(1);
    let it = h.init("a").unwrap();
    let asked = [("t", 0), ("t", 1), ("u", 0)];
    let of = |codes: [ErrorCode; 3]| -> Vec<(String, i32, ErrorCode)> {
        asked.iter().zip(codes).map(|((topic, index), code)| (topic.to_string(), *index, code)).collect()
    };
    let missing = ErrorCode::TransactionAbortable;
    assert_eq!(codes(h.ask(verify("a", it, &asked))), of([missing; 3]));
    assert_eq!(h.add("a", it, 0, &[("t", 1)]), OK);
    assert_eq!(codes(h.ask(verify("a", it, &asked))), of([missing, OK, missing]));
    h.leaders = Leaders::Silent;
    h.send(end("a", it, 0, true));
    assert_eq!(codes(h.ask(verify("a", it, &asked))), of([ErrorCode::ConcurrentTransactions; 3]));
    h.outcome(MarkerOutcome::Written);
    assert_eq!(codes(h.ask(verify("a", it, &asked))), of([missing; 3]));
}

#[test]
fn a_transaction_that_ends_admits_nothing() {
    for (version, client) in [(0, 0), (1, 0), (2, 2)] {
        for committed in [true, false] {
            let mut h = Harness::new(version);
            h.leaders = Leaders::Silent;
            let it = h.init("a").unwrap();
            assert_eq!(h.add("a", it, client, &[("t", 0)]), OK);
            let first = h.send(end("a", it, client, committed));
            assert!(h.replies.is_empty(), "the answer waits for the markers");
            let busy = ErrorCode::ConcurrentTransactions;
            assert_eq!(h.init("a"), Err(busy));
            let next = h.transaction("a").producer;
            assert_eq!(h.add("a", next, client, &[("t", 0)]), busy);
            assert_eq!(h.end("a", it, client, committed), Err(busy));
            assert_eq!(h.end("a", it, client, !committed), Err(busy));
            h.outcome(MarkerOutcome::Written);
            assert!(ended(h.replies.remove(&first).unwrap()).is_ok());
            assert_eq!(h.add("a", next, client, &[("t", 0)]), OK);
        }
    }
}

/// AddPartitionsToTxn without partitions opens a transaction, as in Kafka. Its end has no markers.
#[test]
fn a_transaction_without_partitions() {
    let mut h = Harness::new(1);
    h.leaders = Leaders::Silent;
    let it = h.init("a").unwrap();
    assert_eq!(h.add("a", it, 0, &[]), OK);
    assert_eq!(h.state("a"), "Ongoing");
    assert_eq!(h.end("a", it, 0, true), Ok(NO_PRODUCER));
    assert_eq!(h.state("a"), "CompleteCommit");
    assert!(h.sent.is_empty());
}

/// States that Kafka has only in memory. A log that holds them anyway is not believed.
#[test]
fn states_that_no_log_holds() {
    for state in [crate::transaction::TransactionState::Dead, crate::transaction::TransactionState::PrepareEpochFence] {
        let mut h = Harness::new(2);
        let it = h.init("a").unwrap();
        h.stored("a", &crate::transaction::state::Transaction { state, ..h.transaction("a").clone() });
        h.fail_over();
        assert_eq!(h.init("a"), Err(ErrorCode::UnknownServerError));
        assert_eq!(h.add("a", it, 0, &[("t", 0)]), ErrorCode::UnknownServerError);
        assert_eq!(h.end("a", it, 0, true), Err(ErrorCode::UnknownServerError));
        assert_eq!(h.end("a", it, 2, true), Err(ErrorCode::UnknownServerError));
        assert!(matches!(h.ask(add("a", it, 0, &[])), TransactionReply::AddPartitions(ErrorCode::UnknownServerError)));
    }
}
