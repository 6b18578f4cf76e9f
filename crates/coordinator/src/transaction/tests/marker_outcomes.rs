//! Markers: sent until they are written, over loads, and never for another transaction.

use super::{Harness, Leaders, OK, end, ended, outcome_of, partition, producer};
use crate::transaction::{MarkerOutcome, ProducerIdAndEpoch};
use crate::{Command, ReplyId, TransactionEvent};
use model::{ErrorCode, LeaderEpoch};

fn open(version: i16, partitions: &[(&str, i32)]) -> (Harness, ProducerIdAndEpoch) {
    let mut h = Harness::new(2);
    h.leaders = Leaders::Silent;
    let it = h.init("a").unwrap();
    assert_eq!(h.add("a", it, version, partitions), OK);
    (h, it)
}

fn is_answered(h: &Harness, id: ReplyId) -> bool {
    h.replies.contains_key(&id)
}

#[test]
fn an_end_is_answered_although_a_leader_is_silent() {
    let (mut h, it) = open(2, &[("t", 0)]);
    let id = h.send(end("a", it, 2, true));
    h.advance(49);
    assert!(!is_answered(&h, id));
    h.advance(1);
    assert_eq!(ended(h.replies.remove(&id).unwrap()), Ok(producer(1000, 1)));
    assert_eq!((h.state("a"), h.sent.len()), ("PrepareCommit", 1), "the markers are still under way");
    assert_eq!(h.add("a", producer(1000, 1), 2, &[("t", 0)]), ErrorCode::ConcurrentTransactions);
    h.outcome(MarkerOutcome::Written);
    assert_eq!(h.state("a"), "CompleteCommit");
    assert_eq!(h.add("a", producer(1000, 1), 2, &[("t", 0)]), OK);
}

#[test]
fn an_end_is_answered_once_it_is_complete() {
    let (mut h, it) = open(2, &[("t", 0), ("u", 3)]);
    let id = h.send(end("a", it, 2, true));
    let markers = h.sent[0].clone();
    assert_eq!(markers.producer, producer(1000, 1));
    assert_eq!((markers.committed, markers.transaction_version), (true, 2));
    assert_eq!(markers.coordinator_epoch, LeaderEpoch(5));
    assert_eq!(markers.partitions.len(), 2);
    assert!(!is_answered(&h, id));
    h.outcome(MarkerOutcome::Written);
    assert_eq!(h.state("a"), "CompleteCommit");
    assert_eq!(ended(h.replies.remove(&id).unwrap()), Ok(producer(1000, 1)));
}

#[test]
fn markers_before_version_2_have_the_epoch_of_the_transaction() {
    let (mut h, it) = open(0, &[("t", 0)]);
    h.send(end("a", it, 0, false));
    assert_eq!(h.sent[0].producer, it);
    assert_eq!((h.sent[0].committed, h.sent[0].transaction_version), (false, 0));
}

#[test]
fn markers_are_sent_until_they_are_written() {
    let (mut h, it) = open(2, &[("t", 0), ("u", 3), ("u", 4)]);
    let id = h.send(end("a", it, 2, true));
    let first = h.sent.pop_front().unwrap();
    let event = TransactionEvent::MarkersWritten {
        transactional_id: first.transactional_id,
        producer: first.producer,
        coordinator_epoch: first.coordinator_epoch,
        // One is written, one is retried, and one has no outcome.
        outcomes: vec![(partition("u", 3), MarkerOutcome::Written), (partition("t", 0), MarkerOutcome::Retry)],
    };
    h.command(Command::Event(event));
    // The transaction is going to commit whatever happens, so that its client need not wait.
    assert_eq!(ended(h.replies.remove(&id).unwrap()), Ok(producer(1000, 1)));
    assert_eq!(h.add("a", producer(1000, 1), 2, &[("t", 0)]), ErrorCode::ConcurrentTransactions);
    let described = h.describe("a");
    assert_eq!(described.transaction_state, "PrepareCommit");
    assert_eq!(described.topics.iter().map(|it| it.partitions.len()).sum::<usize>(), 2);

    let mut waits = Vec::new();
    for _ in 0..10 {
        let sent_at = h.now;
        while h.sent.is_empty() {
            h.advance(1);
            assert!(h.now - sent_at < 2_000, "the markers are not sent again");
        }
        waits.push(h.now - sent_at);
        assert_eq!(h.sent[0].partitions, vec![partition("u", 4), partition("t", 0)].sorted_as(&h));
        h.outcome(MarkerOutcome::Retry);
    }
    assert_eq!(waits, [20, 40, 80, 160, 320, 640, 1000, 1000, 1000, 1000]);
    h.advance(1000);
    h.outcome(MarkerOutcome::Written);
    assert_eq!(h.state("a"), "CompleteCommit");
    assert_eq!(h.add("a", producer(1000, 1), 2, &[("t", 0)]), OK);
}

/// Puts partitions in the order of the transaction.
trait SortedAs {
    fn sorted_as(self, h: &Harness) -> Self;
}

