//! The one place that prints. The log has a writer of its own in `telemetry`.
//!
//! Invariant: no print panics. A standard output or standard error that cannot be written neither ends the process nor
//! changes what a subcommand has done; see `docs/decisions/2026-11-30-printing-and-signals.md`.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write as _};

/// Prints what a subcommand is run for. A reader that has closed its end has seen enough. Errors: the text is lost for
/// another reason, such as a full disk.
pub(super) fn result(text: impl Display) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match write!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(unwritten(error)),
        _ => Ok(()),
    }
}

/// Says on standard error what a person should know; where that cannot be written, nobody reads it.
pub(super) fn remark(line: impl Display) {
    // One write, so that lines of two processes do not mix.
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Says on standard output what a subcommand has done. It is done whether or not anybody reads so.
pub(super) fn done(line: impl Display) {
    if let Err(error) = result(format_args!("{line}\n")) {
        failed(&error);
    }
}

/// Says why a subcommand failed: one line, what was found and what to do.
pub fn failed(error: &anyhow::Error) {
    remark(format_args!("gregor: {error:#}"));
}

/// The error of a standard output that cannot be written.
pub(super) fn unwritten(error: io::Error) -> anyhow::Error {
    anyhow::Error::from(error).context("standard output cannot be written")
}
