//! Connections to the other brokers of the cluster, on the listener of
//! `inter.broker.listener.name`. The coordinators of this broker share one for each broker;
//! requests on it are pipelined. A fetcher, whose requests wait at the leader, has its own.

use crate::peer::{Dial, Peer, PeerParts};
use arc_swap::ArcSwap;
use metadata::image::{BrokerListener, Image};
use model::{BrokerEpoch, BrokerId, PartitionIndex};
use parking_lot::Mutex;
use protocol::Str;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

/// `reconnect.backoff.ms` of Kafka's brokers among themselves.
const BACKOFF: Duration = Duration::from_millis(50);
/// `reconnect.backoff.max.ms` of Kafka's brokers among themselves.
const BACKOFF_MAX: Duration = Duration::from_millis(1000);

/// Which broker leads a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionLeader {
    /// There is no such partition.
    NoPartition,
    /// The partition has no leader.
    NoLeader,
    /// This broker.
    Here,
    /// Another broker.
    Other(BrokerId),
}

/// What connections to other brokers need.
#[derive(Clone)]
pub struct OtherBrokersParts {
    /// `node.id`.
    pub node_id: BrokerId,
    /// The metadata.
    pub image: Arc<ArcSwap<Image>>,
    /// `inter.broker.listener.name`.
    pub listener: Str,
    /// Opens connections.
    pub dial: Dial,
    /// Runs the connections' tasks.
    pub runtime: Handle,
}

/// A connection to one broker. It follows the broker when its address changes.
#[derive(Debug, Default)]
pub struct BrokerConnection {
    open: Option<(BrokerListener, Peer)>,
}

impl BrokerConnection {
    /// Returns the connection. Returns `None` if the broker is not registered, is fenced, or does
    /// not have the listener.
    fn peer(&mut self, parts: &OtherBrokersParts, broker: BrokerId) -> Option<Peer> {
        let image = parts.image.load();
        let registered = image.cluster.brokers.get(&broker).filter(|it| !it.fenced);
        let Some(listener) = registered.and_then(|it| it.listener(&parts.listener)) else {
            self.open = None;
            return None;
        };
        if let Some((_, peer)) = self.open.as_ref().filter(|(to, _)| to == listener) {
            return Some(peer.clone());
        }
        let peer = PeerParts {
            name: format!("broker {broker}").into(),
            host: listener.host.clone(),
            port: listener.port,
            client_id: Str::from(parts.node_id.to_string()),
            backoff: BACKOFF,
            backoff_max: BACKOFF_MAX,
        };
        let (peer, task) = Peer::new(peer, parts.dial.clone());
        parts.runtime.spawn(task);
        self.open = Some((listener.clone(), peer.clone()));
        Some(peer)
    }
}

/// The other brokers of the cluster.
pub struct OtherBrokers {
    parts: OtherBrokersParts,
    shared: Mutex<BTreeMap<BrokerId, BrokerConnection>>,
}

impl std::fmt::Debug for OtherBrokers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OtherBrokers").field("node_id", &self.parts.node_id).finish_non_exhaustive()
    }
}

impl OtherBrokers {
    /// Creates them. Nothing is connected before the first request.
    pub fn new(parts: OtherBrokersParts) -> Self {
        Self { parts, shared: Mutex::default() }
    }

    /// Returns the leader of a partition by the newest metadata.
    pub fn leader_of(&self, topic: &str, index: PartitionIndex) -> PartitionLeader {
        let image = self.parts.image.load();
        match image.topics.partition(topic, index) {
            None => PartitionLeader::NoPartition,
            Some(partition) => match partition.leader {
                None => PartitionLeader::NoLeader,
                Some(leader) if leader == self.parts.node_id => PartitionLeader::Here,
                Some(leader) => PartitionLeader::Other(leader),
            },
        }
    }

    /// Returns the epoch of this broker's registration.
    pub fn own_epoch(&self) -> Option<BrokerEpoch> {
        self.parts.image.load().cluster.brokers.get(&self.parts.node_id).map(|broker| broker.epoch)
    }

    /// Returns the shared connection to a broker. Returns `None` if it is not registered, is
    /// fenced, or does not have the listener.
    pub fn peer(&self, broker: BrokerId) -> Option<Peer> {
        let mut shared = self.shared.lock();
        let peer = shared.entry(broker).or_default().peer(&self.parts, broker);
        if peer.is_none() {
            shared.remove(&broker);
        }
        peer
    }

    /// Returns a connection of the caller's own, as `peer` does.
    pub fn own_peer(&self, connection: &mut BrokerConnection, broker: BrokerId) -> Option<Peer> {
        connection.peer(&self.parts, broker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metadata::image::Broker;
    use std::collections::BTreeMap;

    fn broker(id: i32, port: u16, fenced: bool) -> Arc<Broker> {
        let listener = BrokerListener { name: "INTERNAL".into(), host: "127.0.0.1".into(), port, security_protocol: 0 };
        Arc::new(Broker {
            id: BrokerId(id),
            epoch: model::BrokerEpoch(1),
            incarnation_id: model::Uuid::default(),
            is_migrating_zk_broker: false,
            listeners: vec![listener],
            features: BTreeMap::new(),
            rack: None,
            fenced,
            in_controlled_shutdown: false,
            log_dirs: Vec::new(),
            cordoned_log_dirs: None,
        })
    }

    fn others(listener: &'static str, brokers: &[Arc<Broker>]) -> OtherBrokers {
        let mut image = Image::default();
        image.cluster.brokers.extend(brokers.iter().map(|it| (it.id, it.clone())));
        OtherBrokers::new(OtherBrokersParts {
            node_id: BrokerId(1),
            image: Arc::new(ArcSwap::from_pointee(image)),
            listener: listener.into(),
            dial: crate::peer::tcp(),
            runtime: Handle::current(),
        })
    }

    fn name(others: &OtherBrokers, id: i32) -> Option<String> {
        others.peer(BrokerId(id)).map(|peer| peer.name().to_string())
    }

    #[tokio::test]
    async fn only_brokers_that_serve_have_a_connection() {
        let brokers = [broker(2, 9092, false), broker(3, 9093, true)];
        let internal = others("INTERNAL", &brokers);
        assert_eq!(name(&internal, 2).as_deref(), Some("broker 2 (127.0.0.1:9092)"));
        assert_eq!((name(&internal, 3), name(&internal, 4)), (None, None));
        assert_eq!(name(&others("EXTERNAL", &brokers), 2), None);
    }

    #[tokio::test]
    async fn a_broker_that_moved_gets_a_new_connection() {
        let others = others("INTERNAL", &[broker(2, 9092, false)]);
        assert_eq!(name(&others, 2).as_deref(), Some("broker 2 (127.0.0.1:9092)"));
        let mut image = Image::clone(&others.parts.image.load());
        image.cluster.brokers.insert(BrokerId(2), broker(2, 9192, false));
        others.parts.image.store(Arc::new(image.clone()));
        assert_eq!(name(&others, 2).as_deref(), Some("broker 2 (127.0.0.1:9192)"));
        image.cluster.brokers.remove(&BrokerId(2));
        others.parts.image.store(Arc::new(image));
        assert_eq!(name(&others, 2), None);
        assert!(others.shared.lock().is_empty());
    }
}
