//! The one place that reads a clock. Machines get time as an argument; their drivers get it here.

use model::Timestamp;
use std::time::{Duration, Instant, SystemTime};

/// The system's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock;

/// A point of the monotonic clock, for measuring.
#[derive(Clone, Copy, Debug)]
pub struct Moment(Instant);

impl Clock {
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
