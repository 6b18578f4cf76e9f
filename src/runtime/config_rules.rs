//! Converts configuration for its users: rules for the controller's decisions, and settings for a
//! topic's log.

use crate::config::{
    BROKER, CLIENT_METRICS, Effective, GROUP, Kind, NodeConfig, Properties, ResourceKind, TOPIC, Table, TopicSettings,
};
use crate::replica::{ThrottledReplicas, WriteRules};
use arc_swap::ArcSwap;
use coordinator::{GroupConfig, TransactionConfig};
use imbl::OrdMap;
use metadata::MetadataVersion;
use metadata::decide::ConfigRules;
use metadata::image::{ConfigResource, Image, ResourceType};
use model::java_number::parse_int;
use model::{ApiError, BrokerId, ErrorCode, PartitionIndex};
use protocol::Str;
use protocol::messages::create_topics_response::CreatableTopicConfigs;
use records::{Codec, Compression, TimestampType, ValidationRules};
use std::sync::Arc;
use storage::{CleanupPolicy, LogConfig};

/// The rules for all configs, from this node's current configuration.
#[derive(Debug)]
pub struct Rules {
    config: Arc<NodeConfig>,
    effective: Arc<ArcSwap<Effective>>,
}

impl Rules {
    /// Creates the rules of a node.
    pub fn new(config: Arc<NodeConfig>, effective: Arc<ArcSwap<Effective>>) -> Self {
        Self { config, effective }
    }

    /// Passes the rules to a decision.
    pub fn with<T>(&self, decide: impl FnOnce(&ConfigRules<'_>) -> T) -> T {
        let effective = self.effective.load();
        let row = |kind: ResourceType, name: &str| table_of(kind).and_then(|table| table.get(name));
        let validate = |resource: &ConfigResource, configs: &OrdMap<Str, Str>, stored: &OrdMap<Str, Str>| {
            let kind = kind_of(resource.kind)?;
            let mut configs = properties(configs);
            if resource.kind != ResourceType::Broker {
                // A config that an older release stored and this one does not know is kept, but has
                // no effect (KAFKA-19851).
                let is_old = |name: &str| row(resource.kind, name).is_none() && stored.contains_key(name);
                configs.retain(|name, _| !is_old(name));
            }
            self.config.validate(&effective, kind, &resource.name, &configs)
        };
        let rules = ConfigRules {
            validate: &validate,
            is_list: &|kind, name| row(kind, name).is_some_and(|key| key.kind == Kind::List),
            default: &|kind, name| row(kind, name).and_then(|key| key.default_text()).map(Str::const_new),
            topic_configs: &|_, configs| {
                let entries = self.config.describe_new_topic(&effective, &properties(configs)).into_iter();
                let shown = entries.map(|entry| CreatableTopicConfigs {
                    name: entry.name.into(),
                    value: entry.value.map(Into::into),
                    read_only: entry.is_read_only,
                    config_source: entry.source.to_wire(),
                    is_sensitive: entry.is_sensitive,
                    ..Default::default()
                });
                shown.collect()
            },
        };
        decide(&rules)
    }
}

fn kind_of(kind: ResourceType) -> Result<ResourceKind, ApiError> {
    match kind {
        ResourceType::Topic => Ok(ResourceKind::Topic),
        ResourceType::Broker => Ok(ResourceKind::Broker),
        ResourceType::Group => Ok(ResourceKind::Group),
        ResourceType::ClientMetrics => Ok(ResourceKind::ClientMetrics),
        ResourceType::BrokerLogger => Err(ErrorCode::InvalidRequest.into()),
    }
}

fn table_of(kind: ResourceType) -> Option<&'static Table> {
    match kind {
        ResourceType::Topic => Some(&TOPIC),
        ResourceType::Broker => Some(&BROKER),
        ResourceType::Group => Some(&GROUP),
        ResourceType::ClientMetrics => Some(&CLIENT_METRICS),
        ResourceType::BrokerLogger => None,
    }
}

