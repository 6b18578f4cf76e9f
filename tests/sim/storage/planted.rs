//! Every planted bug is caught within the seeds of one run of the tests.

use crate::SIMULATION;
use storage::planted::{Bug, plant};

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
fn a_truncation_that_is_skipped_is_caught() {
    is_caught(Bug::TruncationSkipped);
}

#[test]
fn an_index_that_is_trusted_is_caught() {
    is_caught(Bug::IndexTrusted);
}

#[test]
fn an_acknowledgement_before_the_fsync_is_caught() {
    is_caught(Bug::AcknowledgedBeforeFsync);
}

#[test]
fn a_recovery_point_ahead_of_the_fsync_is_caught() {
    is_caught(Bug::RecoveryPointAheadOfFsync);
}

#[test]
fn a_rename_without_an_fsync_of_the_folder_is_caught() {
    is_caught(Bug::NoDirectoryFsyncAfterRename);
}

#[test]
fn leader_epochs_that_are_not_cut_are_caught() {
    is_caught(Bug::LeaderEpochsNotCut);
}

#[test]
fn checkpoints_that_a_truncation_leaves_are_caught() {
    is_caught(Bug::CheckpointsNotLowered);
}

#[test]
fn a_newer_producer_snapshot_that_is_accepted_is_caught() {
    is_caught(Bug::NewerProducerSnapshotAccepted);
}

#[test]
fn a_failed_fsync_that_is_tried_again_is_caught() {
    is_caught(Bug::FsyncRetried);
}

#[test]
fn a_swap_before_the_fsync_is_caught() {
    is_caught(Bug::SwapRenamedBeforeFsync);
}

#[test]
fn a_late_batch_in_a_group_commit_is_caught() {
    is_caught(Bug::LateBatchCommitted);
}

#[test]
fn a_new_beginning_that_is_not_settled_is_caught() {
    is_caught(Bug::NewBeginningUnsettled);
}

#[test]
fn a_guard_that_is_ignored_is_caught() {
    is_caught(Bug::GuardIgnored);
}

#[test]
fn a_last_stable_offset_from_the_high_watermark_is_caught() {
    is_caught(Bug::StableOffsetFromHighWatermark);
}
