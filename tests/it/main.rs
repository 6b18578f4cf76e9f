//! Brokers in this process, and the binary in one of its own, asked through the protocol as clients ask them.
//!
//! One binary, a module per feature. No test sleeps: what takes time is asked for again until it is there, within a deadline.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

mod client;
mod compaction;
mod configs;
mod descriptors;
mod disks;
mod durable;
mod groups;
mod half_made;
mod held;
mod http;
mod kill;
mod log_dirs;
mod moves;
mod node;
mod opening;
mod records;
mod refused;
mod restart;
mod stop;
mod tmpfs;
