//! The drivers of the pure machines, and what they run on: clocks, randomness, threads, limits.

pub mod blocking;
pub mod clock;
pub mod config_rules;
pub mod controller;
pub mod format;
pub mod group;
pub mod limits;
pub mod loggers;
pub mod metadata_log;
pub mod metadata_look;
pub mod producer_ids;
pub mod publisher;
pub mod random;
pub mod registration;
pub mod spare;
pub mod usage;
