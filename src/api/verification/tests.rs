//! Batches are verified with a coordinator that a test plays.

use super::*;
use crate::replica::{AppendRequest, leading};
use records::BatchBuilder;
use std::cell::RefCell;

const BACKOFF: Duration = Duration::from_millis(20);

/// Plays the coordinator: notes what it is asked, and answers all partitions with the next code.
struct Coordinator {
    asked: RefCell<Vec<TransactionPartitions>>,
    codes: RefCell<Vec<ErrorCode>>,
}

impl Coordinator {
    fn answering(codes: &[ErrorCode]) -> Self {
        let codes = codes.iter().rev().copied().collect();
        Self { asked: RefCell::default(), codes: RefCell::new(codes) }
    }

    /// The last code is repeated.
    fn answer(&self, asked: TransactionPartitions) -> Vec<ErrorCode> {
        let mut codes = self.codes.borrow_mut();
        let code = if codes.len() > 1 { codes.pop() } else { codes.last().copied() };
        let answers = vec![code.unwrap_or(ErrorCode::None); asked.partitions.len()];
        self.asked.borrow_mut().push(asked);
        answers
    }

    async fn verify(&self, transaction: &Transaction) -> Vec<Verified> {
        transaction.verify(async |asked| self.answer(asked)).await
    }
}

fn batch(index: i32, partition: Result<Arc<Partition>, ErrorCode>) -> TransactionalBatch {
    TransactionalBatch { name: TopicPartition::new("t", index), partition, base_sequence: 0 }
}

fn transaction(support: Support, batches: Vec<TransactionalBatch>) -> Transaction {
    Transaction {
        transactional_id: "tx".into(),
        producer_id: ProducerId(7),
        producer_epoch: ProducerEpoch(3),
        support,
        retry: Retry { backoff: BACKOFF, within: 5 * BACKOFF },
        now: Timestamp(1_000),
        batches,
    }
}

async fn append(partition: &Arc<Partition>, epoch: i16, guard: Option<VerificationGuard>) -> Result<(), AppendError> {
    let batch = BatchBuilder::new(model::Offset(0)).producer(ProducerId(7), ProducerEpoch(epoch), Some(0));
    let mut batch = batch.transactional();
    batch.append(Timestamp(1_000), None, Some(b"value"));
    let (records, now) = (batch.finish().unwrap(), Timestamp(1_000));
    let append = AppendRequest { records, all_replicas: false, may_write_internal: false, guard, now };
    partition.append(append).await.map(drop)
}

/// Returns the answer for one partition when the coordinator answers this code.
async fn answer(support: Support, code: ErrorCode) -> (ErrorCode, Option<String>) {
    let coordinator = Coordinator::answering(&[code]);
    let verified = coordinator.verify(&transaction(support, vec![batch(0, Ok(leading(1, &[1])))])).await;
    let error = verified[0].clone().unwrap_err();
    (error.code, error.message)
}

#[tokio::test(start_paused = true)]
async fn one_question_covers_the_partitions_that_need_one() {
    let (open, new) = (leading(1, &[1]), leading(1, &[1]));
    let coordinator = Coordinator::answering(&[ErrorCode::None]);
    let first = transaction(Support::AddsPartitions, vec![batch(0, Ok(open.clone()))]);
    let guard = coordinator.verify(&first).await.remove(0).unwrap();
    append(&open, 3, guard).await.unwrap();
    let batches = vec![
        batch(0, Ok(open)),
        batch(1, Err(ErrorCode::NotLeaderOrFollower)),
        batch(2, Ok(new.clone())),
        batch(3, Ok(leading(1, &[1]))),
    ];
    let verified = coordinator.verify(&transaction(Support::AddsPartitions, batches)).await;
    assert_eq!(verified[0], Ok(None), "the transaction is open there");
    assert_eq!(verified[1], Err(ErrorCode::NotLeaderOrFollower.into()));
    append(&new, 3, verified[2].clone().unwrap()).await.unwrap();
    assert!(matches!(verified[3], Ok(Some(_))));
    let asked = coordinator.asked.into_inner();
    let names = |asked: &TransactionPartitions| asked.partitions.iter().map(|one| one.partition.0).collect::<Vec<_>>();
    assert_eq!(asked.iter().map(names).collect::<Vec<_>>(), [vec![0], vec![2, 3]]);
    assert_eq!(
        (&*asked[1].transactional_id, asked[1].producer_id, asked[1].producer_epoch.0),
        ("tx", ProducerId(7), 3)
    );
}

#[tokio::test(start_paused = true)]
async fn from_version_12_on_partitions_are_added_and_below_it_they_are_verified_only() {
    for (support, verify_only) in
        [(Support::OldErrors, true), (Support::Abortable, true), (Support::AddsPartitions, false)]
    {
        let coordinator = Coordinator::answering(&[ErrorCode::None]);
        coordinator.verify(&transaction(support, vec![batch(0, Ok(leading(1, &[1])))])).await;
        assert_eq!(coordinator.asked.into_inner()[0].verify_only, verify_only);
    }
}

