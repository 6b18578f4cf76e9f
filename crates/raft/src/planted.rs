//! Known bugs of consensus, planted to show that the simulation in `tests/sim` finds them.
//!
//! Only the feature `planted-bugs` enables them; without it nothing here exists at run time. No
//! binary of the project enables it, and a release build with it does not compile. A planted bug
//! affects only the thread that planted it, so tests can run in parallel.

#[cfg(all(feature = "planted-bugs", not(debug_assertions)))]
compile_error!("`planted-bugs` is for tests: a release build must not have it");

/// What goes wrong while the bug is planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A follower fetches on, and so acknowledges, before what it appended is fsynced.
    AcknowledgedBeforeFsync,
    /// A leader counts its own log as soon as it has appended to it.
    OwnLogCountedBeforeFsync,
    /// A leader commits records of earlier epochs before one of its own epoch is replicated.
    EarlierEpochCommitted,
    /// A replica votes for two candidates in one epoch.
    VotedTwice,
    /// A vote is given without being persisted.
    VoteForgottenAtRestart,
    /// A vote is given to a candidate with a shorter log.
    ShorterLogElected,
    /// A leader does not notice that the log of a follower differs, so it is not truncated.
    DivergenceNotTruncated,
    /// The log of an observer counts for the high watermark.
    ObserverCounted,
    /// A voter's fetch counts whatever directory its log is in.
    DirectoryIdIgnored,
    /// A fetch response counts whatever its epoch, and whether or not its records follow the log.
    StaleFetchResponseTaken,
    /// A held fetch is answered only when the log grows.
    HeldFetchForgotten,
    /// A downloaded snapshot is installed whatever a check of it says.
    DamagedSnapshotInstalled,
    /// A restart begins in the epoch of the log, not in that of `quorum-state`.
    EpochForgottenAtRestart,
    /// A leader leads on although no majority fetches.
    NoCheckQuorum,
    /// A leader that restarts leads its epoch on.
    EpochLedAgainAtRestart,
    /// A follower's high watermark is the leader's, also beyond its own log.
    HighWatermarkBeyondLog,
    /// An fsync that ran while the log was truncated counts for what was written since.
    FlushOutlivesTruncation,
    /// A snapshot is installed without its voters.
    SnapshotVotersIgnored,
    /// The voters are changed before the last change is committed.
    TwoChangesAtOnce,
    /// A truncation of the log keeps the voters that the truncated part named.
    TruncatedVotersKept,
    /// A majority is half of the voters.
    HalfIsMajority,
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
