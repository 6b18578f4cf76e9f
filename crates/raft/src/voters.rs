//! Voters: replica keys, endpoints and the voter set, with its forms in the configuration and in
//! `VotersRecord`.
//!
//! Invariant: a voter set lists its voters by ascending id, and each id once.

use model::{BrokerId, DirectoryId, Uuid};
use protocol::messages::voters_record::{self, VotersRecord};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The level of the feature `kraft.version` (KIP-853).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KRaftVersion {
    /// The voters are those of `controller.quorum.voters`, known only by id.
    #[default]
    V0,
    /// The voters are those of the last `VotersRecord`, known by id and directory id.
    V1,
}

impl KRaftVersion {
    /// The newest level that this node supports.
    pub const LATEST: Self = Self::V1;

    /// Returns the version with this feature level, `None` if it is unknown.
    pub fn from_level(level: i16) -> Option<Self> {
        match level {
            0 => Some(Self::V0),
            1 => Some(Self::V1),
            _ => None,
        }
    }

    /// Returns the feature level.
    pub fn level(self) -> i16 {
        match self {
            Self::V0 => 0,
            Self::V1 => 1,
        }
    }

    /// Whether voters are kept in the log and can be changed.
    pub fn voters_are_in_the_log(self) -> bool {
        self >= Self::V1
    }
}

/// A replica of the metadata log: its node id and, if known, the id of its metadata directory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplicaKey {
    /// The node id.
    pub id: BrokerId,
    /// The id of its log's directory. A replaced disk is another replica.
    pub directory_id: Option<DirectoryId>,
}

impl ReplicaKey {
    /// Creates a replica key. As on the wire, a zero directory id means none.
    pub fn new(id: i32, directory_id: Uuid) -> Self {
        Self { id: BrokerId(id), directory_id: directory_id.non_zero() }
    }

    /// Formats it as in Kafka's messages.
    pub fn shown(&self) -> String {
        let directory_id = self.directory_id.map_or_else(|| "<undefined>".to_owned(), |id| id.to_string());
        format!("ReplicaKey(id={}, directoryId={directory_id})", self.id)
    }

    /// Returns the directory id as on the wire: zero for none.
    pub fn wire_directory_id(&self) -> Uuid {
        self.directory_id.unwrap_or(Uuid::ZERO)
    }
}

impl fmt::Debug for ReplicaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.directory_id {
            Some(directory_id) => write!(f, "{}/{directory_id}", self.id),
            None => write!(f, "{}", self.id),
        }
    }
}

/// An address of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The listener's name, such as `CONTROLLER`.
    pub listener: Arc<str>,
    /// Host name or address.
    pub host: Arc<str>,
    /// TCP port.
    pub port: u16,
}

/// One voter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voter {
    /// Its identity.
    pub key: ReplicaKey,
    /// Its controller listeners, the preferred one first.
    pub endpoints: Vec<Endpoint>,
    /// The levels of `kraft.version` that it supports, both ends inclusive.
    pub kraft_versions: (i16, i16),
}

impl Voter {
    /// Whether this voter is that replica. A voter that is known only by id matches any directory.
    pub fn is(&self, key: &ReplicaKey) -> bool {
        self.key.id == key.id && (self.key.directory_id.is_none() || self.key.directory_id == key.directory_id)
    }
}

/// Why `controller.quorum.voters` cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VotersError {
    /// An entry that is not `id@host:port`.
    #[error("{0:?} is not of the form id@host:port")]
    Entry(String),
    /// Two entries have the same id.
    #[error("the voter id {0} appears twice")]
    Duplicate(BrokerId),
}

/// The set of voters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VoterSet {
    voters: BTreeMap<BrokerId, Voter>,
}

impl VoterSet {
    /// Creates a set of these voters. If two have the same id, the later one is kept.
    pub fn new(voters: impl IntoIterator<Item = Voter>) -> Self {
        Self { voters: voters.into_iter().map(|voter| (voter.key.id, voter)).collect() }
    }

