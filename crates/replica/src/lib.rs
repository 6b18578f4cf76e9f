//! One partition as its leader sees it: which replicas are in sync, and where the high watermark
//! is.
//!
//! This is a pure machine. The driver tells it of appends, fetches, the time, and the controller's
//! decisions. It answers with the high watermark and with proposals to change the ISR. A proposal
//! counts only once the controller has accepted it. With one replica, the same code runs: the high
//! watermark is the log end offset, and the leader proposes nothing.
//!
//! The rules are Kafka's (KIP-497 AlterPartition, KIP-966 for the high watermark under
//! `min.insync.replicas`):
//!
//! - The high watermark is the smallest log end offset of these replicas: those in the ISR, those
//!   in a proposed ISR, and those that have caught up and are about to join.
//! - It never moves back. It does not move while fewer than `min.insync.replicas` replicas are in
//!   the ISR.
//! - A follower joins the ISR once it has everything below the high watermark and has started to
//!   replicate in this leader epoch.
//! - A follower leaves the ISR when it has not been at the leader's log end for
//!   `replica.lag.time.max.ms`.

mod follower;
mod isr;
mod leader;

pub use follower::{Follower, FollowerFetch};
pub use isr::{Isr, IsrProposal};
pub use leader::{FetchError, Leader, LeaderStart, LeaderUpdate};

#[cfg(test)]
mod tests;
