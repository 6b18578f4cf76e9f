//! Known bugs of controllers, planted to show that the simulation in `tests/sim/controller` finds
//! them.
//!
//! Only the feature `planted-bugs` enables them; without it nothing here exists at run time. No
//! binary of the project enables it, and a release build with it does not compile. A planted bug
//! affects only the thread that planted it, so tests can run in parallel.

#[cfg(all(feature = "planted-bugs", not(debug_assertions)))]
compile_error!("`planted-bugs` is for tests: a release build must not have it");

/// What goes wrong while the bug is planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// AlterPartition lets a fenced replica into the ISR.
    FencedReplicaCounted,
    /// A leader is elected outside the ISR and the ELR, as if the election were clean.
    ElectedOutsideIsrAndElr,
    /// A new leader gets the leader epoch of the one before.
    LeaderEpochNotRaised,
    /// A broker that restarts uncleanly stays in the ISRs and ELRs.
    UncleanRestartIgnored,
    /// AlterPartition accepts a partition epoch that is out of date.
    StalePartitionEpochAccepted,
    /// AlterPartition accepts a member of the ISR that has registered again since.
    StaleMemberEpochAccepted,
    /// A broker is unfenced before it has read its own registration.
    UnfencedBeforeCaughtUp,
    /// Replicas stay in the ELR although enough others are in sync.
    ElrNotCleared,
    /// A replica in a failed log dir goes on as leader and in the ISR.
    FailedLogDirIgnored,
    /// A reassignment ends before the replicas that it adds are in sync.
    ReassignmentEndedEarly,
    /// A broker may stop while it leads partitions.
    ShutdownBeforeLeadersMoved,
    /// A leader that may lack records does not count as recovering.
    UncleanElectionUnmarked,
    /// A broker is fenced, but stays in its ISRs.
    FencedBrokerStaysInIsr,
    /// The record of a refused partition is written all the same.
    RefusalWritten,
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