    /// Parses `controller.quorum.voters` (`1@host:port,2@...`). The voters have a listener with
    /// this name.
    pub fn from_config(text: &str, listener: &str) -> Result<Self, VotersError> {
        let mut voters = BTreeMap::new();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let voter = voter_from_config(entry, listener).ok_or_else(|| VotersError::Entry(entry.to_owned()))?;
            let id = voter.key.id;
            if voters.insert(id, voter).is_some() {
                return Err(VotersError::Duplicate(id));
            }
        }
        Ok(Self { voters })
    }

    /// Returns the voters, by ascending id.
    pub fn iter(&self) -> impl Iterator<Item = &Voter> {
        self.voters.values()
    }

    /// Returns the ids, ascending.
    pub fn ids(&self) -> impl Iterator<Item = BrokerId> {
        self.voters.keys().copied()
    }

    /// Returns the voter with this id.
    pub fn get(&self, id: BrokerId) -> Option<&Voter> {
        self.voters.get(&id)
    }

    /// Whether this replica is a voter.
    pub fn contains(&self, key: &ReplicaKey) -> bool {
        self.get(key.id).is_some_and(|voter| voter.is(key))
    }

    /// Whether this replica is the only voter.
    pub fn is_only(&self, key: &ReplicaKey) -> bool {
        self.len() == 1 && self.contains(key)
    }

    /// Returns the set with this voter, in place of one with its id.
    #[must_use]
    pub fn with(&self, voter: Voter) -> Self {
        let mut voters = self.voters.clone();
        voters.insert(voter.key.id, voter);
        Self { voters }
    }

    /// Returns the set without the voter with this id.
    #[must_use]
    pub fn without(&self, id: BrokerId) -> Self {
        let mut voters = self.voters.clone();
        voters.remove(&id);
        Self { voters }
    }

    /// Returns the number of voters.
    pub fn len(&self) -> usize {
        self.voters.len()
    }

    /// Whether there are no voters, as on a node that was formatted to join a quorum later.
    pub fn is_empty(&self) -> bool {
        self.voters.is_empty()
    }

    /// Returns the set as a record.
    pub fn to_record(&self) -> VotersRecord {
        let voters = self.iter().map(voter_to_record).collect();
        VotersRecord { version: 0, voters, ..Default::default() }
    }

    /// Creates the set of a record.
    pub fn from_record(record: &VotersRecord) -> Self {
        Self::new(record.voters.iter().map(voter_from_record))
    }
}

fn voter_from_config(entry: &str, listener: &str) -> Option<Voter> {
    let (id, address) = entry.split_once('@')?;
    let (host, port) = address.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let id = BrokerId::from_wire(id.parse().ok()?)?;
    if host.is_empty() {
        return None;
    }
    let endpoint = Endpoint { listener: listener.into(), host: host.into(), port: port.parse().ok()? };
    Some(Voter { key: ReplicaKey { id, directory_id: None }, endpoints: vec![endpoint], kraft_versions: (0, 0) })
}

fn voter_to_record(voter: &Voter) -> voters_record::Voter {
    let (min, max) = voter.kraft_versions;
    let endpoints = voter.endpoints.iter().map(|endpoint| voters_record::Endpoint {
        name: (&*endpoint.listener).into(),
        host: (&*endpoint.host).into(),
        port: endpoint.port,
        ..Default::default()
    });
    voters_record::Voter {
        voter_id: voter.key.id.0,
        voter_directory_id: voter.key.wire_directory_id(),
        endpoints: endpoints.collect(),
        kraft_version_feature: voters_record::KRaftVersionFeature {
            min_supported_version: min,
            max_supported_version: max,
            ..Default::default()
        },
        ..Default::default()
    }
}

fn voter_from_record(voter: &voters_record::Voter) -> Voter {
    let endpoints = voter.endpoints.iter().map(|endpoint| Endpoint {
        listener: endpoint.name.as_str().into(),
        host: endpoint.host.as_str().into(),
        port: endpoint.port,
    });
    let feature = &voter.kraft_version_feature;
    Voter {
        key: ReplicaKey::new(voter.voter_id, voter.voter_directory_id),
        endpoints: endpoints.collect(),
        kraft_versions: (feature.min_supported_version, feature.max_supported_version),
    }
}
