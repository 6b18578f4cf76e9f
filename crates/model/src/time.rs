//! Points in time as the machines get them. A machine never reads a clock.

use crate::Timestamp;

/// Milliseconds of a clock that never goes back and never jumps, counted from a moment that the
/// driver chooses. It measures every timeout, session and deadline. So a wall clock that is set
/// forward fences no broker and expires no member, and one that is set back keeps no session alive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Monotonic(pub u64);

impl Monotonic {
    /// Returns the moment `ms` milliseconds later. A negative `ms` counts as zero, since a deadline
    /// cannot lie before the event that sets it.
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(u64::try_from(ms).unwrap_or(0)))
    }

    /// Returns the milliseconds from `earlier` to this moment, or zero if this moment is earlier.
    pub fn ms_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// The moment of an event, on both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For durations and deadlines.
    pub monotonic: Monotonic,
    /// The wall clock, for timestamps that are stored or answered.
    pub wall: Timestamp,
}
