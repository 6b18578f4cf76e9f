//! The state of the quorum for DescribeQuorum and the metrics.

use crate::machine::Raft;
use crate::state::{OBSERVER_SESSION_MS, ReplicaProgress, Role};
use crate::timing::Now;
use crate::voters::{KRaftVersion, ReplicaKey, Voter};
use model::{BrokerId, LeaderEpoch, Offset, Timestamp};

/// The quorum as its leader knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumDescription {
    /// The leader: this node.
    pub leader: BrokerId,
    /// The level of `kraft.version`.
    pub kraft_version: KRaftVersion,
    /// Its epoch.
    pub epoch: LeaderEpoch,
    /// The high watermark, once known in this epoch.
    pub high_watermark: Option<Offset>,
    /// The voters, by ascending id.
    pub voters: Vec<ReplicaDescription>,
    /// The observers: replicas that fetch and do not vote.
    pub observers: Vec<ReplicaDescription>,
    /// Whether a request to change the voters waits for its commit.
    pub has_pending_change: bool,
    /// The offset of the record that has the voters, `None` if they are from the configuration or
    /// the bootstrap snapshot.
    pub voters_since: Option<Offset>,
    /// The voters' addresses, for the nodes in the response.
    pub nodes: Vec<Voter>,
}

/// One replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaDescription {
    /// Its identity.
    pub key: ReplicaKey,
    /// Its log end offset, if known.
    pub log_end: Option<Offset>,
    /// The time of its last fetch.
    pub last_fetch: Option<Timestamp>,
    /// The last time when it had everything that the leader had.
    pub last_caught_up: Option<Timestamp>,
}

impl Raft {
    /// Describes the quorum. Returns `None` if this node does not lead it.
    pub fn describe(&self, now: Now) -> Option<QuorumDescription> {
        let Role::Leader(leader) = &self.role else { return None };
        let voters = leader.voters.values().map(|progress| self.describe_replica(progress, now)).collect();
        let is_heard = |progress: &&ReplicaProgress| {
            progress.last_fetch.is_some_and(|at| now.monotonic.ms_since(at.monotonic) < OBSERVER_SESSION_MS)
        };
        let observers = leader.observers.values().filter(is_heard);
        Some(QuorumDescription {
            leader: self.config.local.id,
            kraft_version: self.kraft_version(),
            epoch: self.epoch,
            high_watermark: leader.is_active.then_some(self.high_watermark).flatten(),
            voters,
            observers: observers.map(|progress| self.describe_replica(progress, now)).collect(),
            has_pending_change: leader.change.is_some(),
            voters_since: self.quorum.voters_since().flatten(),
            nodes: self.voters().iter().cloned().collect(),
        })
    }

    /// The leader itself is caught up at the current time.
    fn describe_replica(&self, progress: &ReplicaProgress, now: Now) -> ReplicaDescription {
        let is_leader = progress.key.id == self.config.local.id;
        let own = is_leader.then_some(now.wall);
        ReplicaDescription {
            key: progress.key,
            log_end: if is_leader { Some(self.log.end) } else { progress.end },
            last_fetch: own.or(progress.last_fetch.map(|at| at.wall)),
            last_caught_up: own.or(progress.last_caught_up),
        }
    }
}