/// Converts the configs of an image to properties.
pub fn properties(configs: &OrdMap<Str, Str>) -> Properties {
    configs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

/// Returns an image's dynamic configs of all brokers and of one broker.
pub fn broker_configs(image: &Image, id: BrokerId) -> (Properties, Properties) {
    let of = |resource| properties(&image.configs.of(&resource));
    (of(ConfigResource::all_brokers()), of(ConfigResource::broker(id)))
}

/// Returns the settings of a topic's log and the rules for writes to it.
pub fn topic_settings(effective: &Effective, image: &Image, topic: &str) -> (LogConfig, WriteRules) {
    let configs = properties(&image.configs.of(&ConfigResource::topic(topic)));
    let settings = TopicSettings::new(&configs, &effective.values);
    let unsigned = |number: i32| u32::try_from(number).unwrap_or(0);
    let limit = |number: i64| (number >= 0).then_some(number);
    let log = LogConfig {
        segment_bytes: unsigned(settings.effective_segment_bytes()),
        segment_ms: settings.segment_ms,
        segment_jitter_ms: settings.segment_jitter_ms,
        segment_index_bytes: unsigned(settings.segment_index_bytes),
        index_interval_bytes: unsigned(settings.index_interval_bytes),
        max_message_bytes: unsigned(settings.max_message_bytes),
        flush_messages: (settings.flush_messages < i64::MAX).then_some(settings.flush_messages),
        flush_ms: (settings.flush_ms < i64::MAX).then_some(settings.flush_ms),
        retention_bytes: limit(settings.retention_bytes).and_then(|bytes| u64::try_from(bytes).ok()),
        retention_ms: limit(settings.retention_ms),
        file_delete_delay_ms: settings.file_delete_delay_ms,
        cleanup_policy: CleanupPolicy { delete: settings.is_deleted(), compact: settings.is_compacted() },
        delete_retention_ms: settings.delete_retention_ms,
        min_compaction_lag_ms: settings.min_compaction_lag_ms,
        max_compaction_lag_ms: (settings.max_compaction_lag_ms < i64::MAX).then_some(settings.max_compaction_lag_ms),
        // The ratio lies between 0 and 1.
        min_cleanable_dirty_ppm: (settings.min_cleanable_dirty_ratio * 1e6) as u32,
        producer_id_expiration_ms: i64::from(effective.settings.producer_id_expiration_ms),
        verifies_transactions: effective.settings.transaction_partition_verification_enable,
    };
    let rules = WriteRules {
        validation: ValidationRules {
            timestamp_type: if settings.is_log_append_time() {
                TimestampType::LogAppendTime
            } else {
                TimestampType::CreateTime
            },
            timestamp_before_max_ms: settings.message_timestamp_before_max_ms,
            timestamp_after_max_ms: settings.message_timestamp_after_max_ms,
            compression: compression(&settings),
            max_message_bytes: log.max_message_bytes as usize,
            segment_bytes: log.segment_bytes as usize,
            compacted: settings.is_compacted(),
        },
        min_insync_replicas: usize::try_from(settings.min_insync_replicas).unwrap_or(1),
        replica_lag_max_ms: u64::try_from(effective.settings.replica_lag_time_max_ms).unwrap_or(0),
        throttled_leaders: throttled(&settings.leader_replication_throttled_replicas),
        throttled_followers: throttled(&settings.follower_replication_throttled_replicas),
    };
    (log, rules)
}

/// Reads a list of throttled replicas: `*`, or `partition:broker` items.
fn throttled(items: &[String]) -> ThrottledReplicas {
    let of = |item: &String| {
        let (partition, broker) = item.split_once(':')?;
        Some((PartitionIndex(parse_int(partition.trim())?), BrokerId(parse_int(broker.trim())?)))
    };
    match items {
        [] => ThrottledReplicas::None,
        [all] if all.trim() == "*" => ThrottledReplicas::All,
        items => ThrottledReplicas::Some(items.iter().filter_map(of).collect()),
    }
}

/// Returns `compression.type` with its level; `None` for `producer`.
fn compression(settings: &TopicSettings) -> Option<Compression> {
    let (codec, level) = match settings.compression_type.as_str() {
        "gzip" => (Codec::Gzip, Some(settings.compression_gzip_level)),
        "snappy" => (Codec::Snappy, None),
        "lz4" => (Codec::Lz4, Some(settings.compression_lz4_level)),
        "zstd" => (Codec::Zstd, Some(settings.compression_zstd_level)),
        "uncompressed" => (Codec::None, None),
        _ => return None,
    };
    Some(Compression { codec, level })
}

/// Returns the settings of the group coordinators at a finalized `metadata.version`.
pub fn group_config(effective: &Effective, version: MetadataVersion) -> GroupConfig {
    let settings = &effective.settings;
    let count = |number: i32| usize::try_from(number).unwrap_or(0);
    GroupConfig {
        initial_rebalance_delay_ms: settings.group_initial_rebalance_delay_ms,
        min_session_timeout_ms: settings.group_min_session_timeout_ms,
        max_session_timeout_ms: settings.group_max_session_timeout_ms,
        max_size: count(settings.group_max_size),
        offset_metadata_max: count(settings.offset_metadata_max_bytes),
        offsets_retention_ms: i64::from(settings.offsets_retention_minutes) * 60_000,
        offsets_retention_check_interval_ms: settings.offsets_retention_check_interval_ms,
        flexible_records: version.has_flexible_coordinator_records(),
    }
}

/// Returns the settings of the transaction coordinators.
pub fn transaction_config(effective: &Effective) -> TransactionConfig {
    let settings = &effective.settings;
    TransactionConfig {
        max_timeout_ms: settings.transaction_max_timeout_ms,
        transactional_id_expiration_ms: i64::from(settings.transactional_id_expiration_ms),
        abort_timed_out_interval_ms: i64::from(settings.transaction_abort_timed_out_transaction_cleanup_interval_ms),
        remove_expired_interval_ms: i64::from(settings.transaction_remove_expired_transaction_cleanup_interval_ms),
        two_phase_commit: settings.transaction_two_phase_commit_enable,
    }
}

/// Returns the codec that compresses the records of groups (`offsets.topic.compression.codec`).
pub fn offsets_codec(effective: &Effective) -> Codec {
    match effective.settings.offsets_topic_compression_codec {
        1 => Codec::Gzip,
        2 => Codec::Snappy,
        3 => Codec::Lz4,
        4 => Codec::Zstd,
        _ => Codec::None,
    }
}
