//! Topic configs: the table, the broker properties that are their defaults, and the settings of one
//! topic.

use super::key::Default::{Is, Null};
use super::key::{Table, Values, rows};
use super::rule::Emptiness::MayBeEmpty;
use super::rule::Rule::{Any, AtLeast, Between, GzipLevel, Items, OneOf, ThrottledReplicas};
use super::value::Value;
use super::{ConfigError, Properties, java};

/// The names of `compression.type`.
pub(super) const COMPRESSIONS: &[&str] = &["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"];

/// The configs of a topic.
pub static TOPIC: Table = Table::new(rows! {
    "segment.bytes", Int, Is("1073741824"), AtLeast(1048576), Medium, ClusterWide, Honoured;
    "segment.ms", Long, Is("604800000"), AtLeast(1), Medium, ClusterWide, Honoured;
    "segment.jitter.ms", Long, Is("0"), AtLeast(0), Medium, ClusterWide, Honoured;
    "segment.index.bytes", Int, Is("10485760"), AtLeast(4), Medium, ClusterWide, Honoured;
    "flush.messages", Long, Is("9223372036854775807"), AtLeast(1), Medium, ClusterWide, Honoured;
    "flush.ms", Long, Is("9223372036854775807"), AtLeast(0), Medium, ClusterWide, Honoured;
    "retention.bytes", Long, Is("-1"), Any, Medium, ClusterWide, Honoured;
    "retention.ms", Long, Is("604800000"), AtLeast(-1), Medium, ClusterWide, Honoured;
    "max.message.bytes", Int, Is("1048588"), AtLeast(0), Medium, ClusterWide, Honoured;
    "index.interval.bytes", Int, Is("4096"), AtLeast(0), Medium, ClusterWide, Honoured;
    "delete.retention.ms", Long, Is("86400000"), AtLeast(0), Medium, ClusterWide, Honoured;
    "min.compaction.lag.ms", Long, Is("0"), AtLeast(0), Medium, ClusterWide, Honoured;
    "max.compaction.lag.ms", Long, Is("9223372036854775807"), AtLeast(1), Medium, ClusterWide, Honoured;
    "file.delete.delay.ms", Long, Is("60000"), AtLeast(0), Medium, ClusterWide, Honoured;
    "min.cleanable.dirty.ratio", Double, Is("0.5"), Between(0, 1), Medium, ClusterWide, Honoured;
    "cleanup.policy", List, Is("delete"), Items(&["compact", "delete"], MayBeEmpty), Medium, ClusterWide, Honoured;
    "unclean.leader.election.enable", Boolean, Is("false"), Any, Medium, ClusterWide, Honoured;
    "min.insync.replicas", Int, Is("1"), AtLeast(1), Medium, ClusterWide, Honoured;
    "compression.type", Text, Is("producer"), OneOf(COMPRESSIONS), Medium, ClusterWide, Honoured;
    "compression.gzip.level", Int, Is("-1"), GzipLevel, Medium, ClusterWide, Honoured;
    "compression.lz4.level", Int, Is("9"), Between(1, 17), Medium, ClusterWide, Honoured;
    "compression.zstd.level", Int, Is("3"), Between(-131072, 22), Medium, ClusterWide, Honoured;
    "preallocate", Boolean, Is("false"), Any, Medium, ClusterWide, NoEffect;
    "message.timestamp.type", Text, Is("CreateTime"),
        OneOf(&["CreateTime", "LogAppendTime"]), Medium, ClusterWide, Honoured;
    "message.timestamp.before.max.ms", Long, Is("9223372036854775807"), AtLeast(0), Medium, ClusterWide, Honoured;
    "message.timestamp.after.max.ms", Long, Is("3600000"), AtLeast(0), Medium, ClusterWide, Honoured;
    "leader.replication.throttled.replicas", List, Is(""), ThrottledReplicas, Medium, ClusterWide, Honoured;
    "follower.replication.throttled.replicas", List, Is(""), ThrottledReplicas, Medium, ClusterWide, Honoured;
    "remote.storage.enable", Boolean, Is("false"), Any, Medium, ClusterWide, NoEffect;
    "local.retention.ms", Long, Is("-2"), AtLeast(-2), Medium, ClusterWide, NoEffect;
    "local.retention.bytes", Long, Is("-2"), AtLeast(-2), Medium, ClusterWide, NoEffect;
    "remote.log.copy.disable", Boolean, Is("false"), Any, Medium, ClusterWide, NoEffect;
    "remote.log.delete.on.disable", Boolean, Is("false"), Any, Medium, ClusterWide, NoEffect;
    "internal.segment.bytes", Int, Null, Any, Medium, Internal, Honoured;
});

