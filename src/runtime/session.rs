//! What a broker knows of its session with the controller.
//!
//! The controller fences a broker that it has not heard from for `broker.session.timeout.ms`, and
//! other brokers lead then in its place. A broker that was paused or is cut off does not learn of
//! that, and its coordinators go on with what they knew. They cannot write, since nothing is
//! committed any more. But they could tell a client that it was replaced by a newer one, though
//! they are what was replaced. A broker is sure of its session for half of the timeout after it
//! sent the last heartbeat that was answered. The other half is for the change of a controller: the
//! one before may have answered a little longer than it was active, and the next one counts the
//! session of a broker in the process of the one before from when that one last answered.

use crate::env::clock::Clock;
use model::Monotonic;
use std::sync::atomic::{AtomicU64, Ordering};

/// This broker's session.
#[derive(Debug)]
pub struct OwnSession {
    clock: Clock,
    timeout_ms: i64,
    /// In milliseconds of the monotonic clock.
    sure_until: AtomicU64,
}

impl OwnSession {
    /// Returns the session of a broker that has not sent a heartbeat yet.
    pub fn new(timeout_ms: i64, clock: Clock) -> Self {
        Self { clock, timeout_ms, sure_until: AtomicU64::new(0) }
    }

    /// Returns the time at which a heartbeat is sent, for `renew`.
    pub fn sends(&self) -> Monotonic {
        self.clock.monotonic()
    }

    /// Notes that the heartbeat of a time was answered, and that the broker is not fenced.
    pub fn renew(&self, sent_at: Monotonic) {
        self.sure_until.fetch_max(sent_at.plus_ms(self.timeout_ms / 2).0, Ordering::SeqCst);
    }

    /// Whether the controller cannot have fenced this broker because it was not heard from.
    pub fn is_sure(&self, now: Monotonic) -> bool {
        now.0 < self.sure_until.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
impl OwnSession {
    /// Returns a session that does not end.
    pub fn endless() -> Self {
        Self { clock: Clock::default(), timeout_ms: 0, sure_until: AtomicU64::new(u64::MAX) }
    }
}
