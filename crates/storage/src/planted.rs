//! Known bugs of stores, planted to show that the simulations in `tests/sim` find them.
//!
//! Only the feature `planted-bugs` enables them; without it nothing here exists at run time. No
//! binary of the project enables it, and a release build with it does not compile. A planted bug
//! affects only the thread that planted it, so tests can run in parallel.

#[cfg(all(feature = "planted-bugs", not(debug_assertions)))]
compile_error!("`planted-bugs` is for tests: a release build must not have it");

/// What goes wrong while the bug is planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A truncation lowers the log end but does not change the file.
    TruncationSkipped,
    /// Recovery keeps an offset index unchecked, and lookups trust it.
    IndexTrusted,
    /// With `flush.messages=1`, no flush is requested before the acknowledgement.
    AcknowledgedBeforeFsync,
    /// A flush up to some offset moves the recovery point to the log end.
    RecoveryPointAheadOfFsync,
    /// A file is replaced without a sync of its folder.
    NoDirectoryFsyncAfterRename,
    /// A truncation removes no leader epochs.
    LeaderEpochsNotCut,
    /// A producer snapshot beyond the known end of the log is used.
    NewerProducerSnapshotAccepted,
    /// A truncation forgets all producers.
    ProducersForgottenAtTruncation,
    /// A truncation leaves the checkpoints of the log dir as they are.
    CheckpointsNotLowered,
    /// A failed fsync is retried, and a success of the retry counts.
    FsyncRetried,
    /// A cleaned segment gets its final name before it is synced.
    SwapRenamedBeforeFsync,
    /// A round of the group commit acknowledges batches that were appended after its fsync began.
    LateBatchCommitted,
    /// A log that begins anew does not sync its folder and small files.
    NewBeginningUnsettled,
    /// A batch opens a transaction that was not verified.
    GuardIgnored,
    /// The last stable offset is the high watermark, whatever transactions are open.
    StableOffsetFromHighWatermark,
    /// A transaction counts as decided before its marker is replicated.
    MarkerCountedBeforeHighWatermark,
    /// A late copy of a marker of version 2 ends the producer's next transaction.
    LateMarkerAccepted,
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
