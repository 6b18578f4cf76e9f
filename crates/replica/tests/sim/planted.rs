//! Every planted bug is caught within the seeds of one run of the tests.

use crate::SIMULATION;
use replica::planted::{Bug, plant};

/// Removes the bug on drop, also if the test fails.
struct Planted;

impl Planted {
    fn new(bug: Bug) -> Self {
        plant(Some(bug));
        Planted
    }
}

impl Drop for Planted {
    fn drop(&mut self) {
        plant(None);
    }
}

/// Fails unless a course fails as the bug must let it fail.
fn is_caught(bug: Bug, sign: &str) {
    let _planted = Planted::new(bug);
    let failed = |seed| SIMULATION.outcome(seed, false).err().filter(|reason| reason.contains(sign));
    let caught = (0..SIMULATION.seeds).find_map(|seed| Some((seed, failed(seed)?)));
    assert!(caught.is_some(), "{bug:?} lives through {} seeds", SIMULATION.seeds);
    eprintln!("{bug:?} is caught: {caught:?}");
}

macro_rules! planted {
    ($($test:ident($bug:ident, $sign:literal);)*) => {$(
        #[test]
        fn $test() {
            is_caught(Bug::$bug, $sign);
        }
    )*};
}

planted! {
    a_high_watermark_that_does_not_wait_for_the_slowest_is_caught(SlowestNotAwaited, "in the ISR lacks it");
    a_maximal_isr_that_is_ignored_is_caught(MaximalIsrIgnored, "in the ISR lacks it");
    an_unanswered_proposal_that_is_dropped_is_caught(UnansweredProposalDropped, "is acknowledged");
    a_proposal_without_broker_epochs_is_caught(BrokerEpochsNotProposed, "is acknowledged");
    a_stale_fetch_that_counts_is_caught(StaleFetchCounted, "is acknowledged");
    a_follower_that_any_fetch_keeps_in_sync_is_caught(CaughtUpByAnyFetch, "stays in the ISR");
    a_follower_that_joins_below_the_start_of_the_epoch_is_caught(JoinedBelowEpochStart, "is acknowledged");
    a_high_watermark_that_is_told_too_early_is_caught(EarlyHighWatermarkTold, "clients are told");
    a_minimum_of_the_isr_that_is_ignored_is_caught(MinIsrIgnored, "copies of 2");
    a_divergence_that_is_ignored_is_caught(DivergenceIgnored, "is committed");
    a_truncation_to_the_high_watermark_is_caught(TruncatedToHighWatermark, "is acknowledged");
    an_append_without_a_check_of_the_epoch_is_caught(EpochNotCheckedAtAppend, "of another leader");
    a_start_at_offset_zero_is_caught(StartedAtZero, "starts anew at 0");
    forgotten_epochs_that_are_trusted_are_caught(ForgottenEpochsTrusted, "holds Some");
    an_unknown_epoch_that_is_trusted_is_caught(UnknownEpochTrusted, "not all replicas are in the ISR");
}
