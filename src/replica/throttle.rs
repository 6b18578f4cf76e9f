//! Limits the bytes per second of background work: compaction and moves between log dirs.

use crate::env::clock::{Clock, Moment};
use std::time::Duration;

/// The time over which the rate is measured, as in Kafka. A pause does not allow more bytes later.
pub(super) const THROTTLE_WINDOW: Duration = Duration::from_millis(300);
/// Shorter waits are added up.
pub(super) const WAIT_MIN: Duration = Duration::from_millis(10);

/// The bytes of the current window.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    since: Option<Moment>,
    bytes: u64,
}

impl Throttle {
    /// Returns how long to wait after `bytes` more bytes.
    pub(super) fn owed(&mut self, bytes: u64, per_second: f64, clock: Clock) -> Duration {
        self.bytes = self.bytes.saturating_add(bytes);
        let elapsed = self.since.get_or_insert_with(|| clock.instant()).elapsed();
        let owed = owed(self.bytes, per_second, elapsed);
        if owed < WAIT_MIN && elapsed >= THROTTLE_WINDOW {
            *self = Self { since: Some(clock.instant()), bytes: 0 };
        }
        owed
    }
}

/// Returns how much longer `bytes` bytes should have taken.
fn owed(bytes: u64, per_second: f64, elapsed: Duration) -> Duration {
    let due = Duration::try_from_secs_f64(bytes as f64 / per_second.max(1.0)).unwrap_or(Duration::MAX);
    due.saturating_sub(elapsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_beyond_the_speed_are_waited_for() {
        let (ms, second) = (Duration::from_millis, Duration::from_secs(1));
        assert_eq!(owed(1000, 1000.0, ms(0)), second);
        assert_eq!(owed(1000, 1000.0, ms(400)), ms(600));
        assert_eq!(owed(1000, 1000.0, ms(1000)), ms(0));
        assert_eq!(owed(u64::MAX, f64::MAX, ms(0)), ms(0));
        assert!(owed(u64::MAX, 0.0, second) > second);
    }
}
