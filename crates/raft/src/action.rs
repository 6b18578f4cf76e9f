//! The actions that the machine asks its driver to do.

use crate::message::{QuorumReply, QuorumRequest};
use crate::quorum_state::ElectionState;
use crate::voters::{Endpoint, ReplicaKey};
use bytes::Bytes;
use model::{BrokerId, LeaderEpoch, Offset};

/// One action. The driver carries out a list of actions in order. The crate's documentation says
/// which must be finished before the next.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Synchronous: replace `quorum-state` with these bytes, and fsync the file and the directory.
    /// A failure ends the node.
    PersistElection {
        /// The election state.
        election: ElectionState,
        /// The content of the file.
        content: Bytes,
    },
    /// Synchronous: append this complete batch to the log, without an fsync. Its offsets and leader
    /// epoch are set. A failure ends the node.
    Append(AppendedBatch),
    /// May be done later: fsync the log up to this offset, then give `Event::Flushed` with it. Of
    /// several flushes, the last is enough.
    Flush {
        /// The log end offset to flush.
        end: Offset,
    },
    /// All records below are committed: they may be applied, answered and put into snapshots. It
    /// increases strictly during a run.
    Commit {
        /// The high watermark.
        high_watermark: Offset,
    },
    /// The leader or the epoch changed, or there is no leader. A node that led an earlier epoch
    /// resigns its controller at once.
    LeaderChanged {
        /// The leader, if known.
        leader: Option<BrokerId>,
        /// The epoch.
        epoch: LeaderEpoch,
    },
    /// This node leads, and everything that earlier leaders committed is below the last `Commit`.
    /// Once that is applied, the controller becomes active and may propose in this epoch.
    Activate {
        /// The epoch.
        epoch: LeaderEpoch,
        /// The offset of the epoch's first record. All records below are of earlier epochs.
        epoch_start: Offset,
    },
    /// May be done later: send a request, then give `Event::Response`, even if it failed.
    Send {
        /// The id, which the response repeats.
        id: u64,
        /// The receiver.
        to: Destination,
        /// The request.
        request: QuorumRequest,
    },
    /// Answer a request of `Event::Request`.
    Reply {
        /// The id of the request.
        id: u64,
        /// The answer.
        reply: QuorumReply,
    },
    /// The machine has stopped. No action follows.
    Stopped,
}

/// A batch that the leader appends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppendedBatch {
    /// The offset of its first record, which is the log end offset before the append.
    pub base: Offset,
    /// The offset of its last record.
    pub last: Offset,
    /// The epoch in which it is written.
    pub epoch: LeaderEpoch,
    /// The batch.
    pub bytes: Bytes,
}

/// The receiver of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The replica.
    pub key: ReplicaKey,
    /// Its endpoints, the preferred listener first.
    pub endpoints: Vec<Endpoint>,
}
