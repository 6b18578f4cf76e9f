//! What a log's behaviour depends on: the typed form of a topic's settings, with Kafka's defaults.

/// What happens to old records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanupPolicy {
    /// Old segments are deleted by time and size.
    pub delete: bool,
    /// Only the last record of a key is kept.
    pub compact: bool,
}

/// The settings of one log. `None` stands for "no limit".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// `segment.bytes`: a segment is rolled before it grows beyond.
    pub segment_bytes: u32,
    /// `segment.ms`: a segment is rolled at this age.
    pub segment_ms: i64,
    /// `segment.jitter.ms`: by how much, at most, that age is lowered.
    pub segment_jitter_ms: i64,
    /// `segment.index.bytes`: a segment is rolled when an index has this size.
    pub segment_index_bytes: u32,
    /// `index.interval.bytes`: how many bytes of records there are for one index entry.
    pub index_interval_bytes: u32,
    /// `max.message.bytes`: the largest batch.
    pub max_message_bytes: u32,
    /// `flush.messages`: records after which a flush is due.
    pub flush_messages: Option<i64>,
    /// `flush.ms`: time after which a flush is due.
    pub flush_ms: Option<i64>,
    /// `retention.bytes`
    pub retention_bytes: Option<u64>,
    /// `retention.ms`
    pub retention_ms: Option<i64>,
    /// `file.delete.delay.ms`: how long a deleted segment's files stay.
    pub file_delete_delay_ms: i64,
    /// `cleanup.policy`
    pub cleanup_policy: CleanupPolicy,
    /// `delete.retention.ms`: how long tombstones and markers stay after a compaction.
    pub delete_retention_ms: i64,
    /// `min.compaction.lag.ms`
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`
    pub max_compaction_lag_ms: Option<i64>,
    /// `min.cleanable.dirty.ratio`, in millionths.
    pub min_cleanable_dirty_ppm: u32,
    /// `producer.id.expiration.ms` of the broker.
    pub producer_id_expiration_ms: i64,
    /// `transaction.partition.verification.enable` of the broker: a batch that opens a transaction
    /// must carry its verification guard.
    pub verifies_transactions: bool,
}

impl Default for LogConfig {
    fn default() -> Self {
        const WEEK_MS: i64 = 7 * 24 * 60 * 60 * 1000;
        const DAY_MS: i64 = 24 * 60 * 60 * 1000;
        LogConfig {
            segment_bytes: 1 << 30,
            segment_ms: WEEK_MS,
            segment_jitter_ms: 0,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            max_message_bytes: (1 << 20) + 12,
            flush_messages: None,
            flush_ms: None,
            retention_bytes: None,
            retention_ms: Some(WEEK_MS),
            file_delete_delay_ms: 60_000,
            cleanup_policy: CleanupPolicy { delete: true, compact: false },
            delete_retention_ms: DAY_MS,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: None,
            min_cleanable_dirty_ppm: 500_000,
            producer_id_expiration_ms: DAY_MS,
            verifies_transactions: true,
        }
    }
}
