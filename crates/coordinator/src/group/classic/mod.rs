//! The classic group protocol: JoinGroup, SyncGroup, Heartbeat and LeaveGroup, as Kafka's brokers
//! have served them since 0.9.
//!
//! Between two stable states, a group exists only in memory. A decision copies the group (the copy
//! shares the members with the original), changes the copy, and returns it as one soft change. The
//! group is written to the log only when its leader's assignment arrives, when it becomes empty,
//! and when a static member takes its own place again.
//!
//! ```text
//!            first join                    all joined, or time is up         the leader's assignment
//!   Empty ----------------> PreparingRebalance ----------------> CompletingRebalance ----------------> Stable
//!     ^                        |     ^    ^                            |                                 |
//!     +------------------------+     |    +----------------------------+                                 |
//!        nobody is left              +-------------------------------------------------------------------+
//!                                           a member joins, leaves, fails, or changes its protocols
//! ```

pub(crate) mod expiry;
pub(crate) mod heartbeat;
pub(crate) mod join;
pub(crate) mod leave;
pub(crate) mod rebalance;
pub(crate) mod sync;
