//! Every planted bug is caught within the seeds of one run of the tests.

use super::SIMULATION;
use coordinator::planted::{Bug, plant};
use std::fmt::Debug;

/// Removes the bugs on drop, also if the test fails.
struct Planted;

impl Drop for Planted {
    fn drop(&mut self) {
        plant(None);
        storage::planted::plant(None);
    }
}

fn catch(bug: impl Debug) {
    let caught = (0..SIMULATION.seeds).find_map(|seed| Some((seed, SIMULATION.outcome(seed, false).err()?)));
    assert!(caught.is_some(), "{bug:?} lives through {} seeds", SIMULATION.seeds);
    eprintln!("{bug:?} is caught: {caught:?}");
}

fn is_caught(bug: Bug) {
    let _planted = Planted;
    plant(Some(bug));
    catch(bug);
}

fn is_caught_in_store(bug: storage::planted::Bug) {
    let _planted = Planted;
    storage::planted::plant(Some(bug));
    catch(bug);
}

#[test]
fn a_marker_that_is_not_retried_is_caught() {
    is_caught(Bug::MarkerNotRetried);
}

#[test]
fn a_transaction_that_completes_without_a_marker_is_caught() {
    is_caught(Bug::MarkerMissing);
}

#[test]
fn an_epoch_that_is_not_raised_is_caught() {
    is_caught(Bug::EpochNotRaised);
}

#[test]
fn a_fence_that_is_skipped_is_caught() {
    is_caught(Bug::FenceSkipped);
}

#[test]
fn an_end_of_the_last_transaction_that_is_accepted_is_caught() {
    is_caught(Bug::LastEndTxnAccepted);
}

#[test]
fn pending_offsets_that_an_abort_commits_are_caught() {
    is_caught(Bug::PendingCommittedByAbort);
}

#[test]
fn offsets_that_count_before_the_marker_are_caught() {
    is_caught(Bug::OffsetsNotPending);
}

#[test]
fn a_prepared_transaction_that_a_load_forgets_is_caught() {
    is_caught(Bug::PreparedForgotten);
}

#[test]
fn a_timeout_that_ends_a_newer_transaction_is_caught() {
    is_caught(Bug::TimeoutNotCancelled);
}

#[test]
fn a_partition_that_is_forgotten_is_caught() {
    is_caught(Bug::PartitionForgotten);
}

#[test]
fn an_id_that_expires_in_an_open_transaction_is_caught() {
    is_caught(Bug::OpenIdExpired);
}

#[test]
fn a_reply_before_the_commit_is_caught() {
    is_caught(Bug::ReplyBeforeCommit);
}

#[test]
fn an_effect_before_the_commit_is_caught() {
    is_caught(Bug::EffectBeforeCommit);
}

#[test]
fn markers_that_a_load_skips_are_caught() {
    is_caught(Bug::MarkersNotLoaded);
}

#[test]
fn a_last_stable_offset_at_the_high_watermark_is_caught() {
    is_caught_in_store(storage::planted::Bug::StableOffsetFromHighWatermark);
}

#[test]
fn a_marker_that_counts_before_it_is_replicated_is_caught() {
    is_caught_in_store(storage::planted::Bug::MarkerCountedBeforeHighWatermark);
}

#[test]
fn a_late_marker_that_ends_the_next_transaction_is_caught() {
    is_caught_in_store(storage::planted::Bug::LateMarkerAccepted);
}
