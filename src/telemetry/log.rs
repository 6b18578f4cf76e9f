//! Structured logs on standard error: one line per event, filtered by `RUST_LOG`.

use std::io::IsTerminal as _;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

/// Changes the filter of a running process.
pub type FilterHandle = reload::Handle<EnvFilter, Registry>;

/// Sets up the log of the process. Returns the handle that changes its level; `None` if it was set
/// up before.
pub fn init_logging() -> Option<FilterHandle> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let (filter, handle) = reload::Layer::new(filter);
    let lines = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        // A line that cannot be written is lost. To report that on standard error would fail too,
        // and panic.
        .log_internal_errors(false);
    tracing_subscriber::registry().with(filter).with(lines).try_init().ok().map(|()| handle)
}
