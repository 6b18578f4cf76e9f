//! Planted bugs of the machines, each caught by what it does to a whole cluster.

use crate::SIMULATION;
use std::fmt::Debug;

/// The most seeds that a bug may live through.
const SEEDS: u64 = 150;

/// Fails unless a course fails as the bug must let it fail.
fn is_caught<B: Copy + Debug>(bug: B, plant: fn(Option<B>), signs: &[&str]) {
    let failed = |seed| {
        plant(Some(bug));
        let failed = SIMULATION.outcome(seed, false).err();
        plant(None);
        failed.filter(|reason| signs.iter().any(|sign| reason.contains(sign)))
    };
    let caught = (0..SEEDS).find_map(|seed| Some((seed, failed(seed)?)));
    assert!(caught.is_some(), "{bug:?} lives through {SEEDS} seeds");
    eprintln!("{bug:?} is caught: {caught:?}");
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
    a_high_watermark_that_does_not_wait_for_the_slowest(replica::SlowestNotAwaited, "");
    a_maximal_isr_that_is_ignored(replica::MaximalIsrIgnored, "");
    a_proposal_without_broker_epochs(replica::BrokerEpochsNotProposed, "");
    a_stale_fetch_that_counts(replica::StaleFetchCounted, "");
    a_follower_that_joins_below_the_start_of_the_epoch(replica::JoinedBelowEpochStart, "");
    a_high_watermark_that_is_told_too_early(replica::EarlyHighWatermarkTold, "");
    a_minimum_of_the_isr_that_is_ignored(replica::MinIsrIgnored, "");
    a_divergence_that_is_ignored(replica::DivergenceIgnored, "");
    a_truncation_to_the_high_watermark(replica::TruncatedToHighWatermark, "");
    an_append_without_a_check_of_the_epoch(replica::EpochNotCheckedAtAppend, "");
    an_unanswered_proposal_that_is_dropped(replica::UnansweredProposalDropped, "");
    a_vote_given_twice(raft::VotedTwice, "");
    a_vote_forgotten_at_a_restart(raft::VoteForgottenAtRestart, "");
    an_epoch_forgotten_at_a_restart(raft::EpochForgottenAtRestart, "");
    a_shorter_log_that_is_elected(raft::ShorterLogElected, "");
    a_divergence_of_the_metadata_that_is_not_truncated(raft::DivergenceNotTruncated, "");
    half_of_the_voters_as_majority(raft::HalfIsMajority, "");
    metadata_acknowledged_before_its_fsync(raft::AcknowledgedBeforeFsync, "");
    the_own_metadata_counted_before_its_fsync(raft::OwnLogCountedBeforeFsync, "");
    an_epoch_led_again_at_a_restart(raft::EpochLedAgainAtRestart, "");
    a_leader_without_check_quorum(raft::NoCheckQuorum, "");
    a_fenced_replica_that_counts(metadata::FencedReplicaCounted, "");
    a_leader_outside_of_isr_and_elr(metadata::ElectedOutsideIsrAndElr, "");
    a_leader_epoch_that_is_not_raised(metadata::LeaderEpochNotRaised, "");
    an_unclean_restart_that_is_ignored(metadata::UncleanRestartIgnored, "");
    a_stale_partition_epoch_that_is_accepted(metadata::StalePartitionEpochAccepted, "");
    a_stale_member_epoch_that_is_accepted(metadata::StaleMemberEpochAccepted, "");
    a_broker_unfenced_before_it_caught_up(metadata::UnfencedBeforeCaughtUp, "");
    a_fenced_broker_that_stays_in_the_isr(metadata::FencedBrokerStaysInIsr, "");
    a_shutdown_before_leaders_moved(metadata::ShutdownBeforeLeadersMoved, "");
    leader_epochs_that_are_not_cut(storage::LeaderEpochsNotCut, "");
    a_truncation_that_is_skipped(storage::TruncationSkipped, "");
    a_recovery_point_ahead_of_its_fsync(storage::RecoveryPointAheadOfFsync, "");
    checkpoints_that_are_not_lowered(storage::CheckpointsNotLowered, "");
}
