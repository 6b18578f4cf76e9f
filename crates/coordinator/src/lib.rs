//! Coordinators as pure machines. Today: the group coordinator, with one [`GroupShard`] for each
//! partition of `__consumer_offsets`, for classic groups and committed offsets. Groups of the other
//! kinds are carried: known by the kind of their records, listed, and left alone, until a classic
//! member joins one that everybody has left.
//!
//! There is no clock, no task, no log and no randomness in here. The state of a shard is two
//! things: what the log says, which changes in [`GroupShard::apply`] alone, and soft state (a group
//! between two records, parked requests, timers), which changes in [`GroupShard::apply_soft`]
//! alone. [`GroupShard::decide`] reads both and changes nothing.
//!
//! # How it is driven
//!
//! One task owns a shard and gives it one command at a time.
//!
//! **Load**, when this broker becomes the leader of the partition: the driver makes a fresh
//! [`GroupShard::new`] and gives every entry from the log start offset to the log end to
//! [`GroupShard::apply`], records and end-of-transaction markers alike. Then it decides
//! [`Command::PartitionLoaded`] like any other command. Until then requests are answered with
//! [`GroupRequest::refused`] and `COORDINATOR_LOAD_IN_PROGRESS`. An error of `apply` means that the
//! partition is damaged: the driver loads it once more, and takes it offline if that fails too.
//!
//! - `BatchContext::offset` is the entry's own offset, not its batch's.
//! - `BatchContext::producer` is set for the records of *transactional* batches and for markers. It is
//!   `None` for all else, what the shard itself has written included. Control batches other than commit
//!   and abort markers are passed over.
//!
//! **A decision** is made for a request ([`Command::Request`] with a [`ReplyId`] that is never used
//! again), a deadline ([`Command::TimerDue`]) and for topics that have gone from the image
//! ([`Command::TopicsDeleted`], given to every shard):
//!
//! 1. `let decision = shard.decide(&context, &command)`, with both clocks and sixteen fresh random bytes
//!    in the context.
//! 2. Append `decision.records`, if any, in order: as one batch if `decision.atomic`, else cut into as
//!    many as it takes. Idempotence and transactions play no part: no producer id. The batch's timestamp
//!    is the context's wall clock.
//! 3. If that fails: `Command::AppendFailed(decision.into_unappended(command), error)` is decided, with
//!    the error as the log names it (`NOT_ENOUGH_REPLICAS`, `KAFKA_STORAGE_ERROR`, `MESSAGE_TOO_LARGE`,
//!    ...). Its decision never has records, and takes the place of the first from step 5 on. Of a
//!    decision that is not atomic some batches may be in the log by then: they go through step 4.
//! 4. Each appended record goes through [`GroupShard::apply`] with its offset. An error is a fault of
//!    this program: the shard is dropped, all that waits for it is answered `NOT_COORDINATOR`, and it is
//!    loaded anew.
//! 5. `shard.apply_soft(decision.soft)`, always, and always after step 4.
//! 6. `decision.replies` are held back until the high watermark has passed the last record *applied so
//!    far* (of this or an earlier decision), under the same leader epoch. With nothing outstanding they
//!    go at once. That holds for replies without records of their own too. A request with no reply in its
//!    decision is parked: a later decision answers its ticket. Every ticket is answered exactly once, by
//!    a decision or by [`GroupShard::resign`].
//!
//! After `offsets.commit.timeout.ms` without that, a held reply goes out as
//! [`GroupReply::into_error`] with `COORDINATOR_NOT_AVAILABLE` (Kafka's REQUEST_TIMED_OUT, as
//! clients of groups see it). Its records may still commit.
//!
//! **Time**: after each event, also where the next request is there already, the driver asks
//! [`GroupShard::next_deadline`]. While it is not above now, it gives [`Command::TimerDue`], which
//! handles one timer each. A delay of 0 is a deadline of now: it must be handled before the task
//! sleeps. Deadlines are on the monotonic clock. The wall clock gives timestamps that are written,
//! and is compared with such: however it jumps, no session ends early and none lives on.
//!
//! **The end** of the leadership, or a change of the leader epoch: [`GroupShard::resign`] answers what is
//! parked with `NOT_COORDINATOR`, what the driver holds back goes through
//! [`GroupReply::into_error`] with
//! `NOT_COORDINATOR`, and the shard is dropped.
//!
//! # Modules, from the bottom up
//!
//! `request`, `reply`, `entry`, `config` and `partition` are what comes in and goes out. `state` is what
//! a shard knows, `record` writes it, and `decision` names commands and what they lead to.
//! `builder` gathers one decision and reads the state alone. The requests stand on it: `classic`,
//! `offsets`,
//! `admin`, and `load` for the begin of a leadership. `shard` puts them together.
//!
//! **Markers** and transactional offsets are appended through the shard's task too, and applied as at a load.
//!
//! # What the API files do
//!
//! - [`partition_for`] names the partition of a group. DescribeGroups and DeleteGroups are cut by partition, ListGroups goes to every shard that
//!   is led here, and the answers are put together. `INVALID_GROUP_ID` for an empty id is answered here.
//! - Authorization, and topics: OffsetCommit and OffsetFetch carry both name and id, whichever the client sent, and partitions of unknown topics
//!   are answered (`UNKNOWN_TOPIC_OR_PARTITION`, `UNKNOWN_TOPIC_ID`) without the shard. Offsets are stored with the topic's id also for versions
//!   that name topics, as Kafka does. OffsetDelete answers unknown topics itself.
//! - JoinGroup v0 has no rebalance timeout: the session timeout takes its place. A `protocol_name` of `None` is an empty text below v7.
//! - LeaveGroup below v3: the one member goes into `members`, and its error becomes the response's.
//! - OffsetFetch below v8: its group is one of v8, and the answer is taken apart again. In v2 to v7 a group's error is the response's, in v1 each
//!   partition's.
//!
//! # Invariants
//!
//! - A shard that has replayed the log has the replicated state of the one that wrote it.
//! - A group without soft state is an empty one, and its records say all there is to know of it.
//! - A group whose records are of another kind keeps its offsets for as long as its topics live.
//! - The records are Kafka's to the byte, members in Java's order included.
//!
//! Where Kafka forgets a parked request, because its member has sent another or has been removed,
//! the earlier one is answered here (`REBALANCE_IN_PROGRESS`, `UNKNOWN_MEMBER_ID`): its connection
//! must not wait for ever.

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
