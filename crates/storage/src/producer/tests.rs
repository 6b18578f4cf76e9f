//! Producer state follows Kafka's rules, and its bytes are Kafka's.

use super::append::*;
use super::*;
use crate::disk::{Disk, OpenMode, SimDisk, read_all};
use crate::error::{Error, ProducerError};
use records::EndTransactionMarker;
use std::io::IoSlice;
use std::path::Path;

fn batch(epoch: i16, first: i32, count: i32, offset: i64) -> Checked {
    Checked {
        producer_id: ProducerId(7),
        epoch: ProducerEpoch(epoch),
        base_sequence: first,
        last_sequence: records::increment_sequence(first, count - 1),
        base_offset: Offset(offset),
        last_offset: Offset(offset + i64::from(count) - 1),
        max_timestamp: Timestamp(1000),
        is_transactional: false,
        marker: None,
    }
}

fn marker(epoch: i16, offset: i64, coordinator_epoch: i32, transaction_version: i16) -> Checked {
    let end = EndTransactionMarker { committed: false, coordinator_epoch };
    let marker = TxnMarker { end, timestamp: Timestamp(1), transaction_version };
    Checked { base_sequence: -1, last_sequence: -1, marker: Some(marker), ..batch(epoch, 0, 1, offset) }
}

fn add(producers: &mut Producers, origin: Origin, batch: Checked) -> Result<Vec<CompletedTxn>, ProducerError> {
    let mut append = ProducerAppend::new(origin);
    let verifications = &Verifications::default();
    append.add(Known { producers, verifications, guard: None, is_guard_required: false, partition: &"t-0" }, &batch)?;
    let completed = append.completed.clone();
    producers.apply(append);
    completed.iter().for_each(|txn| producers.complete(txn));
    Ok(completed)
}

#[test]
fn sequences_must_follow_each_other() {
    let mut producers = Producers::default();
    add(&mut producers, Origin::Client, batch(0, 5, 2, 0)).unwrap();
    let error = add(&mut producers, Origin::Client, batch(0, 9, 1, 2)).unwrap_err();
    let text = "Out of order sequence number for producer 7 at offset 2 in partition t-0: 9 (incoming seq. number), 6 (current end sequence number)";
    assert_eq!(error, ProducerError::OutOfOrderSequence(text.into()));
    add(&mut producers, Origin::Client, batch(0, 7, 1, 2)).unwrap();
    assert!(matches!(
        add(&mut producers, Origin::Client, batch(1, 3, 1, 3)),
        Err(ProducerError::OutOfOrderSequence(_))
    ));
    add(&mut producers, Origin::Client, batch(1, 0, 1, 3)).unwrap();
    let error = add(&mut producers, Origin::Client, batch(0, 8, 1, 4)).unwrap_err();
    let text = "Epoch of producer 7 at offset 4 in t-0 is 0, which is < the last seen epoch 1 (TV-1)";
    assert_eq!(error, ProducerError::InvalidEpoch(text.into()));
    // A follower accepts what the leader accepted.
    add(&mut producers, Origin::Replication, batch(1, 40, 1, 4)).unwrap();
}

#[test]
fn sequences_wrap_around() {
    let mut producers = Producers::default();
    let across = batch(0, i32::MAX - 1, 4, 0);
    assert_eq!(across.last_sequence, 1);
    add(&mut producers, Origin::Client, across).unwrap();
    assert_eq!(ProducerAppend::duplicate(&producers, &across).unwrap().first_offset(), Offset(0));
    add(&mut producers, Origin::Client, batch(0, 2, i32::MAX - 1, 4)).unwrap();
    assert_eq!(producers.get(ProducerId(7)).unwrap().last_sequence(), Some(i32::MAX));
    add(&mut producers, Origin::Client, batch(0, 0, 1, 100)).unwrap();
}

#[test]
fn the_last_five_batches_are_known_again() {
    let mut producers = Producers::default();
    for number in 0..6 {
        add(&mut producers, Origin::Client, batch(0, number * 10, 10, 100 + i64::from(number) * 10)).unwrap();
    }
    assert_eq!(ProducerAppend::duplicate(&producers, &batch(0, 0, 10, 999)), None);
    for number in 1..6 {
        let known = ProducerAppend::duplicate(&producers, &batch(0, number * 10, 10, 999)).unwrap();
        assert_eq!(known.first_offset(), Offset(100 + i64::from(number) * 10));
    }
    assert_eq!(ProducerAppend::duplicate(&producers, &batch(0, 50, 9, 999)), None);
    assert_eq!(ProducerAppend::duplicate(&producers, &batch(1, 50, 10, 999)), None);
}

