//! `Broker`: the services that a request may reach, as public fields.
//!
//! `node` brings them up in the order in which they need each other, and takes them down in reverse.

mod auto_creation;
mod background;

pub(crate) use auto_creation::AutoCreation;
pub(crate) use background::spawn as spawn_background;

use crate::config::{BrokerSettings, Effective, NodeConfig};
use crate::env::clock::Clock;
use crate::replica::session::FetchSessions;
use crate::replica::{Partition, Progress, Replicas};
use crate::runtime::config_rules;
use crate::runtime::controller::ControllerHandle;
use crate::runtime::group::{GroupCoordinators, OFFSETS_TOPIC};
use crate::runtime::limits::{ConnectionLimits, Maxima, MemoryLimit};
use crate::runtime::loggers::Loggers;
use crate::runtime::producer_ids::ProducerIds;
use crate::telemetry::{Complaints, Metrics};
use arc_swap::ArcSwap;
use metadata::Changes;
use metadata::image::{Image, ResourceType};
use metadata::version::METADATA_VERSION;

use model::{BrokerId, TopicId, TopicIdPartition};
use protocol::Str;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Who this node is.
#[derive(Clone, Debug)]
pub struct Node {
    /// `node.id`
    pub id: BrokerId,
    /// The cluster's id.
    pub cluster_id: Str,
}

/// Everything that a request may reach.
#[derive(Debug)]
pub struct Broker {
    /// Who this node is.
    pub node: Node,
    /// The clock.
    pub clock: Clock,
    /// Metrics.
    pub metrics: Metrics,
    /// Faults of clients that the log has told of.
    pub complaints: Complaints,
    /// Counts connections against their maxima.
    pub limits: Arc<ConnectionLimits>,
    /// Memory of requests in flight.
    pub request_memory: MemoryLimit,
    /// The token that stops every task.
    pub stopping: CancellationToken,
    /// The partitions on this broker.
    pub replicas: Arc<Replicas>,
    /// The controller.
    pub controller: ControllerHandle,
    /// The group coordinators.
    pub groups: Arc<GroupCoordinators>,
    /// Fetch sessions.
    pub fetch_sessions: Arc<FetchSessions>,
    /// Producer ids.
    pub producer_ids: ProducerIds,
    /// The loggers and their levels.
    pub loggers: Loggers,
    /// What this node's file says.
    pub config: Arc<NodeConfig>,
    pub(crate) effective: Arc<ArcSwap<Effective>>,
    pub(crate) settings: ArcSwap<BrokerSettings>,
    pub(crate) image: Arc<ArcSwap<Image>>,
    pub(crate) unfenced: watch::Receiver<bool>,
    /// Topics that are being created because clients want them.
    pub(crate) auto_creation: AutoCreation,
}

impl Broker {
    /// The configuration in force: the file's, and what was changed since.
    pub fn effective(&self) -> Arc<Effective> {
        self.effective.load_full()
    }

    /// The settings in force.
    pub fn settings(&self) -> Arc<BrokerSettings> {
        self.settings.load_full()
    }

    /// Acts on a new image: settings first, then partitions, and with each the coordinator that depends on it.
    pub(crate) fn published(&self, image: &Arc<Image>, changes: &Changes) {
        if changes.configs.iter().any(|resource| resource.kind == ResourceType::Broker) {
            self.change_settings(image);
        }
        if changes.features.contains(METADATA_VERSION) {
            self.groups.set_config(config_rules::group_config(&self.effective(), image.features.version()));
        }
        if changes.brokers.contains(&self.node.id)
            && let Some(registered) = image.cluster.brokers.get(&self.node.id)
        {
            self.producer_ids.registered(registered.epoch, &self.controller);
        }
        let offsets_partitions = image.topics.by_name(OFFSETS_TOPIC).map_or(0, |topic| topic.partitions.len());
        self.groups.set_partition_count(i32::try_from(offsets_partitions).unwrap_or(i32::MAX));
        self.replicas.apply(image, changes);
        if self.stopping.is_cancelled() {
            return;
        }
        let deleted: Vec<(TopicId, Str)> =
            changes.topics_deleted.values().map(|topic| (topic.id, topic.name.clone())).collect();
        if !deleted.is_empty() {
            self.groups.topics_deleted(&deleted);
        }
    }

