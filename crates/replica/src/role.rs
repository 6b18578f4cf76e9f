//! A replica's role in its partition: none, leader or follower. The images of the metadata change
//! it, by leader epochs that never go back.

use crate::follower::{EndOfEpoch, FetchAnswer, FetchPosition, Follower, FollowerLog, FollowerStep};
use crate::leader::{Leader, LeaderStart};
use crate::planted::{Bug, is_planted};
use model::{BrokerId, LeaderEpoch, Monotonic, PartitionEpoch};

/// A partition's state at the controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionState<'a> {
    /// The leader, if there is one.
    pub leader: Option<BrokerId>,
    /// The leader epoch.
    pub leader_epoch: LeaderEpoch,
    /// The partition epoch.
    pub partition_epoch: PartitionEpoch,
    /// All replicas.
    pub replicas: &'a [BrokerId],
    /// The replicas in sync.
    pub isr: &'a [BrokerId],
}

/// What a state of the partition asks of a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleChange {
    /// Nothing: the state is older than what is known, or brings nothing new for a follower.
    Nothing,
    /// It begins to lead. The driver assigns the epoch in the log, and then calls `Replica::lead`.
    Lead,
    /// It goes on leading in this epoch. The driver calls `Leader::committed`.
    Update,
    /// It begins to follow a leader. The driver ends earlier epochs in the log, so that it refuses
    /// late appends, and then calls `Replica::follow`.
    Follow(BrokerId),
    /// It neither leads nor follows. The driver ends earlier epochs in the log, and then calls
    /// `Replica::resign`.
    Resign,
}

/// What a replica does in its partition.
#[derive(Clone, Debug, Default)]
pub enum Role {
    /// It neither leads nor follows.
    #[default]
    None,
    /// It leads.
    Leader(Leader),
    /// It follows.
    Follower(Follower),
}

/// One replica of a partition.
#[derive(Clone, Debug)]
pub struct Replica {
    broker_id: BrokerId,
    role: Role,
    /// The newest leader epoch that it knows.
    leader_epoch: Option<LeaderEpoch>,
}

impl Replica {
    /// Creates a replica without a role.
    pub fn new(broker_id: BrokerId) -> Replica {
        Replica { broker_id, role: Role::None, leader_epoch: None }
    }

    /// Returns the role.
    pub fn role(&self) -> &Role {
        &self.role
    }

    /// Returns the newest leader epoch that it knows.
    pub fn leader_epoch(&self) -> Option<LeaderEpoch> {
        self.leader_epoch
    }

    /// Returns the leader's machine, if it leads.
    pub fn leader(&self) -> Option<&Leader> {
        match &self.role {
            Role::Leader(leader) => Some(leader),
            Role::None | Role::Follower(_) => None,
        }
    }

    /// Returns the leader's machine, if it leads.
    pub fn leader_mut(&mut self) -> Option<&mut Leader> {
        match &mut self.role {
            Role::Leader(leader) => Some(leader),
            Role::None | Role::Follower(_) => None,
        }
    }

    /// Returns the follower's machine, if it follows.
    pub fn follower(&self) -> Option<&Follower> {
        match &self.role {
            Role::Follower(follower) => Some(follower),
            Role::None | Role::Leader(_) => None,
        }
    }

    /// Returns the follower's machine, if it follows.
    pub fn follower_mut(&mut self) -> Option<&mut Follower> {
        match &mut self.role {
            Role::Follower(follower) => Some(follower),
            Role::None | Role::Leader(_) => None,
        }
    }

    /// Returns what a state of the partition asks of this replica. Changes nothing.
    pub fn change(&self, state: &PartitionState) -> RoleChange {
        let is_new = self.leader_epoch.is_none_or(|known| known < state.leader_epoch);
        if self.leader_epoch.is_some_and(|known| known > state.leader_epoch) {
            return RoleChange::Nothing;
        }
        match state.leader {
            Some(leader) if leader == self.broker_id => match &self.role {
                Role::Leader(_) if !is_new => RoleChange::Update,
                _ => RoleChange::Lead,
            },
            Some(leader) if state.replicas.contains(&self.broker_id) => match &self.role {
                Role::Follower(_) if !is_new => RoleChange::Nothing,
                _ => RoleChange::Follow(leader),
            },
            _ => match &self.role {
                Role::None if !is_new => RoleChange::Nothing,
                _ => RoleChange::Resign,
            },
        }
    }

    /// Begins to lead.
    pub fn lead(&mut self, start: LeaderStart) -> &mut Leader {
        self.leader_epoch = Some(start.leader_epoch);
        self.role = Role::Leader(Leader::new(start));
        match &mut self.role {
            Role::Leader(leader) => leader,
            Role::None | Role::Follower(_) => unreachable!("the role was just set"),
        }
    }

    /// Begins to follow. `backoff_ms` is `replica.fetch.backoff.ms`.
    pub fn follow(&mut self, leader: BrokerId, leader_epoch: LeaderEpoch, backoff_ms: i64) {
        self.leader_epoch = Some(leader_epoch);
        self.role = Role::Follower(Follower::new(leader, leader_epoch, backoff_ms));
    }

    /// Neither leads nor follows from this epoch on. Returns the machine of the leader that ended.
    pub fn resign(&mut self, leader_epoch: LeaderEpoch) -> Option<Leader> {
        self.leader_epoch = self.leader_epoch.max(Some(leader_epoch));
        match std::mem::take(&mut self.role) {
            Role::Leader(leader) => Some(leader),
            Role::None | Role::Follower(_) => None,
        }
    }

    /// Takes the answer to a fetch. It is late if this replica follows no more.
    pub fn fetched(
        &mut self,
        asked: &FetchPosition,
        answer: &FetchAnswer,
        log: &FollowerLog,
        end_of_epoch: EndOfEpoch,
        now: Monotonic,
    ) -> FollowerStep {
        match &mut self.role {
            Role::Follower(follower) => follower.fetched(asked, answer, log, end_of_epoch, now),
            Role::None | Role::Leader(_)
                if is_planted(Bug::EpochNotCheckedAtAppend) && asked.offset == log.log_end_offset =>
            {
                FollowerStep::Append
            }
            Role::None | Role::Leader(_) => FollowerStep::Nothing,
        }
    }
}
