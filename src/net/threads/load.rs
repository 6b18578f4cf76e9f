//! Measures the load of a thread, and decides from it which thread serves a connection.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The minimum length of one measurement.
const INTERVAL: Duration = Duration::from_millis(250);
/// A thread that works for more than this share of its time (per mille) moves connections to
/// another thread.
const BUSY: u32 = 800;
/// Another thread receives connections only if its load is lower by at least this much (per mille).
const DIFFERENCE_MIN: u32 = 300;
/// A thread receives new connections while its load is below this (per mille).
const TAKES_NEW: u32 = 600;
/// A thread takes back the connections of another one if the load of both together is below this
/// (per mille).
const TAKES_BACK: u32 = 400;
/// A load of 100%, per mille.
const WHOLE: u32 = 1000;

/// The load of one thread.
///
/// The thread writes it, and all others read it. A value that is slightly out of date is harmless.
#[derive(Debug, Default)]
pub struct ThreadLoad {
    /// The share of the last measured interval in which the thread ran on a core or was blocked in
    /// a system call. The time it waited for a core does not count, because a second thread would
    /// wait as well.
    per_mille: AtomicU32,
    is_awake: AtomicBool,
    /// When the thread last woke up, in microseconds of the monotonic clock.
    woken_at: AtomicU64,
    /// The time awake, up to when the thread last went to sleep, in microseconds.
    awake_us: AtomicU64,
    measured_at: AtomicU64,
    measured_awake_us: AtomicU64,
    measured_delay_us: AtomicU64,
    /// Connections that had a request served since the last measurement.
    active: AtomicU32,
    /// The number of measurements.
    measurements: AtomicU32,
    /// Connections that must still move to another thread.
    leaving: AtomicU32,
    /// The thread that they move to.
    leaving_to: AtomicU32,
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl ThreadLoad {
    /// Records that the thread's runtime became idle.
    pub(super) fn sleeps(&self, now: Duration) {
        let awake = micros(now).saturating_sub(self.woken_at.load(Relaxed));
        self.awake_us.fetch_add(awake, Relaxed);
        self.is_awake.store(false, Relaxed);
    }

    /// Records that the thread's runtime has work again.
    pub(super) fn wakes(&self, now: Duration) {
        self.woken_at.store(micros(now), Relaxed);
        self.is_awake.store(true, Relaxed);
    }

    /// Returns the thread's current load, per mille. A thread that has been awake for a whole
    /// interval is fully busy. One without a measurement for two intervals is idle.
    pub(super) fn busy(&self, now: Duration) -> u32 {
        let (now, interval) = (micros(now), micros(INTERVAL));
        let is_old = now.saturating_sub(self.measured_at.load(Relaxed)) > 2 * interval;
        if is_old && self.is_awake.load(Relaxed) && now.saturating_sub(self.woken_at.load(Relaxed)) > interval {
            return WHOLE;
        }
        if is_old { 0 } else { self.per_mille.load(Relaxed) }
    }

    /// Records that a connection of the calling thread had a request served. `counted` is the
    /// measurement that last counted the connection. If the last measurement is old enough, this
    /// measures the thread and returns how many connections were active since. `delay` returns how
    /// long the thread has waited for a core since it started.
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

    /// Sets how many connections move, and to which thread. It replaces the previous decision.
    pub(super) fn set_leaving(&self, leaving: Option<(u32, usize)>) {
        let (count, to) = leaving.unwrap_or_default();
        self.leaving_to.store(u32::try_from(to).unwrap_or(0), Relaxed);
        self.leaving.store(count, Relaxed);
    }

    /// Returns the thread that the calling connection must move to, if it is one that moves.
    pub(super) fn leave(&self) -> Option<usize> {
        if self.leaving.load(Relaxed) == 0 {
            return None;
        }
        let taken = self.leaving.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
        taken.ok().map(|_| self.leaving_to.load(Relaxed) as usize)
    }
}

/// Returns how many of a thread's active connections should move, and to which thread. `busy` holds
/// the load of each thread.
pub(super) fn balance(busy: &[u32], own: usize, active: u32) -> Option<(u32, usize)> {
    let this = busy[own];
    if this > BUSY {
        let (other, least) = busy.iter().copied().enumerate().min_by_key(|(_, busy)| *busy)?;
        if active < 2 || least + DIFFERENCE_MIN > this {
            return None;
        }
        // If the connections are alike, both threads then have the same load.
        let count = active * (this - least) / (2 * this);
        return Some((count.clamp(1, active - 1), other));
    }
    let lower = busy[..own].iter().position(|busy| busy + this < TAKES_BACK)?;
    Some((active.max(1), lower))
}

/// Returns the thread for a new connection: the first one with a low load, else the one with the
/// lowest.
pub(super) fn place(busy: &[u32]) -> usize {
    let least = || busy.iter().enumerate().min_by_key(|(_, busy)| **busy).map_or(0, |(index, _)| index);
    busy.iter().position(|busy| *busy < TAKES_NEW).unwrap_or_else(least)
}
