//! What the broker tells about itself: metrics, every one in the table of `metrics`, the log's set-up, and which
//! faults of clients are worth a line in it.

mod complaints;
mod exposition;
mod log;
mod metrics;

pub use complaints::{Complaint, Complaints};
pub use exposition::Exposition;
pub use log::{FilterHandle, init_logging};
pub use metrics::{FlushMetrics, Metrics, RequestMetrics};
