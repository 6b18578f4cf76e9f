//! One replica of a partition: as the leader, which knows who is in sync and where the high
//! watermark is, or as a follower, which copies the leader's log.
//!
//! These are pure machines. Their driver tells them of appends, fetches, the time, and the
//! controller's decisions, and carries out what they answer.
//!
//! - `role`: which of the two a replica is, by the leader epochs of the images.
//! - `leader`, `progress`, `isr`: the leader. It answers with the high watermark and with proposals
//!   to change the ISR. A proposal counts only once the controller has accepted it. With one
//!   replica, the same code runs: the high watermark is the log end offset, and the leader proposes
//!   nothing.
//! - `follower`: what it fetches, when it truncates, and how errors of its leader are classified.
//! - `planted`: bugs that the simulation in `tests/sim` must catch.
//!
//! The leader's rules are Kafka's (KIP-497 and KIP-903 for AlterPartition, KIP-966 for the high
//! watermark under `min.insync.replicas`):
//!
//! - The high watermark is the smallest log end offset of these replicas: those in the ISR, those
//!   in a proposed ISR, and those that have caught up and are about to join.
//! - It never moves back. It does not move while fewer than `min.insync.replicas` replicas are in
//!   the ISR.
//! - A follower joins the ISR once it has everything below the high watermark and has started to
//!   replicate in this leader epoch. It must be eligible: registered under the broker epoch of its
//!   fetches, not fenced, not in controlled shutdown.
//! - A follower leaves the ISR when it has not been at the leader's log end for
//!   `replica.lag.time.max.ms`.

mod follower;
mod isr;
mod leader;
pub mod planted;
mod progress;
mod role;

pub use follower::{
    BoundQuestion, EndOfEpoch, FetchAnswer, FetchPosition, Follower, FollowerBounds, FollowerLog, FollowerNext,
    FollowerStep, LeaderLogBound,
};
pub use isr::{CommittedIsr, Isr, IsrProposal, ProposalOutcome};
pub use leader::{FetchError, Leader, LeaderStart, LeaderUpdate};
pub use progress::{BrokerStanding, Brokers, FollowerFetch, FollowerProgress};
pub use role::{PartitionState, Replica, Role, RoleChange};

#[cfg(test)]
mod tests;
