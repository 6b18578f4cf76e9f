//! Kafka's own bytes and answers against ours: testdata/README.md says where they come from.

use bytes::Bytes;
use model::{LeaderEpoch, Offset, Timestamp, TopicPartition};
use records::{
    BatchView, Codec, EndTransactionMarker, RecordReader, TimestampType, Validated, ValidationRules,
    check_produce_request, validate,
};

const NOW: Timestamp = Timestamp(1_000_000);

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The records as the golden files list them.
fn list(batch: &[u8]) -> String {
    let nullable = |bytes: Option<&[u8]>| bytes.map_or("null".to_owned(), hex);
    let batch = BatchView::parse(batch).unwrap();
    let mut reader = RecordReader::new(&batch).unwrap();
    let mut out = String::new();
    while let Some(record) = reader.next_record() {
        let record = record.unwrap();
        let (key, value) = (nullable(record.key), nullable(record.value));
        out += &format!("{}:{}:{key}:{value}", record.offset, record.timestamp);
        for (name, value) in record.headers.iter() {
            out += &format!(":{}={}", hex(name), nullable(value));
        }
        out.push(',');
    }
    out
}

#[test]
fn batches_of_kafka_are_read() {
    let mut count = 0;
    for line in include_str!("../testdata/batches.tsv").lines() {
        let [codec, batch, records] = line.split('\t').collect::<Vec<_>>().try_into().unwrap();
        let bytes = unhex(batch);
        let view = BatchView::parse(&bytes).unwrap();
        view.verify_crc().unwrap();
        assert_eq!(view.bytes().len(), bytes.len());
        assert_eq!(list(&bytes), records);
        if codec == "marker" {
            let mut reader = RecordReader::new(&view).unwrap();
            let record = reader.next_record().unwrap().unwrap();
            let marker = EndTransactionMarker { committed: true, coordinator_epoch: 12 };
            assert_eq!(EndTransactionMarker::parse(record.key, record.value), Ok(marker));
            assert_eq!(view.header().partition_leader_epoch, Some(LeaderEpoch(9)));
            assert!(view.header().is_control() && view.header().is_transactional());
        } else {
            assert_eq!(view.header().attributes.codec().unwrap().name(), codec);
        }
        count += 1;
    }
    assert_eq!(count, 11);
}

#[test]
fn uncompressed_batches_are_built_as_kafka_builds_them() {
    let lines = include_str!("../testdata/batches.tsv").lines();
    for line in lines.filter(|line| line.starts_with("none") || line.starts_with("marker")) {
        let bytes = unhex(line.split('\t').nth(1).unwrap());
        let view = BatchView::parse(&bytes).unwrap();
        let header = view.header();
        let mut builder = records::BatchBuilder::new(header.base_offset);
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
        let mut reader = RecordReader::new(&view).unwrap();
        while let Some(record) = reader.next_record() {
            let record = record.unwrap();
            builder.append_view(&record, record.timestamp);
        }
        assert_eq!(hex(&builder.finish().unwrap()), hex(&bytes));
    }
}

fn rules(text: &str) -> ValidationRules {
    let [kind, before, after, compression, cleanup] = text.split(' ').collect::<Vec<_>>().try_into().unwrap();
    ValidationRules {
        timestamp_type: if kind == "create" { TimestampType::CreateTime } else { TimestampType::LogAppendTime },
        timestamp_before_max_ms: before.parse().unwrap(),
        timestamp_after_max_ms: after.parse().unwrap(),
        compression: compression.parse::<Codec>().ok().map(Into::into),
        max_message_bytes: 1 << 20,
        segment_bytes: 1 << 30,
        compacted: cleanup == "compact",
    }
}

/// Our answer in the golden file's words. `template` says whether Kafka made a new batch.
fn answer(rules: &ValidationRules, bytes: Vec<u8>) -> String {
    if let Err(error) = check_produce_request(&bytes, true) {
        return format!("REQUEST {}", error.code);
    }
    let bytes = Bytes::from(bytes);
    let valid: Validated = match validate(&bytes, &TopicPartition::new("t", 3), rules, NOW) {
        Ok(valid) => valid,
        Err(error) => {
            let mut out = format!("{} {}", error.code, error.detail);
            for record in &error.invalid_records {
                out += &format!("|{} {}", record.batch_index, record.message);
            }
            return if error.invalid_records.is_empty() { format!("FAIL {out}") } else { format!("RECORDS {out}") };
        }
    };
    let (header, body) = valid.assign(Offset(1000), LeaderEpoch(7));
    let whole = [&header[..], &body].concat();
    let view = BatchView::parse(&whole).unwrap();
    view.verify_crc().unwrap();
    if !body.is_empty() && bytes.as_ptr_range().contains(&body.as_ptr()) {
        return format!("SAME {}", hex(&whole));
    }
    let mut header = header;
    header[8..12].fill(0);
    header[17..21].fill(0);
    format!("NEW {} {}", hex(&header), list(&whole))
}

/// Whether ours is what Kafka says. The texts of errors that no client sees need not be the same, and we refuse records in compressed batches
/// whose length is wrong, which Kafka does not always see.
fn agree(kafka: &str, ours: &str) -> bool {
    let code = |text: &str| text.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let departure = ours.starts_with("FAIL INVALID_RECORD Invalid record size: expected to read");
    kafka == ours || departure || kafka.starts_with("FAIL ") && code(kafka) == code(ours)
}

#[test]
fn produce_is_validated_as_kafka_validates_it() {
    let path = std::env::var("GREGOR_VALIDATE_TSV").unwrap_or("testdata/validate.tsv".to_owned());
    let (mut count, mut differing) = (0, 0);
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let [rules_text, batch, kafka] = line.split('\t').collect::<Vec<_>>().try_into().unwrap();
        let ours = answer(&rules(rules_text), unhex(batch));
        count += 1;
        if !agree(kafka, &ours) {
            differing += 1;
            println!("{rules_text} {batch}\n  kafka {kafka}\n  ours  {ours}");
        }
    }
    assert_eq!((differing, count >= 160), (0, true));
}
