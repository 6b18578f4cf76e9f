//! What the scheduler knows of a thread.

use std::time::Duration;

/// How long the thread that calls has waited for a core since it began: the second field of Linux's
/// `/proc/thread-self/schedstat`, in nanoseconds. None where the system does not say.
pub fn run_delay() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split_whitespace().nth(1).and_then(|field| field.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or(0))
}