/// How a broker property's number is converted to the topic's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Not at all.
    Same,
    /// Minutes to milliseconds.
    Minutes,
    /// Hours to milliseconds.
    Hours,
}

impl Unit {
    fn convert(self, value: &Value) -> Value {
        match (self, value) {
            (Unit::Minutes, Value::Integer(minutes)) => Value::Integer(minutes.saturating_mul(60_000)),
            (Unit::Hours, Value::Integer(hours)) => Value::Integer(hours.saturating_mul(3_600_000)),
            _ => value.clone(),
        }
    }

    /// Returns the converted number as text, or the text itself if it is not a number.
    pub(super) fn convert_text(self, text: &str) -> String {
        match (self, model::java_number::parse_long(super::java::trim(text))) {
            (Unit::Same, _) | (_, None) => text.to_string(),
            (_, Some(number)) => self.convert(&Value::Integer(number)).to_text().unwrap_or_default(),
        }
    }
}

/// Returns the broker properties that are a topic config's defaults. The first one with a value
/// applies. Empty for configs without such a property.
pub(super) fn broker_properties(name: &str) -> &'static [(&'static str, Unit)] {
    use Unit::{Hours, Minutes, Same};
    match name {
        "segment.bytes" => &[("log.segment.bytes", Same)],
        "segment.ms" => &[("log.roll.ms", Same), ("log.roll.hours", Hours)],
        "segment.jitter.ms" => &[("log.roll.jitter.ms", Same), ("log.roll.jitter.hours", Hours)],
        "segment.index.bytes" => &[("log.index.size.max.bytes", Same)],
        "flush.messages" => &[("log.flush.interval.messages", Same)],
        "flush.ms" => &[("log.flush.interval.ms", Same), ("log.flush.scheduler.interval.ms", Same)],
        "retention.bytes" => &[("log.retention.bytes", Same)],
        "retention.ms" => {
            &[("log.retention.ms", Same), ("log.retention.minutes", Minutes), ("log.retention.hours", Hours)]
        }
        "max.message.bytes" => &[("message.max.bytes", Same)],
        "index.interval.bytes" => &[("log.index.interval.bytes", Same)],
        "delete.retention.ms" => &[("log.cleaner.delete.retention.ms", Same)],
        "min.compaction.lag.ms" => &[("log.cleaner.min.compaction.lag.ms", Same)],
        "max.compaction.lag.ms" => &[("log.cleaner.max.compaction.lag.ms", Same)],
        "file.delete.delay.ms" => &[("log.segment.delete.delay.ms", Same)],
        "min.cleanable.dirty.ratio" => &[("log.cleaner.min.cleanable.ratio", Same)],
        "cleanup.policy" => &[("log.cleanup.policy", Same)],
        "unclean.leader.election.enable" => &[("unclean.leader.election.enable", Same)],
        "min.insync.replicas" => &[("min.insync.replicas", Same)],
        "compression.type" => &[("compression.type", Same)],
        "compression.gzip.level" => &[("compression.gzip.level", Same)],
        "compression.lz4.level" => &[("compression.lz4.level", Same)],
        "compression.zstd.level" => &[("compression.zstd.level", Same)],
        "preallocate" => &[("log.preallocate", Same)],
        "message.timestamp.type" => &[("log.message.timestamp.type", Same)],
        "message.timestamp.before.max.ms" => &[("log.message.timestamp.before.max.ms", Same)],
        "message.timestamp.after.max.ms" => &[("log.message.timestamp.after.max.ms", Same)],
        "local.retention.ms" => &[("log.local.retention.ms", Same)],
        "local.retention.bytes" => &[("log.local.retention.bytes", Same)],
        _ => &[],
    }
}

