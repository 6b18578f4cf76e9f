//! Transactional ids that nobody uses are deleted.

use super::{Harness, Leaders, OK, end, producer};
use crate::Entry;
use crate::transaction::MarkerOutcome;
use model::ErrorCode;

const HOUR: i64 = 3_600_000;
const WEEK: i64 = 7 * 24 * HOUR;

#[test]
fn an_id_expires_and_its_tombstone_is_written() {
    let mut h = Harness::new(2);
    let it = h.init("a").unwrap();
    h.advance(WEEK - 1);
    assert_eq!(h.shard.transactional_id_count(), 1);
    h.advance(HOUR);
    assert_eq!(h.shard.transactional_id_count(), 0);
    let (_, Entry::Record { key, value: None }) = h.log.last().unwrap() else { panic!("a tombstone") };
    assert_eq!(key.as_ref(), b"\0\0\0\x01a");
    assert_eq!(h.add("a", it, 2, &[("t", 0)]), ErrorCode::InvalidProducerIdMapping);
    assert_eq!(h.init_with("a", 60_000, Some(it)), Ok(producer(1001, 0)), "a producer that comes back");
}

#[test]
fn every_use_keeps_an_id() {
    let mut h = Harness::new(2);
    let mut it = h.init("a").unwrap();
    for _ in 0..4 {
        h.advance(WEEK - HOUR);
        assert_eq!(h.add("a", it, 2, &[("t", 0)]), OK);
        it = h.end("a", it, 2, true).unwrap();
    }
    h.advance(WEEK + HOUR);
    assert_eq!(h.shard.transactional_id_count(), 0);
    assert!(h.shard.soft.before.is_empty(), "nothing is kept of an expired id");
}

#[test]
fn an_open_or_ending_transaction_does_not_expire() {
    let mut h = Harness::new(2);
    h.config.transactional_id_expiration_ms = 1_000;
    let it = h.init_with("a", 900_000, None).unwrap();
    assert_eq!(h.add("a", it, 2, &[("t", 0)]), OK);
    h.now += 100_000;
    h.config.remove_expired_interval_ms = 1;
    h.fail_over();
    h.advance(10);
    assert_eq!(h.state("a"), "Ongoing");
    h.leaders = Leaders::Silent;
    h.send(end("a", it, 2, true));
    h.advance(100_000);
    assert_eq!(h.state("a"), "PrepareCommit");
    h.outcome(MarkerOutcome::Written);
    h.advance(999);
    assert_eq!(h.state("a"), "CompleteCommit");
    h.advance(1);
    assert_eq!(h.shard.transactional_id_count(), 0);
}

#[test]
fn many_ids_expire_in_several_decisions() {
    let mut h = Harness::new(2);
    let it = h.init("a").unwrap();
    let template = h.transaction("a").clone();
    for index in 0..2_500 {
        h.stored(&format!("id-{index}"), &template);
    }
    assert_eq!(it, producer(1000, 0));
    h.advance(WEEK + HOUR);
    assert_eq!(h.shard.transactional_id_count(), 0);
}

#[test]
fn tombstones_that_fail_are_written_later() {
    let mut h = Harness::new(2);
    h.init("a").unwrap();
    h.advance(WEEK - 1);
    h.fail = Some(ErrorCode::KafkaStorageError);
    h.advance(HOUR);
    assert_eq!(h.shard.transactional_id_count(), 1);
    h.advance(HOUR);
    assert_eq!(h.shard.transactional_id_count(), 0);
}
