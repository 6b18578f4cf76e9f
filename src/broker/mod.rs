//! `Broker`: the services that a request may use, as public fields.
//!
//! `node` starts them in the order of their dependencies, and stops them in reverse.

mod auto_creation;
mod background;
pub(crate) mod replication;
mod transactions;

pub(crate) use auto_creation::AutoCreation;
pub(crate) use background::spawn as spawn_background;
pub use transactions::TransactionPartitions;

use crate::config::{BrokerSettings, Effective, Listener, NodeConfig};
use crate::env::Env;
use crate::env::clock::Clock;
use crate::replica::session::FetchSessions;
use crate::replica::{OpeningProgress, Partition, Replicas};
use crate::runtime::brokers::OtherBrokers;
use crate::runtime::config_rules;
use crate::runtime::controller::{ActiveController, ControllerHandle};
use crate::runtime::group::GroupCoordinators;
use crate::runtime::limits::{ConnectionLimits, Maxima, MemoryLimit};
use crate::runtime::loggers::Loggers;
use crate::runtime::lost_brokers::LostBrokers;
use crate::runtime::producer_ids::ProducerIds;
use crate::runtime::registration::StopSignals;
use crate::runtime::session::OwnSession;
use crate::runtime::transaction::{MarkerWriter, TransactionCoordinators};
use crate::security::{Authorizer, Logins};
use crate::telemetry::{Complaints, Metrics};
use arc_swap::ArcSwap;
use coordinator::StateTopic;
use metadata::Changes;
use metadata::image::{self, Image, ResourceType};
use metadata::version::METADATA_VERSION;

use crate::env::watch;
use model::{BrokerEpoch, BrokerId, TopicId, TopicIdPartition, Uuid};
use protocol::Str;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// The identity of this node.
#[derive(Clone, Debug)]
pub struct Node {
    /// `node.id`.
    pub id: BrokerId,
    /// The cluster's id.
    pub cluster_id: Str,
    /// The id of this run of the process.
    pub incarnation_id: Uuid,
}

impl Node {
    /// Returns the epoch under which this run of the process is registered. An image may still have
    /// the registration of an earlier one.
    pub fn registered_epoch(&self, image: &Image) -> Option<BrokerEpoch> {
        let registered = image.cluster.brokers.get(&self.id);
        registered.filter(|it| it.incarnation_id == self.incarnation_id).map(|it| it.epoch)
    }
}

/// All services that a request may use.
#[derive(Debug)]
pub struct Broker {
    /// The identity of this node.
    pub node: Node,
    /// The environment.
    pub env: Env,
    /// Its session with the controller.
    pub session: Arc<OwnSession>,
    /// Its clock.
    pub clock: Clock,
    /// Metrics.
    pub metrics: Metrics,
    /// Client faults that have been logged.
    pub complaints: Complaints,
    /// How clients log in.
    pub logins: Logins,
    /// Limits the number of connections.
    pub limits: Arc<ConnectionLimits>,
    /// The memory of requests in flight.
    pub request_memory: MemoryLimit,
    /// How a controlled shutdown begins and ends.
    pub stop_signals: StopSignals,
    /// The token that stops every task, except for those that serve the controllers' listeners.
    pub stopping: CancellationToken,
    /// The token that stops serving the controllers' listeners: other controllers need this one
    /// until it has handed over, and its broker has signed off.
    pub controllers_stopping: CancellationToken,
    /// The partitions on this broker.
    pub replicas: Arc<Replicas>,
    /// This node's controller.
    pub controller: ControllerHandle,
    /// The active controller, on this node or another.
    pub active_controller: ActiveController,
    /// Where the end of a connection of another broker's heartbeats is reported.
    pub lost_brokers: LostBrokers,
    /// The group coordinators.
    pub groups: Arc<GroupCoordinators>,
    /// The transaction coordinators.
    pub transactions: Arc<TransactionCoordinators>,
    /// Writes the markers that end transactions.
    pub markers: Arc<MarkerWriter>,
    /// Connections to the other brokers.
    pub other_brokers: Arc<OtherBrokers>,
    /// Fetch sessions.
    pub fetch_sessions: Arc<FetchSessions>,
    /// Producer ids.
    pub producer_ids: ProducerIds,
    /// The loggers and their levels.
    pub loggers: Loggers,
    /// Decides what clients may do. `None` where everybody may do everything.
    pub authorizer: Option<Authorizer>,
    /// The properties of this node's file.
    pub config: Arc<NodeConfig>,
    pub(crate) effective: Arc<ArcSwap<Effective>>,
    pub(crate) settings: ArcSwap<BrokerSettings>,
    pub(crate) image: Arc<ArcSwap<Image>>,
    pub(crate) unfenced: watch::Receiver<bool>,
    /// Topics that are being created on a client's request.
    pub(crate) auto_creation: AutoCreation,
}

