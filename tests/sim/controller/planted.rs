//! Every planted bug is caught within the seeds of one run of the tests.

use crate::SIMULATION;
use metadata::planted::{Bug, plant};

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

/// `words` name the fault as a check reports it.
fn is_caught(bug: Bug, words: &str) {
    let _planted = Planted::new(bug);
    let caught = (0..SIMULATION.seeds).find_map(|seed| Some((seed, SIMULATION.outcome(seed, false).err()?)));
    let Some((seed, reason)) = caught else { panic!("{bug:?} lives through {} seeds", SIMULATION.seeds) };
    assert!(reason.contains(words), "{bug:?} is caught at seed {seed}, but not by name: {reason}");
    eprintln!("{bug:?} is caught at seed {seed}: {reason}");
}

#[test]
fn a_fenced_replica_that_counts_is_caught() {
    is_caught(Bug::FencedReplicaCounted, "a fenced broker is in the ISR");
}

#[test]
fn a_leader_outside_isr_and_elr_is_caught() {
    is_caught(Bug::ElectedOutsideIsrAndElr, "the leader is not in the ISR");
}

#[test]
fn a_leader_epoch_that_is_not_raised_is_caught() {
    is_caught(Bug::LeaderEpochNotRaised, "the leader epoch did not rise");
}

#[test]
fn an_unclean_restart_that_is_ignored_is_caught() {
    is_caught(Bug::UncleanRestartIgnored, "the leader is fenced");
}

#[test]
fn a_stale_partition_epoch_that_is_accepted_is_caught() {
    is_caught(Bug::StalePartitionEpochAccepted, "a stale partition epoch was accepted");
}

#[test]
fn a_stale_member_that_is_accepted_is_caught() {
    is_caught(Bug::StaleMemberEpochAccepted, "may be elected");
}

#[test]
fn a_broker_that_is_unfenced_too_early_is_caught() {
    is_caught(Bug::UnfencedBeforeCaughtUp, "was unfenced before it had read its registration");
}

#[test]
fn an_elr_that_is_not_cleared_is_caught() {
    is_caught(Bug::ElrNotCleared, "may be elected");
}

#[test]
fn a_failed_log_dir_that_is_ignored_is_caught() {
    is_caught(Bug::FailedLogDirIgnored, "the leader is in a log dir that failed");
}

#[test]
fn a_reassignment_that_ends_too_early_is_caught() {
    is_caught(Bug::ReassignmentEndedEarly, "a reassignment ended before");
}

#[test]
fn a_shutdown_before_the_leaders_moved_is_caught() {
    is_caught(Bug::ShutdownBeforeLeadersMoved, "may stop and leads partitions");
}

#[test]
fn an_unclean_election_without_a_mark_is_caught() {
    is_caught(Bug::UncleanElectionUnmarked, "lost without an unclean election");
}

#[test]
fn a_fenced_broker_that_stays_in_its_isrs_is_caught() {
    is_caught(Bug::FencedBrokerStaysInIsr, "is fenced");
}

#[test]
fn a_refusal_that_is_written_is_caught() {
    is_caught(Bug::RefusalWritten, "was written");
}
