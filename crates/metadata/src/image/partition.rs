//! A partition's state.

use model::{BrokerId, DirectoryId, LeaderEpoch, PartitionEpoch};

/// Whether a leader may have lost acknowledged records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LeaderRecovery {
    /// It has not.
    #[default]
    Recovered,
    /// An unclean election made it the leader, and it has not yet reported the end of its recovery.
    Recovering,
}

impl LeaderRecovery {
    /// The number in records and requests; `None` for an unknown one.
    pub fn from_code(code: i8) -> Option<Self> {
        match code {
            0 => Some(Self::Recovered),
            1 => Some(Self::Recovering),
            _ => None,
        }
    }

    /// The number in records and requests.
    pub fn code(self) -> i8 {
        match self {
            Self::Recovered => 0,
            Self::Recovering => 1,
        }
    }
}

/// A partition's state as the controller decides it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Partition {
    /// Replicas, the preferred leader first.
    pub replicas: Vec<BrokerId>,
    /// The directory of each replica, in the order of `replicas`.
    pub directories: Vec<DirectoryId>,
    /// Replicas in sync.
    pub isr: Vec<BrokerId>,
    /// Replicas that a reassignment removes.
    pub removing_replicas: Vec<BrokerId>,
    /// Replicas that a reassignment adds.
    pub adding_replicas: Vec<BrokerId>,
    /// Replicas outside the ISR that hold every committed record (KIP-966).
    pub elr: Vec<BrokerId>,
    /// The last ELR that was not empty.
    pub last_known_elr: Vec<BrokerId>,
    /// The leader; `None` while there is none.
    pub leader: Option<BrokerId>,
    /// Whether the leader came from an unclean election.
    pub leader_recovery: LeaderRecovery,
    /// The leader epoch: it rises by one with each leader.
    pub leader_epoch: LeaderEpoch,
    /// The partition epoch: it rises by one with each change.
    pub partition_epoch: PartitionEpoch,
}

impl Partition {
    /// The directory of a broker's replica; `None` where it has none.
    pub fn directory(&self, broker: BrokerId) -> Option<DirectoryId> {
        let index = self.replicas.iter().position(|replica| *replica == broker)?;
        self.directories.get(index).copied()
    }

    /// The replica that leads when all are well.
    pub fn preferred_leader(&self) -> Option<BrokerId> {
        self.replicas.first().copied()
    }

    /// Whether a reassignment is in progress.
    pub fn is_reassigning(&self) -> bool {
        !self.removing_replicas.is_empty() || !self.adding_replicas.is_empty()
    }
}
