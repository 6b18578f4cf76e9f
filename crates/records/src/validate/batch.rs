//! The checks of a whole batch, in Kafka's order.

use super::rebuild::rebuild;
use super::records::check_records;
use super::{ProduceError, Validated, ValidationRules};
use crate::batch::{field, length_and_magic};
use crate::{Attributes, BatchError, BatchView, Batches, Codec, LOG_OVERHEAD, TimestampType};
use bytes::Bytes;
use model::{ErrorCode, ProducerId, Timestamp, TopicPartition};

/// Checks the records of a Produce request before the partition is looked up: exactly one batch, of
/// format v2, with a codec that the request's version allows (`zstd_allowed` is true from v7 on,
/// KIP-110). Kafka answers these errors without a message and without the log start offset.
/// UNKNOWN_SERVER_ERROR, for what Kafka does not expect, fails the whole request.
pub fn check_produce_request(records: &[u8], zstd_allowed: bool) -> Result<(), ProduceError> {
    let Some((length, magic)) = whole_batch(records)? else {
        return Err(ProduceError::invalid_record("Produce requests must have at least one record batch per partition"));
    };
    if magic != 2 {
        let detail = "Produce requests are only allowed to contain record batches with magic version 2";
        return Err(ProduceError::invalid_record(detail));
    }
    if !zstd_allowed {
        // The length is at least 14, so the attributes exist even if the rest of the header does
        // not.
        match Codec::from_id(records[field::ATTRIBUTES + 1] & 7) {
            Ok(Codec::Zstd) => {
                let detail = "Produce requests of this version are not allowed to use ZStandard compression";
                return Err(ProduceError::new(ErrorCode::UnsupportedCompressionType, detail));
            }
            Ok(_) => {}
            Err(error) => return Err(ProduceError::new(ErrorCode::UnknownServerError, error.to_string())),
        }
    }
    match whole_batch(&records[length..])? {
        None => Ok(()),
        Some(_) => Err(ProduceError::invalid_record(
            "Produce requests are only allowed to contain exactly one record batch per partition",
        )),
    }
}

/// Whether the first batch of a Produce request's records is part of a transaction. Kafka checks
/// this first. Errors: the bytes are not a batch, which fails the whole request.
pub fn begins_transactional(records: &[u8]) -> Result<bool, ProduceError> {
    Ok(match whole_batch(records)? {
        Some((_, 2)) => Attributes(i16::from_be_bytes([records[field::ATTRIBUTES], records[field::ATTRIBUTES + 1]]))
            .is_transactional(),
        _ => false,
    })
}

/// Returns size and magic of the batch at the start of `bytes`, or `None` if no whole batch is
/// left.
fn whole_batch(bytes: &[u8]) -> Result<Option<(usize, i8)>, ProduceError> {
    match length_and_magic(bytes) {
        // Kafka counts the size of a batch in an i32, which overflows for this length.
        Ok((length, _)) if length > i32::MAX - LOG_OVERHEAD as i32 => {
            Err(ProduceError::new(ErrorCode::UnknownServerError, format!("a record batch of the length {length}")))
        }
        Ok((length, magic)) => {
            let size = length as usize + LOG_OVERHEAD;
            Ok((size <= bytes.len()).then_some((size, magic)))
        }
        Err(BatchError::Incomplete { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Validates a client's batch for `partition`, and converts it to what the topic wants. `now` is
/// the leader's clock.
///
/// It takes one pass for the checksum and one walk over the records. It allocates nothing unless
/// the batch is compressed.
pub fn validate(
    records: &Bytes,
    partition: &TopicPartition,
    rules: &ValidationRules,
    now: Timestamp,
) -> Result<Validated, ProduceError> {
    let mut batches = Batches::new(records);
    let batch = batches.next().ok_or_else(|| ProduceError::invalid_record("Record batch has no batches at all"))??;
    check_frame(&batch, partition, rules)?;
    if let Some(Ok(_)) = batches.next() {
        return Err(ProduceError::invalid_record("Compressed outer record has more than one batch"));
    }
    let source = batch.header().attributes.codec().map_err(|error| ProduceError {
        code: ErrorCode::UnknownServerError,
        detail: error.to_string(),
        invalid_records: Vec::new(),
    })?;
    check_header(&batch, partition)?;
    let walked = check_records(&batch, source, partition, rules, now)?;
    let target = rules.compression.unwrap_or(source.into());
    let mut validated = if source != target.codec {
        rebuild(&batch, target, partition, rules, now)?
    } else if source == Codec::None || walked.consecutive {
        Validated::of(&batch, records)
    } else {
        // Kafka skips the keys and values of such a batch, then tries to rebuild it and fails.
        let detail = format!("the offsets within a compressed batch in the append to {partition} have gaps");
        return Err(ProduceError::new(ErrorCode::UnknownServerError, detail));
    };
    let max_timestamp = match rules.timestamp_type {
        TimestampType::CreateTime => walked.max_timestamp,
        TimestampType::LogAppendTime => now,
    };
    validated.set_max_timestamp(rules.timestamp_type, max_timestamp);
    let size = validated.header().size_bytes();
    if size > rules.segment_bytes {
        let detail = format!(
            "Message batch size is {size} bytes in append to partition {partition}, which exceeds the maximum configured segment size of {}.",
            rules.segment_bytes
        );
        return Err(ProduceError::new(ErrorCode::RecordListTooLarge, detail));
    }
    Ok(validated)
}

/// Checks base offset, size and checksum.
fn check_frame(batch: &BatchView<'_>, partition: &TopicPartition, rules: &ValidationRules) -> Result<(), ProduceError> {
    let header = batch.header();
    if header.base_offset.0 != 0 {
        return Err(ProduceError::invalid_record(format!(
            "The baseOffset of the record batch in the append to {partition} should be 0, but it is {}",
            header.base_offset
        )));
    }
    let size = header.size_bytes();
    if size > rules.max_message_bytes {
        let detail = format!(
            "The record batch size in the append to {partition} is {size} bytes which exceeds the maximum configured value of {}).",
            rules.max_message_bytes
        );
        return Err(ProduceError::new(ErrorCode::MessageTooLarge, detail));
    }
    batch.verify_crc().map_err(|_| {
        let detail = format!("Record is corrupt (stored crc = {}) in topic partition {partition}.", header.crc);
        ProduceError::new(ErrorCode::CorruptMessage, detail)
    })
}

/// Checks counts, flags and sequence.
fn check_header(batch: &BatchView<'_>, partition: &TopicPartition) -> Result<(), ProduceError> {
    let header = batch.header();
    let (first, last) = (header.base_offset, header.last_offset());
    let (count, from_offsets) = (i64::from(header.record_count), i64::from(header.last_offset_delta) + 1);
    let detail = if from_offsets <= 0 {
        format!("Batch has an invalid offset range: [{first}, {last}] in topic partition {partition}")
    } else if count <= 0 {
        format!("Invalid reported count for record batch: {count} in topic partition {partition}")
    } else if from_offsets != count {
        format!(
            "Inconsistent batch offset range [{first}, {last}] and count of records {count} in topic partition {partition}"
        )
    } else if header.is_control() {
        format!("Clients are not allowed to write control records in topic partition {partition}")
    } else if let (Some(ProducerId(id)), None) = (header.producer_id, header.base_sequence) {
        format!("Invalid sequence number -1 in record batch with producerId {id} in topic partition {partition}")
    } else {
        return Ok(());
    };
    Err(ProduceError::invalid_record(detail))
}
