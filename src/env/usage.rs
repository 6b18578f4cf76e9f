//! The scheduler's statistics of a thread.

use std::time::Duration;

/// Returns how long the calling thread has waited for a core since it started: the second field of
/// Linux's `/proc/thread-self/schedstat`, in nanoseconds. Zero if the system does not provide it.
pub fn run_delay() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split_whitespace().nth(1).and_then(|field| field.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or(0))
}
