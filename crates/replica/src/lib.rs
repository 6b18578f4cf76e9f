//! One partition as its leader sees it: who is in sync, and how far the high watermark has come.
//!
//! A pure machine: the driver tells it of appends, fetches, the time, and what the controller decided; it answers with the high watermark and with
//! proposals to change the ISR, which count only once the controller has taken them. With one replica the high watermark is the log's end and
//! nothing is ever proposed; it is the same code.
//!
//! The rules are Kafka's (KIP-497 AlterPartition, KIP-966 for the high watermark under `min.insync.replicas`):
//! - the high watermark is the least log end of the replicas that are in the ISR, on their way in or out of it, or caught up and about to join;
//! - it never moves back, and stands still while fewer than `min.insync.replicas` are in the ISR;
//! - a follower joins once it has everything below the high watermark and has begun to replicate in this leader epoch;
//! - it leaves when it has not been at the leader's log end for `replica.lag.time.max.ms`.

mod follower;
mod isr;
mod leader;

pub use follower::{Follower, FollowerFetch};
pub use isr::{Isr, IsrProposal};
pub use leader::{FetchError, Leader, LeaderStart, Progress};

#[cfg(test)]
mod tests;
