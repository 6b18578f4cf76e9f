//! The only module that prints. Only the log has its own writer, in `telemetry`.
//!
//! Invariant: no print panics. If standard output or standard error cannot be written, the process
//! does not end, and the work of a subcommand stays done; see
//! `docs/decisions/2026-11-30-printing-and-signals.md`.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write as _};

/// Prints the result of a subcommand. A reader that has closed the pipe is not an error. Errors:
/// the text is lost for another reason, such as a full disk.
pub(super) fn result(text: impl Display) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match write!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(unwritten(error)),
        _ => Ok(()),
    }
}

/// Prints a remark on standard error. If that cannot be written, the remark is lost.
pub(super) fn remark(line: impl Display) {
    // A single write, so that lines of two processes do not mix.
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Prints on standard output what a subcommand has done. It stays done even if this cannot be
/// printed.
pub(super) fn done(line: impl Display) {
    if let Err(error) = result(format_args!("{line}\n")) {
        failed(&error);
    }
}

/// Prints why a subcommand failed: one line with what was found and what to do.
pub fn failed(error: &anyhow::Error) {
    remark(format_args!("gregor: {error:#}"));
}

/// Returns the error for a standard output that cannot be written.
pub(super) fn unwritten(error: io::Error) -> anyhow::Error {
    anyhow::Error::from(error).context("standard output cannot be written")
}
