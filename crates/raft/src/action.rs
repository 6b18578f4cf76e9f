//! The actions that the machine asks its driver to do.

use crate::end_offset::EndOffset;
use crate::message::{QuorumRequest, SentReply};
use crate::quorum_state::ElectionState;
use crate::snapshot_id::SnapshotId;
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
    /// Synchronous: remove all records from this offset on, and all leader epochs that begin there
    /// or later. Nothing of them is committed. A failure ends the node.
    Truncate {
        /// The new log end offset.
        end: Offset,
    },
    /// May be done later: fsync the log up to this end, then give `Event::Flushed` with it. Of
    /// several flushes, the last is enough.
    Flush {
        /// The log end to flush, with the epoch of the last record.
        end: EndOffset,
    },
    /// Synchronous: write a piece of a snapshot that is downloaded into its partial file. A piece
    /// at position 0 begins the file anew. A failure ends the node.
    WriteSnapshot {
        /// The snapshot.
        id: SnapshotId,
        /// The position in the file, which is its size before.
        position: u64,
        /// The bytes.
        bytes: Bytes,
    },
    /// May be done later: fsync the partial file of a downloaded snapshot and read all of it
    /// through `snapshot::SnapshotReader`, then give `Event::SnapshotChecked`.
    CheckSnapshot {
        /// The snapshot.
        id: SnapshotId,
    },
    /// Synchronous: rename the partial file of a checked snapshot to its final name and fsync the
    /// folder. Then remove the whole log and let it begin and end at the snapshot's end, without
    /// leader epochs, and delete older snapshots. The image is now that of the snapshot. A failure
    /// ends the node.
    InstallSnapshot {
        /// The snapshot.
        id: SnapshotId,
    },
    /// All records below are committed: they may be applied, answered and put into snapshots. It
    /// increases strictly during a run.
    Commit {
        /// The high watermark.
        high_watermark: Offset,
    },
    /// The leader or the epoch changed, the leader's address became known, or there is no leader. A
    /// node that led an earlier epoch resigns its controller at once.
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
    /// Answer a request of `Event::Request`. If the bytes cannot be read, the answer is
    /// UNKNOWN_SERVER_ERROR; a snapshot that is gone is SNAPSHOT_NOT_FOUND, and a position that is
    /// not below its size is POSITION_OUT_OF_RANGE.
    Reply {
        /// The id of the request.
        id: u64,
        /// The answer. Bytes that it names are read before the next action, since that may change
        /// the log.
        reply: SentReply,
    },
    /// The machine has stopped. No action follows.
    Stopped,
}

/// A batch to append: the leader's own, or one that a follower fetched.
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
    /// The replica. `None` for an address of `controller.quorum.bootstrap.servers`, whose replica
    /// is not known. Its directory id may be unknown.
    pub replica: Option<ReplicaKey>,
    /// Its endpoints, the preferred listener first. Never empty.
    pub endpoints: Vec<Endpoint>,
}
