//! The transaction coordinator: one [`TransactionShard`] for each partition of
//! `__transaction_state`.

mod admin;
mod allocation;
mod builder;
mod config;
mod decision;
mod dispatch;
mod end;
mod expire;
mod init;
mod load;
mod markers;
mod partitions;
mod record;
mod reply;
mod request;
mod shard;
mod soft;
mod state;
mod timeout;
mod topics;
mod transition;

pub use config::TransactionConfig;
pub use decision::{MarkerOutcome, TransactionEffect, TransactionEvent, TransactionMarkers, TransactionTypes};
pub use reply::TransactionReply;
pub use request::{ProducerIdAndEpoch, TransactionRequest};
pub use shard::TransactionShard;
pub use soft::AllocationToken;
pub use state::TransactionState;
pub use topics::TransactionPartition;
