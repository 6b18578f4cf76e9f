//! The broker's settings: a typed field for every property that the broker uses.

use super::Properties;
use super::key::Values;
use super::value::{FromValue, Value};
use std::time::Duration;

/// The value of `replica.selector.class` that sends consumers to followers in their rack (KIP-392).
pub(super) const RACK_AWARE_SELECTOR: &str = "org.apache.kafka.common.replica.RackAwareReplicaSelector";

/// Declares a struct whose fields are properties: `fetch_max_bytes` is `fetch.max.bytes`.
macro_rules! settings_struct {
    ($(#[$doc:meta])* pub struct $name:ident { $($field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        #[allow(missing_docs, reason = "the fields are named after their properties")]
        pub struct $name {
            $(pub $field: $type,)*
        }

        impl $name {
            /// The names of the properties, and a check whether a value can be converted.
            #[cfg(test)]
            #[allow(clippy::type_complexity, reason = "seen by one test")]
            pub(in crate::config) const FIELDS: &[(&str, fn(&$crate::config::Value) -> bool)] =
                &[$((stringify!($field), |value| <$type as $crate::config::FromValue>::from_value(value).is_some()),)*];

            fn read(value: impl Fn(&str) -> $crate::config::Value) -> Self {
                Self {
                    $($field: {
                        let name = stringify!($field).replace('_', ".");
                        <$type as $crate::config::FromValue>::from_value(&value(&name)).unwrap_or_default()
                    },)*
                }
            }
        }
    };
}
pub(super) use settings_struct;

settings_struct! {
    /// The settings in force: dynamic configs override the node's file, which overrides the
    /// defaults. Fields have the names and units of the properties. A field is `None` if Kafka's
    /// default is unset.
    pub struct BrokerSettings {
        add_partitions_to_txn_retry_backoff_max_ms: i32,
        add_partitions_to_txn_retry_backoff_ms: i32,
        auto_create_topics_enable: bool,
        auto_leader_rebalance_enable: bool,
        broker_heartbeat_interval_ms: i32,
        broker_rack: Option<String>,
        broker_session_timeout_ms: i32,
        compression_gzip_level: i32,
        compression_lz4_level: i32,
        compression_type: String,
        compression_zstd_level: i32,
        connection_failed_authentication_delay_ms: i32,
        connections_max_idle_ms: i64,
        controller_quorum_auto_join_enable: bool,
        controller_quorum_election_backoff_max_ms: i32,
        controller_quorum_election_timeout_ms: i32,
        controller_quorum_fetch_max_bytes: i32,
        controller_quorum_fetch_snapshot_max_bytes: i32,
        controller_quorum_fetch_timeout_ms: i32,
        controller_quorum_request_timeout_ms: i32,
        controller_quorum_retry_backoff_ms: i32,
        cordoned_log_dirs: Vec<String>,
        default_replication_factor: i32,
        delete_topic_enable: bool,
        fetch_max_bytes: i32,
        group_initial_rebalance_delay_ms: i32,
        group_max_session_timeout_ms: i32,
        group_max_size: i32,
        group_min_session_timeout_ms: i32,
        initial_broker_registration_timeout_ms: i32,
        leader_imbalance_check_interval_seconds: i64,
        log_cleaner_backoff_ms: i64,
        log_cleaner_dedupe_buffer_size: i64,
        log_cleaner_enable: bool,
        log_cleaner_io_buffer_load_factor: f64,
        log_cleaner_io_buffer_size: i32,
        log_cleaner_io_max_bytes_per_second: f64,
        log_cleaner_threads: i32,
        log_flush_offset_checkpoint_interval_ms: i32,
        log_flush_start_offset_checkpoint_interval_ms: i32,
        log_retention_check_interval_ms: i64,
        log_segment_delete_delay_ms: i64,
        max_connections: i32,
        max_connections_per_ip: i32,
        max_connections_per_ip_overrides: String,
        max_incremental_fetch_session_cache_slots: i32,
        max_request_partition_size_limit: i32,
        message_max_bytes: i32,
        metadata_log_max_record_bytes_between_snapshots: i64,
        metadata_log_max_snapshot_interval_ms: i64,
        metadata_log_segment_bytes: i32,
        metadata_log_segment_ms: i64,
        metadata_max_idle_interval_ms: i32,
        metadata_max_retention_bytes: i64,
        metadata_max_retention_ms: i64,
        min_insync_replicas: i32,
        num_partitions: i32,
        num_replica_fetchers: i32,
        offset_metadata_max_bytes: i32,
        offsets_commit_timeout_ms: i32,
        offsets_retention_check_interval_ms: i64,
        offsets_retention_minutes: i32,
        offsets_topic_compression_codec: i32,
        offsets_topic_num_partitions: i32,
        offsets_topic_replication_factor: i16,
        offsets_topic_segment_bytes: i32,
        producer_id_expiration_check_interval_ms: i32,
        producer_id_expiration_ms: i32,
        queued_max_request_bytes: i64,
        replica_fetch_backoff_ms: i32,
        replica_fetch_max_bytes: i32,
        replica_fetch_min_bytes: i32,
        replica_fetch_response_max_bytes: i32,
        replica_fetch_wait_max_ms: i32,
        replica_high_watermark_checkpoint_interval_ms: i64,
        replica_lag_time_max_ms: i64,
        replica_selector_class: Option<String>,
        replication_quota_window_num: i32,
        replication_quota_window_size_seconds: i32,
        replica_socket_timeout_ms: i32,
        request_timeout_ms: i32,
        sasl_server_max_receive_size: i32,
        share_coordinator_state_topic_min_isr: i16,
        share_coordinator_state_topic_num_partitions: i32,
        share_coordinator_state_topic_replication_factor: i16,
        share_coordinator_state_topic_segment_bytes: i32,
        socket_listen_backlog_size: i32,
        socket_receive_buffer_bytes: i32,
        socket_request_max_bytes: i32,
        socket_send_buffer_bytes: i32,
        transaction_abort_timed_out_transaction_cleanup_interval_ms: i32,
        transaction_max_timeout_ms: i32,
        transaction_remove_expired_transaction_cleanup_interval_ms: i32,
        transaction_state_log_min_isr: i32,
        transaction_state_log_num_partitions: i32,
        transaction_state_log_replication_factor: i16,
        transaction_state_log_segment_bytes: i32,
        transaction_two_phase_commit_enable: bool,
        transactional_id_expiration_ms: i32,
        transaction_partition_verification_enable: bool,
        unclean_leader_election_enable: bool,
        unclean_leader_election_interval_ms: i64,
    }
}

impl BrokerSettings {
    /// How often a broker sends a heartbeat: `broker.heartbeat.interval.ms`, and at least three
    /// times in a session. Kafka's broker is fenced between two heartbeats where its session is
    /// shorter than their interval.
    pub fn heartbeat_interval(&self) -> Duration {
        let ms = self.broker_heartbeat_interval_ms.min(self.broker_session_timeout_ms / 3);
        Duration::from_millis(u64::try_from(ms).unwrap_or(0).max(1))
    }

    /// Converts the values to settings.
    pub fn new(values: &Values) -> Self {
        Self::read(|name| values.get(name).clone())
    }

    /// Whether the leader sends consumers to followers in their rack (KIP-392).
    pub fn selects_replicas_by_rack(&self) -> bool {
        self.replica_selector_class.as_deref().is_some_and(|class| class.trim() == RACK_AWARE_SELECTOR)
    }

    /// Returns `max.connections.per.ip.overrides`: hosts or addresses, each with its maximum of
    /// connections.
    pub fn max_connections_per_ip_overrides(&self) -> Vec<(String, i32)> {
        let entries = map_entries("max.connections.per.ip.overrides", &self.max_connections_per_ip_overrides);
        let entries = entries.unwrap_or_default().into_iter();
        entries.filter_map(|(host, most)| Some((host.to_string(), model::java_number::parse_int(most)?))).collect()
    }
}

/// Returns `max.connections` of single listeners, by listener name in upper case.
pub(super) fn max_connections_of_listeners(properties: &Properties) -> Vec<(String, i32)> {
    let of = |(name, value): (&String, &String)| {
        let listener = name.strip_prefix("listener.name.")?.strip_suffix(".max.connections")?;
        Some((listener.to_uppercase(), i32::from_value(&Value::parse(value, super::Kind::Int).ok()?)?))
    };
    properties.iter().filter_map(of).collect()
}

/// Parses comma-separated entries `key:value`. The last colon is the separator. Errors: Kafka's
/// message about an entry without a colon.
pub(super) fn map_entries<'a>(name: &str, text: &'a str) -> Result<Vec<(&'a str, &'a str)>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let entry = |entry: &'a str| {
        let entry = entry.trim();
        let (key, value) = entry.rsplit_once(':').ok_or_else(|| {
            let length = entry.encode_utf16().count();
            format!("Error parsing configuration property '{name}': begin 0, end -1, length {length}")
        })?;
        Ok((key.trim(), value.trim()))
    };
    text.split(',').map(entry).collect()
}
