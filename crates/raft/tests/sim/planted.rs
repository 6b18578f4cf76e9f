//! Every planted bug is caught within the seeds of one run of the tests.

use crate::SIMULATION;
use raft::planted::{Bug, plant};

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

fn is_caught(bug: Bug) {
    let _planted = Planted::new(bug);
    let caught = (0..SIMULATION.seeds).find_map(|seed| Some((seed, SIMULATION.outcome(seed, false).err()?)));
    assert!(caught.is_some(), "{bug:?} lives through {} seeds", SIMULATION.seeds);
    eprintln!("{bug:?} is caught: {caught:?}");
}

#[test]
fn an_acknowledgement_before_the_fsync_is_caught() {
    is_caught(Bug::AcknowledgedBeforeFsync);
}

#[test]
fn an_own_log_that_counts_before_its_fsync_is_caught() {
    is_caught(Bug::OwnLogCountedBeforeFsync);
}

#[test]
fn a_commit_of_an_earlier_epoch_is_caught() {
    is_caught(Bug::EarlierEpochCommitted);
}

#[test]
fn a_second_vote_in_an_epoch_is_caught() {
    is_caught(Bug::VotedTwice);
}

#[test]
fn a_vote_that_a_restart_forgets_is_caught() {
    is_caught(Bug::VoteForgottenAtRestart);
}

#[test]
fn a_vote_for_a_shorter_log_is_caught() {
    is_caught(Bug::ShorterLogElected);
}

#[test]
fn a_log_that_differs_and_is_not_truncated_is_caught() {
    is_caught(Bug::DivergenceNotTruncated);
}

#[test]
fn an_observer_that_counts_is_caught() {
    is_caught(Bug::ObserverCounted);
}

#[test]
fn a_fetch_from_another_directory_that_counts_is_caught() {
    is_caught(Bug::DirectoryIdIgnored);
}

#[test]
fn a_held_fetch_that_is_forgotten_is_caught() {
    is_caught(Bug::HeldFetchForgotten);
}

#[test]
fn a_damaged_snapshot_that_is_installed_is_caught() {
    is_caught(Bug::DamagedSnapshotInstalled);
}

#[test]
fn an_epoch_that_a_restart_forgets_is_caught() {
    is_caught(Bug::EpochForgottenAtRestart);
}

#[test]
fn a_leader_without_a_majority_is_caught() {
    is_caught(Bug::NoCheckQuorum);
}

#[test]
fn an_epoch_that_a_restart_leads_again_is_caught() {
    is_caught(Bug::EpochLedAgainAtRestart);
}

#[test]
fn a_high_watermark_beyond_the_log_is_caught() {
    is_caught(Bug::HighWatermarkBeyondLog);
}

#[test]
fn a_flush_that_outlives_a_truncation_is_caught() {
    is_caught(Bug::FlushOutlivesTruncation);
}

#[test]
fn half_of_the_voters_as_a_majority_is_caught() {
    is_caught(Bug::HalfIsMajority);
}

#[test]
fn a_snapshot_that_is_installed_without_its_voters_is_caught() {
    is_caught(Bug::SnapshotVotersIgnored);
}

#[test]
fn two_changes_of_the_voters_at_once_are_caught() {
    is_caught(Bug::TwoChangesAtOnce);
}

#[test]
fn voters_that_a_truncation_keeps_are_caught() {
    is_caught(Bug::TruncatedVotersKept);
}
