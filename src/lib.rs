//! Gregor: a Kafka broker and controller in one native binary.
//!
//! The modules by layer. An upper layer may use a lower one, never the reverse (`cargo xtask tidy`
//! checks it):
//!
//! | layer | modules |
//! | --- | --- |
//! | edge | `net` (sockets of clients), `admin` (HTTP for operators), `node` (start and stop), `cli` |
//! | api | `api`: one file for each API key |
//! | services | `broker` (all services as fields), `replica`, `runtime`, `security`, `telemetry` |
//! | | `config`, `peer` (connections to other nodes) |
//! | | `env` (clocks, randomness and threads as a value) |
//! | machines | the crates storage, replica, raft, metadata, coordinator |
//! | words | the crates model, records, protocol |

pub mod admin;
pub mod api;
pub mod broker;
pub mod cli;
pub mod config;
pub mod env;
pub mod net;
pub mod node;
pub mod peer;
pub mod replica;
pub mod runtime;
pub mod security;
pub mod telemetry;
