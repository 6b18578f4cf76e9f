//! Tests of effects, with the transaction coordinator and a handler that takes notes.

use super::*;
use crate::runtime::coordinator::EffectFuture;
use coordinator::transaction::{MarkerOutcome, ProducerIdAndEpoch, TransactionMarkers};
use coordinator::{
    TransactionConfig, TransactionEffect, TransactionEvent, TransactionReply, TransactionRequest, TransactionShard,
    TransactionTypes,
};
use model::{PartitionIndex, ProducerEpoch, ProducerId};
use parking_lot::Mutex;
use protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;

/// Allocates producer id 7. Notes markers, and writes them at once or when it is told to.
#[derive(Debug, Default)]
struct Notes {
    markers: Mutex<Vec<TransactionMarkers>>,
    /// Where the markers wait, if they are not written at once.
    gate: Option<Arc<tokio::sync::Notify>>,
}

fn written(markers: &TransactionMarkers) -> TransactionEvent {
    let outcomes = markers.partitions.iter().map(|partition| (partition.clone(), MarkerOutcome::Written)).collect();
    TransactionEvent::MarkersWritten {
        transactional_id: markers.transactional_id.clone(),
        producer: markers.producer,
        coordinator_epoch: markers.coordinator_epoch,
        outcomes,
    }
}

impl EffectHandler<TransactionTypes> for Notes {
    fn carry_out(&self, effect: TransactionEffect) -> EffectFuture<TransactionTypes> {
        match effect {
            TransactionEffect::AllocateProducerId { token } => {
                let event = TransactionEvent::ProducerIdAllocated { token, result: Ok(ProducerId(7)) };
                Box::pin(std::future::ready(Some(event)))
            }
            TransactionEffect::WriteMarkers(markers) => {
                let event = written(&markers);
                self.markers.lock().push(markers);
                let gate = self.gate.clone();
                Box::pin(async move {
                    if let Some(gate) = gate {
                        gate.notified().await;
                    }
                    Some(event)
                })
            }
        }
    }
}

fn transaction_parts(partition: Arc<Partition>, notes: &Arc<Notes>) -> DriverParts<TransactionShard> {
    let (inbox, _) = mpsc::channel(1);
    DriverParts {
        partition,
        epoch: EPOCH,
        shard: Arc::default(),
        config: Arc::new(ArcSwap::from_pointee(TransactionConfig::default())),
        image: Arc::default(),
        effects: notes.clone(),
        inbox: inbox.downgrade(),
        codec: Codec::None,
        commit_timeout_ms: COMMIT_TIMEOUT_MS,
        session: Arc::new(OwnSession::endless()),
        env: Env::default(),
        faults: PlantedFaults::default(),
    }
}

const PRODUCER: ProducerIdAndEpoch = ProducerIdAndEpoch { id: ProducerId(7), epoch: ProducerEpoch(0) };

/// The requests of one transaction that has one partition.
fn transaction() -> [TransactionRequest; 3] {
    let topic = AddPartitionsToTxnTopic { name: "t".into(), partitions: vec![0], ..Default::default() };
    [
        TransactionRequest::InitProducerId {
            transactional_id: "id".into(),
            timeout_ms: 60_000,
            expected: None,
            enable_2pc: false,
            keep_prepared: false,
        },
        TransactionRequest::AddPartitions {
            transactional_id: "id".into(),
            producer: PRODUCER,
            topics: vec![topic],
            verify_only: false,
            transaction_version: 0,
        },
        TransactionRequest::EndTxn {
            transactional_id: "id".into(),
            producer: PRODUCER,
            committed: true,
            transaction_version: 0,
        },
    ]
}

