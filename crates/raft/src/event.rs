//! What happens to the machine.

use crate::message::{Reply, Request};
use crate::snapshot_id::SnapshotId;
use model::{ErrorCode, LeaderEpoch, Offset};

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Time passed: the machine's `next_deadline` is reached. Harmless at any other time.
    Tick,
    /// All of the log below this offset is fsynced.
    Flushed {
        /// The offset of a `Flush`, or a later one.
        end: Offset,
    },
    /// A request of another replica arrived, already checked for cluster id, topic and partition. Exactly one `Reply` with this id follows, in time.
    Request {
        /// To give back with the reply.
        id: u64,
        /// What it wants.
        request: Request,
    },
    /// What became of a `Send`.
    Response {
        /// The id of the `Send`.
        id: u64,
        /// The answer; an error when there was none in time, or when the whole request was refused.
        result: Result<Reply, ErrorCode>,
    },
    /// A snapshot that this node made is complete on disk.
    SnapshotMade(SnapshotId),
    /// The driver moved the log start offset, to the end of a snapshot that stays.
    LogStartMoved {
        /// The new first offset.
        start: Offset,
    },
    /// The controller cannot go on (a fault while deciding or applying): if it leads this epoch, it resigns.
    Resign {
        /// The epoch that it led.
        epoch: LeaderEpoch,
    },
    /// The node stops: a leader resigns and tells the others. `Action::Stopped` follows, soon, or after a while of trying.
    Stop,
}

/// Something that must not happen and that ends the node: the metadata log can no longer be trusted, or not written.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A control record cannot be written.
    #[error("a control record cannot be written: {0}")]
    Encode(#[from] protocol::EncodeError),
    /// A control record cannot be read.
    #[error("{0}")]
    Control(#[from] crate::control::ControlRecordError),
    /// A batch cannot be read or built.
    #[error("a batch of the metadata log is not usable: {0}")]
    Batch(#[from] crate::batch::BatchError),
}

/// Why records were not appended.
#[derive(Debug, thiserror::Error)]
pub enum ProposeError {
    /// The epoch is over, or this node does not lead it.
    #[error("this node does not lead epoch {asked}; the epoch is {current}")]
    NotLeader {
        /// The epoch of the proposal.
        asked: LeaderEpoch,
        /// The epoch now.
        current: LeaderEpoch,
    },
    /// No records.
    #[error("a proposal without records")]
    Empty,
    /// More than one batch may hold.
    #[error("a proposal of {bytes} bytes exceeds the batch limit of {max} bytes")]
    TooLarge {
        /// The batch's size.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// The batch cannot be built.
    #[error(transparent)]
    Fault(#[from] Fault),
}
