//! Kafka's KRaft (KIP-595, 630, 853, 996) as a pure machine: one replica of the metadata log,
//! `__cluster_metadata-0`.
//!
//! Events go in, and an ordered list of actions comes out. The machine has no clock, no thread, no
//! file and no log. [`Raft`] knows the log's end and epochs ([`LogFacts`]) and the voters
//! ([`QuorumHistory`]), and decides what to write and what to send. The same code runs a lone
//! voter, which leads at once, a quorum of voters, and observers, which only follow.
//!
//! # How it is driven
//!
//! One task owns the machine and gives it one event at a time. It carries out the whole list of
//! actions in order before the next event or the next [`Raft::propose`].
//!
//! At start:
//! 1. Open and recover the log. Read `quorum-state` with [`ElectionState::decode`]; a missing file
//!    is `None`. Delete files that end in [`snapshot::PARTIAL_SUFFIX`], and find the newest
//!    complete snapshot with [`SnapshotId::from_file_name`]. If its epoch and end are above those
//!    of the log's last record, the node was killed while it installed that snapshot, or has lost
//!    what was not fsynced: empty the log, so that it begins and ends at the snapshot's end.
//! 2. Collect the control records. First those of that snapshot, through
//!    [`snapshot::SnapshotReader`], with the offset `Offset::from_wire(end - 1)`, which is `None`
//!    for the snapshot `0-0` that `format` writes. Then those of the log from the snapshot's end
//!    on, through [`batch::parse_batch`] and [`batch::ParsedBatch::control_records`], with their
//!    own offsets. A record that cannot be read stops the start.
//! 3. Call [`Raft::start`] and carry out its actions. A random seed per start keeps the elections
//!    of several voters apart.
//!
//! Then, for each action:
//!
//! | action | when | how |
//! | --- | --- | --- |
//! | `PersistElection` | synchronous | write `content` beside `quorum-state`, fsync, rename over it, fsync the folder |
//! | `Append` | synchronous | append the batch as it is; the log end offset must be its base offset, and the leader-epoch file follows its epoch |
//! | `Truncate` | synchronous | truncate the log and the leader-epoch file to `end`; what was not committed is forgotten, by the controller's image too |
//! | `Flush` | may run elsewhere | fsync all of the log below `end`, truncations included; then `Event::Flushed` with that `end`. One fsync may serve several; the last `end` is enough |
//! | `WriteSnapshot` | synchronous | write the piece at its position into `SnapshotId::partial_file_name`; position 0 begins the file anew |
//! | `CheckSnapshot` | may run elsewhere | fsync that file, read all of it through [`snapshot::SnapshotReader`], then give `Event::SnapshotChecked` with its control records, or `None` if it is unusable |
//! | `InstallSnapshot` | synchronous | rename the file to `SnapshotId::file_name`, fsync the folder, then empty the log so that it begins and ends at the snapshot's end; load the image from the snapshot, and delete older snapshots |
//! | `Commit` | in order | let the controller and the image apply the log up to it, and answer the requests that wait for it. After `InstallSnapshot` the image may already be there |
//! | `LeaderChanged` | in order | if this node led an earlier epoch, its controller resigns: its pending proposals fail. [`Raft::leader_endpoints`] has the leader's address |
//! | `Activate` | in order | once everything below `epoch_start` is applied, the controller is active and proposes under that epoch |
//! | `Send` | may run elsewhere | send one request to the first endpoint that can be used; give its result, good or bad, as `Event::Response` within `controller.quorum.request.timeout.ms` |
//! | `Reply` | reading in order, sending elsewhere | answer the `Event::Request` with this id. [`BytesToRead`] says what is read into it, before the next action |
//! | `Stopped` | in order | no action follows |
//!
//! If a synchronous action fails, the node ends, since the machine has already continued as if it
//! had worked. A [`Fault`] ends the node too. Nothing is answered twice: a proposal is committed
//! when `Commit` passes its last offset in the same epoch, and it fails when `LeaderChanged` comes
//! first.
//!
//! After each list of actions the driver asks [`Raft::next_deadline`], and gives `Event::Tick` at
//! that time. A lone leader has no deadline.
//!
//! A leader's controller calls [`Raft::propose`] with the values of the records of one atomic
//! decision. It carries out the actions (one `Append`, one `Flush`) and applies the records with
//! the offsets `base..=last` at once. Replies wait for the `Commit`. During an fsync more proposals
//! may be appended, and the next fsync serves them all.
//!
//! # How replicas speak
//!
//! The driver turns wire requests into [`QuorumRequest`] and back. It answers itself what needs no
//! machine: a wrong cluster id (INCONSISTENT_CLUSTER_ID), another topic or partition, and negative
//! numbers (INVALID_REQUEST). It fills `leader_endpoints` of what it receives from the wire's
//! `NodeEndpoints` or `LeaderEndpoints`, with the listener's name of the connection that it used;
//! empty is right if the version has none, since the machine then looks among the voters.
//!
//! A `Fetch` that has nothing new for its replica is held by the machine: its `Reply` comes once
//! the log grows, the high watermark passes the one that the replica knows, the epoch ends, or
//! `max_wait_ms` is over. `next_deadline` covers these waits. The driver holds no request itself,
//! and may give up on one whose connection is gone, since a late `Reply` is harmless.
//!
//! A follower sends one `Fetch` at a time, to [`Destination`]. It goes to the leader, or while none
//! is known to a bootstrap server, whose answer names the leader. What a fetch brings is appended
//! as it came (`Append` for each batch, then `Flush`), and the next fetch leaves only after its
//! `Flushed`: a fetch offset acknowledges what is on disk, and nothing else.
//!
//! A `ChangeVoters` is AddRaftVoter, RemoveRaftVoter or UpdateRaftVoter of the wire, or comes from
//! this node's own controller when the feature `kraft.version` is upgraded. Before it gives the
//! first, the driver checks [`QuorumDescription::check_addition`] and asks the new voter for its
//! levels of `kraft.version` with ApiVersions. The `Reply` comes when the change is committed, or
//! at once. A follower sends `ChangeVoters` itself when the leader does not know its endpoints, or
//! to join.
//!
//! A leader whose metadata disk is full gives `Event::Resign`, and so does a controller that cannot
//! go on. The other voters are told at once, those with the longest log first in line.
//!
//! # Snapshots
//!
//! [`snapshot::SnapshotSchedule`] says after which applied batch a snapshot is made. Its id is the
//! offset after that batch and the batch's epoch. Its bytes come from [`snapshot::SnapshotWriter`]
//! with [`Raft::quorum_at`] of its end. Once its file is renamed into place, the driver gives
//! `Event::SnapshotMade`. Once a minute [`snapshot::retention::deletion`] says what to delete:
//! first the log start offset moves (`Event::LogStartMoved`), then the segments below it and the
//! older snapshots are deleted.
//!
//! # Invariants
//!
//! - The epoch never goes back, nor does the high watermark within a run.
//! - A vote, an epoch or a leadership is in a `PersistElection` before any action that depends on
//!   it.
//! - Nothing counts before its fsync, the leader's own log included.
//! - A node that led an epoch before a restart never appends in that epoch again, since what it had
//!   not fsynced may be lost.

