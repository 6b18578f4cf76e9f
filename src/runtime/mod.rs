//! The drivers of the pure machines, and the limits of their input.

pub mod assignment_sender;
pub mod brokers;
pub mod config_rules;
pub mod controller;
pub mod coordinator;
pub mod format;
pub mod group;
pub mod isr_sender;
pub mod leader_link;
pub mod limits;
pub mod loggers;
pub mod lost_brokers;
pub mod metadata_log;
pub mod producer_ids;
pub mod publisher;
pub mod quorum;
pub mod registration;
pub mod session;
pub mod spare;
pub mod transaction;