#[tokio::test(start_paused = true)]
async fn the_coordinators_errors_become_those_that_producers_know() {
    use ErrorCode::{
        ConcurrentTransactions, CoordinatorLoadInProgress, CoordinatorNotAvailable, InvalidProducerEpoch,
        InvalidProducerIdMapping, InvalidTxnState, NetworkException, NotCoordinator, NotEnoughReplicas, ProducerFenced,
        TransactionAbortable,
    };
    let unable = |code: &str| {
        let text =
            format!("Unable to verify the partition has been added to the transaction. Underlying error: {code}");
        (NotEnoughReplicas, Some(text))
    };
    let not_added = || (InvalidTxnState, Some("Partition was not added to the transaction".to_owned()));
    for support in [Support::OldErrors, Support::Abortable, Support::AddsPartitions] {
        assert_eq!(answer(support, InvalidTxnState).await, not_added());
        assert_eq!(answer(support, NotCoordinator).await, unable("NOT_COORDINATOR"));
        assert_eq!(answer(support, CoordinatorNotAvailable).await, unable("COORDINATOR_NOT_AVAILABLE"));
        assert_eq!(answer(support, CoordinatorLoadInProgress).await, unable("COORDINATOR_LOAD_IN_PROGRESS"));
        assert_eq!(answer(support, NetworkException).await, unable("NETWORK_EXCEPTION"));
        assert_eq!(answer(support, ProducerFenced).await, (InvalidProducerEpoch, None));
        assert_eq!(answer(support, InvalidProducerEpoch).await, (InvalidProducerEpoch, None));
        assert_eq!(answer(support, InvalidProducerIdMapping).await, (InvalidProducerIdMapping, None));
    }
    assert_eq!(answer(Support::OldErrors, TransactionAbortable).await, not_added());
    assert_eq!(answer(Support::Abortable, TransactionAbortable).await, (TransactionAbortable, None));
    assert_eq!(answer(Support::AddsPartitions, TransactionAbortable).await, (TransactionAbortable, None));
    assert_eq!(answer(Support::Abortable, ConcurrentTransactions).await, unable("CONCURRENT_TRANSACTIONS"));
    assert_eq!(answer(Support::AddsPartitions, ConcurrentTransactions).await, (ConcurrentTransactions, None));
}

#[tokio::test(start_paused = true)]
async fn concurrent_transactions_are_retried_for_clients_that_cannot_wait_cheaply() {
    let concurrent = ErrorCode::ConcurrentTransactions;
    let asked = async |support, codes: &[ErrorCode]| {
        let coordinator = Coordinator::answering(codes);
        let began = tokio::time::Instant::now();
        let verified = coordinator.verify(&transaction(support, vec![batch(0, Ok(leading(1, &[1])))])).await;
        (coordinator.asked.into_inner().len(), began.elapsed(), verified[0].is_ok())
    };
    // Older clients retry by themselves.
    assert_eq!(asked(Support::Abortable, &[concurrent, ErrorCode::None]).await, (1, Duration::ZERO, false));
    let codes = [concurrent, concurrent, ErrorCode::None];
    assert_eq!(asked(Support::AddsPartitions, &codes).await, (3, 2 * BACKOFF, true));
    // Not for ever.
    assert_eq!(asked(Support::AddsPartitions, &[concurrent]).await, (6, 5 * BACKOFF, false));
}

#[tokio::test(start_paused = true)]
async fn an_earlier_epoch_is_fenced_without_the_coordinator() {
    let partition = leading(1, &[1]);
    let coordinator = Coordinator::answering(&[ErrorCode::None]);
    let newer = Transaction { producer_epoch: ProducerEpoch(4), ..transaction(Support::Abortable, Vec::new()) };
    let newer = Transaction { batches: vec![batch(0, Ok(partition.clone()))], ..newer };
    let guard = coordinator.verify(&newer).await.remove(0).unwrap();
    append(&partition, 4, guard).await.unwrap();
    let verified = coordinator.verify(&transaction(Support::Abortable, vec![batch(0, Ok(partition))])).await;
    assert_eq!(verified[0], Err(ErrorCode::InvalidProducerEpoch.into()));
    assert_eq!(coordinator.asked.into_inner().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_was_not_verified_holds_back_the_next_ones() {
    let partition = leading(1, &[1]);
    let first = transaction(Support::Abortable, vec![batch(0, Ok(partition.clone()))]);
    let refused = Coordinator::answering(&[ErrorCode::NotCoordinator]).verify(&first).await;
    assert!(refused[0].is_err());
    let mut later = batch(0, Ok(partition.clone()));
    later.base_sequence = 1;
    let second = transaction(Support::Abortable, vec![later]);
    let verified = Coordinator::answering(&[ErrorCode::None]).verify(&second).await;
    let guard = verified[0].clone().unwrap();
    let batch = BatchBuilder::new(model::Offset(0)).producer(ProducerId(7), ProducerEpoch(3), Some(1));
    let mut batch = batch.transactional();
    batch.append(Timestamp(1_000), None, Some(b"value"));
    let (records, now) = (batch.finish().unwrap(), Timestamp(1_000));
    let append = AppendRequest { records, all_replicas: false, may_write_internal: false, guard, now };
    let refused = partition.append(append).await.unwrap_err();
    assert_eq!(error::of_append(&refused), ErrorCode::OutOfOrderSequenceNumber);
}
