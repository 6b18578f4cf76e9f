//! Metrics that are states: read from their owners when the text is asked for.

use crate::broker::Broker;
use coordinator::{Reply, Request};
use futures_util::future::join_all;
use model::PartitionIndex;
use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use std::sync::{Arc, Weak};

/// How far a group is behind in one partition.
#[derive(Clone, Debug)]
struct Lag {
    group: String,
    topic: String,
    partition: i32,
    records: i64,
}

/// Reads the broker's state. The lag of groups is asked of their coordinators first, since they answer in time and not at once.
#[derive(Debug)]
pub struct StateCollector {
    broker: Weak<Broker>,
    groups: Mutex<(i64, Vec<Lag>)>,
}

impl StateCollector {
    /// A collector that does not keep the broker alive.
    pub fn new(broker: &Arc<Broker>) -> Arc<Self> {
        Arc::new(Self { broker: Arc::downgrade(broker), groups: Mutex::default() })
    }

    /// Asks the coordinators for the groups and their offsets.
    pub async fn refresh(&self) {
        let Some(broker) = self.broker.upgrade() else { return };
        let listed = broker.groups.request_all(|| Request::ListGroups { states: Vec::new(), types: Vec::new() }).await;
        let mut groups = Vec::new();
        for reply in listed {
            if let Reply::ListGroups(Ok(list)) = reply {
                groups.extend(list.into_iter().map(|group| group.group_id));
            }
        }
        let count = i64::try_from(groups.len()).unwrap_or(i64::MAX);
        let fetched = groups.into_iter().map(|group_id| {
            let group = OffsetFetchRequestGroup { group_id, topics: None, ..Default::default() };
            broker.groups.request(Request::OffsetFetch { group, require_stable: false })
        });
        let image = broker.image();
        let mut lags = Vec::new();
        for reply in join_all(fetched).await {
            let Reply::OffsetFetch(group) = reply else { continue };
            for topic in &group.topics {
                let Some(known) = image.topics.by_name(&topic.name) else { continue };
                for at in &topic.partitions {
                    let Ok(partition) = broker.replicas.of(known, at.partition_index) else { continue };
                    lags.push(Lag {
                        group: group.group_id.to_string(),
                        topic: topic.name.to_string(),
                        partition: at.partition_index,
                        records: (partition.high_watermark().0 - at.committed_offset).max(0),
                    });
                }
            }
        }
        *self.groups.lock() = (count, lags);
    }
}

impl Collector for StateCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Some(broker) = self.broker.upgrade() else { return Ok(()) };
        let partitions = broker.replicas.all();
        let count = i64::try_from(partitions.len()).unwrap_or(i64::MAX);
        gauge(&mut encoder, "partitions", "Partitions on this broker", count)?;
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
        let (groups, lags) = self.groups.lock().clone();
        gauge(&mut encoder, "groups", "Groups that this broker coordinates", groups)?;
        let mut behind =
            encoder.encode_descriptor("group_lag_records", "Records a group is behind", None, MetricType::Gauge)?;
        for lag in &lags {
            let labels = [
                ("group", lag.group.clone()),
                ("topic", lag.topic.clone()),
                ("partition", label(PartitionIndex(lag.partition))),
            ];
            ConstGauge::new(lag.records).encode(behind.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

fn label(partition: PartitionIndex) -> String {
    partition.to_string()
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: i64) -> Result<(), std::fmt::Error> {
    ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
}
