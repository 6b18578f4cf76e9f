//! Registered brokers and controllers.

use imbl::OrdMap;
use model::{BrokerEpoch, BrokerId, DirectoryId, Uuid};
use protocol::Str;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The registered nodes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cluster {
    /// Brokers by id.
    pub brokers: OrdMap<BrokerId, Arc<Broker>>,
    /// Controllers by id.
    pub controllers: OrdMap<BrokerId, Arc<Controller>>,
}

/// The levels of a feature that a node supports, both included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SupportedVersions {
    /// The lowest.
    pub min: i16,
    /// The highest.
    pub max: i16,
}

impl SupportedVersions {
    /// Whether a level is among them.
    pub fn contains(self, level: i16) -> bool {
        (self.min..=self.max).contains(&level)
    }
}

/// Where a node listens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BrokerListener {
    /// The listener's name.
    pub name: Str,
    /// The advertised host.
    pub host: Str,
    /// The port.
    pub port: u16,
    /// Kafka's number of the security protocol: 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL.
    pub security_protocol: i16,
}

/// A broker's registration.
#[derive(Clone, Debug, PartialEq)]
pub struct Broker {
    /// The node's id.
    pub id: BrokerId,
    /// This registration's epoch.
    pub epoch: BrokerEpoch,
    /// The process that registered.
    pub incarnation_id: Uuid,
    /// Whether it is a broker of a cluster that migrates from ZooKeeper; only logs of older
    /// versions have such brokers.
    pub is_migrating_zk_broker: bool,
    /// Listeners in the order in which they were registered.
    pub listeners: Vec<BrokerListener>,
    /// Supported features by name.
    pub features: BTreeMap<Str, SupportedVersions>,
    /// The rack.
    pub rack: Option<Str>,
    /// Whether it may lead no partition and is shown to no client.
    pub fenced: bool,
    /// Whether it is shutting down and gives its leaderships away.
    pub in_controlled_shutdown: bool,
    /// Log dirs that are online, sorted; empty before directories were known.
    pub log_dirs: Vec<DirectoryId>,
    /// Log dirs that take no new replicas (KIP-1066); `None` until the broker says.
    pub cordoned_log_dirs: Option<Vec<DirectoryId>>,
}

impl Broker {
    /// The listener with this name.
    pub fn listener(&self, name: &str) -> Option<&BrokerListener> {
        self.listeners.iter().find(|listener| listener.name == name)
    }

    /// Whether it is active: neither fenced nor shutting down.
    pub fn is_active(&self) -> bool {
        !self.fenced && !self.in_controlled_shutdown
    }

    /// Whether replicas in this directory can be served. A broker that registered no directories
    /// counts as having all.
    pub fn has_online_dir(&self, dir: DirectoryId) -> bool {
        self.log_dirs.is_empty() || dir == UNASSIGNED || dir == MIGRATING || self.log_dirs.contains(&dir)
    }

    /// The directory for a new replica: the only one, cordoned or not, else [`UNASSIGNED`]: the
    /// broker chooses.
    pub fn default_dir(&self) -> DirectoryId {
        match self.log_dirs.as_slice() {
            [] => MIGRATING,
            [only] => *only,
            _ => UNASSIGNED,
        }
    }

    /// Whether no directory takes new replicas.
    pub fn is_fully_cordoned(&self) -> bool {
        !self.log_dirs.is_empty()
            && self
                .cordoned_log_dirs
                .as_ref()
                .is_some_and(|cordoned| self.log_dirs.iter().all(|dir| cordoned.contains(dir)))
    }
}

/// The directory of a replica that was placed before directories were known (KIP-858).
pub const MIGRATING: DirectoryId = Uuid::ZERO;
/// The directory of a replica whose broker has not chosen one yet.
pub const UNASSIGNED: DirectoryId = Uuid::ONE;
/// The directory of a replica in an offline log dir whose id is not known.
pub const LOST: DirectoryId = Uuid([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);

/// Whether Kafka reserves this id, so that no log dir may have it: the first hundred ids.
pub fn is_reserved_directory(dir: DirectoryId) -> bool {
    u128::from_be_bytes(dir.0) < 100
}

/// A controller's registration.
#[derive(Clone, Debug, PartialEq)]
pub struct Controller {
    /// The node's id.
    pub id: BrokerId,
    /// The process that registered.
    pub incarnation_id: Uuid,
    /// Ready to migrate from ZooKeeper; false in 4.x.
    pub zk_migration_ready: bool,
    /// Listeners in the order in which they were registered.
    pub listeners: Vec<BrokerListener>,
    /// Supported features by name.
    pub features: BTreeMap<Str, SupportedVersions>,
}
