//! Known bugs of transaction coordinators and of their driver, planted to show that the simulation
//! in `tests/sim/transactions` finds them.
//!
//! Only the feature `planted-bugs` enables them; without it `is_planted` is always false. No binary
//! of the project enables it, and a release build with it does not compile. A planted bug affects
//! only the thread that planted it, so tests can run in parallel.

#[cfg(all(feature = "planted-bugs", not(debug_assertions)))]
compile_error!("`planted-bugs` is for tests: a release build must not have it");

/// What goes wrong while the bug is planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A marker that could not be written is not sent again.
    MarkerNotRetried,
    /// A transaction completes although a marker could not be written.
    MarkerMissing,
    /// The end of a transaction does not raise the epoch.
    EpochNotRaised,
    /// InitProducerId gives the epoch that the producer before it has.
    FenceSkipped,
    /// An EndTxn of the transaction before ends the current one (KAFKA-17754).
    LastEndTxnAccepted,
    /// An abort commits the pending offsets.
    PendingCommittedByAbort,
    /// Offsets of a transaction count before its marker.
    OffsetsNotPending,
    /// A load sends no markers for a transaction that is about to commit.
    PreparedForgotten,
    /// The timeout of a transaction lives on and ends the next one.
    TimeoutNotCancelled,
    /// The record of a transaction that ends lacks one of its partitions.
    PartitionForgotten,
    /// A transactional id expires although its transaction is open.
    OpenIdExpired,
    /// The driver sends a reply before its records are committed.
    ReplyBeforeCommit,
    /// The driver begins an effect before its records are committed.
    EffectBeforeCommit,
    /// The driver's load skips markers.
    MarkersNotLoaded,
    /// The driver serves without having loaded anything.
    NothingLoaded,
}

#[cfg(feature = "planted-bugs")]
mod switch {
    use super::Bug;
    use std::cell::Cell;

    thread_local! {
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Plants a bug on this thread, or none.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.set(bug);
    }

    /// Whether this bug is planted on this thread.
    pub fn is_planted(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }
}

#[cfg(feature = "planted-bugs")]
pub use switch::{is_planted, plant};

/// Whether this bug is planted: never in this build.
#[cfg(not(feature = "planted-bugs"))]
pub const fn is_planted(_: Bug) -> bool {
    false
}
