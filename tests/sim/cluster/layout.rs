//! What a course is made of: which nodes there are, and what its faults stress most.

use crate::net::Host;
use crate::random::Random;
use crate::time::WORK_MAX_MS;

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Roles {
    Both,
    Broker,
    Controller,
}

/// What the faults of a course stress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stress {
    /// All of the cluster.
    Cluster,
    /// The quorum: controllers are apart from the brokers and lose their power at any time, and
    /// elections follow each other.
    Quorum,
}

impl Stress {
    /// Returns what the course of a seed stresses.
    pub fn of(seed: u64) -> Self {
        match seed % 4 {
            3 => Self::Quorum,
            _ => Self::Cluster,
        }
    }
}

/// How the quorum knows its voters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quorum {
    /// From the configuration.
    Static,
    /// From the log, which begins with all of them.
    Initial,
    /// From the log, which begins with one of them.
    Standalone,
}

/// The nodes of a course. Those that are brokers come first.
#[derive(Clone, Debug)]
pub struct Layout {
    pub stress: Stress,
    pub roles: Vec<Roles>,
    pub quorum: Quorum,
    /// Whether controllers that do not vote join the voters by themselves.
    pub joins: bool,
    /// Whether replicas are moved.
    pub moves: bool,
    /// `controller.quorum.request.timeout.ms`
    pub request_timeout_ms: u64,
    /// `metadata.log.max.record.bytes.between.snapshots`
    pub snapshot_bytes: u64,
    /// The longest that work on a disk takes.
    pub work_max_ms: usize,
    /// Whether a host without power is silent. Otherwise its machine has booted again and refuses
    /// connections.
    pub is_silent_without_power: bool,
}

impl Layout {
    pub fn new(stress: Stress, random: &mut Random) -> Self {
        use Roles::{Both, Broker, Controller};
        let roles = match (stress, random.below(20)) {
            (Stress::Quorum, 0..12) => vec![Broker, Broker, Broker, Controller, Controller, Controller],
            (Stress::Quorum, _) => [vec![Broker; 3], vec![Controller; 5]].concat(),
            (Stress::Cluster, 0..15) => vec![Both; 3],
            (Stress::Cluster, 15..17) => vec![Both; 5],
            (Stress::Cluster, 17) => vec![Both, Both, Both, Broker],
            (Stress::Cluster, 18) => vec![Both, Both, Broker, Controller],
            (Stress::Cluster, _) => vec![Broker, Broker, Broker, Controller, Controller, Controller],
        };
        let quorum = match random.below(10) {
            0..6 => Quorum::Static,
            6..9 => Quorum::Initial,
            _ => Quorum::Standalone,
        };
        let joins = quorum != Quorum::Static && random.chance(30);
        let is_wide = roles.iter().filter(|roles| **roles != Controller).count() > 3;
        let moves = stress == Stress::Cluster && random.chance(if is_wide { 70 } else { 20 });
        let work_max_ms = match stress {
            Stress::Quorum => random.pick(&[WORK_MAX_MS, 100, 400]),
            Stress::Cluster => WORK_MAX_MS,
        };
        Self {
            stress,
            roles,
            quorum,
            joins,
            moves,
            request_timeout_ms: random.pick(&[1_000, 3_000]),
            snapshot_bytes: random.pick(&[2_000, 10_000, 20_000_000]),
            work_max_ms,
            is_silent_without_power: random.chance(50),
        }
    }

    /// Returns the number of brokers.
    pub fn brokers(&self) -> usize {
        self.roles.iter().filter(|roles| **roles != Roles::Controller).count()
    }

    /// Returns the controllers.
    pub fn controllers(&self) -> Vec<Host> {
        (1..=self.roles.len()).filter(|host| self.roles_of(*host) != Roles::Broker).collect()
    }

    /// Whether voters are added and removed.
    pub fn is_dynamic(&self) -> bool {
        self.quorum != Quorum::Static
    }

    /// Returns what a node does.
    pub fn roles_of(&self, host: Host) -> Roles {
        self.roles[host - 1]
    }
}
