//! Structured logs on standard error: one line per event, filtered by `RUST_LOG`.

use super::lines::{LineWriter, LogLines, WAITING_BYTES_MAX};
use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use tracing::warn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

/// Changes the filter of a running process.
pub type FilterHandle = reload::Handle<EnvFilter, Registry>;

/// The log of the process. When it is dropped, its last lines are written.
pub struct Logging {
    /// Changes its level; `None` if a log was set up before.
    pub filter: Option<FilterHandle>,
    lines: Arc<LogLines>,
}

impl Logging {
    /// Sets up the log of the process, with a filter, or else that of `RUST_LOG`. Errors: the
    /// system has no more threads.
    pub fn start(filter: Option<&str>) -> io::Result<Self> {
        let on_dropped = |_: &LogLines, count| {
            warn!(count, "lines of the log were dropped: standard error was not read for a while");
        };
        let lines = LogLines::start(io::stderr(), WAITING_BYTES_MAX, on_dropped)?;
        let filter = match filter {
            Some(filter) => EnvFilter::new(filter),
            None => EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info")),
        };
        let (filter, handle) = reload::Layer::new(filter);
        let queue = lines.clone();
        let layer = fmt::layer()
            .with_writer(move || LineWriter(queue.clone()))
            .with_ansi(io::stderr().is_terminal())
            .with_target(false)
            .log_internal_errors(false);
        let is_first = tracing_subscriber::registry().with(filter).with(layer).try_init().is_ok();
        Ok(Self { filter: is_first.then_some(handle), lines })
    }

    /// Prints a remark between the lines of the log.
    pub fn remark(&self, text: impl std::fmt::Display) {
        self.lines.push(format!("{text}\n").as_bytes());
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        self.lines.flush();
    }
}
