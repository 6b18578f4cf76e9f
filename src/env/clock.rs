//! The one place that reads a clock. Machines get time as an argument; their drivers get it here.

use model::{Monotonic, Now, Timestamp};
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

/// The system's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock;

/// A point of the monotonic clock, for measuring.
#[derive(Clone, Copy, Debug)]
pub struct Moment(Instant);

/// Where the monotonic clock of this process begins.
static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Clock {
    /// The moment on both clocks.
    pub fn both(self) -> Now {
        Now { monotonic: self.monotonic(), wall: self.now() }
    }

    /// The clock by which durations are measured: milliseconds since the process first asked.
    pub fn monotonic(self) -> Monotonic {
        Monotonic(u64::try_from(self.uptime().as_millis()).unwrap_or(u64::MAX))
    }

    /// The same clock at its full resolution.
    pub fn uptime(self) -> Duration {
        ORIGIN.elapsed()
    }

    /// The wall clock, in milliseconds since 1970.
    pub fn now(self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// The monotonic clock.
    pub fn instant(self) -> Moment {
        Moment(Instant::now())
    }
}

impl Moment {
    /// Time since then.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}
