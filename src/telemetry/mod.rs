//! Metrics (all of them are in the table of `metrics`), the setup of the log, and the decision
//! which client faults are logged.

mod complaints;
mod exposition;
mod lines;
mod log;
mod metrics;

pub use complaints::{Complaint, Complaints};
pub use exposition::Exposition;
pub use log::{FilterHandle, Logging};
pub use metrics::{FlushMetrics, Metrics, ReplicationMetrics, RequestMetrics};
