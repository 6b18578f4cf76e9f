//! What the machine asks of its driver.

use crate::message::{Reply, Request};
use crate::quorum_state::ElectionState;
use crate::voters::{Endpoint, ReplicaKey};
use bytes::Bytes;
use model::{BrokerId, LeaderEpoch, Offset};

/// One thing to do. A list of actions is carried out in its order; the crate's documentation says which of them must be done before the next.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Synchronous: replace `quorum-state` by these bytes and fsync file and directory. A failure ends the node.
    PersistElection {
        /// What is remembered.
        election: ElectionState,
        /// The file's content.
        content: Bytes,
    },
    /// Synchronous: append this one complete batch, whose offsets and leader epoch are set, to the log. Not yet fsynced. A failure ends the node.
    Append(AppendedBatch),
    /// May be done later: fsync the log up to this offset, then give `Event::Flushed` with the offset. Of several, the last is enough.
    Flush {
        /// The log end offset to reach.
        end: Offset,
    },
    /// All records below are committed: they may be applied, answered for and put into snapshots. Rises strictly within a run.
    Commit {
        /// The high watermark.
        high_watermark: Offset,
    },
    /// There is another leader, or none, or another epoch. A node that led an earlier epoch resigns its controller at once.
    LeaderChanged {
        /// The leader, if it is known.
        leader: Option<BrokerId>,
        /// The epoch it leads.
        epoch: LeaderEpoch,
    },
    /// This node leads, and everything that earlier leaders committed is below the last `Commit`: once that much is applied, its controller becomes
    /// active and may propose in this epoch.
    Activate {
        /// The epoch.
        epoch: LeaderEpoch,
        /// The offset of the epoch's first record; all below is of earlier epochs.
        epoch_start: Offset,
    },
    /// May be done later: send a request and give `Event::Response`, also when it failed.
    Send {
        /// To give back with the response.
        id: u64,
        /// To whom.
        to: Destination,
        /// What.
        request: Request,
    },
    /// Answer a request that was given with `Event::Request`.
    Reply {
        /// The id it was given with.
        id: u64,
        /// The answer.
        reply: Reply,
    },
    /// Stopping is over: nothing more will come.
    Stopped,
}

/// A batch that the leader appends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppendedBatch {
    /// The offset of its first record: the log end offset before it.
    pub base: Offset,
    /// The offset of its last record.
    pub last: Offset,
    /// The epoch that it is written in.
    pub epoch: LeaderEpoch,
    /// The batch.
    pub bytes: Bytes,
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The replica that is meant.
    pub key: ReplicaKey,
    /// Its addresses, the preferred listener first.
    pub endpoints: Vec<Endpoint>,
}
