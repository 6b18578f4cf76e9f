//! For all bytes: nothing panics, and memory is bounded by the size of the input. What is built can
//! be read again.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp, TopicPartition};
use proptest::prelude::*;
use records::{
    BatchBuilder, BatchView, Batches, Codec, LegacyMessage, RecordReader, TimestampType, ValidationRules,
    check_produce_request, validate,
};
use std::io::Read as _;

#[path = "../../../fuzz/entries/batches.rs"]
mod batches;
#[path = "../../../fuzz/entries/damage.rs"]
mod damage;

type Sample = (i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(Vec<u8>, Option<Vec<u8>>)>);

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        (any::<u8>(), 0..3000usize).prop_map(|(b, n)| vec![b; n])
    ]
}

fn sample() -> impl Strategy<Value = Sample> {
    let nullable = || proptest::option::of(bytes());
    let headers = proptest::collection::vec((bytes(), nullable()), 0..3);
    (-1..2_000_000i64, nullable(), nullable(), headers)
}

fn codec() -> impl Strategy<Value = Codec> {
    proptest::sample::select(Codec::ALL.to_vec())
}

fn build(codec: Codec, samples: &[Sample]) -> Bytes {
    let mut builder =
        BatchBuilder::new(Offset(0)).compression(codec).producer(ProducerId(4), ProducerEpoch(1), Some(9));
    for (timestamp, key, value, headers) in samples {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_slice(), value.as_deref())).collect();
        builder.append_with_headers(Timestamp(*timestamp), key.as_deref(), value.as_deref(), &headers);
    }
    builder.finish().unwrap()
}

fn read(batch: &BatchView<'_>) -> Option<Vec<Sample>> {
    let mut reader = RecordReader::new(batch).ok()?;
    let mut samples = Vec::new();
    while let Some(record) = reader.next_record() {
        let record = record.ok()?;
        let headers = record.headers.iter().map(|(name, value)| (name.to_vec(), value.map(<[u8]>::to_vec)));
        let (key, value) = (record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec));
        samples.push((record.timestamp.0, key, value, headers.collect()));
    }
    Some(samples)
}

fn rules(timestamp_type: TimestampType, target: Option<Codec>) -> ValidationRules {
    ValidationRules {
        timestamp_type,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: i64::MAX,
        compression: target.map(Into::into),
        max_message_bytes: 1 << 20,
        segment_bytes: 1 << 30,
        compacted: false,
    }
}

fn fix_crc(bytes: &mut [u8]) {
    if bytes.len() > 61 {
        let length = (bytes.len() as i32 - 12).to_be_bytes();
        bytes[8..12].copy_from_slice(&length);
        let crc = crc32c::crc32c(&bytes[21..]).to_be_bytes();
        bytes[17..21].copy_from_slice(&crc);
    }
}

/// Calls everything that reads bytes from outside.
fn touch(bytes: &Bytes, target: Option<Codec>) {
    for batch in Batches::new(bytes).flatten() {
        let _ = batch.verify_crc();
        let header = batch.header();
        let _ = (header.last_offset(), header.next_offset(), header.last_sequence(), header.delete_horizon());
        let _ = read(&batch);
    }
    if let Ok(message) = LegacyMessage::parse(bytes) {
        let _ = (message.verify_crc(), message.last_offset(), message.max_timestamp());
        let _ = message.records(|_| {});
    }
    let _ = check_produce_request(bytes, false);
    for kind in [TimestampType::CreateTime, TimestampType::LogAppendTime] {
        let valid = validate(bytes, &TopicPartition::new("t", 0), &rules(kind, target), Timestamp(1));
        if let Ok(valid) = valid {
            let (header, body) = valid.assign(Offset(i64::MAX), LeaderEpoch(i32::MAX));
            let whole = [&header[..], &body].concat();
            BatchView::parse(&whole).unwrap().verify_crc().unwrap();
        }
    }
}

/// Reads the batches in Kafka's golden files: what its own classes wrote in every format, and what
/// producers sent.
fn golden() -> Vec<Vec<u8>> {
    let mut text = String::new();
    let packed = [
        &include_bytes!("../testdata/golden/batches.tsv.gz")[..],
        &include_bytes!("../testdata/golden/verdicts.tsv.gz")[..],
    ];
    for packed in packed {
        flate2::read::MultiGzDecoder::new(packed).read_to_string(&mut text).unwrap();
    }
    let column = |line: &str| if line.starts_with("verdict\t") { 3 } else { 2 };
    text.lines().filter_map(|line| STANDARD.decode(line.split('\t').nth(column(line))?).ok()).collect()
}

#[test]
fn the_fuzz_targets_accept_damaged_batches() {
    let mut numbers = damage::Numbers(7);
    let golden = golden();
    assert!(golden.len() > 100, "{}", golden.len());
    // Batches of megabytes are slow to copy and show nothing new.
    for whole in golden.iter().filter(|whole| whole.len() < 20_000) {
        for _ in 0..damage::rounds(24) {
            let mut input = whole.clone();
            damage::damage(&mut input, &mut numbers);
            input.insert(0, numbers.next() as u8);
            batches::run(&input);
        }
    }
}

proptest! {
    #[test]
    fn what_is_built_is_read_and_valid(codec in codec(), target in codec(), samples in proptest::collection::vec(sample(), 1..12)) {
        let bytes = build(codec, &samples);
        let batch = BatchView::parse(&bytes).unwrap();
        prop_assert_eq!(batch.verify_crc(), Ok(()));
        prop_assert_eq!(read(&batch).unwrap_or_default(), samples.clone());

        let rules = rules(TimestampType::CreateTime, Some(target));
        let valid = validate(&bytes, &TopicPartition::new("t", 0), &rules, Timestamp(1_000_000)).unwrap();
        let (header, body) = valid.assign(Offset(500), LeaderEpoch(3));
        let whole = [&header[..], &body].concat();
        let batch = BatchView::parse(&whole).unwrap();
        prop_assert_eq!(batch.verify_crc(), Ok(()));
        prop_assert_eq!(batch.header().attributes.codec(), Ok(target));
        prop_assert_eq!(batch.header().base_offset, Offset(500));
        prop_assert_eq!(batch.header().partition_leader_epoch, Some(LeaderEpoch(3)));
        prop_assert_eq!(batch.header().last_sequence(), Some(8 + samples.len() as i32));
        prop_assert_eq!(read(&batch).unwrap_or_default(), samples.clone());
        prop_assert_eq!(codec == target, bytes.as_ptr_range().contains(&body.as_ptr()), "the body is a slice of the input");
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300), magic in proptest::option::of(0..3u8)) {
        let mut bytes = bytes;
        if let Some(magic) = magic && bytes.len() > 16 {
            bytes[16] = magic;
            fix_crc(&mut bytes);
        }
        touch(&bytes.into(), None);
    }

    #[test]
    fn mutated_batches_do_no_harm(
        codec in codec(),
        target in proptest::option::of(codec()),
        samples in proptest::collection::vec(sample(), 1..4),
        mutations in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..5),
        cut in any::<Option<proptest::sample::Index>>(),
        crc in any::<bool>(),
    ) {
        let mut bytes = build(codec, &samples).to_vec();
        for (index, value) in mutations {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if crc {
            fix_crc(&mut bytes);
        }
        touch(&bytes.into(), target);
    }
}
