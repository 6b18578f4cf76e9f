//! What replicas of the metadata log say to each other, as the one partition's facts. The wire's lists of topics and partitions, the cluster id and
//! the versions are the driver's.

use crate::end_offset::EndOffset;
use crate::voters::ReplicaKey;
use model::{BrokerId, ErrorCode, LeaderEpoch};

/// A request of one replica to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Asks for a vote, or whether one would be given.
    Vote(VoteRequest),
    /// A new leader makes itself known to a voter.
    BeginQuorumEpoch(BeginQuorumEpochRequest),
    /// A leader resigns.
    EndQuorumEpoch(EndQuorumEpochRequest),
}

/// `Vote` (KIP-595; with `pre_vote`, KIP-996).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VoteRequest {
    /// The candidate's epoch; for a pre-vote the epoch it is in.
    pub epoch: LeaderEpoch,
    /// The candidate.
    pub candidate: ReplicaKey,
    /// Whom the request is meant for, where the version names one.
    pub voter: Option<ReplicaKey>,
    /// Where the candidate's log ends.
    pub log_end: EndOffset,
    /// Whether this only asks.
    pub pre_vote: bool,
}

/// `BeginQuorumEpoch` (KIP-595).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeginQuorumEpochRequest {
    /// The leader.
    pub leader: BrokerId,
    /// The epoch it leads.
    pub epoch: LeaderEpoch,
    /// Whom the request is meant for, where the version names one.
    pub voter: Option<ReplicaKey>,
}

/// `EndQuorumEpoch` (KIP-595).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndQuorumEpochRequest {
    /// The leader that resigns.
    pub leader: BrokerId,
    /// The epoch it led.
    pub epoch: LeaderEpoch,
    /// Who should be elected, the best first.
    pub preferred_candidates: Vec<ReplicaKey>,
}

/// An answer's common part: what the replica knows of the quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuorumView {
    /// The partition's error.
    pub error: ErrorCode,
    /// The leader it knows.
    pub leader: Option<BrokerId>,
    /// Its epoch.
    pub epoch: LeaderEpoch,
}

/// An answer to a request of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// To `Vote`.
    Vote {
        /// What the voter knows.
        view: QuorumView,
        /// Whether it votes for the candidate.
        granted: bool,
    },
    /// To `BeginQuorumEpoch`.
    BeginQuorumEpoch(QuorumView),
    /// To `EndQuorumEpoch`.
    EndQuorumEpoch(QuorumView),
}
