//! The messages between replicas of the metadata log, without the wire's lists of topics and
//! partitions, cluster id and versions. The driver handles those.

use crate::end_offset::EndOffset;
use crate::snapshot_id::SnapshotId;
use crate::voters::{Endpoint, ReplicaKey, Voter};
use bytes::Bytes;
use model::{BrokerId, ErrorCode, LeaderEpoch, Offset};

/// A request of one replica to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuorumRequest {
    /// Asks for a vote, or with `pre_vote` whether one would be given.
    Vote(VoteRequest),
    /// A new leader announces itself to a voter.
    BeginQuorumEpoch(BeginQuorumEpochRequest),
    /// A leader resigns.
    EndQuorumEpoch(EndQuorumEpochRequest),
    /// A follower asks for the log from its end on, and thereby acknowledges all below.
    Fetch(FetchRequest),
    /// A follower asks for a piece of a snapshot.
    FetchSnapshot(FetchSnapshotRequest),
    /// The voters are to change: AddRaftVoter, RemoveRaftVoter, UpdateRaftVoter, or the upgrade of
    /// `kraft.version`.
    ChangeVoters(VoterChangeRequest),
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BeginQuorumEpochRequest {
    /// The leader.
    pub leader: BrokerId,
    /// The epoch that it leads.
    pub epoch: LeaderEpoch,
    /// The voter that the request is for, if the version names one.
    pub voter: Option<ReplicaKey>,
    /// The leader's endpoints. Empty if the version has none.
    pub leader_endpoints: Vec<Endpoint>,
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
    /// The leader's endpoints. Empty if the version has none.
    pub leader_endpoints: Vec<Endpoint>,
}

/// `Fetch` of the metadata log (KIP-595, KIP-853, KIP-1166). The driver has checked that the wire's
/// numbers are not negative, and answers INVALID_REQUEST otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchRequest {
    /// The replica that fetches. `None` (-1 on the wire) is a consumer, which never counts.
    pub replica: Option<ReplicaKey>,
    /// The epoch that the replica is in.
    pub epoch: LeaderEpoch,
    /// The end of the replica's log: the offset to fetch from, and the epoch of its last record.
    pub log_end: EndOffset,
    /// The high watermark that the replica knows.
    pub high_watermark: KnownHighWatermark,
    /// How long the answer may wait for something new. Zero means not at all.
    pub max_wait_ms: u64,
    /// The size of the answer's records. The first batch is in the answer whatever its size.
    pub max_bytes: u32,
}

/// What a follower's fetch says about the high watermark that it knows (KIP-1166).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownHighWatermark {
    /// The version has no such field, or the replica does not want to be woken by a high watermark
    /// (`i64::MAX` on the wire).
    NotTold,
    /// The replica knows none (-1 on the wire).
    Unknown,
    /// The replica knows this one.
    At(Offset),
}

/// `FetchSnapshot` (KIP-630).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchSnapshotRequest {
    /// The replica that fetches. `None` is no replica.
    pub replica: Option<ReplicaKey>,
    /// The epoch that the replica is in.
    pub epoch: LeaderEpoch,
    /// The snapshot.
    pub id: SnapshotId,
    /// The position in its file.
    pub position: u64,
    /// The size of the piece.
    pub max_bytes: u32,
}

/// A request to change the voters (KIP-853). The leader alone decides, and answers when the change
/// is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoterChangeRequest {
    /// The epoch that the sender is in, which only UpdateRaftVoter has.
    pub epoch: Option<LeaderEpoch>,
    /// The change.
    pub change: VoterChange,
    /// Whether the answer waits until the change is committed. False for UpdateRaftVoter, and for
    /// AddRaftVoter where `AckWhenCommitted` is false (KIP-1186).
    pub waits_for_commit: bool,
}

/// A change of the voters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VoterChange {
    /// AddRaftVoter. Its levels of `kraft.version` are those that the driver has asked the new
    /// voter for, with ApiVersions, after
    /// [`check_addition`](crate::QuorumDescription::check_addition).
    Add(Voter),
    /// RemoveRaftVoter.
    Remove(ReplicaKey),
    /// UpdateRaftVoter: the voter's endpoints, and the levels of `kraft.version` that it supports.
    Update(Voter),
    /// The feature `kraft.version` is upgraded from 0 to 1. It is asked for by this node's own
    /// controller.
    UpgradeKRaftVersion,
}

