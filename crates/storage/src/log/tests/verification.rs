//! A transaction is opened only by a batch that carries the guard of its verification (KIP-890).
//! The rules and the texts are Kafka's.

use super::*;
use crate::{VERIFICATIONS_MAX, VerificationStart};
use model::VerificationGuard;

/// A log in which producer 7 opens transactions.
struct Verified(Bench);

fn verifying() -> LogConfig {
    LogConfig { verifies_transactions: true, ..config() }
}

fn start(epoch: i16, base_sequence: i32) -> VerificationStart {
    VerificationStart {
        producer_id: ProducerId(7),
        epoch: ProducerEpoch(epoch),
        base_sequence,
        supports_epoch_bump: false,
        now: Timestamp(0),
    }
}

impl Verified {
    fn new() -> Self {
        Verified(Bench::new(verifying()))
    }

    fn begin(&self, epoch: i16, base_sequence: i32) -> Result<Option<VerificationGuard>> {
        self.0.log.begin_verification(&start(epoch, base_sequence), Wait::Block)
    }

    fn begin_v2(&self, epoch: i16, base_sequence: i32) -> Option<VerificationGuard> {
        let start = VerificationStart { supports_epoch_bump: true, ..start(epoch, base_sequence) };
        self.0.log.begin_verification(&start, Wait::Block).unwrap()
    }

    fn append(&self, epoch: i16, sequence: i32, guard: Option<VerificationGuard>) -> Result<AppendOutcome> {
        let how = LeaderAppend { guard, ..at(0, 0, Origin::Client) };
        self.0.log.append_as_leader(&[produced(7, epoch, sequence, 1, true)], how)
    }

    fn end(&self, epoch: i16, transaction_version: i16) -> Result<AppendOutcome> {
        let how = LeaderAppend { transaction_version, ..at(0, 0, Origin::Coordinator) };
        self.0.log.append_as_leader(&[marker(7, epoch, true)], how)
    }
}

fn refusal(appended: Result<AppendOutcome>) -> ProducerError {
    match appended {
        Err(Error::Producer(error)) => error,
        other => panic!("{other:?}"),
    }
}

fn unverified() -> ProducerError {
    ProducerError::InvalidTxnState("Record was not part of an ongoing transaction".into())
}

#[test]
fn a_batch_that_opens_a_transaction_needs_the_guard_of_its_verification() {
    let log = Verified::new();
    assert_eq!(refusal(log.append(0, 0, None)), unverified());
    let guard = log.begin(0, 0).unwrap();
    assert!(guard.is_some());
    assert_eq!(refusal(log.append(0, 0, None)), unverified());
    assert_eq!(refusal(log.append(0, 0, Some(VerificationGuard(0)))), unverified());
    // A batch of a coordinator needs one too.
    let how = at(0, 0, Origin::Coordinator);
    let refused = log.0.log.append_as_leader(&[produced(7, 0, 0, 1, true)], how);
    assert_eq!(refusal(refused), unverified());
    log.append(0, 0, guard).unwrap();
    // The transaction is open: no guard is needed until it ends.
    assert_eq!(log.begin(0, 1).unwrap(), None);
    log.append(0, 1, None).unwrap();
    // A repeated batch is a duplicate, whatever its guard.
    assert!(log.append(0, 0, None).unwrap().is_duplicate);
    log.end(0, 0).unwrap();
    assert!(log.append(0, 1, None).unwrap().is_duplicate);
    assert_eq!(refusal(log.append(0, 2, None)), unverified());
    assert_eq!(refusal(log.append(0, 2, guard)), unverified(), "the first batch ended its verification");
}

#[test]
fn a_marker_ends_the_verification_of_a_batch_that_comes_too_late() {
    let log = Verified::new();
    let guard = log.begin(0, 0).unwrap();
    log.end(0, 0).unwrap();
    assert_eq!(refusal(log.append(0, 0, guard)), unverified());
    let next = log.begin(0, 0).unwrap();
    assert!(next.is_some() && next != guard);
    log.append(0, 0, next).unwrap();
}

#[test]
fn a_marker_that_this_replica_copies_ends_the_verification() {
    let log = Verified::new();
    let guard = log.begin(0, 0).unwrap();
    let mut builder = BatchBuilder::new(Offset(0)).producer(ProducerId(7), ProducerEpoch(0), None);
    builder.append_end_transaction(Timestamp(6), EndTransactionMarker { committed: true, coordinator_epoch: 0 });
    let how = FollowerAppend { now: Timestamp(0) };
    log.0.log.append_as_follower(&builder.finish().unwrap(), how).unwrap();
    assert_eq!(refusal(log.append(0, 0, guard)), unverified());
}