impl SortedAs for Vec<crate::transaction::TransactionPartition> {
    fn sorted_as(mut self, h: &Harness) -> Self {
        let order = h.transaction("a").partitions.clone();
        self.sort_by_key(|it| order.iter().position(|other| other == it));
        self
    }
}

#[test]
fn a_deleted_partition_needs_no_marker() {
    let (mut h, it) = open(2, &[("t", 0)]);
    h.send(end("a", it, 2, true));
    h.outcome(MarkerOutcome::Gone);
    assert_eq!(h.state("a"), "CompleteCommit");
}

/// A leader that knows a newer epoch stops the sending, until another load, as in Kafka.
#[test]
fn a_fenced_coordinator_sends_no_more() {
    let (mut h, it) = open(2, &[("t", 0)]);
    let id = h.send(end("a", it, 2, true));
    h.outcome(MarkerOutcome::Fenced);
    assert!(is_answered(&h, id));
    h.advance(100_000);
    assert!(h.sent.is_empty());
    assert_eq!(h.state("a"), "PrepareCommit");
    h.fail_over();
    h.outcome(MarkerOutcome::Written);
    assert_eq!(h.state("a"), "CompleteCommit");
}

#[test]
fn a_load_sends_the_markers_of_prepared_transactions() {
    for (version, committed) in [(0, true), (0, false), (2, true), (2, false)] {
        let (mut h, it) = open(version, &[("t", 0), ("u", 1)]);
        let id = h.send(end("a", it, version, committed));
        h.fail_over();
        assert_eq!(ended(h.replies.remove(&id).unwrap()), Err(ErrorCode::NotCoordinator));
        let markers = h.sent[0].clone();
        assert_eq!(markers.producer, producer(1000, if version == 2 { 1 } else { 0 }));
        assert_eq!((markers.committed, markers.coordinator_epoch), (committed, LeaderEpoch(6)));
        assert_eq!(markers.partitions.len(), 2);
        h.outcome(MarkerOutcome::Retry);
        h.advance(20);
        h.outcome(MarkerOutcome::Written);
        assert_eq!(h.state("a"), if committed { "CompleteCommit" } else { "CompleteAbort" });
        assert!(h.end("a", it, version, committed).is_ok());
    }
}

/// A broker of Kafka stopped between the two records of a transaction without partitions.
#[test]
fn a_load_completes_a_prepared_transaction_without_partitions() {
    let mut h = Harness::new(2);
    let it = h.init("a").unwrap();
    h.end("a", it, 2, false).unwrap();
    h.log.pop();
    h.fail_over();
    assert_eq!(h.state("a"), "PrepareAbort");
    h.advance(0);
    assert_eq!(h.state("a"), "CompleteAbort");
}

#[test]
fn an_outcome_of_another_epoch_or_transaction_changes_nothing() {
    let (mut h, it) = open(2, &[("t", 0)]);
    let first = h.send(end("a", it, 2, true));
    let old = h.sent.pop_front().unwrap();
    h.fail_over();
    assert!(is_answered(&h, first));
    // The markers that the coordinator sent before its load.
    h.command(Command::Event(outcome_of(&old, MarkerOutcome::Written)));
    assert_eq!(h.state("a"), "PrepareCommit");
    let new = h.sent.pop_front().unwrap();
    let mut other = new.clone();
    other.producer = producer(1000, 7);
    h.command(Command::Event(outcome_of(&other, MarkerOutcome::Written)));
    assert_eq!(h.state("a"), "PrepareCommit");
    h.command(Command::Event(outcome_of(&new, MarkerOutcome::Written)));
    assert_eq!(h.state("a"), "CompleteCommit");

    // Outcomes over the next transaction, open and ending, and of an unknown transactional id.
    let next = producer(1000, 1);
    assert_eq!(h.add("a", next, 2, &[("t", 0)]), OK);
    for outcome in [MarkerOutcome::Written, MarkerOutcome::Retry, MarkerOutcome::Fenced] {
        h.command(Command::Event(outcome_of(&new, outcome)));
        assert_eq!(h.state("a"), "Ongoing");
    }
    h.send(end("a", next, 2, false));
    for outcome in [MarkerOutcome::Written, MarkerOutcome::Fenced] {
        h.command(Command::Event(outcome_of(&new, outcome)));
        assert_eq!(h.state("a"), "PrepareAbort");
    }
    other.transactional_id = "nobody".into();
    h.command(Command::Event(outcome_of(&other, MarkerOutcome::Written)));
    h.outcome(MarkerOutcome::Written);
    assert_eq!(h.state("a"), "CompleteAbort");
}

#[test]
fn an_outcome_that_comes_twice_changes_nothing() {
    let (mut h, it) = open(0, &[("t", 0)]);
    h.send(end("a", it, 0, true));
    let markers = h.sent.pop_front().unwrap();
    h.command(Command::Event(outcome_of(&markers, MarkerOutcome::Written)));
    let records = h.log.len();
    h.command(Command::Event(outcome_of(&markers, MarkerOutcome::Written)));
    assert_eq!(h.log.len(), records);
}
