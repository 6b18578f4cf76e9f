//! What the broker tells about itself: metrics, every one in the table of `metrics`, and the log's set-up.

mod log;
mod metrics;

pub use log::init_logging;
pub use metrics::{FlushMetrics, Metrics, RequestMetrics};
