//! The leader's part of transactions: guards, markers, and who is woken by them.

use super::*;
use futures_util::FutureExt;
use model::{ProducerEpoch, ProducerId, VerificationGuard};
use records::EndTransactionMarker;
use storage::VerificationStart;

/// Polls a future that must end without waiting.
fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("nothing to wait for")
}

fn start(epoch: i16) -> VerificationStart {
    let (producer_id, epoch) = (ProducerId(4242), ProducerEpoch(epoch));
    VerificationStart { producer_id, epoch, base_sequence: 0, supports_epoch_bump: true, now: NOW }
}

/// Returns the append of a transactional record.
fn produced(epoch: i16, sequence: i32, guard: Option<VerificationGuard>) -> AppendRequest {
    let batch = BatchBuilder::new(Offset(0)).producer(ProducerId(4242), ProducerEpoch(epoch), Some(sequence));
    let mut batch = batch.transactional();
    batch.append(NOW, None, Some(b"value"));
    let records = batch.finish().unwrap();
    AppendRequest { records, all_replicas: true, may_write_internal: false, guard, now: NOW }
}

fn marker(epoch: i16, coordinator_epoch: i32, transaction_version: i16) -> MarkerAppend {
    MarkerAppend {
        producer_id: ProducerId(4242),
        epoch: ProducerEpoch(epoch),
        end: EndTransactionMarker { committed: false, coordinator_epoch },
        transaction_version,
        leader_epoch: None,
        now: Timestamp(1_700_000_000_000),
    }
}

/// Opens a transaction.
fn open(partition: &Arc<Partition>, epoch: i16) -> AppendInfo {
    let guard = now(partition.begin_verification(start(epoch))).unwrap();
    now(partition.append(produced(epoch, 0, guard))).unwrap()
}

fn bytes_at(partition: &Arc<Partition>, offset: i64, isolation: Isolation) -> Vec<u8> {
    let read = ReadRequest {
        offset: Offset(offset),
        current_leader_epoch: None,
        last_fetched_epoch: None,
        max_bytes: u32::MAX,
        at_least_one_batch: true,
        isolation,
        wait: Wait::Block,
        leader_only: true,
        follower: None,
    };
    partition.read(&read).unwrap().region.map(|region| region.read().unwrap()).unwrap_or_default()
}

#[test]
fn only_the_leader_verifies() {
    let partition = partition(1);
    let refused = now(partition.begin_verification(start(0))).unwrap_err();
    assert!(matches!(refused, AppendError::Refused(error) if error.code == ErrorCode::NotLeaderOrFollower));
    partition.lead(&state(5, 0, &[1]), UPTIME).unwrap();
    let refused = now(partition.append(produced(0, 0, None))).unwrap_err();
    let AppendError::Storage(Error::Producer(refused)) = refused else { panic!("{refused}") };
    assert_eq!(producer_error_code(&refused), ErrorCode::InvalidTxnState);
    open(&partition, 0);
    assert_eq!(now(partition.begin_verification(start(0))).unwrap(), None);
}

#[test]
fn a_marker_has_kafkas_bytes() {
    // `MemoryRecords.withEndTransactionMarker` of Kafka 4.3.1, for offset 7 and leader epoch 3.
    let golden = "00000000000000070000004200000003024c7735600030000000000000018bcfe568000000018bcfe568000000000000\
        0010920005ffffffff000000012000000008000000000c000000000009 00";
    let digits: Vec<u8> = golden.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    let golden: Vec<u8> = digits.chunks(2).map(byte).collect();
    let partition = partition(1);
    partition.lead(&state(3, 0, &[1]), UPTIME).unwrap();
    for _ in 0..6 {
        append(&partition, true).unwrap();
    }
    open(&partition, 4);
    let appended = now(partition.append_marker(marker(5, 9, 2))).unwrap();
    assert_eq!((appended.base_offset, appended.last_offset, appended.record_count), (Offset(7), Offset(7), 1));
    assert_eq!(now(partition.until_committed(&appended)), Ok(()));
    assert_eq!(bytes_at(&partition, 7, Isolation::Committed), golden);
}

