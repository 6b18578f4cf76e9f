//! Golden files that `compat-tests/golden-records` writes with Apache Kafka's own classes: batches
//! of every format, and what a real log did with batches that a producer might send.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use model::{ErrorCode, LeaderEpoch, Offset, Timestamp, TopicPartition};
use records::{
    BatchBuilder, BatchError, BatchView, Codec, LegacyMessage, LegacyRecord, ProduceError, RecordReader, TimestampType,
    ValidationRules, check_produce_request, validate,
};
use std::io::Read;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// In this case the golden file describes the records of the append before, which did not fit
/// either.
const SKIPPED: &str = "order-offset-size-crc";

fn lines(compressed: &[u8]) -> Vec<Vec<String>> {
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(compressed).read_to_string(&mut text).unwrap();
    text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

fn unbase64(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap()
}

fn list(batch: &BatchView<'_>) -> String {
    let nullable = |bytes: Option<&[u8]>| bytes.map_or("-".to_owned(), |bytes| STANDARD.encode(bytes));
    let mut reader = RecordReader::new(batch).unwrap();
    let mut records = Vec::new();
    while let Some(record) = reader.next_record() {
        let record = record.unwrap();
        let (key, value) = (nullable(record.key), nullable(record.value));
        let mut out = format!("{},{},{key},{value}", record.offset, record.timestamp);
        for (name, value) in record.headers.iter() {
            out += &format!(",{}:{}", STANDARD.encode(name), nullable(value));
        }
        records.push(out);
    }
    records.join(";")
}

/// Lists the messages of format v0 and v1 as the golden file does.
fn list_legacy(mut bytes: &[u8]) -> String {
    let nullable = |bytes: Option<&[u8]>| bytes.map_or("-".to_owned(), |bytes| STANDARD.encode(bytes));
    let mut records = Vec::new();
    while !bytes.is_empty() {
        assert!(matches!(BatchView::parse(bytes), Err(BatchError::OldFormat { .. })));
        let message = LegacyMessage::parse(bytes).unwrap();
        message.verify_crc().unwrap();
        let mut last = None;
        let show = |record: LegacyRecord<'_>| {
            let (key, value) = (nullable(record.key), nullable(record.value));
            records.push(format!("{},{},{key},{value}", record.offset, record.timestamp));
            last = Some(record.offset);
        };
        message.records(show).unwrap();
        assert_eq!(last, Some(message.last_offset()));
        bytes = &bytes[message.size_bytes()..];
    }
    records.join(";")
}

#[test]
fn batches_of_kafka_are_read() {
    let (mut count, mut legacy) = (0, 0);
    for fields in lines(include_bytes!("../testdata/golden/batches.tsv.gz")) {
        let [_, name, bytes, records] = fields.try_into().unwrap();
        let bytes = unbase64(&bytes);
        if name.starts_with("v0") || name.starts_with("v1") {
            assert_eq!(list_legacy(&bytes), records, "{name}");
            legacy += 1;
        } else {
            let batch = BatchView::parse(&bytes).unwrap();
            batch.verify_crc().unwrap();
            assert_eq!(list(&batch), records, "{name}");
            count += 1;
        }
    }
    assert!(count > 30 && legacy > 30, "{count} {legacy}");
}

