//! The checks of each record.

use super::{INVALID_RECORDS_MAX, InvalidRecord, ProduceError, ValidationRules};
use crate::codec::Stream;
use crate::record::{Input, RecordFacts, SliceInput, StreamInput, walk_record};
use crate::{BatchHeader, BatchView, Codec, RecordError, TimestampType};
use model::{ErrorCode, Timestamp, TopicPartition};

/// The result of the walk over the records.
pub(super) struct Walked {
    /// The largest timestamp, or -1 if no record has one.
    pub(super) max_timestamp: Timestamp,
    /// Whether the offset deltas count from 0 without a gap.
    pub(super) consecutive: bool,
}

/// Walks over as many records as the header counts.
pub(super) fn check_records(
    batch: &BatchView<'_>,
    codec: Codec,
    partition: &TopicPartition,
    rules: &ValidationRules,
    now: Timestamp,
) -> Result<Walked, ProduceError> {
    let target = rules.compression.map_or(codec, |compression| compression.codec);
    let partial = codec != Codec::None && codec == target;
    let check =
        Check { header: batch.header(), partition, rules, now, invalid: Vec::new(), bad_timestamp: false, partial };
    match codec {
        Codec::None => check.run(SliceInput::new(batch.body())),
        codec => check.run(StreamInput(Stream::open(codec, batch.body(), false).map_err(RecordError::Decompress)?)),
    }
}

struct Check<'a> {
    header: &'a BatchHeader,
    partition: &'a TopicPartition,
    rules: &'a ValidationRules,
    now: Timestamp,
    invalid: Vec<InvalidRecord>,
    bad_timestamp: bool,
    /// Whether Kafka would skip keys and values here.
    partial: bool,
}

impl Check<'_> {
    fn run<I: Input>(mut self, mut input: I) -> Result<Walked, ProduceError> {
        let mut walked = Walked { max_timestamp: Timestamp(-1), consecutive: true };
        for index in 0..self.header.record_count {
            let facts = walk_record(&mut input)?;
            let timestamp = self.timestamp(&facts);
            self.check(index, &facts, timestamp);
            walked.max_timestamp = walked.max_timestamp.max(timestamp);
            walked.consecutive &= facts.offset_delta == index;
            if self.invalid.len() >= INVALID_RECORDS_MAX {
                break;
            }
        }
        if self.invalid.len() < INVALID_RECORDS_MAX && !input.at_end()? {
            return Err(RecordError::GoesOn.into());
        }
        if self.invalid.is_empty() { Ok(walked) } else { Err(self.refuse()) }
    }

    #[inline]
    fn timestamp(&self, facts: &RecordFacts) -> Timestamp {
        match self.header.timestamp_type() {
            TimestampType::CreateTime => Timestamp(self.header.base_timestamp.0.wrapping_add(facts.timestamp_delta)),
            TimestampType::LogAppendTime => self.header.max_timestamp,
        }
    }

    #[inline]
    fn check(&mut self, index: i32, facts: &RecordFacts, timestamp: Timestamp) {
        if self.rules.compacted && facts.key_length < 0 {
            let message =
                format!("Compacted topic cannot accept message without key in topic partition {}", self.partition);
            self.invalid.push(InvalidRecord { batch_index: index, message });
        } else if self.rules.timestamp_type == TimestampType::CreateTime && timestamp.0 != -1 {
            let age = self.now.0.wrapping_sub(timestamp.0);
            if age > self.rules.timestamp_before_max_ms || age.wrapping_neg() > self.rules.timestamp_after_max_ms {
                self.refuse_timestamp(index, facts, timestamp);
            }
        } else if self.header.timestamp_type() == TimestampType::LogAppendTime {
            self.refuse_timestamp_type(index, facts, timestamp);
        }
    }

    #[cold]
    fn refuse_timestamp(&mut self, index: i32, facts: &RecordFacts, timestamp: Timestamp) {
        self.bad_timestamp = true;
        let (earliest, latest) = (
            self.now.0.wrapping_sub(self.rules.timestamp_before_max_ms),
            self.now.0.wrapping_add(self.rules.timestamp_after_max_ms),
        );
        let message = format!(
            "Timestamp {timestamp} of message with offset {} is out of range. The timestamp should be within [{earliest}, {latest}]",
            facts.offset_delta
        );
        self.invalid.push(InvalidRecord { batch_index: index, message });
    }

    #[cold]
    fn refuse_timestamp_type(&mut self, index: i32, facts: &RecordFacts, timestamp: Timestamp) {
        self.bad_timestamp = true;
        // Kafka's reader that skips keys and values has its own class name and its own size of
        // null.
        let (class, size_min) = if self.partial { ("PartialDefaultRecord", i32::MIN) } else { ("DefaultRecord", 0) };
        let message = format!(
            "Invalid timestamp type in message {class}(offset={}, timestamp={timestamp}, key={} bytes, value={} bytes). \
             Producer should not set timestamp type to LogAppendTime.",
            facts.offset_delta,
            facts.key_length.max(size_min),
            facts.value_length.max(size_min),
        );
        self.invalid.push(InvalidRecord { batch_index: index, message });
    }

    fn refuse(self) -> ProduceError {
        let (code, detail) = if self.bad_timestamp {
            let detail = "One or more records have been rejected due to invalid timestamp".to_owned();
            (ErrorCode::InvalidTimestamp, detail)
        } else {
            let shown = self.invalid.iter().take(3);
            let shown: Vec<_> = shown
                .map(|record| format!("RecordError(batchIndex={}, message='{}')", record.batch_index, record.message))
                .collect();
            let detail = format!(
                "One or more records have been rejected due to {} record errors in total, and only showing the first three errors at most: [{}]",
                self.invalid.len(),
                shown.join(", ")
            );
            (ErrorCode::InvalidRecord, detail)
        };
        ProduceError { code, detail, invalid_records: self.invalid }
    }
}
