//! Bugs that stores had, planted to show that the simulation in `tests/sim/storage` finds them.
//!
//! Only the feature `planted-bugs` has the switch; without it nothing here exists at run time. No binary of the project asks for it, and a release build
//! that had it would not compile. A planted bug counts on the thread that planted it, so that tests run side by side.

#[cfg(all(feature = "planted-bugs", not(debug_assertions)))]
compile_error!("`planted-bugs` is for tests: a release build must not have it");

/// What is done wrong while it is planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A truncation lowers the log end and leaves the file as it is.
    TruncationSkipped,
    /// Recovery takes an offset index for good, and a lookup believes it.
    IndexTrusted,
    /// With `flush.messages=1`, no flush is asked for before the acknowledgement.
    AcknowledgedBeforeFsync,
    /// A flush up to some offset moves the recovery point to the log end.
    RecoveryPointAheadOfFsync,
    /// A file is replaced without a sync of its folder.
    NoDirectoryFsyncAfterRename,
    /// A truncation forgets no leader epochs.
    LeaderEpochsNotCut,
    /// A snapshot of the producers that is newer than what is known to be in the log counts.
    NewerProducerSnapshotAccepted,
    /// A failed fsync is tried again, and taken for a success when that succeeds.
    FsyncRetried,
    /// A cleaned segment gets the name that makes it count before it is synced.
    SwapRenamedBeforeFsync,
    /// A round of the group commit acknowledges what was appended after its fsync began.
    LateBatchCommitted,
    /// A log that begins anew does not sync what finds it.
    NewBeginningUnsettled,
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