#[test]
fn a_marker_in_a_topic_with_append_time_says_so() {
    let partition = partition(1);
    let mut by_append = rules(1);
    by_append.validation.timestamp_type = TimestampType::LogAppendTime;
    partition.set_config(LogConfig::default(), by_append);
    partition.lead(&state(3, 0, &[1]), UPTIME).unwrap();
    open(&partition, 0);
    now(partition.append_marker(marker(0, 0, 1))).unwrap();
    let bytes = bytes_at(&partition, 1, Isolation::HighWatermark);
    let view = records::BatchView::parse(&bytes).unwrap();
    view.verify_crc().unwrap();
    let header = view.header();
    assert_eq!((header.timestamp_type(), header.is_control()), (TimestampType::LogAppendTime, true));
    assert_eq!(header.max_timestamp, Timestamp(1_700_000_000_000));
}

#[test]
fn markers_are_refused_with_kafkas_codes() {
    let partition = partition(1);
    let refused = |marker| now(partition.append_marker(marker)).unwrap_err();
    assert_eq!(refused(marker(4, 9, 2)), ErrorCode::NotLeaderOrFollower);
    partition.lead(&state(3, 0, &[1]), UPTIME).unwrap();
    open(&partition, 4);
    assert_eq!(refused(marker(3, 9, 0)), ErrorCode::InvalidProducerEpoch);
    assert_eq!(refused(marker(4, 9, 2)), ErrorCode::InvalidProducerEpoch, "version 2 bumps the epoch");
    let elsewhere = MarkerAppend { leader_epoch: Some(LeaderEpoch(2)), ..marker(5, 9, 2) };
    assert_eq!(refused(elsewhere), ErrorCode::NotLeaderOrFollower);
    let here = MarkerAppend { leader_epoch: Some(LeaderEpoch(3)), ..marker(5, 9, 2) };
    now(partition.append_marker(here)).unwrap();
    // A repeated marker is written again, as by Kafka.
    now(partition.append_marker(marker(5, 9, 2))).unwrap();
    assert_eq!(refused(marker(5, 8, 0)), ErrorCode::TransactionCoordinatorFenced);
    partition.set_config(LogConfig::default(), rules(2));
    assert_eq!(refused(marker(6, 9, 0)), ErrorCode::NotEnoughReplicas);
}

#[test]
fn a_coordinators_batch_is_appended_with_its_guard_and_refused_with_its_code() {
    let partition = partition(1);
    partition.lead(&state(3, 0, &[1]), UPTIME).unwrap();
    let batch = |epoch| {
        let mut batch = BatchBuilder::new(Offset(0)).producer(ProducerId(4242), ProducerEpoch(epoch), None);
        batch = batch.transactional();
        batch.append(NOW, Some(b"group"), Some(b"offset"));
        batch.finish().unwrap()
    };
    let append = |batch, state| now(partition.append_state(batch, LeaderEpoch(3), state));
    assert_eq!(append(batch(4), StateAppend::default()), Err(ErrorCode::InvalidTxnState));
    let verification = VerificationStart { base_sequence: -1, ..start(4) };
    let guard = now(partition.begin_verification(verification)).unwrap();
    assert!(guard.is_some());
    assert_eq!(append(batch(4), StateAppend { guard, ..StateAppend::default() }), Ok(Offset(0)));
    assert_eq!(append(batch(3), StateAppend::default()), Err(ErrorCode::InvalidProducerEpoch));
    // The coordinator of a state topic writes the marker through the same door.
    let ended = |epoch, coordinator_epoch| {
        let mut batch = BatchBuilder::new(Offset(0)).producer(ProducerId(4242), ProducerEpoch(epoch), None);
        batch.append_end_transaction(NOW, EndTransactionMarker { committed: true, coordinator_epoch });
        batch.finish().unwrap()
    };
    let marked = StateAppend { guard: None, transaction_version: 2 };
    assert_eq!(append(ended(4, 9), marked), Err(ErrorCode::InvalidProducerEpoch));
    assert_eq!(append(ended(5, 9), marked), Ok(Offset(1)));
    let late = StateAppend::default();
    assert_eq!(append(ended(5, 8), late), Err(ErrorCode::TransactionCoordinatorFenced));
}

