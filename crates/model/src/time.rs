//! Points in time, as they enter the machines: a machine never reads a clock.

use crate::Timestamp;

/// Milliseconds of a clock that never goes back and never jumps, since a moment that the driver chose. Every timeout, session and deadline is measured
/// on it: a wall clock that is set forward fences no broker and expires no member, and one that is set back keeps nobody alive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Monotonic(pub u64);

impl Monotonic {
    /// So many milliseconds later. A negative duration counts as none, since a deadline cannot lie before the event that sets it.
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(u64::try_from(ms).unwrap_or(0)))
    }

    /// Milliseconds from `earlier` to this moment; none if this moment is the earlier one.
    pub fn ms_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// The moment of an event, on both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For durations and deadlines.
    pub monotonic: Monotonic,
    /// The wall clock, for timestamps that are written down or answered.
    pub wall: Timestamp,
}