/// Returns a topic config's value from the broker's properties, or its own default.
pub(super) fn from_broker(name: &str, broker: &Values) -> Value {
    let set = broker_properties(name).iter().find_map(|(property, unit)| match broker.get(property) {
        Value::Null => None,
        value => Some(unit.convert(value)),
    });
    match (name, set) {
        // Every negative retention of the broker means that nothing expires.
        ("retention.ms", Some(Value::Integer(millis))) if millis < 0 => Value::Integer(-1),
        (_, Some(value)) => value,
        (_, None) => default_of(name),
    }
}

fn default_of(name: &str) -> Value {
    TOPIC.get(name).map_or(Value::Null, super::key::Key::default_value)
}

/// Returns a topic config's value in force: the topic's own if it is valid, else the broker's.
pub(super) fn effective(name: &str, overrides: &Properties, broker: &Values) -> Value {
    let own = overrides.get(name).and_then(|text| TOPIC.get(name)?.parse(text).ok());
    own.unwrap_or_else(|| from_broker(name, broker))
}

super::settings_struct! {
    /// The settings of one topic: its configs override the broker's properties. Fields are named
    /// after the configs. As in Kafka, -1 (and -2 for local retention) or the largest number means
    /// no limit.
    pub struct TopicSettings {
        segment_bytes: i32,
        segment_ms: i64,
        segment_jitter_ms: i64,
        segment_index_bytes: i32,
        flush_messages: i64,
        flush_ms: i64,
        retention_bytes: i64,
        retention_ms: i64,
        max_message_bytes: i32,
        index_interval_bytes: i32,
        delete_retention_ms: i64,
        min_compaction_lag_ms: i64,
        max_compaction_lag_ms: i64,
        file_delete_delay_ms: i64,
        min_cleanable_dirty_ratio: f64,
        cleanup_policy: Vec<String>,
        unclean_leader_election_enable: bool,
        min_insync_replicas: i32,
        compression_type: String,
        compression_gzip_level: i32,
        compression_lz4_level: i32,
        compression_zstd_level: i32,
        preallocate: bool,
        leader_replication_throttled_replicas: Vec<String>,
        follower_replication_throttled_replicas: Vec<String>,
        message_timestamp_type: String,
        message_timestamp_before_max_ms: i64,
        message_timestamp_after_max_ms: i64,
        internal_segment_bytes: Option<i32>,
    }
}

impl TopicSettings {
    /// Returns the settings of a topic with these configs on a broker with these values. An invalid
    /// stored config, which an older release may have allowed, is ignored.
    pub fn new(overrides: &Properties, broker: &Values) -> Self {
        Self::read(|name| effective(name, overrides, broker))
    }

    /// Whether old segments are deleted.
    pub fn is_deleted(&self) -> bool {
        self.cleanup_policy.iter().any(|policy| policy == "delete")
    }

    /// Whether it is compacted.
    pub fn is_compacted(&self) -> bool {
        self.cleanup_policy.iter().any(|policy| policy == "compact")
    }

    /// Whether the broker stamps records when it appends them.
    pub fn is_log_append_time(&self) -> bool {
        self.message_timestamp_type == "LogAppendTime"
    }

    /// Returns the size at which a segment is rolled.
    pub fn effective_segment_bytes(&self) -> i32 {
        self.internal_segment_bytes.unwrap_or(self.segment_bytes)
    }
}

/// Checks all configs of a topic together. Errors: Kafka's message, which clients see with
/// INVALID_CONFIG.
pub fn validate(configs: &Properties, broker: &Values) -> Result<(), ConfigError> {
    let mut names: Vec<&String> = configs.keys().filter(|name| TOPIC.get(name).is_none()).collect();
    java::hash_order(&mut names, configs.len(), |name| name);
    if let Some(unknown) = names.first() {
        return Err(ConfigError(format!("Unknown topic config name: {unknown}")));
    }
    let own = TOPIC.parse(configs)?;
    let number = |name: &str| {
        let value = if configs.contains_key(name) { own.get(name).clone() } else { from_broker(name, broker) };
        if let Value::Integer(number) = value { number } else { 0 }
    };
    let (least, most) = (number("min.compaction.lag.ms"), number("max.compaction.lag.ms"));
    if least > most {
        return Err(ConfigError(format!(
            "conflict topic config setting min.compaction.lag.ms ({least}) > max.compaction.lag.ms ({most})"
        )));
    }
    if own.read::<bool>("remote.storage.enable") {
        return Err(ConfigError(
            "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage."
                .into(),
        ));
    }
    Ok(())
}
