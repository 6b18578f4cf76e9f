//! The only module that reads a clock. Machines receive time as an argument; their drivers read it
//! here.

use super::Simulator;
use model::{Monotonic, Now, Timestamp};
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

/// The clocks of an environment. The default are the system's.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock(Option<&'static dyn Simulator>);

/// Returns the moment after `wait`, on the clock of tokio's timers.
pub fn deadline_in(wait: Duration) -> tokio::time::Instant {
    tokio::time::Instant::now() + wait
}

/// A point in time of the monotonic clock, for measurements.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    clock: Clock,
    uptime: Duration,
}

/// The zero of this process's monotonic clock.
static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Clock {
    pub(super) fn new(simulator: Option<&'static dyn Simulator>) -> Self {
        Self(simulator)
    }

    /// Returns the current time of both clocks.
    pub fn both(self) -> Now {
        Now { monotonic: self.monotonic(), wall: self.now() }
    }

    /// Returns the monotonic clock in milliseconds since its zero, which is its first use in this
    /// process. Durations are measured with it.
    pub fn monotonic(self) -> Monotonic {
        Monotonic(u64::try_from(self.uptime().as_millis()).unwrap_or(u64::MAX))
    }

    /// Returns the monotonic clock at its full resolution.
    pub fn uptime(self) -> Duration {
        self.0.map_or_else(|| ORIGIN.elapsed(), Simulator::uptime)
    }

    /// Returns the wall clock in milliseconds since 1970.
    pub fn now(self) -> Timestamp {
        if let Some(simulator) = self.0 {
            return simulator.now();
        }
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// Returns the current moment of the monotonic clock.
    pub fn instant(self) -> Moment {
        Moment { clock: self, uptime: self.uptime() }
    }
}

impl Moment {
    /// Returns the time since this moment.
    pub fn elapsed(self) -> Duration {
        self.clock.uptime().saturating_sub(self.uptime)
    }
}