#[test]
fn uncompressed_batches_are_built_as_kafka_builds_them() {
    let mut count = 0;
    for fields in lines(include_bytes!("../testdata/golden/batches.tsv.gz")) {
        let [_, name, bytes, _] = fields.try_into().unwrap();
        let bytes = unbase64(&bytes);
        let Ok(batch) = BatchView::parse(&bytes) else { continue };
        let header = batch.header();
        let plain = header.attributes.codec() == Ok(Codec::None) && !header.attributes.has_delete_horizon();
        if !plain || batch.bytes().len() != bytes.len() || name.contains("gaps") {
            continue;
        }
        let mut builder = BatchBuilder::new(header.base_offset);
        if let Some(epoch) = header.partition_leader_epoch {
            builder = builder.leader_epoch(epoch);
        }
        if let (Some(id), Some(epoch)) = (header.producer_id, header.producer_epoch) {
            builder = builder.producer(id, epoch, header.base_sequence);
        }
        if header.is_transactional() {
            builder = builder.transactional();
        }
        if header.is_control() {
            builder = builder.control();
        }
        if header.timestamp_type() == TimestampType::LogAppendTime {
            builder = builder.log_append_time(header.max_timestamp);
        }
        let mut reader = RecordReader::new(&batch).unwrap();
        while let Some(record) = reader.next_record() {
            let record = record.unwrap();
            builder.append_view(&record, record.timestamp);
        }
        let ours = builder.finish().unwrap();
        // If the leader gave the time, the deltas hold the producer's own times, which a reader
        // does not see.
        if header.timestamp_type() == TimestampType::CreateTime {
            assert!(ours == bytes, "{name}");
            count += 1;
        }
    }
    assert!(count >= 8, "{count}");
}

/// A segment that the cleaner of Apache Kafka 4.3.1 wrote: the newest record of each of three keys,
/// one of them a tombstone.
const COMPACTED: &str = "0000000000000006 00000056 00000000 02 cc33b623 0040 00000002 000001a1fea47569 000001a1fe9b43ea \
    0000000000000000 0000 00000006 00000003 \
    14 00 81c649 00 04 6b30 01 00 \
    18 00 ffc549 02 04 6b31 04 7632 00 \
    18 00 fdc549 04 04 6b32 04 7632 00";

#[test]
fn a_batch_of_kafkas_cleaner_has_a_delete_horizon_in_the_place_of_the_base_timestamp() {
    let digits: Vec<u8> = COMPACTED.chars().filter_map(|char| Some(char.to_digit(16)? as u8)).collect();
    let bytes: Vec<u8> = digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    let batch = BatchView::parse(&bytes).unwrap();
    batch.verify_crc().unwrap();
    let header = batch.header();
    assert!(header.attributes.has_delete_horizon());
    let written = 0x1a1_fe9b_43ea;
    // `delete.retention.ms` was ten minutes. The cleaner ran three seconds after the records were
    // written.
    let horizon = header.delete_horizon().unwrap().0;
    assert!((600_000..610_000).contains(&(horizon - written)), "{horizon}");
    assert_eq!(
        (header.base_offset, header.last_offset(), header.max_timestamp),
        (Offset(6), Offset(8), Timestamp(written))
    );
    assert_eq!(header.base_sequence, Some(6));
    // Records keep their timestamps: the deltas count from the horizon.
    let expected = [(6, "k0", None), (7, "k1", Some("v2")), (8, "k2", Some("v2"))];
    let mut reader = RecordReader::new(&batch).unwrap();
    for (offset, key, value) in expected {
        let record = reader.next_record().unwrap().unwrap();
        assert_eq!(
            (record.offset, record.key, record.value),
            (Offset(offset), Some(key.as_bytes()), value.map(str::as_bytes))
        );
        assert!((written - 30..=written).contains(&record.timestamp.0), "{}", record.timestamp);
    }
    assert!(reader.next_record().is_none());
}

fn rules(config: &str) -> ValidationRules {
    let mut rules = ValidationRules {
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: 3_600_000,
        compression: None,
        max_message_bytes: 1_048_588,
        segment_bytes: 1 << 30,
        compacted: false,
    };
    // A policy of two names contains the comma that separates the properties.
    let config = config.replace("compact,delete", "compact");
    for (name, value) in config.split(',').filter_map(|property| property.split_once('=')) {
        match name {
            "compression.type" if value == "uncompressed" => rules.compression = Some(Codec::None.into()),
            "compression.type" => rules.compression = value.parse::<Codec>().ok().map(Into::into),
            "message.timestamp.type" if value == "LogAppendTime" => rules.timestamp_type = TimestampType::LogAppendTime,
            "message.timestamp.type" => {}
            "message.timestamp.before.max.ms" => rules.timestamp_before_max_ms = value.parse().unwrap(),
            "message.timestamp.after.max.ms" => rules.timestamp_after_max_ms = value.parse().unwrap(),
            "max.message.bytes" => rules.max_message_bytes = value.parse().unwrap(),
            "segment.bytes" => rules.segment_bytes = value.parse().unwrap(),
            "cleanup.policy" => rules.compacted = value.contains("compact"),
            _ => panic!("{name}"),
        }
    }
    rules
}

