//! Planted bugs of the quorum, each caught by a course that stresses the quorum.

use crate::layout::Stress;
use crate::planted::is_caught_among;

/// The most courses that a bug may live through.
const COURSES: usize = 100;

macro_rules! planted {
    ($($test:ident($of:ident::$bug:ident, $($sign:literal),+);)*) => {$(
        #[test]
        fn $test() {
            let seeds = (0..).filter(|seed| Stress::of(*seed) == Stress::Quorum).take(COURSES);
            is_caught_among(seeds, $of::planted::Bug::$bug, $of::planted::plant, &[$($sign),+]);
        }
    )*};
}

planted! {
    a_second_vote_in_an_epoch(raft::VotedTwice, "two leaders of the quorum");
    a_vote_that_a_restart_forgets(raft::VoteForgottenAtRestart, "two leaders of the quorum");
    an_epoch_that_a_restart_forgets(raft::EpochForgottenAtRestart, "two leaders of the quorum");
    a_vote_for_a_shorter_log(raft::ShorterLogElected, "different images", "lost metadata");
    a_log_that_differs_and_is_not_truncated(raft::DivergenceNotTruncated, "different images", "lost metadata");
    an_observer_that_counts(raft::ObserverCounted, "different images", "lost metadata");
    a_commit_of_an_earlier_epoch(raft::EarlierEpochCommitted, "no progress", "different images", "lost metadata");
}
