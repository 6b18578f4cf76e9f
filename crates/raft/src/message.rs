//! The messages between replicas of the metadata log, without the wire's lists of topics and
//! partitions, cluster id and versions. The driver handles those.

use crate::end_offset::EndOffset;
use crate::voters::ReplicaKey;
use model::{BrokerId, ErrorCode, LeaderEpoch};

/// A request of one replica to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuorumRequest {
    /// Asks for a vote, or with `pre_vote` whether one would be given.
    Vote(VoteRequest),
    /// A new leader announces itself to a voter.
    BeginQuorumEpoch(BeginQuorumEpochRequest),
    /// A leader resigns.
    EndQuorumEpoch(EndQuorumEpochRequest),
}

/// `Vote` (KIP-595; with `pre_vote`, KIP-996).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VoteRequest {
    /// The candidate's epoch. For a pre-vote, its current epoch.
    pub epoch: LeaderEpoch,
    /// The candidate.
    pub candidate: ReplicaKey,
    /// The voter that the request is for, if the version names one.
    pub voter: Option<ReplicaKey>,
    /// The end of the candidate's log.
    pub log_end: EndOffset,
    /// Whether this is a pre-vote.
    pub pre_vote: bool,
}

/// `BeginQuorumEpoch` (KIP-595).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeginQuorumEpochRequest {
    /// The leader.
    pub leader: BrokerId,
    /// The epoch that it leads.
    pub epoch: LeaderEpoch,
    /// The voter that the request is for, if the version names one.
    pub voter: Option<ReplicaKey>,
}

/// `EndQuorumEpoch` (KIP-595).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndQuorumEpochRequest {
    /// The leader that resigns.
    pub leader: BrokerId,
    /// The epoch it led.
    pub epoch: LeaderEpoch,
    /// The preferred successors, the best first.
    pub preferred_candidates: Vec<ReplicaKey>,
}

/// The common part of all answers: what the replica knows about the quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuorumView {
    /// The partition's error.
    pub error: ErrorCode,
    /// The leader that it knows.
    pub leader: Option<BrokerId>,
    /// Its epoch.
    pub epoch: LeaderEpoch,
}

/// An answer, named like its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuorumReply {
    /// The answer to `Vote`.
    Vote {
        /// What the voter knows about the quorum.
        view: QuorumView,
        /// Whether it votes for the candidate.
        granted: bool,
    },
    /// The answer to `BeginQuorumEpoch`.
    BeginQuorumEpoch(QuorumView),
    /// The answer to `EndQuorumEpoch`.
    EndQuorumEpoch(QuorumView),
}
