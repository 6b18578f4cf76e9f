//! Coordinators as pure machines. Today this is the group coordinator: one [`GroupShard`] for each
//! partition of `__consumer_offsets`, for classic groups and committed offsets. Groups of other
//! types are carried: the kind of their records gives their type, they are listed, and they are not
//! changed until a classic member joins an empty one.
//!
//! This crate has no clock, task, log or randomness. A shard has two kinds of state. Replicated
//! state is in the log and changes only in [`GroupShard::apply`]. Soft state (a group between two
//! records, parked requests, timers) changes only in [`GroupShard::apply_soft`].
//! [`GroupShard::decide`] reads both and changes nothing.
//!
//! # How to drive a shard
//!
//! One task owns a shard and gives it one command at a time.
//!
//! **Load**, when this broker becomes the leader of the partition: the driver creates a new
//! [`GroupShard::new`] and passes every entry from the log start offset to the log end to
//! [`GroupShard::apply`], both records and end-of-transaction markers. Then it decides
//! [`Command::PartitionLoaded`] like any other command. Until then requests are answered with
//! [`GroupRequest::refused`] and `COORDINATOR_LOAD_IN_PROGRESS`. An error of `apply` means that the
//! partition is damaged: the driver loads it again once, and takes it offline if that fails too.
//!
//! - `BatchContext::offset` is the entry's own offset, not its batch's.
//! - `BatchContext::producer` is set for the records of *transactional* batches and for markers. It
//!   is `None` for all other entries, including those that the shard itself wrote. Control batches
//!   other than commit and abort markers are skipped.
//!
//! **A decision** is made for a request ([`Command::Request`] with a [`ReplyId`] that is never used
//! again), for a deadline ([`Command::TimerDue`]) and for topics deleted from the image
//! ([`Command::TopicsDeleted`], given to every shard):
//!
//! 1. Call `let decision = shard.decide(&context, &command)`, with both clocks and sixteen fresh
//!    random bytes in the context.
//! 2. Append `decision.records`, if any, in order: as one batch if `decision.atomic`, else as
//!    several if needed. The batches have no producer id: idempotence and transactions are not
//!    used. Their timestamp is the context's wall clock.
//! 3. If the append fails, decide `Command::AppendFailed(decision.into_unappended(command), error)`
//!    with the log's error (`NOT_ENOUGH_REPLICAS`, `KAFKA_STORAGE_ERROR`, `MESSAGE_TOO_LARGE`,
//!    ...). That decision never has records, and replaces the first one from step 5 on. If the
//!    first one is not atomic, some of its batches may be in the log already: they go through step
//!    4.
//! 4. Pass each appended record to [`GroupShard::apply`] with its offset. An error is a bug: the
//!    shard is dropped, all requests that wait for it are answered `NOT_COORDINATOR`, and it is
//!    loaded again.
//! 5. Call `shard.apply_soft(decision.soft)`, always, and always after step 4.
//! 6. Hold `decision.replies` back until the high watermark has passed the last record *applied so
//!    far* (of this or an earlier decision), in the same leader epoch. If no record is outstanding,
//!    the replies are sent at once. This also applies to replies of decisions without records. A
//!    request without a reply in its decision is parked: a later decision answers its id. Every id
//!    is answered exactly once, by a decision or by [`GroupShard::resign`].
//!
//! If that takes longer than `offsets.commit.timeout.ms`, a held reply is sent as
//! [`GroupReply::into_error`] with `COORDINATOR_NOT_AVAILABLE`, into which Kafka converts
//! REQUEST_TIMED_OUT for clients of groups. Its records may still be committed.
//!
//! **Time**: after each event, even if the next request has already arrived, the driver calls
//! [`GroupShard::next_deadline`]. While the deadline is not after the current time, the driver
//! decides [`Command::TimerDue`], which handles one timer at a time. A delay of 0 is a deadline of
//! now: it must be handled before the task sleeps. Deadlines are on the monotonic clock. The wall
//! clock is only used for timestamps in records and for comparisons with them. However it jumps, no
//! session expires early and none lives on.
//!
//! **The end** of the leadership, or a change of the leader epoch: [`GroupShard::resign`] answers
//! parked requests with `NOT_COORDINATOR`, the driver converts the replies that it holds back with
//! [`GroupReply::into_error`] and `NOT_COORDINATOR`, and the shard is dropped.
//!
//! # Modules, from the bottom up
//!
//! `request`, `reply`, `entry`, `config` and `partition` define the input and output. `state` is
//! the state of a shard, `record` encodes it, and `decision` defines commands and their results.
//! `builder` builds one decision and only reads the state. `classic`, `offsets` and `admin` handle
//! the requests with it, and `load` the start of a leadership. `shard` combines them.
//!
//! **Markers** and transactional offsets are appended through the shard's task too, and applied as
//! in a load.
//!
//! # The tasks of the API files
//!
//! - [`partition_for`] names the partition of a group. DescribeGroups and DeleteGroups are split by
//!   partition, ListGroups goes to every shard that this broker leads, and the answers are merged.
//!   `INVALID_GROUP_ID` for an empty id is answered there.
//! - Authorization, and topics: OffsetCommit and OffsetFetch carry both name and id, no matter
//!   which of them the client sent. Partitions of unknown topics are answered
//!   (`UNKNOWN_TOPIC_OR_PARTITION`, `UNKNOWN_TOPIC_ID`) without the shard. Offsets are stored with
//!   the topic's id also for versions that name topics, as Kafka does. OffsetDelete answers unknown
//!   topics itself.
//! - JoinGroup v0 has no rebalance timeout: the session timeout is used for it. Below v7, a
//!   `protocol_name` of `None` is an empty text.
//! - LeaveGroup below v3: the one member is put into `members`, and its error becomes the
//!   response's.
//! - OffsetFetch below v8: its group is converted to one of v8, and the answer is converted back.
//!   In v2 to v7 a group's error is the response's, in v1 each partition's.
//!
//! # Invariants
//!
//! - A shard that has replayed the log has the same replicated state as the shard that wrote the
//!   log.
//! - A group without soft state is empty, and its records contain all of its state.
//! - A group whose records are of another kind keeps its offsets while their topics exist.
//! - The records are equal to Kafka's in every byte, including the order of the members (Java's).
//!
//! Kafka drops a parked request without an answer if its member has sent another one or has been
//! removed. Here the earlier request is answered (`REBALANCE_IN_PROGRESS`, `UNKNOWN_MEMBER_ID`),
//! because its connection must not wait for ever.

mod admin;
mod builder;
mod classic;
mod config;
mod decision;
mod entry;
mod load;
mod offsets;
mod partition;
mod record;
mod reply;
mod request;
mod shard;
mod state;

pub use config::{DecisionContext, GroupConfig};
pub use decision::{Command, Decision, Unappended};
pub use entry::{BatchContext, Entry, NewRecord};
pub use partition::partition_for;
pub use reply::GroupReply;
pub use request::{Client, GroupRequest, ReplyId};
pub use shard::{Census, GroupShard};
pub use state::{ClassicGroup, GroupState, Member, SoftChange, TimerKey};

#[cfg(test)]
mod tests;