#[test]
fn the_marker_of_a_version_2_transaction_leaves_the_verification_of_the_next_one() {
    let log = Verified::new();
    let guard = log.begin_v2(3, 0);
    log.append(3, 0, guard).unwrap();
    // The transaction ends with epoch 4. The client begins the next one, in epoch 4, before the
    // marker is written.
    let next = log.begin_v2(4, 0);
    assert!(next.is_some());
    log.end(4, 2).unwrap();
    log.append(4, 0, next).unwrap();
    // A marker of another epoch ends the verification.
    log.end(5, 2).unwrap();
    let late = log.begin_v2(5, 0);
    log.end(6, 2).unwrap();
    assert!(matches!(refusal(log.append(5, 0, late)), ProducerError::InvalidEpoch(_)));
}

#[test]
fn an_earlier_epoch_is_fenced_before_its_verification() {
    let log = Verified::new();
    let guard = log.begin(3, 0).unwrap();
    log.append(3, 0, guard).unwrap();
    let text = "Epoch of producer 7 is 2, which is smaller than the last seen epoch 3";
    let fenced = ProducerError::InvalidEpoch(text.into());
    let Err(Error::Producer(refused)) = log.begin(2, 0) else { panic!("an earlier epoch is verified") };
    assert_eq!(refused, fenced);
    assert_eq!(refusal(log.append(2, 1, None)), fenced);
    // A newer epoch is not part of the open transaction.
    let newer = log.begin(4, 0).unwrap();
    assert!(newer.is_some());
    assert_eq!(refusal(log.append(4, 0, None)), unverified());
}

#[test]
fn a_higher_sequence_waits_until_the_lowest_that_was_verified_is_written() {
    let log = Verified::new();
    // Two batches are in flight; the verification of the first one fails.
    let guard = log.begin(0, 0).unwrap();
    assert_eq!(log.begin(0, 5).unwrap(), guard);
    let text = "Out of order sequence number for producer 7 at offset 0 in partition t-0: 5 (incoming seq. number), 0 (earliest seen sequence)";
    assert_eq!(refusal(log.append(0, 5, guard)), ProducerError::OutOfOrderSequence(text.into()));
    // A lower one counts, also if it comes later.
    let log = Verified::new();
    let guard = log.begin(0, 5).unwrap();
    assert_eq!(log.begin(0, 3).unwrap(), guard);
    assert!(matches!(refusal(log.append(0, 5, guard)), ProducerError::OutOfOrderSequence(_)));
    // With a newer epoch, the sequences begin again.
    assert_eq!(log.begin(1, 9).unwrap(), guard);
    assert_eq!(log.begin(0, 1).unwrap(), guard, "an earlier epoch changes nothing");
    log.append(1, 9, guard).unwrap();
}

#[test]
fn a_version_2_producer_that_the_log_does_not_know_begins_with_sequence_0() {
    let log = Verified::new();
    let guard = log.begin_v2(0, 4);
    let text = "Invalid sequence number for producer 7 at offset 0 in partition t-0: 4 (incoming seq. number). Expected sequence 0 for transactions v2 idempotent producer with no existing state.";
    assert_eq!(refusal(log.append(0, 4, guard)), ProducerError::OutOfOrderSequence(text.into()));
    log.append(0, 0, guard).unwrap();
    // An older client may go on where its records were deleted.
    let log = Verified::new();
    let guard = log.begin(0, 4).unwrap();
    log.append(0, 4, guard).unwrap();
}

#[test]
fn without_verification_no_guard_is_needed() {
    let log = Verified(Bench::new(config()));
    log.append(0, 0, None).unwrap();
    log.end(0, 0).unwrap();
    // The setting is dynamic.
    log.0.log.set_config(verifying());
    assert_eq!(refusal(log.append(0, 1, None)), unverified());
}

#[test]
fn verifications_are_soft_and_expire() {
    let log = Verified::new();
    let guard = log.begin(0, 0).unwrap();
    let expiration_ms = config().producer_id_expiration_ms;
    log.0.log.expire_producers(Timestamp(expiration_ms - 1));
    assert_eq!(log.begin(0, 0).unwrap(), guard);
    log.0.log.expire_producers(Timestamp(expiration_ms));
    let renewed = log.begin(0, 0).unwrap();
    assert!(renewed != guard);
    // Another start of the log knows nothing of it.
    let log = Verified(log.0.reopen(true).0);
    assert_eq!(log.0.log.producers(), []);
    let next = log.begin(0, 0).unwrap();
    assert!(next != renewed && next.is_some());
    assert_eq!(refusal(log.append(0, 0, renewed)), unverified());
}

#[test]
fn a_truncation_leaves_verifications() {
    let log = Verified::new();
    log.0.append(batch(&[1]));
    let guard = log.begin(0, 0).unwrap();
    log.0.log.truncate_to(Offset(0), Timestamp(0)).unwrap();
    log.append(0, 0, guard).unwrap();
}

#[test]
fn beyond_the_limit_the_oldest_verification_is_forgotten() {
    let log = Verified::new();
    let guard = log.begin(0, 0).unwrap();
    for number in 1..=VERIFICATIONS_MAX {
        let other = VerificationStart { producer_id: ProducerId(1_000 + number as i64), ..start(0, 0) };
        log.0.log.begin_verification(&other, Wait::Block).unwrap();
    }
    assert_eq!(refusal(log.append(0, 0, guard)), unverified());
}
