//! The transaction coordinator: one [`TransactionShard`] for each partition of
//! `__transaction_state`.

mod config;
mod decision;
mod reply;
mod request;
mod soft;
mod state;
mod topics;

pub use config::TransactionConfig;
pub use decision::{MarkerOutcome, TransactionEffect, TransactionEvent, TransactionMarkers, TransactionTypes};
pub use reply::TransactionReply;
pub use request::{ProducerIdAndEpoch, TransactionRequest};
pub use soft::AllocationToken;
pub use state::TransactionState;
pub use topics::TransactionPartition;
