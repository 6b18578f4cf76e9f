//! Known bugs of replication, planted to show that the simulation in `tests/sim` finds them.
//!
//! Only the feature `planted-bugs` enables them; without it nothing here exists at run time. No
//! binary of the project enables it, and a release build with it does not compile. A planted bug
//! affects only the thread that planted it, so tests can run in parallel.

#[cfg(all(feature = "planted-bugs", not(debug_assertions)))]
compile_error!("`planted-bugs` is for tests: a release build must not have it");

/// What goes wrong while the bug is planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// The high watermark does not wait for the slowest replica of the ISR.
    SlowestNotAwaited,
    /// The high watermark waits only for the proposed ISR while a proposal is in flight.
    MaximalIsrIgnored,
    /// A proposal whose result is not known is dropped, as if the controller had refused it.
    UnansweredProposalDropped,
    /// A proposal does not say under which broker epochs its members fetched (KIP-903).
    BrokerEpochsNotProposed,
    /// A fetch of an older broker epoch counts (KIP-903).
    StaleFetchCounted,
    /// Every fetch counts as caught up.
    CaughtUpByAnyFetch,
    /// A follower joins the ISR below the start of the leader's epoch.
    JoinedBelowEpochStart,
    /// A new leader tells its high watermark before it has reached the start of its epoch.
    EarlyHighWatermarkTold,
    /// A write is acknowledged before the high watermark has passed it.
    AcknowledgedBeforeHighWatermark,
    /// A write is acknowledged although too few replicas were in sync when it was replicated.
    MinIsrIgnored,
    /// A follower does not truncate where its log diverges from the leader's.
    DivergenceIgnored,
    /// A new follower truncates to its high watermark and not by leader epochs (KIP-101).
    TruncatedToHighWatermark,
    /// An answer to a fetch of an earlier leader epoch is appended.
    EpochNotCheckedAtAppend,
    /// After OFFSET_OUT_OF_RANGE a follower starts at offset 0.
    StartedAtZero,
    /// The leader's epochs are trusted below its log start, where it has forgotten them.
    ForgottenEpochsTrusted,
    /// A follower truncates to the leader's end of an epoch that it does not know itself
    /// (KIP-279).
    UnknownEpochTrusted,
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

    pub(crate) fn is_planted(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }
}

#[cfg(feature = "planted-bugs")]
pub(crate) use switch::is_planted;
#[cfg(feature = "planted-bugs")]
pub use switch::plant;

#[cfg(not(feature = "planted-bugs"))]
pub(crate) const fn is_planted(_: Bug) -> bool {
    false
}