impl Broker {
    /// Returns the token that stops serving a listener.
    pub fn stopping_of(&self, listener: &Listener) -> &CancellationToken {
        if listener.is_controller { &self.controllers_stopping } else { &self.stopping }
    }

    /// Returns the configuration in force: the node's file with the dynamic configs over it.
    pub fn effective(&self) -> Arc<Effective> {
        self.effective.load_full()
    }

    /// Returns the settings in force.
    pub fn settings(&self) -> Arc<BrokerSettings> {
        self.settings.load_full()
    }

    /// Applies a new image: first the settings, then each partition and the coordinator that
    /// depends on it.
    pub(crate) fn published(&self, image: &Arc<Image>, changes: &Changes) {
        self.metrics.unclean_elections.inc_by(changes.unclean_elections);
        self.metrics.elr_elections.inc_by(changes.elr_elections);
        if changes.configs.iter().any(|resource| resource.kind == ResourceType::Broker) {
            self.change_settings(image);
        }
        if changes.features.contains(METADATA_VERSION) {
            self.groups.set_config(config_rules::group_config(&self.effective(), image.features.version()));
        }
        if changes.brokers.contains(&self.node.id)
            && let Some(registered) = image.cluster.brokers.get(&self.node.id)
        {
            self.producer_ids.registered(registered.epoch, &self.active_controller);
        }
        if !self.config.roles.is_broker() {
            return;
        }
        self.groups.set_partition_count(partition_count(image, StateTopic::ConsumerOffsets));
        self.transactions.set_partition_count(partition_count(image, StateTopic::TransactionState));
        self.replicas.apply(image, changes);
        if self.node.registered_epoch(image).is_some() {
            self.replicas.begin_roles(image);
        }
        if self.stopping.is_cancelled() {
            return;
        }
        let deleted: Vec<(TopicId, Str)> =
            changes.topics_deleted.values().map(|topic| (topic.id, topic.name.clone())).collect();
        if !deleted.is_empty() {
            self.groups.topics_deleted(deleted);
        }
    }

    fn change_settings(&self, image: &Image) {
        let (cluster, own) = config_rules::broker_configs(image, self.node.id);
        let effective = self.config.effective(&cluster, &own);
        for warning in &effective.warnings {
            tracing::warn!(%warning, "a stored config is invalid and is ignored");
        }
        let known = self.effective();
        for name in effective.without_effect.iter().filter(|name| !known.without_effect.contains(name)) {
            tracing::warn!("the dynamic config {name} has no effect yet");
        }
        set_maxima(self.env, &self.limits, &effective.settings);
        self.replicas.set_cordoned(&effective.settings.cordoned_log_dirs);
        self.replicas.set_fetcher_count(replication::fetchers_per_leader(&effective.settings));
        let rate = |name| effective.throttled_rate(name);
        self.replicas.quotas.leader.set_bound(rate("leader.replication.throttled.rate"));
        self.replicas.quotas.follower.set_bound(rate("follower.replication.throttled.rate"));
        self.replicas.set_move_rate(effective.move_bytes_per_second());
        self.groups.set_config(config_rules::group_config(&effective, image.features.version()));
        self.settings.store(Arc::new(effective.settings.clone()));
        self.effective.store(Arc::new(effective));
        self.replicas.cleaner.wake();
    }

    /// Starts or stops the coordinator that depends on this broker's leadership of a partition.
    pub(crate) fn follow_leadership(&self, partition: &Arc<Partition>) {
        let index = partition.id().partition.0;
        match (StateTopic::from_name(partition.topic()), partition.leader_epoch()) {
            (Some(StateTopic::ConsumerOffsets), Some(epoch)) if !self.stopping.is_cancelled() => {
                self.groups.lead(partition.clone(), epoch);
            }
            (Some(StateTopic::ConsumerOffsets), None) => self.groups.resign(index),
            (Some(StateTopic::TransactionState), Some(epoch)) if !self.stopping.is_cancelled() => {
                self.transactions.lead(partition.clone(), epoch);
            }
            (Some(StateTopic::TransactionState), None) => self.transactions.resign(index),
            _ => {}
        }
    }

    /// Returns the newest published image.
    pub fn image(&self) -> Arc<Image> {
        self.image.load_full()
    }

    /// Whether a leader named by the image can serve the partition. The log must be open if this
    /// broker is the leader. Another broker's state is unknown, so the answer is true.
    pub fn is_ready(&self, leader: BrokerId, id: TopicIdPartition) -> bool {
        leader != self.node.id || self.replicas.get(id).is_some_and(|partition| partition.leader_epoch().is_some())
    }

