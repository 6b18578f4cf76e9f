//! The events that the driver gives to the machine.

use crate::control::ControlRecord;
use crate::end_offset::EndOffset;
use crate::message::{QuorumRequest, ReceivedReply};
use crate::snapshot_id::SnapshotId;
use model::{ErrorCode, LeaderEpoch, Offset};

/// An event.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The machine's `next_deadline` has passed. Harmless at any other time.
    Tick,
    /// The log was fsynced when its end was this. The event may come late, when the log has been
    /// truncated meanwhile.
    Flushed {
        /// The end of a `Flush`.
        end: EndOffset,
    },
    /// A request of another replica, already checked for cluster id, topic and partition. Exactly
    /// one `Reply` with this id follows, for a `Fetch` perhaps only after its `max_wait_ms`.
    Request {
        /// The id, which the reply repeats.
        id: u64,
        /// The request.
        request: QuorumRequest,
    },
    /// The result of a `Send`.
    Response {
        /// The id of the `Send`.
        id: u64,
        /// The answer, or an error if none came or the whole request was refused. NETWORK_EXCEPTION
        /// says that the connection was refused or lost, REQUEST_TIMED_OUT that nothing came in
        /// time.
        result: Result<ReceivedReply, ErrorCode>,
    },
    /// The result of a `CheckSnapshot`.
    SnapshotChecked {
        /// The snapshot.
        id: SnapshotId,
        /// The control records of the snapshot, or `None` if it is damaged or incomplete.
        control_records: Option<Vec<ControlRecord>>,
    },
    /// A snapshot of this node is complete on disk.
    SnapshotMade(SnapshotId),
    /// The driver moved the log start offset to the end of a snapshot that is kept.
    LogStartMoved {
        /// The new log start offset.
        start: Offset,
    },
    /// The controller cannot continue after a fault in deciding or applying. If it leads this
    /// epoch, it resigns.
    Resign {
        /// The epoch in which it led.
        epoch: LeaderEpoch,
    },
    /// The node stops. A leader resigns and tells the other voters. `Action::Stopped` follows, at
    /// once or after a limited time.
    Stop,
}

/// An error that must not happen and that ends the node: the metadata log cannot be trusted or
/// written.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A control record cannot be written.
    #[error("a control record cannot be written: {0}")]
    Encode(#[from] protocol::EncodeError),
    /// A control record cannot be read.
    #[error("{0}")]
    Control(#[from] crate::control::ControlRecordError),
    /// The leader's log has other records where this node's log was committed, or deleted because a
    /// snapshot covers it: this folder is not of the quorum that it follows.
    #[error(
        "the leader's log ends the common part at offset {end}, but this node has records of its own up to offset {committed} that are committed; its metadata folder is not that of this quorum"
    )]
    TruncationOfCommitted {
        /// The end of what both logs have.
        end: Offset,
        /// The end of what is committed here.
        committed: Offset,
    },
    /// A batch cannot be read or built.
    #[error("a batch of the metadata log is not usable: {0}")]
    Batch(#[from] crate::batch::BatchError),
}

/// Why records were not appended.
#[derive(Debug, thiserror::Error)]
pub enum ProposeError {
    /// The epoch has ended, or this node does not lead it.
    #[error("this node does not lead epoch {asked}; the epoch is {current}")]
    NotLeader {
        /// The epoch of the proposal.
        asked: LeaderEpoch,
        /// The current epoch.
        current: LeaderEpoch,
    },
    /// The proposal has no records.
    #[error("a proposal without records")]
    Empty,
    /// The proposal is larger than one batch may be.
    #[error("a proposal of {bytes} bytes exceeds the batch limit of {max} bytes")]
    TooLarge {
        /// The size of the batch.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// The batch cannot be built.
    #[error(transparent)]
    Fault(#[from] Fault),
}
