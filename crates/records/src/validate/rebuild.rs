//! A batch made anew, because the topic wants another codec or a compressed batch has gaps in its offsets.

use super::{ProduceError, Validated, ValidationRules};
use crate::{BatchBuilder, BatchView, Compression, RecordReader, TimestampType};
use model::{ErrorCode, Offset, Timestamp, TopicPartition};

/// Writes the batch's records, whose structure has been checked, with `target`; offsets count from 0.
pub(super) fn rebuild(
    batch: &BatchView<'_>,
    target: Compression,
    partition: &TopicPartition,
    rules: &ValidationRules,
    now: Timestamp,
) -> Result<Validated, ProduceError> {
    let header = batch.header();
    let mut builder = BatchBuilder::new(Offset(0)).compression(target);
    if let (Some(id), Some(epoch)) = (header.producer_id, header.producer_epoch) {
        builder = builder.producer(id, epoch, header.base_sequence);
    }
    if header.is_transactional() {
        builder = builder.transactional();
    }
    let append_time = match rules.timestamp_type {
        TimestampType::CreateTime => None,
        TimestampType::LogAppendTime => Some(now),
    };
    if let Some(now) = append_time {
        builder = builder.log_append_time(now);
    }
    let mut reader = RecordReader::new(batch)?;
    while let Some(record) = reader.next_record() {
        let record = record?;
        builder.append_view(&record, append_time.unwrap_or(record.timestamp));
        // Stopping here bounds the memory that a small batch of much content can take.
        check_size(builder.written_bytes(), partition, rules)?;
    }
    let bytes = builder.finish()?;
    check_size(bytes.len(), partition, rules)?;
    Ok(Validated::trusted(&bytes)?)
}

fn check_size(size: usize, partition: &TopicPartition, rules: &ValidationRules) -> Result<(), ProduceError> {
    if size <= rules.max_message_bytes {
        return Ok(());
    }
    // Kafka's text lacks this space too.
    let detail = format!(
        "Message batch size is {size} bytes in append topartition {partition} which exceeds the maximum configured size of {}.",
        rules.max_message_bytes
    );
    Err(ProduceError::new(ErrorCode::MessageTooLarge, detail))
}
