//! The group coordinator: one [`GroupShard`] for each partition of `__consumer_offsets`, for
//! classic groups and committed offsets. Groups of other types are carried: the kind of their
//! records gives their type, they are listed, and they are not changed until a classic member joins
//! an empty one.
//!
//! # Modules, from the bottom up
//!
//! `request`, `reply` and `config` define the input and output. `state` is the state of a shard,
//! `record` encodes it, and `decision` defines the types of a shard. `builder` builds one decision
//! and only reads the state. `classic`, `offsets` and `admin` handle the requests with it, and
//! `load` the start of a leadership. `shard` combines them.
//!
//! **Transactions**: an offset of a TxnOffsetCommit is pending until the marker of its producer is
//! applied, in operation as in a load. Of two commits the later record wins, not the later marker.
//! A tombstone removes pending offsets too. Pending offsets belong to a producer id: a marker ends
//! those of all its epochs. A transaction that never ends blocks the expiry of its group and of the
//! offsets of its partitions.
//!
//! # The tasks of the API files
//!
//! - [`partition_for`](crate::partition_for) names the partition of a group. DescribeGroups and
//!   DeleteGroups are split by partition, ListGroups goes to every shard that this broker leads,
//!   and the answers are merged. `INVALID_GROUP_ID` for an empty id is answered there.
//! - Authorization, and topics: OffsetCommit and OffsetFetch carry both name and id, no matter
//!   which of them the client sent. Partitions of unknown topics are answered
//!   (`UNKNOWN_TOPIC_OR_PARTITION`, `UNKNOWN_TOPIC_ID`) without the shard. Offsets are stored with
//!   the topic's id also for versions that name topics, as Kafka does. OffsetDelete answers unknown
//!   topics itself.
//! - TxnOffsetCommit: below v5 the transaction is verified with its coordinator, and from v5 on the
//!   group's partition is added to it (KIP-890), before the shard is asked. An error of that is
//!   answered with [`GroupRequest::unverified`]. `INVALID_GROUP_ID` and partitions of unknown
//!   topics are answered before that. Below v2, `COORDINATOR_LOAD_IN_PROGRESS` becomes
//!   `COORDINATOR_NOT_AVAILABLE`.
//! - WriteTxnMarkers: each marker for a partition of `__consumer_offsets` that this broker has is a
//!   [`GroupRequest::EndTransaction`]. Partitions that it does not have are
//!   `UNKNOWN_TOPIC_OR_PARTITION`.
//! - JoinGroup v0 has no rebalance timeout: the session timeout is used for it. Below v7, a
//!   `protocol_name` of `None` is an empty text.
//! - LeaveGroup below v3: the one member is put into `members`, and its error becomes the
//!   response's.
//! - OffsetFetch below v8: its group is converted to one of v8, and the answer is converted back.
//!   In v2 to v7 a group's error is the response's, in v1 each partition's.
//!
//! # Invariants
//!
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
mod load;
mod offsets;
mod record;
mod reply;
mod request;
mod shard;
mod state;

pub use config::GroupConfig;
pub use decision::{GroupEvent, GroupTypes};
pub use reply::GroupReply;
pub use request::{Client, GroupRequest};
pub use shard::{Census, GroupShard};
pub use state::{ClassicGroup, GroupState, Member, SoftChange, TimerKey};

#[cfg(test)]
mod tests;
