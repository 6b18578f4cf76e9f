//! Metrics of states: each is read from its owner when the text is requested.

use crate::broker::Broker;
use crate::replica::Partition;
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
        replication(&mut encoder, &broker, &partitions)?;
        cleaner(&mut encoder, &broker)?;
        groups(&mut encoder, &broker)
    }
}

/// The states of the partitions' replicas.
#[derive(Debug, Default, PartialEq, Eq)]
struct ReplicaCounts {
    leaders: i64,
    under_replicated: i64,
    under_min_isr: i64,
    at_min_isr: i64,
    reassigning: i64,
    lag_max: u64,
}

impl ReplicaCounts {
    fn add(&mut self, image: &Image, partition: &Partition) {
        self.lag_max = self.lag_max.max(partition.follower_lag().unwrap_or(0));
        let Some(isr) = partition.isr_counts() else { return };
        let id = partition.id();
        let Some(state) = image.topics.by_id(id.topic_id).and_then(|topic| topic.partition(id.partition)) else {
            return;
        };
        // A replica that a reassignment adds is not missed.
        let wanted = state.replicas.len().saturating_sub(state.adding_replicas.len());
        self.leaders += 1;
        self.under_replicated += i64::from(isr.in_sync < wanted);
        self.under_min_isr += i64::from(isr.in_sync < isr.least);
        self.at_min_isr += i64::from(isr.in_sync == isr.least);
        self.reassigning += i64::from(state.is_reassigning());
    }
}

/// Encodes how far the replicas of this broker and its followers are.
fn replication(
    encoder: &mut DescriptorEncoder<'_>,
    broker: &Broker,
    partitions: &[Arc<Partition>],
) -> Result<(), std::fmt::Error> {
    let image = broker.image();
    let mut counts = ReplicaCounts::default();
    partitions.iter().for_each(|partition| counts.add(&image, partition));
    let rows = [
        ("leaders", "Partitions that this broker leads (LeaderCount)", counts.leaders),
        (
            "under_replicated_partitions",
            "Led partitions with replicas out of sync (UnderReplicatedPartitions)",
            counts.under_replicated,
        ),
        (
            "under_min_isr_partitions",
            "Led partitions with fewer replicas in sync than min.insync.replicas (UnderMinIsrPartitionCount)",
            counts.under_min_isr,
        ),
        (
            "at_min_isr_partitions",
            "Led partitions with just min.insync.replicas in sync (AtMinIsrPartitionCount)",
            counts.at_min_isr,
        ),
        ("reassigning_partitions", "Led partitions that are reassigned (ReassigningPartitions)", counts.reassigning),
        (
            "replica_max_lag_records",
            "The most records that a follower here lacks (MaxLag)",
            i64::try_from(counts.lag_max).unwrap_or(i64::MAX),
        ),
    ];
    for (name, help, value) in rows {
        gauge(encoder, name, help, value)?;
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replica::{leading, led_in};
    use metadata::{LoadedBatch, Loader};
    use model::{LeaderEpoch, Monotonic, Offset, Timestamp, Uuid};
    use protocol::messages::partition_record::PartitionRecord;
    use protocol::messages::topic_record::TopicRecord;

    fn image(adding: &[i32]) -> Image {
        let replicas = [&[1, 2, 3], adding].concat();
        let records = [
            TopicRecord { name: "t".into(), topic_id: Uuid::ONE, ..Default::default() }.into(),
            PartitionRecord {
                topic_id: Uuid::ONE,
                partition_id: 0,
                directories: vec![Uuid::ONE; replicas.len()],
                replicas,
                adding_replicas: adding.to_vec(),
                isr: vec![1],
                leader: 1,
                ..Default::default()
            }
            .into(),
        ];
        let mut loader = Loader::new(&Image::default());
        let (base_offset, last_offset) = (Offset(0), Offset(1));
        let (epoch, timestamp) = (LeaderEpoch(1), Timestamp(0));
        loader.apply(&LoadedBatch { base_offset, epoch, timestamp, records: &records, last_offset }).unwrap();
        loader.publish().0
    }

    fn counts(partition: &Partition, image: &Image) -> ReplicaCounts {
        let mut counts = ReplicaCounts::default();
        counts.add(image, partition);
        counts
    }

    #[test]
    fn led_partitions_are_counted_by_their_isr() {
        let partition = leading(5, &[1, 2, 3]);
        let all = ReplicaCounts { leaders: 1, ..Default::default() };
        assert_eq!(counts(&partition, &image(&[])), all);
        // A replica that a reassignment adds is not missed.
        assert_eq!(counts(&partition, &image(&[4])), ReplicaCounts { reassigning: 1, ..all });
        partition.lead(&led_in(5, 1, &[1]), Monotonic(2_000)).unwrap();
        let expected = ReplicaCounts { leaders: 1, under_replicated: 1, at_min_isr: 1, ..Default::default() };
        assert_eq!(counts(&partition, &image(&[])), expected);
        partition.resign();
        assert_eq!(counts(&partition, &image(&[])), ReplicaCounts::default());
    }
}