/// Pitfall: a marker counted before the high watermark does not leave the last stable offset
/// stuck.
#[test]
fn the_last_stable_offset_follows_a_marker_above_the_high_watermark_and_wakes_readers() {
    let partition = partition(1);
    partition.lead(&state(3, 0, &[1, 2]), UPTIME).unwrap();
    open(&partition, 4);
    let appended = now(partition.append_marker(marker(5, 9, 2))).unwrap();
    let offsets = || partition.log().offsets();
    assert_eq!((offsets().high_watermark, offsets().last_stable_offset), (Offset(0), Offset(0)));
    assert!(partition.until_committed(&appended).now_or_never().is_none());
    let wake = Wake::new();
    let _watch = partition.watch(&wake);
    // The other replica leaves the ISR: everything is replicated now.
    partition.lead(&state(3, 1, &[1]), UPTIME).unwrap();
    assert_eq!(now(partition.until_committed(&appended)), Ok(()));
    assert_eq!((offsets().high_watermark, offsets().last_stable_offset), (Offset(2), Offset(2)));
    now(wake.woken());
    assert!(!bytes_at(&partition, 0, Isolation::Committed).is_empty());
}

#[test]
fn a_marker_wakes_a_reader_that_waits_for_the_last_stable_offset() {
    let partition = leading(3, &[1]);
    open(&partition, 4);
    append(&partition, true).unwrap();
    assert!(bytes_at(&partition, 0, Isolation::Committed).is_empty());
    let wake = Wake::new();
    let _watch = partition.watch(&wake);
    now(partition.append_marker(marker(5, 9, 2))).unwrap();
    now(wake.woken());
    assert_eq!(partition.log().last_stable_offset(), Offset(3));
    assert!(!bytes_at(&partition, 0, Isolation::Committed).is_empty());
}

#[test]
fn producers_are_described_by_id_with_their_transaction_and_its_marker() {
    let partition = leading(3, &[1]);
    for id in [9, 3, 1_000, 17] {
        let mut batch = BatchBuilder::new(Offset(0)).producer(ProducerId(id), ProducerEpoch(0), Some(0));
        batch.append(NOW, None, Some(b"value"));
        let records = batch.finish().unwrap();
        let request = AppendRequest { records, ..produced(0, 0, None) };
        now(partition.append(request)).unwrap();
    }
    open(&partition, 4);
    let described = || partition.producers().unwrap();
    assert_eq!(described().iter().map(|(id, _)| id.0).collect::<Vec<_>>(), [3, 9, 17, 1_000, 4_242]);
    let (_, entry) = described().pop().unwrap();
    assert_eq!((entry.txn_first_offset, entry.coordinator_epoch), (Some(Offset(4)), None));
    assert_eq!((entry.last_timestamp, entry.last_sequence()), (NOW, Some(0)));
    // `kafka-transactions abort` writes a marker with the epoch that was described.
    now(partition.append_marker(marker(4, 0, 0))).unwrap();
    let (_, entry) = described().pop().unwrap();
    assert_eq!((entry.txn_first_offset, entry.coordinator_epoch), (None, Some(0)));
    assert_eq!((entry.last_timestamp, entry.epoch), (Timestamp(1_700_000_000_000), Some(ProducerEpoch(4))));
    // A broker that resigned still answers, an offline one does not.
    partition.resign();
    assert_eq!(described().len(), 5);
    partition.take_offline(LeaderEpoch(3));
    assert_eq!(partition.producers(), Err(ErrorCode::KafkaStorageError));
}
