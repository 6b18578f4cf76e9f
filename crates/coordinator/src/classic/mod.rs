//! The classic group protocol: JoinGroup, SyncGroup, Heartbeat and LeaveGroup, as Kafka's brokers
//! have served them since 0.9.
//!
//! A group lives in memory between two stable states. A decision takes a copy of it, whose members
//! are shared with the original, changes the copy and hands it back as one soft change; the log
//! sees a group only when its leader's assignment arrives, when it becomes empty, and when a static
//! member takes its own place again.
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
