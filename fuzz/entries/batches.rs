//! Parses, walks, validates and assigns batches, as a follower, a recovery or a produce does.
//!
//! Used by the fuzz target, which only cargo-fuzz builds, and by the tests of `records`, which pass
//! damaged golden batches.

use bytes::Bytes;
use model::{LeaderEpoch, Offset, Timestamp, TopicPartition};
use records::{
    BatchView, Batches, Codec, LegacyMessage, RecordReader, TimestampType, ValidationRules, check_produce_request,
    validate,
};

/// The first byte chooses the topic's rules. It also chooses whether to correct the checksum, so
/// that the later checks are reached.
pub fn run(input: &[u8]) {
    let Some((choice, input)) = input.split_first() else { return };
    let mut input = input.to_vec();
    if choice & 1 != 0 && input.len() > 61 {
        let length = (input.len() as i32 - 12).to_be_bytes();
        input[8..12].copy_from_slice(&length);
        input[16] = 2;
        if let Err(records::BatchError::Crc { computed, .. }) = BatchView::parse(&input).and_then(|b| b.verify_crc()) {
            input[17..21].copy_from_slice(&computed.to_be_bytes());
        }
    }
    for batch in Batches::new(&input).flatten() {
        let _ = (batch.verify_crc(), batch.header().last_offset(), batch.header().last_sequence());
        if let Ok(mut reader) = RecordReader::new(&batch) {
            while let Some(Ok(record)) = reader.next_record() {
                record.headers.iter().for_each(drop);
            }
        }
    }
    if let Ok(message) = LegacyMessage::parse(&input) {
        let _ = (message.verify_crc(), message.records(|_| {}));
    }
    let rules = ValidationRules {
        timestamp_type: if choice & 2 != 0 { TimestampType::LogAppendTime } else { TimestampType::CreateTime },
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: 3_600_000,
        compression: Codec::from_id(choice >> 2 & 7).ok().map(Into::into),
        max_message_bytes: 1 << 20,
        segment_bytes: 1 << 30,
        compacted: choice & 0x20 != 0,
    };
    let bytes = Bytes::from(input);
    let _ = check_produce_request(&bytes, choice & 0x40 != 0);
    if let Ok(valid) = validate(&bytes, &TopicPartition::new("fuzz", 0), &rules, Timestamp(1_700_000_000_000)) {
        let (header, body) = valid.assign(Offset(1_000), LeaderEpoch(7));
        let whole = [&header[..], &body].concat();
        assert!(BatchView::parse(&whole).is_ok_and(|batch| batch.verify_crc().is_ok()));
    }
}