/// The answer to `ChangeVoters`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoterChangeReply {
    /// What the replica knows about the quorum, and the error.
    pub view: QuorumView,
    /// The error's message.
    pub message: Option<String>,
}

/// The common part of all answers: what the replica knows about the quorum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumView {
    /// The partition's error.
    pub error: ErrorCode,
    /// The leader that it knows.
    pub leader: Option<BrokerId>,
    /// Its epoch.
    pub epoch: LeaderEpoch,
    /// The endpoints of that leader (`NodeEndpoints` on the wire). Empty if they are not known, or
    /// if the version has none.
    pub leader_endpoints: Vec<Endpoint>,
}

/// An answer, named like its request. `B` is what stands for the bytes of the log or of a snapshot:
/// in an answer to send the place of the bytes ([`SentReply`]), in an answer that came the bytes
/// ([`ReceivedReply`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuorumReply<B> {
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
    /// The answer to `Fetch`.
    Fetch(FetchReply<B>),
    /// The answer to `FetchSnapshot`.
    FetchSnapshot(FetchSnapshotReply<B>),
    /// The answer to `ChangeVoters`.
    ChangeVoters(VoterChangeReply),
}

/// An answer that the driver sends. It reads the bytes into it.
pub type SentReply = QuorumReply<BytesToRead>;

/// An answer that the driver received.
pub type ReceivedReply = QuorumReply<Bytes>;

/// The bytes that the driver reads into an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BytesToRead {
    /// Whole batches of the log from the one with this offset on, as far as `max_bytes` and the end
    /// of the log allow, but at least one batch. If `from` is the end of the log, there are none.
    Log {
        /// The offset of the first record.
        from: Offset,
        /// The exclusive end of what may be read: the log end offset of the leader.
        end: Offset,
        /// The size.
        max_bytes: u32,
    },
    /// A piece of a snapshot's file, whatever batches it cuts.
    Snapshot {
        /// The snapshot.
        id: SnapshotId,
        /// The position of the first byte.
        position: u64,
        /// The size.
        max_bytes: u32,
    },
}

/// The answer to `Fetch`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchReply<B> {
    /// What the replica knows about the quorum.
    pub view: QuorumView,
    /// The leader's high watermark, if it knows one (-1 on the wire if not).
    pub high_watermark: Option<Offset>,
    /// The leader's log start offset.
    pub log_start: Offset,
    /// What the follower does next.
    pub content: FetchContent<B>,
}

/// What a leader answers to the end of a follower's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchContent<B> {
    /// Nothing: the view has an error.
    Nothing,
    /// The ends fit: records to append, if there are any.
    Records(B),
    /// The follower's log differs: it truncates its log to this end or, where it has no such epoch,
    /// to the end of its last epoch below (`DivergingEpoch` on the wire).
    Diverging(EndOffset),
    /// The leader's log no longer begins early enough: the follower downloads this snapshot.
    Snapshot(SnapshotId),
}

/// The answer to `FetchSnapshot`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchSnapshotReply<B> {
    /// What the replica knows about the quorum.
    pub view: QuorumView,
    /// The piece, `None` if the view has an error.
    pub piece: Option<SnapshotPiece<B>>,
}

/// A piece of a snapshot's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotPiece<B> {
    /// The snapshot.
    pub id: SnapshotId,
    /// The size of the whole file. In an answer to send it is zero, and the driver fills it in.
    pub size: u64,
    /// The position of the piece.
    pub position: u64,
    /// The bytes.
    pub bytes: B,
}

impl<B> QuorumReply<B> {
    /// Returns what the replica knows about the quorum.
    pub fn view(&self) -> &QuorumView {
        match self {
            Self::Vote { view, .. } | Self::BeginQuorumEpoch(view) | Self::EndQuorumEpoch(view) => view,
            Self::Fetch(reply) => &reply.view,
            Self::FetchSnapshot(reply) => &reply.view,
            Self::ChangeVoters(reply) => &reply.view,
        }
    }
}
