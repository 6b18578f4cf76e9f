//! How busy a thread is, and what that means for its connections.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// What one measurement covers at least.
const INTERVAL: Duration = Duration::from_millis(250);
/// A thread that works more of its time than this hands connections to another one (per mille).
const BUSY: u32 = 800;
/// Another thread takes connections if it works less than the busy one by this much (per mille).
const DIFFERENCE_MIN: u32 = 300;
/// A thread takes new connections in its turn while it works less of its time than this.
const TAKES_NEW: u32 = 600;
/// A thread takes another one's connections back if both together work less than this.
const TAKES_BACK: u32 = 400;
/// All of a thread's time.
const WHOLE: u32 = 1000;

/// How busy one thread is.
///
/// The thread writes it, and all others read it. A value that is a little old does no harm.
#[derive(Debug, Default)]
pub struct ThreadLoad {
    /// The share of the last measured interval in which the thread worked: on a core, or blocked in
    /// a system call. Waiting for a core does not count, since a second thread would wait as well.
    per_mille: AtomicU32,
    is_awake: AtomicBool,
    /// When the thread last woke up, in microseconds of the monotonic clock.
    woken_at: AtomicU64,
    /// Time awake until it last went to sleep, in microseconds.
    awake_us: AtomicU64,
    measured_at: AtomicU64,
    measured_awake_us: AtomicU64,
    measured_delay_us: AtomicU64,
    /// Connections that were served since the last measurement.
    active: AtomicU32,
    /// Counts the measurements.
    measurements: AtomicU32,
    /// Connections that are still to move away.
    leaving: AtomicU32,
    /// The thread that they move to.
    leaving_to: AtomicU32,
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl ThreadLoad {
    /// The thread's runtime has nothing to do.
    pub(super) fn sleeps(&self, now: Duration) {
        let awake = micros(now).saturating_sub(self.woken_at.load(Relaxed));
        self.awake_us.fetch_add(awake, Relaxed);
        self.is_awake.store(false, Relaxed);
    }

    /// The thread's runtime has something to do again.
    pub(super) fn wakes(&self, now: Duration) {
        self.woken_at.store(micros(now), Relaxed);
        self.is_awake.store(true, Relaxed);
    }

    /// How busy the thread is now, per mille. A thread that has been awake for a whole interval is
    /// busy, and one that has measured nothing for two is idle.
    pub(super) fn busy(&self, now: Duration) -> u32 {
        let (now, interval) = (micros(now), micros(INTERVAL));
        let is_old = now.saturating_sub(self.measured_at.load(Relaxed)) > 2 * interval;
        if is_old && self.is_awake.load(Relaxed) && now.saturating_sub(self.woken_at.load(Relaxed)) > interval {
            return WHOLE;
        }
        if is_old { 0 } else { self.per_mille.load(Relaxed) }
    }

    /// A connection of the thread that calls was served; it was last counted at `counted`. Measures
    /// the thread, if the last measurement is old enough: then gives how many connections were
    /// active meanwhile. `delay` gives how long the thread has waited for a core since it began.
    pub(super) fn served(&self, counted: &mut u32, now: Duration, delay: impl FnOnce() -> Duration) -> Option<u32> {
        let measurement = self.measurements.load(Relaxed).wrapping_add(1);
        if std::mem::replace(counted, measurement) != measurement {
            self.active.fetch_add(1, Relaxed);
        }
        let now = micros(now);
        let elapsed = now.saturating_sub(self.measured_at.load(Relaxed));
        if elapsed < micros(INTERVAL) {
            return None;
        }
        let this_time = match self.is_awake.load(Relaxed) {
            true => now.saturating_sub(self.woken_at.load(Relaxed)),
            false => 0,
        };
        let (awake, delay) = (self.awake_us.load(Relaxed) + this_time, micros(delay()));
        let worked = awake.saturating_sub(self.measured_awake_us.swap(awake, Relaxed));
        let waited = delay.saturating_sub(self.measured_delay_us.swap(delay, Relaxed));
        let per_mille = worked.saturating_sub(waited).saturating_mul(u64::from(WHOLE)) / elapsed;
        self.per_mille.store(u32::try_from(per_mille).unwrap_or(WHOLE).min(WHOLE), Relaxed);
        self.measured_at.store(now, Relaxed);
        self.measurements.fetch_add(1, Relaxed);
        Some(self.active.swap(0, Relaxed))
    }

    /// So many connections are to move to another thread, from now on and no others.
    pub(super) fn set_leaving(&self, leaving: Option<(u32, usize)>) {
        let (count, to) = leaving.unwrap_or_default();
        self.leaving_to.store(u32::try_from(to).unwrap_or(0), Relaxed);
        self.leaving.store(count, Relaxed);
    }

    /// Whether the connection that asks is one of those that are to move, and to which thread.
    pub(super) fn leave(&self) -> Option<usize> {
        if self.leaving.load(Relaxed) == 0 {
            return None;
        }
        let taken = self.leaving.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
        taken.ok().map(|_| self.leaving_to.load(Relaxed) as usize)
    }
}

/// How many of a thread's active connections should move, and to which thread. `busy` has the load
/// of each thread.
pub(super) fn balance(busy: &[u32], own: usize, active: u32) -> Option<(u32, usize)> {
    let this = busy[own];
    if this > BUSY {
        let (other, least) = busy.iter().copied().enumerate().min_by_key(|(_, busy)| *busy)?;
        if active < 2 || least + DIFFERENCE_MIN > this {
            return None;
        }
        // Both threads then have the same to do, if the connections are alike.
        let count = active * (this - least) / (2 * this);
        return Some((count.clamp(1, active - 1), other));
    }
    let lower = busy[..own].iter().position(|busy| busy + this < TAKES_BACK)?;
    Some((active.max(1), lower))
}

/// The thread for a new connection: the first that has time, else the least busy one.
pub(super) fn place(busy: &[u32]) -> usize {
    let least = || busy.iter().enumerate().min_by_key(|(_, busy)| **busy).map_or(0, |(index, _)| index);
    busy.iter().position(|busy| *busy < TAKES_NEW).unwrap_or_else(least)
}