#[test]
fn open_transactions_hold_the_last_stable_offset() {
    let mut producers = Producers::default();
    let transactional = |first, offset| Checked { is_transactional: true, ..batch(0, first, 1, offset) };
    add(&mut producers, Origin::Client, transactional(0, 10)).unwrap();
    add(&mut producers, Origin::Client, transactional(1, 11)).unwrap();
    add(&mut producers, Origin::Client, Checked { producer_id: ProducerId(8), ..transactional(0, 12) }).unwrap();
    assert_eq!(producers.first_unstable_offset(), Some(Offset(10)));
    assert!(matches!(add(&mut producers, Origin::Client, batch(0, 2, 1, 13)), Err(ProducerError::InvalidTxnState(_))));
    let completed = add(&mut producers, Origin::Coordinator, marker(0, 13, 0, 0)).unwrap();
    let aborted =
        CompletedTxn { producer_id: ProducerId(7), first_offset: Offset(10), last_offset: Offset(13), aborted: true };
    assert_eq!(completed, [aborted]);
    assert_eq!(producers.stable_offset_after(&aborted), Offset(12));
    // Until the marker is replicated, the transaction's records are not stable.
    assert_eq!(producers.first_unstable_offset(), Some(Offset(10)));
    assert!(!producers.high_watermark_moved(Offset(13)));
    assert!(producers.high_watermark_moved(Offset(14)));
    assert_eq!(producers.first_unstable_offset(), Some(Offset(12)));
    assert_eq!(producers.expire(Timestamp(i64::MAX), 1), 1, "one with an open transaction never expires");
}

#[test]
fn markers_of_the_past_are_fenced() {
    let mut producers = Producers::default();
    let transactional = |epoch, first, offset| Checked { is_transactional: true, ..batch(epoch, first, 1, offset) };
    add(&mut producers, Origin::Client, transactional(3, 0, 10)).unwrap();
    assert!(matches!(
        add(&mut producers, Origin::Coordinator, marker(2, 11, 0, 0)),
        Err(ProducerError::InvalidEpoch(_))
    ));
    let error = add(&mut producers, Origin::Coordinator, marker(3, 11, 0, 2)).unwrap_err();
    let text = "Epoch of producer 7 at offset 11 in t-0 is 3, which is <= the last seen epoch 3 (TV2)";
    assert_eq!(error, ProducerError::InvalidEpoch(text.into()));
    assert_eq!(add(&mut producers, Origin::Coordinator, marker(4, 11, 5, 2)).unwrap().len(), 1);
    assert_eq!(
        add(&mut producers, Origin::Coordinator, marker(4, 12, 5, 2)).unwrap().len(),
        0,
        "a repeated marker is no fault"
    );
    let error = add(&mut producers, Origin::Coordinator, marker(4, 13, 4, 0)).unwrap_err();
    let text = "Invalid coordinator epoch for producerId 7 at offset 13 in partition t-0: 4 (zombie), 5 (current)";
    assert_eq!(error, ProducerError::CoordinatorFenced(text.into()));
    // The next epoch begins at sequence 0.
    assert!(add(&mut producers, Origin::Client, transactional(4, 1, 14)).is_err());
    add(&mut producers, Origin::Client, transactional(4, 0, 14)).unwrap();
}

#[test]
fn snapshots_are_kafkas_bytes() {
    // 00000000000000000410.snapshot of a topic with an open transaction, written by Kafka 4.3.1.
    let golden = "00010e8aeb4f00000002\
        00000000000000050000000000000000000000 00011e000000000000018bcfe56800ffffffff000000000000011e\
        00000000000000060009000000270000000000000199000000030000018bcfe58b4f000000000000000000000172";
    let digits: Vec<u8> = golden.bytes().filter(u8::is_ascii_hexdigit).collect();
    let golden: Vec<u8> =
        digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect();
    let disk = SimDisk::new();
    let path = Path::new("/s");
    let put = |bytes: &[u8]| {
        disk.open(path, OpenMode::Truncate).unwrap().write_at(0, &[IoSlice::new(bytes)]).unwrap();
    };
    put(&golden);
    let producers = read_snapshot(&disk, path, Offset(410)).unwrap();
    assert_eq!(producers.first_unstable_offset(), Some(Offset(0x11e)));
    assert_eq!(producers.get(ProducerId(6)).unwrap().epoch, Some(ProducerEpoch(9)));
    write_snapshot(&disk, path, &producers, true).unwrap();
    assert_eq!(read_all(&disk, path).unwrap(), golden);
    for position in 0..golden.len() {
        let mut bad = golden.clone();
        bad[position] ^= 1;
        put(&bad);
        assert!(matches!(read_snapshot(&disk, path, Offset(410)), Err(Error::Corrupt { .. })), "{position}");
        put(&golden[..position]);
        assert!(matches!(read_snapshot(&disk, path, Offset(410)), Err(Error::Corrupt { .. })), "{position}");
    }
}
