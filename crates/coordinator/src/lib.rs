//! Coordinators as pure machines. A coordinator is a shard of its state topic, one for each
//! partition: [`GroupShard`] for `__consumer_offsets`.
//!
//! This crate has no clock, task, log or randomness. A shard has two kinds of state. Replicated
//! state is in the log and changes only in [`CoordinatorShard::apply`]. Soft state (a group between
//! two records, parked requests, timers) changes only in [`CoordinatorShard::apply_soft`].
//! [`CoordinatorShard::decide`] reads both and changes nothing.
//!
//! # How to drive a shard
//!
//! One task owns a shard and gives it one command at a time.
//!
//! **Load**, when this broker becomes the leader of the partition: the driver creates a new shard
//! and passes every entry from the log start offset to the log end to [`CoordinatorShard::apply`],
//! both records and end-of-transaction markers. Then it decides [`Command::PartitionLoaded`] like
//! any other command. Until then requests are answered with [`CoordinatorShard::refused`] and
//! `COORDINATOR_LOAD_IN_PROGRESS`. An error of `apply` means that the partition is damaged: the
//! driver loads it again once, and takes it offline if that fails too.
//!
//! - `BatchContext::offset` is the entry's own offset, not its batch's.
//! - `BatchContext::producer` is set for the records of *transactional* batches and for markers,
//!   those that the shard itself wrote included. It is `None` for all other entries. Control
//!   batches other than commit and abort markers are skipped.
//!
//! **A decision** is made for a request ([`Command::Request`] with a [`ReplyId`] that is never used
//! again), for a deadline ([`Command::TimerDue`]) and for what happened elsewhere
//! ([`Command::Event`]):
//!
//! 1. Call `let decision = shard.decide(&context, &command)`, with both clocks, the newest image
//!    and a source of random bytes in the context.
//! 2. Append `decision.records` in order, in the form that the decision says ([`BatchForm`]).
//!    Records without a producer may be compressed. Their timestamp is the context's wall clock.
//! 3. If the append fails, decide `Command::AppendFailed(decision.into_unappended(command), error)`
//!    with the log's error (`NOT_ENOUGH_REPLICAS`, `KAFKA_STORAGE_ERROR`, `MESSAGE_TOO_LARGE`,
//!    ...). That decision never has records, and replaces the first one from step 5 on. If the
//!    first one may be split, some of its batches may be in the log already: they go through step
//!    4.
//! 4. Pass each appended record or marker to [`CoordinatorShard::apply`] with its offset. An error
//!    is a bug: the shard is dropped, all requests that wait for it are answered `NOT_COORDINATOR`,
//!    and it is loaded again.
//! 5. Call `shard.apply_soft(decision.soft)`, always, and always after step 4.
//! 6. Hold `decision.replies` back until the high watermark has passed the last record *applied so
//!    far* (of this or an earlier decision), in the same leader epoch. If no record is outstanding,
//!    the replies are sent at once. This also applies to replies of decisions without records. A
//!    request without a reply in its decision is parked: a later decision answers its id. Every id
//!    is answered exactly once, by a decision or by [`CoordinatorShard::resign`].
//! 7. Hold `decision.effects` back in the same way, then carry them out. An effect has no timeout:
//!    it waits until its records are committed or the leadership ends.
//!
//! If that takes longer than the coordinator's commit timeout, a held reply is sent as
//! [`CoordinatorShard::into_error`] with `REQUEST_TIMED_OUT`, which the shard converts as Kafka
//! does for the clients of that coordinator. Its records may still be committed.
//!
//! **Time**: after each event, even if the next request has already arrived, the driver calls
//! [`CoordinatorShard::next_deadline`]. While the deadline is not after the current time, the
//! driver decides [`Command::TimerDue`], which handles one timer at a time. A delay of 0 is a
//! deadline of now: it must be handled before the task sleeps. Deadlines are on the monotonic
//! clock. The wall clock is only used for timestamps in records and for comparisons with them.
//! However it jumps, no session expires early and none lives on.
//!
//! **The end** of the leadership, or a change of the leader epoch: [`CoordinatorShard::resign`]
//! answers parked requests with `NOT_COORDINATOR`, the driver converts the replies that it holds
//! back with [`CoordinatorShard::into_error`] and `NOT_COORDINATOR`, and the shard and the effects
//! that are held back are dropped.
//!
//! **Invariant**: a shard that has replayed the log has the same replicated state as the shard that
//! wrote the log.
//!
//! # Modules, from the bottom up
//!
//! `entry` defines the entries of a log, `shard` the shape of a coordinator, and `timers` its
//! deadlines. `partition` maps a key to its partition, and `state_topic` names the state topics.
//! `group` is the group coordinator, and `transaction` the transaction coordinator. Neither knows
//! the other.

mod entry;
pub mod group;
mod partition;
pub mod planted;
mod shard;
mod state_topic;
mod timers;
pub mod transaction;

pub use entry::{BatchContext, Entry, NewRecord};
pub use group::{Client, GroupConfig, GroupReply, GroupRequest, GroupShard};
pub use partition::partition_for;
pub use shard::{BatchForm, Command, CoordinatorShard, Decision, DecisionContext, ReplyId, ShardTypes, Unappended};
pub use state_topic::StateTopic;
pub use transaction::{
    TransactionConfig, TransactionEffect, TransactionEvent, TransactionReply, TransactionRequest, TransactionShard,
    TransactionTypes,
};