mod action;
pub mod batch;
mod control;
mod describe;
mod elections;
mod end_offset;
mod event;
mod following;
mod history;
mod leadership;
mod log_facts;
mod machine;
mod membership;
mod message;
pub mod planted;
mod quorum_state;
mod serving;
pub mod snapshot;
mod snapshot_id;
mod state;
mod timing;
mod transitions;
mod voter_changes;
mod voters;

#[cfg(test)]
mod tests;

pub use action::{Action, AppendedBatch, Destination};
pub use control::{ControlRecord, ControlRecordError, LeaderChange};
pub use describe::{QuorumDescription, ReplicaDescription};
pub use end_offset::EndOffset;
pub use event::{Event, Fault, ProposeError};
pub use history::{History, QuorumHistory, Since};
pub use leadership::{MAX_BATCH_BYTES, Proposed};
pub use log_facts::LogFacts;
pub use machine::{Config, FetchLimits, Raft, Stored};
pub use message::{
    BeginQuorumEpochRequest, BytesToRead, EndQuorumEpochRequest, FetchContent, FetchReply, FetchRequest,
    FetchSnapshotReply, FetchSnapshotRequest, KnownHighWatermark, QuorumReply, QuorumRequest, QuorumView,
    ReceivedReply, SentReply, SnapshotPiece, VoteRequest, VoterChange, VoterChangeReply, VoterChangeRequest,
};
pub use quorum_state::{ElectionState, QUORUM_STATE_FILE, QuorumStateError, configured_voters};
pub use snapshot_id::SnapshotId;
pub use state::RoleName;
pub use timing::{Now, Timeouts};
pub use voters::{Endpoint, KRaftVersion, ReplicaKey, Voter, VoterSet, VotersError};
