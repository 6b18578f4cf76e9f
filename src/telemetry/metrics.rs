//! Every metric that counts events, one field each. A metric that is a state (partitions, log
//! sizes, lag) is read from its owner when the text is requested, by a collector that `admin`
//! registers.

use super::exposition::{self, Exposition};
use parking_lot::Mutex;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use protocol::ApiKey;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

/// All metrics of events.
#[derive(Debug)]
pub struct Metrics {
    /// Connections accepted.
    pub connections_total: Counter,
    /// Connections open.
    pub connections: Gauge,
    /// Requests by key.
    pub requests: RequestMetrics,
    /// Bytes of batches appended.
    pub bytes_in: Counter,
    /// Records appended.
    pub records_in: Counter,
    /// Bytes of batches sent to consumers.
    pub bytes_out: Counter,
    /// Elections whose leader may lack records (`UncleanLeaderElectionsPerSec`).
    pub unclean_elections: Counter,
    /// Elections of eligible leader replicas outside the ISR
    /// (`ElectionFromEligibleLeaderReplicasPerSec`).
    pub elr_elections: Counter,
    /// Replication between brokers.
    pub replication: ReplicationMetrics,
    /// Flushes that appends wait for.
    pub flushes: FlushMetrics,
    /// Logins of clients.
    pub logins: LoginMetrics,
    registry: Mutex<Registry>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    request: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ErrorLabels {
    request: &'static str,
    error: &'static str,
}

/// Flushes that appends wait for: their number (the histograms' counts), their time, and how many
/// batches each served. Kafka's `LogFlushRateAndTimeMs` for these flushes.
#[derive(Clone, Debug)]
pub struct FlushMetrics {
    seconds: Histogram,
    batches: Histogram,
}

/// Replication between brokers. Kafka's names are in the help texts.
#[derive(Clone, Debug, Default)]
pub struct ReplicationMetrics {
    /// Bytes that this broker copied from leaders.
    pub bytes_in: Counter,
    /// Bytes that this broker sent to followers.
    pub bytes_out: Counter,
    /// ISRs that this broker shrank.
    pub isr_shrinks: Counter,
    /// ISRs that this broker expanded.
    pub isr_expands: Counter,
    /// Changes of ISRs that the controller did not accept.
    pub failed_isr_updates: Counter,
}

impl ReplicationMetrics {
    fn register(&self, registry: &mut Registry) {
        let rows = [
            ("replication_bytes_in", "Bytes copied from leaders (ReplicationBytesInPerSec)", &self.bytes_in),
            ("replication_bytes_out", "Bytes sent to followers (ReplicationBytesOutPerSec)", &self.bytes_out),
            ("isr_shrinks", "ISRs that lost a replica (IsrShrinksPerSec)", &self.isr_shrinks),
            ("isr_expands", "ISRs that gained a replica (IsrExpandsPerSec)", &self.isr_expands),
            (
                "failed_isr_updates",
                "Changes of ISRs that the controller did not accept (FailedIsrUpdatesPerSec)",
                &self.failed_isr_updates,
            ),
        ];
        for (name, help, counter) in rows {
            registry.register(name, help, counter.clone());
        }
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ListenerLabels {
    listener: String,
}

/// Logins of clients by listener. Kafka's names are in the help texts.
#[derive(Debug, Default)]
pub struct LoginMetrics {
    succeeded: Family<ListenerLabels, Counter>,
    failed: Family<ListenerLabels, Counter>,
    succeeded_again: Family<ListenerLabels, Counter>,
    failed_again: Family<ListenerLabels, Counter>,
    expired: Family<ListenerLabels, Counter>,
}

impl LoginMetrics {
    fn register(&self, registry: &mut Registry) {
        let rows = [
            ("successful_authentications", "Clients that logged in (successful-authentication-total)", &self.succeeded),
            ("failed_authentications", "Clients that failed to log in (failed-authentication-total)", &self.failed),
            (
                "successful_reauthentications",
                "Clients that logged in again (successful-reauthentication-total)",
                &self.succeeded_again,
            ),
            (
                "failed_reauthentications",
                "Clients that failed to log in again (failed-reauthentication-total)",
                &self.failed_again,
            ),
            (
                "expired_connections_killed",
                "Connections closed because their session had ended (ExpiredConnectionsKilledCount)",
                &self.expired,
            ),
        ];
        for (name, help, counter) in rows {
            registry.register(name, help, Family::clone(counter));
        }
    }

    /// Counts a login.
    pub fn succeeded(&self, listener: &str, is_again: bool) {
        count(if is_again { &self.succeeded_again } else { &self.succeeded }, listener);
    }

    /// Counts a login that failed.
    pub fn failed(&self, listener: &str, is_again: bool) {
        count(if is_again { &self.failed_again } else { &self.failed }, listener);
    }

    /// Counts a connection whose session has ended.
    pub fn expired(&self, listener: &str) {
        count(&self.expired, listener);
    }
}

fn count(family: &Family<ListenerLabels, Counter>, listener: &str) {
    family.get_or_create(&ListenerLabels { listener: listener.into() }).inc();
}

type LatencyFamily = Family<RequestLabels, Histogram, fn() -> Histogram>;

/// Requests by key: their number, their time, and their errors.
#[derive(Debug)]
pub struct RequestMetrics {
    /// One handle per key, so that a request is counted without a lookup. The first request of a
    /// key creates it.
    latency: BTreeMap<ApiKey, OnceLock<Histogram>>,
    latency_family: LatencyFamily,
    errors: Family<ErrorLabels, Counter>,
}

fn latency_histogram() -> Histogram {
    // 50 microseconds to 26 seconds.
    Histogram::new(exponential_buckets(0.000_05, 2.0, 20))
}

impl Default for FlushMetrics {
    fn default() -> Self {
        Self { seconds: latency_histogram(), batches: Histogram::new(exponential_buckets(1.0, 2.0, 12)) }
    }
}

impl FlushMetrics {
    /// Records a flush: the time it took and the number of batches that waited for it.
    pub fn flushed(&self, took: Duration, batches: u64) {
        self.seconds.observe(took.as_secs_f64());
        self.batches.observe(batches as f64);
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("gregor");
        let latency: LatencyFamily = Family::new_with_constructor(latency_histogram);
        let errors = Family::default();
        let metrics = Self {
            connections_total: Counter::default(),
            connections: Gauge::default(),
            requests: RequestMetrics {
                latency: ApiKey::ALL.iter().map(|key| (*key, OnceLock::new())).collect(),
                latency_family: latency.clone(),
                errors: Family::clone(&errors),
            },
            bytes_in: Counter::default(),
            records_in: Counter::default(),
            bytes_out: Counter::default(),
            unclean_elections: Counter::default(),
            elr_elections: Counter::default(),
            replication: ReplicationMetrics::default(),
            flushes: FlushMetrics::default(),
            logins: LoginMetrics::default(),
            registry: Mutex::default(),
        };
        registry.register("connections_accepted", "Connections accepted", metrics.connections_total.clone());
        registry.register("connections", "Connections open", metrics.connections.clone());
        registry.register("request_seconds", "From a request's last byte to its reply", latency);
        registry.register("request_errors", "Error codes in responses", errors);
        registry.register("bytes_in", "Bytes of batches appended", metrics.bytes_in.clone());
        registry.register("records_in", "Records appended", metrics.records_in.clone());
        let help = "Elections whose leader may lack records";
        registry.register("unclean_leader_elections", help, metrics.unclean_elections.clone());
        let help = "Elections of eligible leader replicas outside the ISR";
        registry.register("elr_leader_elections", help, metrics.elr_elections.clone());
        registry.register("bytes_out", "Bytes of batches sent to consumers", metrics.bytes_out.clone());
        registry.register(
            "log_flush_seconds",
            "Time of a flush that appends waited for",
            metrics.flushes.seconds.clone(),
        );
        metrics.replication.register(&mut registry);
        metrics.logins.register(&mut registry);
        registry.register("log_flush_batches", "Batches that waited for one flush", metrics.flushes.batches.clone());
        *metrics.registry.lock() = registry;
        metrics
    }
}

impl Metrics {
    /// Adds metrics that are read from their owners on request.
    pub fn register_collector(&self, collector: Box<dyn prometheus_client::collector::Collector>) {
        self.registry.lock().register_collector(collector);
    }

    /// Returns all metrics as text.
    pub fn text(&self, format: Exposition) -> Result<String, std::fmt::Error> {
        let mut out = String::new();
        text::encode(&mut out, &self.registry.lock())?;
        Ok(match format {
            Exposition::OpenMetrics => out,
            Exposition::Classic => exposition::classic(&out),
        })
    }
}

impl RequestMetrics {
    /// Records a served request and its time.
    pub fn served(&self, key: ApiKey, latency: Duration) {
        if let Some(histogram) = self.latency.get(&key) {
            let labels = RequestLabels { request: key.name() };
            let made = || self.latency_family.get_or_create(&labels).clone();
            histogram.get_or_init(made).observe(latency.as_secs_f64());
        }
    }

    /// Counts the error code of a response. Zero means no error and is not counted.
    pub fn answered(&self, key: ApiKey, code: i16) {
        if code != 0 {
            let error = model::ErrorCode::from_code(code).map_or("UNKNOWN", model::ErrorCode::name);
            self.errors.get_or_create(&ErrorLabels { request: key.name(), error }).inc();
        }
    }
}
