//! A broker's process, as far as the controller meets it.

use model::{BrokerId, DirectoryId, Uuid};
use std::collections::BTreeSet;

/// What a process is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Down,
    /// It runs and is not registered.
    Starting,
    Running,
    /// It asks to be dismissed.
    Stopping,
}

#[derive(Clone, Debug)]
pub struct Broker {
    pub id: BrokerId,
    pub rack: Option<String>,
    pub phase: Phase,
    pub incarnation: u64,
    /// The epoch of its registration.
    pub epoch: i64,
    /// The offset of its registration record.
    pub registered_at: i64,
    /// The last offset that it has read.
    pub read: i64,
    pub dirs: Vec<DirectoryId>,
    /// Dirs that failed since it was started.
    pub failed: BTreeSet<DirectoryId>,
    /// The epoch that a clean stop left on disk.
    pub clean_epoch: Option<i64>,
}

impl Broker {
    pub fn new(id: i32, dirs: usize, rack: Option<String>) -> Self {
        let dir = |at: usize| Uuid::from_random(((id as u128) << 64 | (at as u128 + 200)).to_be_bytes());
        Self {
            id: BrokerId(id),
            rack,
            phase: Phase::Down,
            incarnation: 0,
            epoch: -1,
            registered_at: -1,
            read: -1,
            dirs: (0..dirs).map(dir).collect(),
            failed: BTreeSet::new(),
            clean_epoch: None,
        }
    }

    /// Starts the process. Its dirs are repaired.
    pub fn start(&mut self) {
        self.phase = Phase::Starting;
        self.incarnation += 1;
        self.failed.clear();
        self.read = -1;
    }

    /// Whether it is a registered process.
    pub fn is_registered(&self) -> bool {
        matches!(self.phase, Phase::Running | Phase::Stopping)
    }

    pub fn incarnation_id(&self) -> Uuid {
        Uuid::from_random(((self.id.0 as u128) << 64 | u128::from(self.incarnation)).to_be_bytes())
    }
}
