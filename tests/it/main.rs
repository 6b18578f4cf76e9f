//! Tests of brokers in this process, and of the binary in a separate process, through the protocol.
//!
//! All tests are one binary, with a module for each feature. No test sleeps: a test asks again
//! until the result is there, with a deadline.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

mod acls;
mod bad_input;
mod client;
mod compaction;
mod configs;
mod controllers;
mod descriptors;
mod dev;
mod disks;
mod durable;
mod examples;
mod groups;
mod half_made;
mod held;
mod http;
mod kill;
mod log_dirs;
mod lost;
mod memory;
mod moves;
mod node;
mod opening;
mod printing;
mod publishing;
mod quorum;
mod records;
mod refused;
mod releases;
mod replication;
mod restart;
mod roles;
mod sasl;
mod signals;
mod stop;
mod tmpfs;