    /// Whether clients are to be told that a replica is offline: its broker is not active, or its
    /// log dir has failed. Of its own replicas, this broker also knows whether it serves them.
    pub fn is_offline(
        &self,
        image: &Image,
        replica: BrokerId,
        (id, partition): (TopicIdPartition, &image::Partition),
    ) -> bool {
        let Some(broker) = image.cluster.brokers.get(&replica).filter(|broker| !broker.fenced) else { return true };
        let is_dir_offline = partition.directory(replica).is_some_and(|dir| !broker.has_online_dir(dir));
        is_dir_offline || (replica == self.node.id && self.replicas.is_offline(id))
    }

    /// Returns what is missing before this node serves everything; `None` if nothing is.
    pub fn not_ready_because(&self) -> Option<String> {
        if self.stop_signals.leaving.is_cancelled() {
            return Some("stopping".into());
        }
        if self.controller.quorum_facts().waits_for_room {
            return Some("the disk of the metadata log is full".into());
        }
        if !self.config.roles.is_broker() {
            return self.controller_not_ready_because();
        }
        if self.image.load().provenance.last_offset.is_none() && self.controller.leader().is_none() {
            return Some("no controller is known to be active".into());
        }
        if !self.replicas.is_loaded() {
            let OpeningProgress { total, opened, bytes_left } = self.replicas.progress();
            return Some(format!("opening partitions: {opened} of {total} open, {bytes_left} bytes to check"));
        }
        (!*self.unfenced.borrow()).then(|| "not yet registered with the controller".into())
    }

    /// Returns what is missing before a controller alone takes part in its quorum.
    fn controller_not_ready_because(&self) -> Option<String> {
        if self.controller.leader().is_none() {
            return Some("no leader of the quorum is known".into());
        }
        let has_caught_up = self.image.load().provenance.last_offset.is_some();
        (!has_caught_up).then(|| "reading the metadata log".into())
    }

    /// Asks the controller to create topics for a client, and does not wait for the answer.
    pub fn create_topics_later(&self, names: Vec<Str>) {
        auto_creation::create_later(self, names);
    }
}

/// Returns the number of partitions of a state topic; 0 if it does not exist.
fn partition_count(image: &Image, topic: StateTopic) -> i32 {
    let count = image.topics.by_name(topic.name()).map_or(0, |topic| topic.partitions.len());
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// Sets the limits of connections from the settings. A separate task resolves host names, because a
/// name server may take longer than a broker may miss heartbeats.
pub(crate) fn set_maxima(env: Env, limits: &Arc<ConnectionLimits>, settings: &BrokerSettings) {
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
            addresses.extend(address(env, name).await.map(|address| (name.clone(), address)));
        }
        limits.resolved(&unresolved, addresses);
    });
}

/// Returns the first address of a host. If there is none, that is logged.
async fn address(env: Env, host: &str) -> Option<IpAddr> {
    match env.addresses(host).await.ok().and_then(|found| found.first().copied()) {
        Some(found) => Some(found.to_canonical()),
        None => {
            warn!(host, "a host of max.connections.per.ip.overrides has no address: its override has no effect");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_earlier_process_of_this_broker_was_registered_and_this_one_is_not() {
        let node = |id| Node { id: BrokerId(1), cluster_id: "c".into(), incarnation_id: Uuid([id; 16]) };
        let registered = image::Broker {
            id: BrokerId(1),
            epoch: BrokerEpoch(7),
            incarnation_id: Uuid([3; 16]),
            is_migrating_zk_broker: false,
            listeners: Vec::new(),
            features: Default::default(),
            rack: None,
            fenced: false,
            in_controlled_shutdown: false,
            log_dirs: Vec::new(),
            cordoned_log_dirs: None,
        };
        let mut image = Image::default();
        assert_eq!(node(3).registered_epoch(&image), None);
        image.cluster.brokers.insert(BrokerId(1), Arc::new(registered));
        assert_eq!(node(3).registered_epoch(&image), Some(BrokerEpoch(7)));
        assert_eq!(node(4).registered_epoch(&image), None);
    }

    #[tokio::test]
    async fn the_host_of_an_override_is_an_address_or_a_name() {
        let env: Env = <_>::default();
        assert_eq!(address(env, "127.0.0.9").await, Some(IpAddr::from([127, 0, 0, 9])));
        assert!(address(env, "localhost").await.is_some_and(|found| found.is_loopback()));
        assert_eq!(address(env, "no such host").await, None);
    }
}