    fn change_settings(&self, image: &Image) {
        let (cluster, own) = config_rules::broker_configs(image, self.node.id);
        let effective = self.config.effective(&cluster, &own);
        for warning in &effective.warnings {
            tracing::warn!(%warning, "a stored config is not valid and counts as not set");
        }
        let known = self.effective();
        for name in effective.without_effect.iter().filter(|name| !known.without_effect.contains(name)) {
            tracing::warn!("the dynamic config {name} has no effect yet");
        }
        set_maxima(&self.limits, &effective.settings);
        self.replicas.set_cordoned(&effective.settings.cordoned_log_dirs);
        self.replicas.set_move_rate(effective.move_bytes_per_second());
        self.groups.set_config(config_rules::group_config(&effective, image.features.version()));
        self.settings.store(Arc::new(effective.settings.clone()));
        self.effective.store(Arc::new(effective));
        self.replicas.cleaner.wake();
    }

    /// A partition begins or ends to lead: so does what depends on it.
    pub(crate) fn led(&self, partition: &Arc<Partition>) {
        if partition.topic() != OFFSETS_TOPIC {
            return;
        }
        match partition.leader_epoch() {
            Some(epoch) if !self.stopping.is_cancelled() => self.groups.lead(partition.clone(), epoch),
            Some(_) => {}
            None => self.groups.resign(partition.id().partition.0),
        }
    }

    /// The newest published image.
    pub fn image(&self) -> Arc<Image> {
        self.image.load_full()
    }

    /// Whether a broker serves a partition that the image says it leads: of another one nothing else is known, of this one its log must be open.
    pub fn is_ready(&self, leader: BrokerId, id: TopicIdPartition) -> bool {
        leader != self.node.id || self.replicas.get(id).is_some_and(|partition| partition.leader_epoch().is_some())
    }

    /// What is missing before this broker serves everything; `None` when nothing is.
    pub fn not_ready_because(&self) -> Option<String> {
        if self.stopping.is_cancelled() {
            return Some("stopping".into());
        }
        if !self.replicas.is_loaded() {
            let Progress { total, opened, bytes_left } = self.replicas.progress();
            return Some(format!("opening partitions: {opened} of {total} open, {bytes_left} bytes to check"));
        }
        (!*self.unfenced.borrow()).then(|| "not yet registered with the controller".into())
    }

    /// Asks the controller to create topics that a client wants, and does not wait for it.
    pub fn create_topics_later(&self, names: Vec<Str>) {
        auto_creation::create_later(self, names);
    }
}

/// Sets the maxima of connections that the settings name. The addresses of names are looked up by a task of their own:
/// a name server may take longer to answer than a broker may be silent.
pub(crate) fn set_maxima(limits: &Arc<ConnectionLimits>, settings: &BrokerSettings) {
    let count = |number: i32| usize::try_from(number).unwrap_or(usize::MAX);
    let overrides = settings.max_connections_per_ip_overrides().into_iter();
    let unresolved = limits.set(Maxima {
        connections: count(settings.max_connections),
        per_ip: count(settings.max_connections_per_ip),
        overrides: overrides.map(|(host, most)| (host, count(most))).collect(),
    });
    if unresolved.names.is_empty() {
        return;
    }
    let limits = limits.clone();
    tokio::spawn(async move {
        let mut addresses = HashMap::new();
        for name in &unresolved.names {
            addresses.extend(address(name).await.map(|address| (name.clone(), address)));
        }
        limits.resolved(&unresolved, addresses);
    });
}

/// The first address of a host. Where it has none, that is logged.
async fn address(host: &str) -> Option<IpAddr> {
    match tokio::net::lookup_host((host, 0)).await.map(|mut found| found.next()) {
        Ok(Some(found)) => Some(found.ip().to_canonical()),
        Ok(None) | Err(_) => {
            warn!(host, "a host of max.connections.per.ip.overrides has no address, and no limit of its own");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_host_of_an_override_is_an_address_or_a_name() {
        assert_eq!(address("127.0.0.9").await, Some(IpAddr::from([127, 0, 0, 9])));
        assert!(address("localhost").await.is_some_and(|found| found.is_loopback()));
        assert_eq!(address("no such host").await, None);
    }
}
