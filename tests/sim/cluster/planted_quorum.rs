//! Planted bugs of the quorum, each caught by a course that stresses the quorum.

use crate::layout::Stress;
use crate::planted::is_caught_among;
use raft::planted::{Bug, plant};

/// The most courses that a bug may live through.
const COURSES: usize = 100;

macro_rules! planted {
    ($($test:ident($bug:ident, $($sign:literal),+);)*) => {$(
        #[test]
        fn $test() {
            let seeds = (0..).filter(|seed| Stress::of(*seed) == Stress::Quorum).take(COURSES);
            is_caught_among(seeds, Bug::$bug, plant, &[$($sign),+]);
        }
    )*};
}

planted! {
    a_second_vote_in_an_epoch(VotedTwice, "two leaders of the quorum");
    a_vote_that_a_restart_forgets(VoteForgottenAtRestart, "two leaders of the quorum");
    an_epoch_that_a_restart_forgets(EpochForgottenAtRestart, "two leaders of the quorum");
    a_vote_for_a_shorter_log(ShorterLogElected, "different images", "lost metadata");
    a_log_that_differs_and_is_not_truncated(DivergenceNotTruncated, "different images", "lost metadata", "no progress");
    a_leader_without_a_majority(NoCheckQuorum, "without a majority");
    an_observer_that_counts(ObserverCounted, "different images", "lost metadata");
}