/// Compares an error with Kafka's. Returns `None` if they agree.
fn compare_error(error: &ProduceError, kafka: &[String]) -> Option<String> {
    let [code, kind, message, records] = kafka else { return Some(format!("{error:?}")) };
    let ours = format!("{:?}", error.code);
    let shown: Vec<_> =
        error.invalid_records.iter().map(|record| format!("{}:{}", record.batch_index, record.message)).collect();
    let client = if kind == "validation" { Some(message.as_str()) } else { None };
    let same = &ours == code && shown.join("|") == *records && error.client_message() == client;
    (!same).then(|| format!("{error:?}"))
}

fn compare_valid(input: &Bytes, rules: &ValidationRules, kafka: &[String]) -> Option<String> {
    let valid = match validate(input, &TopicPartition::new("topic", 0), rules, NOW) {
        Ok(valid) => valid,
        Err(error) if kafka[0] == "error" => return compare_error(&error, &kafka[1..]),
        Err(error) => return Some(format!("{error:?}")),
    };
    let [ok, first, last, max_timestamp, _, bytes, records] = kafka else { return Some("is accepted".to_owned()) };
    let (header, body) = valid.assign(Offset(4), LeaderEpoch(5));
    let whole = [&header[..], &body].concat();
    let ours = BatchView::parse(&whole).unwrap();
    ours.verify_crc().unwrap();
    let bytes = unbase64(bytes);
    let theirs = BatchView::parse(&bytes).unwrap();
    assert_eq!(ok, "ok");
    let facts = |batch: &BatchView<'_>| {
        let mut header = batch.bytes()[..61].to_vec();
        header[8..12].fill(0);
        header[17..21].fill(0);
        (header, list(batch))
    };
    let same_bytes = input.as_ptr_range().contains(&body.as_ptr());
    let same = if same_bytes || ours.header().attributes.codec() == Ok(Codec::None) {
        whole == bytes
    } else {
        facts(&ours) == facts(&theirs)
    };
    let numbers = [ours.header().base_offset.0, ours.header().last_offset().0, valid.header().max_timestamp.0];
    let kafkas = [first, last, max_timestamp].map(|number| number.parse().unwrap());
    (!same || numbers != kafkas || list(&ours) != *records).then(|| format!("{numbers:?} {:?}", facts(&ours)))
}

#[test]
fn produce_is_validated_as_kafka_validates_it() {
    let (mut count, mut differing) = (0, Vec::new());
    for fields in lines(include_bytes!("../testdata/golden/verdicts.tsv.gz")) {
        let [_, name, config, input, request, outcome @ ..] = fields.as_slice() else { panic!("{fields:?}") };
        let input = Bytes::from(unbase64(input));
        count += 1;
        let code = match check_produce_request(&input, true) {
            Ok(()) => "ok".to_owned(),
            Err(error) => format!("{:?}", error.code),
        };
        if request.split(':').next() != Some(&code) {
            differing.push(format!("{name}\n  kafka request {request}\n  ours {code}"));
        } else if code == "ok" && outcome[0] != "fault" && name != SKIPPED {
            let difference = compare_valid(&input, &rules(config), outcome);
            differing.extend(difference.map(|ours| {
                let kafka = outcome.join(" ");
                format!("{name} {config}\n  kafka {kafka}\n  ours  {ours}").chars().take(1500).collect()
            }));
        }
    }
    assert!(differing.is_empty(), "{} of {count}:\n{}", differing.len(), differing.join("\n"));
    assert!(count > 500, "{count}");
    assert_eq!(format!("{:?}", ErrorCode::InvalidRecord), "INVALID_RECORD");
}
