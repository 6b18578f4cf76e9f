//! Whole quorums of the metadata log: courses, which are sequences of random events from a seed,
//! checked after every event.
//!
//! A course runs one to five voters and some observers, each with a log, a `quorum-state` file and
//! snapshots on a simulated disk, over a network that delays, reorders, repeats, damages and drops
//! messages and whose links are cut one way or both. Nodes are killed between any two actions with
//! the loss of what was not fsynced, or without it; they pause, stop, resign, lose their disk;
//! their clocks run apart. `disk.rs` is what a node keeps, `node.rs` carries out the machine's
//! actions as a driver does, `course.rs` has the events and the network, and `check.rs` has the
//! invariants. There is one thread and no clock: time is a number.
//!
//! `RAFT_SIM_SEED=7 cargo test -p raft --all-features --test sim -- --nocapture a_seed` runs one
//! course and prints it. `RAFT_SIM_SEEDS=100000` sets the number of seeds, and `RAFT_SIM_FIRST` the
//! first one.

#![allow(clippy::unwrap_used, reason = "tests")]

mod check;
mod course;
mod disk;
mod node;
#[cfg(feature = "planted-bugs")]
mod planted;
#[path = "../../../../tests/sim/random.rs"]
mod random;
#[path = "../../../../tests/sim/seeds.rs"]
mod seeds;

use seeds::simulation;

simulation! {
    name: "RAFT_SIM",
    arguments: "-p raft --all-features --test sim -- --nocapture a_seed",
    seeds: 5_000,
    course: course::run,
    all_seeds: nothing_committed_is_lost_and_the_quorum_comes_back,
}

/// The result of a check: why it failed.
type Check<T = ()> = Result<T, String>;

/// Seeds that showed a bug and are not among those of every run.
#[test]
fn seeds_that_failed_once() {
    SIMULATION.run_these(&[530_234]);
}

/// The default of `controller.quorum.fetch.timeout.ms`.
const FETCH_TIMEOUT_MS: u64 = 2_000;

/// Takes the leader of three voters away in 200 courses. Returns the times, in the simulation, in
/// which half and 98 % of them have another one.
fn replaced_within(departure: course::Departure, fetch_ms: u64) -> (u64, u64) {
    let replaced = |seed| course::replace_leader(seed, departure, fetch_ms).unwrap();
    let mut times: Vec<u64> = (0..200).map(replaced).collect();
    times.sort_unstable();
    let (half, most) = (times[times.len() / 2], times[times.len() * 98 / 100]);
    eprintln!("{departure:?}: half in {half} ms, 98 % in {most} ms, all in {} ms", times[times.len() - 1]);
    (half, most)
}

/// A process that is killed closes its connections. Its followers need not wait for the fetch
/// timeout of 2,000 ms.
#[test]
fn a_killed_leader_is_replaced_before_the_fetch_timeout() {
    let (half, most) = replaced_within(course::Departure::Killed, FETCH_TIMEOUT_MS);
    assert!(half < 200 && most < 400, "{half} {most}");
}

#[test]
fn a_leader_that_stops_hands_over_at_once() {
    let (half, most) = replaced_within(course::Departure::Stopped, FETCH_TIMEOUT_MS);
    assert!(half < 50 && most < 100, "{half} {most}");
}

#[test]
fn a_paused_leader_is_replaced_after_the_fetch_timeout() {
    let (half, most) = replaced_within(course::Departure::Paused, FETCH_TIMEOUT_MS);
    assert!(half < 2_500 && most < 3_000, "{half} {most}");
}

/// With sessions of a second, a voter waits 600 ms for a silent leader.
#[test]
fn a_paused_leader_is_replaced_within_a_short_fetch_timeout() {
    let (half, most) = replaced_within(course::Departure::Paused, 600);
    assert!(half < 750 && most < 1_000, "{half} {most}");
}
