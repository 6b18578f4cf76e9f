//! DescribeTransactions and ListTransactions.

use super::{Harness, Leaders, OK, end};
use crate::{TransactionReply, TransactionRequest};
use model::{ErrorCode, ProducerId};

struct Filters<'a> {
    states: &'a [&'a str],
    producer_ids: &'a [i64],
    duration_ms: i64,
    pattern: Option<&'a str>,
}

const ALL: Filters<'_> = Filters { states: &[], producer_ids: &[], duration_ms: -1, pattern: None };

fn list(h: &mut Harness, filters: &Filters<'_>) -> (ErrorCode, Vec<String>, Vec<String>) {
    let request = TransactionRequest::List {
        states: filters.states.iter().map(|&it| it.into()).collect(),
        producer_ids: filters.producer_ids.iter().map(|&it| ProducerId(it)).collect(),
        duration_ms: filters.duration_ms,
        pattern: filters.pattern.map(Into::into),
    };
    let TransactionReply::List(it) = h.ask(request) else { panic!("a list") };
    let code = ErrorCode::from_code(it.error_code).unwrap();
    let names = it.transaction_states.iter().map(|it| it.transactional_id.to_string()).collect();
    (code, names, it.unknown_state_filters.iter().map(ToString::to_string).collect())
}

/// `idle` has had no transaction, `open` has one, `done` has committed, `ending` commits.
fn four() -> Harness {
    let mut h = Harness::new(2);
    h.init("idle").unwrap();
    let open = h.init("open").unwrap();
    let done = h.init("done").unwrap();
    let ending = h.init("ending").unwrap();
    assert_eq!(h.add("open", open, 2, &[("t", 0)]), OK);
    assert_eq!(h.add("done", done, 2, &[("t", 0)]), OK);
    h.end("done", done, 2, true).unwrap();
    assert_eq!(h.add("ending", ending, 2, &[("t", 0), ("t", 1)]), OK);
    h.leaders = Leaders::Silent;
    h.send(end("ending", ending, 2, true));
    h
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

#[test]
fn filters_of_lists() {
    let mut h = four();
    let mut found = |filters: Filters<'_>| list(&mut h, &filters);
    assert_eq!(found(ALL), (OK, names(&["done", "ending", "idle", "open"]), vec![]));
    let states = Filters { states: &["Empty", "Ongoing"], ..ALL };
    assert_eq!(found(states), (OK, names(&["idle", "open"]), vec![]));
    // Kafka knows the names of states exactly. With only unknown ones nothing is found.
    let states = Filters { states: &["ongoing", "Bogus", "Bogus"], ..ALL };
    assert_eq!(found(states), (OK, vec![], names(&["ongoing", "Bogus"])));
    assert_eq!(found(Filters { states: &["Dead", "CompleteCommit"], ..ALL }), (OK, names(&["done"]), vec![]));
    assert_eq!(found(Filters { producer_ids: &[1001, 1003, 9], ..ALL }), (OK, names(&["ending", "open"]), vec![]));
    assert_eq!(found(Filters { producer_ids: &[9], ..ALL }).1, names(&[]));
}

#[test]
fn lists_by_duration() {
    let mut h = four();
    h.now += 1_000;
    let found = |h: &mut Harness, duration_ms| list(h, &Filters { duration_ms, ..ALL }).1;
    assert_eq!(found(&mut h, 999), names(&["done", "ending", "idle", "open"]));
    // An id without a transaction has the start -1 and passes, as in Kafka.
    assert_eq!(found(&mut h, 1_000), names(&["idle"]));
    assert_eq!(found(&mut h, i64::MAX), names(&[]));
}

#[test]
fn lists_by_pattern() {
    let mut h = four();
    let mut found = |pattern| list(&mut h, &Filters { pattern: Some(pattern), ..ALL });
    assert_eq!(found("").1.len(), 4);
    assert_eq!(found("open").1, names(&["open"]));
    assert_eq!(found("ope").1, names(&[]), "the whole id must match");
    assert_eq!(found("open|o").1, names(&["open"]));
    assert_eq!(found("o|open").1, names(&["open"]));
    assert_eq!(found("[di].*").1, names(&["done", "idle"]));
    for invalid in ["(", "a)(b", "*", "[", "a{2,1}"] {
        assert_eq!(found(invalid), (ErrorCode::InvalidRegularExpression, vec![], vec![]), "{invalid}");
    }
}

#[test]
fn descriptions() {
    let mut h = four();
    let described = h.describe("open");
    assert_eq!(described.transaction_state, "Ongoing");
    assert_eq!((described.producer_id, described.producer_epoch), (1001, 0));
    assert_eq!(described.transaction_timeout_ms, 60_000);
    assert_eq!(described.transaction_start_time_ms, h.wall().0);
    assert_eq!(described.topics[0].partitions, [0]);
    assert_eq!(h.describe("idle").transaction_start_time_ms, -1);
    assert!(h.describe("done").topics.is_empty());
    // Java's order of a `HashSet`.
    assert_eq!(h.describe("ending").topics[0].partitions, [1, 0]);
    assert_eq!(h.describe("").error_code, ErrorCode::InvalidRequest.code());
    assert_eq!(h.describe("nobody").error_code, ErrorCode::TransactionalIdNotFound.code());
}
