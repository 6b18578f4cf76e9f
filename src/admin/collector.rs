//! Metrics of states: each is read from its owner when the text is requested.

use crate::broker::Broker;
use crate::runtime::group::{Committed, Survey};
use metadata::image::Image;
use model::PartitionIndex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use std::sync::{Arc, Weak};

/// The maximum number of group lags that are shown, one per line.
const GROUP_LAGS_MAX: usize = 10_000;

/// Reads the broker's state.
#[derive(Debug)]
pub struct StateCollector {
    broker: Weak<Broker>,
}

impl StateCollector {
    /// Creates a collector that does not keep the broker alive.
    pub fn new(broker: &Arc<Broker>) -> Self {
        Self { broker: Arc::downgrade(broker) }
    }
}

impl Collector for StateCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Some(broker) = self.broker.upgrade() else { return Ok(()) };
        let partitions = broker.replicas.all();
        let count = i64::try_from(partitions.len()).unwrap_or(i64::MAX);
        gauge(&mut encoder, "partitions", "Partitions on this broker", count)?;
        let offline = i64::try_from(broker.replicas.offline_dirs().len()).unwrap_or(i64::MAX);
        gauge(&mut encoder, "offline_log_dirs", "Log dirs that are offline (OfflineLogDirectoryCount)", offline)?;
        let offline = i64::try_from(broker.replicas.offline_count()).unwrap_or(i64::MAX);
        gauge(
            &mut encoder,
            "offline_replicas",
            "Partitions on this broker that are offline (OfflineReplicaCount)",
            offline,
        )?;
        let full = broker.replicas.online_dirs().filter(|dir| dir.is_full()).count();
        let help = "Log dirs whose disks are too full for producers";
        gauge(&mut encoder, "full_log_dirs", help, i64::try_from(full).unwrap_or(i64::MAX))?;
        let mut sizes =
            encoder.encode_descriptor("log_bytes", "Bytes of a partition's log", None, MetricType::Gauge)?;
        for partition in &partitions {
            let id = partition.id();
            let labels = [("topic", partition.topic().to_string()), ("partition", label(id.partition))];
            let bytes = i64::try_from(partition.size_bytes()).unwrap_or(i64::MAX);
            ConstGauge::new(bytes).encode(sizes.encode_family(&labels)?)?;
        }
        let mut ends =
            encoder.encode_descriptor("log_end_offset", "A partition's log end offset", None, MetricType::Gauge)?;
        for partition in &partitions {
            let id = partition.id();
            let labels = [("topic", partition.topic().to_string()), ("partition", label(id.partition))];
            ConstGauge::new(partition.log_end_offset().0).encode(ends.encode_family(&labels)?)?;
        }
        cleaner(&mut encoder, &broker)?;
        groups(&mut encoder, &broker)
    }
}

/// Encodes the progress of compaction. The names are Kafka's, with units.
fn cleaner(encoder: &mut DescriptorEncoder<'_>, broker: &Broker) -> Result<(), std::fmt::Error> {
    let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let uncleanable = broker.replicas.uncleanable();
    let help = "Compacted logs that cannot be cleaned";
    let mut counts = encoder.encode_descriptor("cleaner_uncleanable_partitions", help, None, MetricType::Gauge)?;
    for dir in &uncleanable {
        ConstGauge::new(whole(dir.partitions as u64))
            .encode(counts.encode_family(&[("log_dir", dir.log_dir.as_str())])?)?;
    }
    let help = "Dirty bytes of compacted logs that cannot be cleaned";
    let mut bytes = encoder.encode_descriptor("cleaner_uncleanable_bytes", help, None, MetricType::Gauge)?;
    for dir in &uncleanable {
        ConstGauge::new(whole(dir.bytes)).encode(bytes.encode_family(&[("log_dir", dir.log_dir.as_str())])?)?;
    }
    let figures = broker.replicas.cleaner.figures();
    let percent = |ratio: f64| (ratio * 100.0) as i64;
    let kept = figures.last.bytes_written as f64 / (figures.last.bytes_read as f64).max(1.0);
    let rows = [
        ("cleaner_max_dirty_percent", "Dirty bytes of the dirtiest compacted log", percent(figures.dirty_ratio_max)),
        (
            "cleaner_max_compaction_delay_seconds",
            "The longest time over max.compaction.lag.ms",
            figures.overdue_ms_max / 1000,
        ),
        ("cleaner_last_map_percent", "Keys in the last cleaning's map", percent(figures.last.map_utilization)),
        ("cleaner_last_recopy_percent", "Bytes that the last cleaning kept", percent(kept)),
        ("cleaner_last_milliseconds", "Duration of the last cleaning", figures.last_took.as_millis() as i64),
        ("cleaner_cleanings", "Logs compacted", whole(figures.cleanings)),
        ("cleaner_bytes_read", "Bytes of records that compaction read", whole(figures.bytes_read)),
        ("cleaner_bytes_written", "Bytes of records that compaction kept", whole(figures.bytes_written)),
    ];
    for (name, help, value) in rows {
        gauge(encoder, name, help, value)?;
    }
    let Some(looked) = figures.looked else { return Ok(()) };
    let help = "Time since the cleaner last looked for a dirty log";
    gauge(encoder, "cleaner_since_last_run_milliseconds", help, looked.elapsed().as_millis() as i64)
}

/// Encodes the offsets that the groups of this coordinator have committed, and their lag behind the
/// high watermarks.
fn groups(encoder: &mut DescriptorEncoder<'_>, broker: &Broker) -> Result<(), std::fmt::Error> {
    let Survey { group_count, offset_count, offsets } = broker.groups.survey(GROUP_LAGS_MAX);
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    gauge(encoder, "groups", "Groups that this broker coordinates", count(group_count))?;
    gauge(encoder, "group_offsets", "Committed offsets of these groups", count(offset_count))?;
    let help = "Committed offsets whose lag is not shown, because there are too many";
    gauge(encoder, "group_lags_left_out", help, count(offset_count - offsets.len()))?;
    let help = "Lag in records of a group in a partition whose log is on this broker";
    let mut lags = encoder.encode_descriptor("group_lag_records", help, None, MetricType::Gauge)?;
    let image = broker.image();
    for committed in &offsets {
        let Some(records) = lag(broker, &image, committed) else { continue };
        let labels = [
            ("group", committed.group.as_str()),
            ("topic", committed.topic.as_str()),
            ("partition", &label(committed.partition)),
        ];
        ConstGauge::new(records).encode(lags.encode_family(&labels)?)?;
    }
    Ok(())
}

/// Returns the number of records between a committed offset and the high watermark; `None` if the
/// partition's log is not on this broker.
fn lag(broker: &Broker, image: &Image, committed: &Committed) -> Option<i64> {
    let topic = image.topics.by_name(&committed.topic)?;
    let partition = broker.replicas.of(topic, committed.partition.0).ok()?;
    Some(partition.high_watermark().0.saturating_sub(committed.offset).max(0))
}

fn label(partition: PartitionIndex) -> String {
    partition.to_string()
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: i64) -> Result<(), std::fmt::Error> {
    ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
}