fn code_of(reply: TransactionReply) -> ErrorCode {
    match reply {
        TransactionReply::InitProducerId(response) => ErrorCode::from_code(response.error_code).unwrap(),
        TransactionReply::AddPartitions(code) => code,
        TransactionReply::EndTxn(response) => ErrorCode::from_code(response.error_code).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn ask(driver: &mut ShardDriver<TransactionShard>, request: TransactionRequest) -> oneshot::Receiver<TransactionReply> {
    let (answer, answered) = oneshot::channel();
    now(driver.receive(Message::Request(Box::new(request), answer), at(0))).unwrap();
    answered
}

#[test]
fn an_effect_waits_until_its_records_are_committed() {
    let notes = Arc::new(Notes::default());
    let parts = transaction_parts(leading(EPOCH.0, &[1, 2]), &notes);
    let partition = parts.partition.clone();
    let mut driver = now(ShardDriver::start(parts, None, at(0))).unwrap();
    let mut answered = transaction().map(|request| ask(&mut driver, request));
    assert_eq!(partition.log_end_offset(), Offset(3), "the id, the open and the prepared transaction");
    assert!(notes.markers.lock().is_empty(), "the other replica in sync does not have PrepareCommit");
    assert!(answered.iter_mut().all(|answered| answered.try_recv().is_err()));
    partition.lead(&crate::replica::alone_in_sync(EPOCH.0, 1), Monotonic(1)).unwrap();
    now(driver.elapse(at(1))).unwrap();
    assert_eq!(notes.markers.lock().len(), 1);
    assert_eq!(partition.log_end_offset(), Offset(4), "CompleteCommit");
    let codes = answered.map(|mut answered| code_of(answered.try_recv().unwrap()));
    assert_eq!(codes, [ErrorCode::None; 3]);
}

#[test]
fn an_effect_of_a_leadership_that_has_ended_is_dropped() {
    let notes = Arc::new(Notes::default());
    let parts = transaction_parts(leading(EPOCH.0, &[1, 2]), &notes);
    let partition = parts.partition.clone();
    let mut driver = now(ShardDriver::start(parts, None, at(0))).unwrap();
    let answered = transaction().map(|request| ask(&mut driver, request));
    partition.resign();
    driver.release(Monotonic(1));
    assert!(notes.markers.lock().is_empty());
    for mut answered in answered {
        let code = answered.try_recv().map_or(ErrorCode::NotCoordinator, code_of);
        assert_eq!(code, ErrorCode::NotCoordinator);
    }
    assert!(!driver.holds_back());
}

#[tokio::test]
async fn the_outcome_of_an_effect_that_had_to_wait_comes_back_through_the_inbox() {
    let gate = Arc::new(tokio::sync::Notify::new());
    let notes = Arc::new(Notes { gate: Some(gate.clone()), ..Notes::default() });
    let mut parts = transaction_parts(leading(EPOCH.0, &[1]), &notes);
    let (inbox, mut messages) = mpsc::channel(1);
    parts.inbox = inbox.downgrade();
    let partition = parts.partition.clone();
    let mut driver = ShardDriver::start(parts, None, at(0)).await.unwrap();
    let [_, _, mut ended] = transaction().map(|request| ask(&mut driver, request));
    assert_eq!(notes.markers.lock()[0].partitions[0].partition, PartitionIndex(0));
    assert!(ended.try_recv().is_err());
    gate.notify_one();
    let outcome = messages.recv().await.unwrap();
    driver.receive(outcome, at(1)).await.unwrap();
    assert_eq!(code_of(ended.try_recv().unwrap()), ErrorCode::None);
    assert_eq!(partition.log_end_offset(), Offset(4));
}

/// Returns what a coordinator answers at 0 whose broker's session was renewed at a time.
fn asked_in_session(renewed_at: Option<u64>, requests: Vec<TransactionRequest>) -> Vec<ErrorCode> {
    let notes = Arc::new(Notes::default());
    let mut parts = transaction_parts(leading(EPOCH.0, &[1]), &notes);
    let session = OwnSession::new(1000, crate::env::clock::Clock::default());
    renewed_at.into_iter().for_each(|at| session.renew(Monotonic(at)));
    parts.session = Arc::new(session);
    let mut driver = now(ShardDriver::start(parts, None, at(0))).unwrap();
    let code = |reply| match reply {
        TransactionReply::VerifyPartitions(topics) => {
            ErrorCode::from_code(topics[0].results_by_partition[0].partition_error_code).unwrap()
        }
        reply => code_of(reply),
    };
    requests.into_iter().map(|request| code(ask(&mut driver, request).try_recv().unwrap())).collect()
}

/// A producer of the next epoch asks a coordinator that was cut off when that epoch began: another
/// broker leads its partition.
#[test]
fn a_coordinator_that_may_be_replaced_fences_no_producer() {
    let next_epoch = |verify_only| {
        let topic = AddPartitionsToTxnTopic { name: "t".into(), partitions: vec![0], ..Default::default() };
        TransactionRequest::AddPartitions {
            transactional_id: "id".into(),
            producer: ProducerIdAndEpoch { epoch: ProducerEpoch(1), ..PRODUCER },
            topics: vec![topic],
            verify_only,
            transaction_version: 0,
        }
    };
    let [begin, add, _] = transaction();
    let requests = vec![begin, add, next_epoch(false), next_epoch(true)];
    let fenced = [ErrorCode::None, ErrorCode::None, ErrorCode::ProducerFenced, ErrorCode::ProducerFenced];
    assert_eq!(asked_in_session(Some(0), requests.clone()), fenced);
    let unsure = [ErrorCode::None, ErrorCode::None, ErrorCode::NotCoordinator, ErrorCode::NotCoordinator];
    assert_eq!(asked_in_session(None, requests), unsure);
    let session = OwnSession::new(1000, crate::env::clock::Clock::default());
    session.renew(Monotonic(0));
    assert!(session.is_sure(Monotonic(499)) && !session.is_sure(Monotonic(500)));
}

/// The producer's next transaction began at another coordinator. What this one knows is complete is
/// the transaction before.
#[test]
fn a_coordinator_that_may_be_replaced_takes_no_transaction_for_ended() {
    let [begin, add, end] = transaction();
    let end_of_version_2 = TransactionRequest::EndTxn {
        transactional_id: "id".into(),
        producer: PRODUCER,
        committed: true,
        transaction_version: 2,
    };
    let requests = vec![begin, add, end.clone(), end, end_of_version_2];
    let sure = [ErrorCode::None, ErrorCode::None, ErrorCode::None, ErrorCode::None, ErrorCode::InvalidTxnState];
    assert_eq!(asked_in_session(Some(0), requests.clone()), sure);
    let [last, one_before] = [ErrorCode::NotCoordinator; 2];
    assert_eq!(asked_in_session(None, requests), [ErrorCode::None, ErrorCode::None, ErrorCode::None, one_before, last]);
}
