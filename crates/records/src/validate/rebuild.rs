//! Rebuilds a batch because the topic has another codec.

use super::{ProduceError, Validated, ValidationRules};
use crate::{BatchBuilder, BatchView, Compression, RecordReader, TimestampType};
use model::{ErrorCode, Offset, Timestamp, TopicPartition};

/// Writes the batch's records with the codec `target`. Their structure was checked before. Offsets
/// count from 0.
pub(super) fn rebuild(
    batch: &BatchView<'_>,
    target: Compression,
    partition: &TopicPartition,
    rules: &ValidationRules,
    now: Timestamp,
) -> Result<Validated, ProduceError> {
    let header = batch.header();
    check_producer(batch, partition)?;
    let mut builder = BatchBuilder::new(Offset(0)).compression(target);
    if header.is_transactional() {
        builder = builder.transactional();
    }
    if rules.timestamp_type == TimestampType::LogAppendTime {
        builder = builder.log_append_time(now);
    }
    let mut reader = RecordReader::new(batch)?;
    while let Some(record) = reader.next_record() {
        let record = record?;
        if record.timestamp.0 < -1 {
            let detail = format!("Invalid negative timestamp {}", record.timestamp);
            return Err(ProduceError::new(ErrorCode::UnknownServerError, detail));
        }
        builder.append_view(&record, record.timestamp);
        // The check here bounds the memory that a small batch with much content can take.
        check_size(builder.written_bytes(), partition, rules)?;
    }
    let bytes = builder.finish()?;
    check_size(bytes.len(), partition, rules)?;
    let mut validated = Validated::trusted(&bytes)?;
    validated.set_producer(batch);
    Ok(validated)
}

/// Refuses batches that Kafka's batch builder refuses. Kafka throws an exception without an error
/// code. A producer never sends such a batch.
fn check_producer(batch: &BatchView<'_>, partition: &TopicPartition) -> Result<(), ProduceError> {
    let header = batch.header();
    let refused = if !batch.has_producer_id() {
        header.is_transactional()
    } else {
        header.producer_epoch.is_none() || header.base_sequence.is_none()
    };
    if refused {
        let detail = format!("the producer fields of a batch in the append to {partition} do not fit together");
        return Err(ProduceError::new(ErrorCode::UnknownServerError, detail));
    }
    Ok(())
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
