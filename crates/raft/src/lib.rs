//! The raft crate.
