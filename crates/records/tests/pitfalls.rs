//! Faults around records that other brokers really had.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use bytes::Bytes;
use model::{ErrorCode, Offset, ProducerEpoch, ProducerId, Timestamp, TopicPartition};
use records::{
    BatchBuilder, BatchHeader, Batches, Codec, EndTransactionMarker, ProduceError, RecordReader, TimestampType,
    Validated, ValidationRules, begins_transactional, check_produce_request, validate,
};

const NOW: Timestamp = Timestamp(1_000_000);

fn rules() -> ValidationRules {
    ValidationRules {
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: 3_600_000,
        compression: None,
        max_message_bytes: 1000,
        segment_bytes: 1 << 30,
        compacted: false,
    }
}

fn batch(codec: Codec, keys: &[Option<&[u8]>]) -> Bytes {
    let mut builder = BatchBuilder::new(Offset(0)).compression(codec);
    for key in keys {
        builder.append(NOW, *key, Some(b"value"));
    }
    builder.finish().unwrap()
}

fn check(bytes: &Bytes, rules: &ValidationRules) -> Result<Validated, ProduceError> {
    validate(bytes, &TopicPartition::new("t", 3), rules, NOW)
}

#[test]
fn keyless_records_are_refused_on_a_compacted_topic() {
    let rules = ValidationRules { compacted: true, ..rules() };
    for codec in Codec::ALL {
        assert!(check(&batch(codec, &[Some(b"a"), Some(b"")]), &rules).is_ok());
        let error = check(&batch(codec, &[Some(b"a"), None]), &rules).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidRecord);
        assert_eq!(error.invalid_records.len(), 1);
        assert_eq!(error.invalid_records[0].batch_index, 1);
        let text = "Compacted topic cannot accept message without key in topic partition t-3";
        assert_eq!(error.invalid_records[0].message, text);
        assert_eq!(
            error.client_message().unwrap(),
            format!(
                "One or more records have been rejected due to 1 record errors in total, and only showing the first three errors at most: \
                 [RecordError(batchIndex=1, message='{text}')]"
            )
        );
    }
}

#[test]
fn max_message_bytes_is_enforced() {
    let bytes = batch(Codec::None, &[Some(&[0; 500]), Some(&[0; 500])]);
    let error = check(&bytes, &rules()).unwrap_err();
    assert_eq!((error.code, error.client_message()), (ErrorCode::MessageTooLarge, None));
    assert!(!error.answers_log_start_offset());
    let exact = ValidationRules { max_message_bytes: bytes.len(), ..rules() };
    assert!(check(&bytes, &exact).is_ok());
    let segment = ValidationRules { segment_bytes: bytes.len() - 1, ..exact };
    assert_eq!(check(&bytes, &segment).unwrap_err().code, ErrorCode::RecordListTooLarge);
}

#[test]
fn clients_write_no_markers() {
    let mut builder = BatchBuilder::new(Offset(0)).producer(ProducerId(1), ProducerEpoch(0), None);
    builder.append_end_transaction(NOW, EndTransactionMarker { committed: true, coordinator_epoch: 0 });
    let marker = builder.finish().unwrap();
    assert_eq!(check(&marker, &rules()).unwrap_err().code, ErrorCode::InvalidRecord);
    assert!(Validated::trusted(&marker).is_ok());
}

#[test]
fn one_batch_per_partition_and_no_zstd_from_old_clients() {
    let code = |bytes: &[u8], zstd| check_produce_request(bytes, zstd).err().map(|error| error.code);
    let one = batch(Codec::Zstd, &[None]);
    assert_eq!(code(&one, true), None);
    assert_eq!(code(&one, false), Some(ErrorCode::UnsupportedCompressionType));
    assert_eq!(code(&[], true), Some(ErrorCode::InvalidRecord));
    assert_eq!(code(&one[..one.len() - 1], true), Some(ErrorCode::InvalidRecord));
    assert_eq!(code(&[&one[..], &one[..]].concat(), true), Some(ErrorCode::InvalidRecord));
    // A second batch that is cut off does not count as a batch.
    assert_eq!(code(&[&one[..], &one[..30]].concat(), true), None);
}

/// Only the first batch counts. Bytes that are not a batch fail with Kafka's message.
#[test]
fn transactions_are_seen_in_the_first_batch() {
    let plain = batch(Codec::None, &[None]);
    let mut transactional = plain.to_vec();
    transactional[22] |= 0x10;
    assert_eq!(begins_transactional(&plain), Ok(false));
    assert_eq!(begins_transactional(&transactional), Ok(true));
    assert_eq!(begins_transactional(&[&plain[..], &transactional].concat()), Ok(false));
    assert_eq!(begins_transactional(&transactional[..transactional.len() - 1]), Ok(false));
    assert_eq!(begins_transactional(&[]), Ok(false));
    let mut old = transactional.clone();
    old[16] = 1;
    assert_eq!(begins_transactional(&old), Ok(false));
    let text = |bytes: &[u8]| begins_transactional(bytes).map_err(|error| (error.code, error.detail)).unwrap_err();
    let short = "Record size 0 is less than the minimum record overhead (14)".to_owned();
    assert_eq!(text(&[0; 100]), (ErrorCode::CorruptMessage, short));
    old[16] = 3;
    assert_eq!(text(&old), (ErrorCode::CorruptMessage, "Invalid magic found in record: 3".to_owned()));
}

#[test]
fn log_append_time_reaches_the_reader_and_the_checksum() {
    let rules = ValidationRules { timestamp_type: TimestampType::LogAppendTime, ..rules() };
    for codec in Codec::ALL {
        let valid = check(&batch(codec, &[None, None]), &rules).unwrap();
        let (header, body) = valid.assign(Offset(7), model::LeaderEpoch(1));
        let whole = [&header[..], &body].concat();
        let batch = Batches::new(&whole).next().unwrap().unwrap();
        batch.verify_crc().unwrap();
        assert_eq!(batch.header().max_timestamp, NOW);
        let mut reader = RecordReader::new(&batch).unwrap();
        assert_eq!(reader.next_record().unwrap().unwrap().timestamp, NOW);
        assert_eq!(reader.next_record().unwrap().unwrap().offset, Offset(8));
    }
}

/// Followers and consumers read batches with unknown attributes and from producers without a
/// sequence. Assigning offsets must not change these fields.
#[test]
fn assigning_changes_nothing_under_the_checksum() {
    let bytes = batch(Codec::Lz4, &[None]);
    let valid = check(&bytes, &rules()).unwrap();
    let (header, body) = valid.assign(Offset(i64::MAX - 1), model::LeaderEpoch(i32::MAX));
    assert_eq!(header[17..], bytes[17..61]);
    assert_eq!(body, bytes[61..]);
    assert_eq!(BatchHeader::parse(&header).unwrap().base_offset, Offset(i64::MAX - 1));
}
