//! Planted bugs of the machines, each caught by what it does to a whole cluster.
//!
//! `CLUSTER_SIM_SEED=7 cargo test -p gregor --all-features --test cluster -- --nocapture planted::`
//! and the name of a test prints the course of one seed with its bug.

use crate::SIMULATION;
use std::fmt::Debug;

/// The most seeds that a bug may live through.
const SEEDS: u64 = 100;

/// Fails unless a course fails as the bug must let it fail.
fn is_caught<B: Copy + Debug>(bug: B, plant: fn(Option<B>), signs: &[&str]) {
    is_caught_among(0..SEEDS, bug, plant, signs);
}

/// Fails unless the course of one of these seeds fails as the bug must let it fail. Runs and prints
/// the seed that is asked for, if one is.
pub fn is_caught_among<B: Copy + Debug>(
    seeds: impl IntoIterator<Item = u64>,
    bug: B,
    plant: fn(Option<B>),
    signs: &[&str],
) {
    let run = |seed, is_printed| {
        plant(Some(bug));
        let failed = SIMULATION.outcome(seed, is_printed).err();
        plant(None);
        failed
    };
    if let Some(seed) = SIMULATION.asked_seed() {
        eprintln!("{:?}", run(seed, true));
        return;
    }
    let (mut count, mut others) = (0, Vec::new());
    let mut failed = |seed| {
        count += 1;
        let reason = run(seed, false)?;
        if signs.iter().any(|sign| reason.contains(sign)) {
            return Some(reason);
        }
        others.push((seed, reason));
        None
    };
    let caught = seeds.into_iter().find_map(|seed| Some((seed, failed(seed)?)));
    assert!(caught.is_some(), "{bug:?} lives through {count} seeds, and does otherwise: {others:#?}");
    eprintln!("{bug:?} is caught in course {count}: {caught:?}");
}

macro_rules! planted {
    ($($test:ident($of:ident::$bug:ident, $($sign:literal),+);)*) => {$(
        #[test]
        fn $test() {
            is_caught($of::planted::Bug::$bug, $of::planted::plant, &[$($sign),+]);
        }
    )*};
}

planted! {
    a_leader_epoch_that_is_not_raised(metadata::LeaderEpochNotRaised, "two leaders of");
    a_leader_from_outside_isr_and_elr(metadata::ElectedOutsideIsrAndElr, "is not in the ISR", "may be elected", "lost");
    an_unclean_restart_that_is_ignored(metadata::UncleanRestartIgnored, "in the ISR, but fenced", "may be elected", "lost");
    an_elr_that_is_not_cleared(metadata::ElrNotCleared, "an ELR beside");
    a_fenced_broker_that_stays_in_the_isr(metadata::FencedBrokerStaysInIsr, "in the ISR, but fenced");
    a_refusal_that_is_written(metadata::RefusalWritten, "bad state of");
    a_high_watermark_that_does_not_wait_for_the_slowest(replica::SlowestNotAwaited, "only 1 replicas have");
    a_maximal_isr_that_is_ignored(replica::MaximalIsrIgnored, "replicas have", "may be elected");
    a_min_isr_that_is_ignored(replica::MinIsrIgnored, "only 1 replicas have");
    half_of_the_voters_as_majority(raft::HalfIsMajority, "two leaders of the quorum");
    a_divergence_that_is_ignored(replica::DivergenceIgnored, "no progress", "logs differ", "went back");
    a_truncation_to_the_high_watermark(replica::TruncatedToHighWatermark, "logs differ", "may be elected", "lost");
    a_write_acknowledged_before_the_high_watermark(
        replica::AcknowledgedBeforeHighWatermark,
        "lost acknowledged",
        "was acknowledged",
        "is the next one"
    );
    a_marker_that_is_not_retried(coordinator::MarkerNotRetried, "no progress", "is pending");
    a_marker_that_is_missing(coordinator::MarkerMissing, "aborted read", "torn", "no progress");
    an_epoch_that_is_not_raised_at_the_end(coordinator::EpochNotRaised, "nobody is fenced");
    a_fence_that_is_skipped(coordinator::FenceSkipped, "nobody is fenced");
    a_late_end_that_is_accepted(coordinator::LastEndTxnAccepted, "aborted read", "torn", "lost transaction");
    pending_offsets_that_an_abort_commits(coordinator::PendingCommittedByAbort, "answers the offset");
    offsets_that_count_before_their_marker(coordinator::OffsetsNotPending, "is pending");
    a_prepared_commit_that_is_forgotten(coordinator::PreparedForgotten, "no progress");
    a_partition_that_an_end_forgets(coordinator::PartitionForgotten, "no progress", "torn");
    a_reply_before_the_commit(coordinator::ReplyBeforeCommit, "answers the offset", "lost");
    markers_that_are_not_loaded(coordinator::MarkersNotLoaded, "answers the offset", "lost commit");
    a_coordinator_that_has_not_loaded(coordinator::NothingLoaded, "lost commit", "nobody is fenced", "answers the offset");
    a_last_stable_offset_from_the_high_watermark(storage::StableOffsetFromHighWatermark, "aborted read");
}
