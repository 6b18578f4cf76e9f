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
#[path = "../../../../tests/sim/storage/random.rs"]
mod random;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// The number of seeds in a run of the tests.
const SEEDS: u64 = 5_000;

/// The result of a check: why it failed.
type Check<T = ()> = Result<T, String>;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Runs one course and returns its digest. A panic of the machine fails it like any other fault.
fn outcome(seed: u64, is_printed: bool) -> Check<u64> {
    let ran = catch_unwind(AssertUnwindSafe(|| course::run(seed, is_printed)));
    ran.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default())
    })
}

#[test]
fn a_seed() {
    if let Some(seed) = number("RAFT_SIM_SEED") {
        outcome(seed, true).unwrap_or_else(|reason| panic!("seed {seed}: {reason}"));
    }
}

/// Seeds that showed a bug and are not among those of every run.
#[test]
fn seeds_that_failed_once() {
    outcome(530_234, false).unwrap_or_else(|reason| panic!("seed 530234: {reason}"));
}

#[test]
fn nothing_committed_is_lost_and_the_quorum_comes_back() {
    let (first, count) = (number("RAFT_SIM_FIRST").unwrap_or(0), number("RAFT_SIM_SEEDS").unwrap_or(SEEDS));
    let next = AtomicU64::new(first);
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count || failed.lock().unwrap().len() >= 10 {
                        return;
                    }
                    if let Err(reason) = outcome(seed, false) {
                        failed.lock().unwrap().push((seed, reason));
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().unwrap();
    failed.sort();
    for (seed, reason) in &failed {
        eprintln!(
            "{reason}\n  RAFT_SIM_SEED={seed} cargo test -p raft --all-features --test sim -- --nocapture a_seed\n"
        );
    }
    assert!(failed.is_empty(), "{} courses failed, the first of seed {}", failed.len(), failed[0].0);
}

#[test]
fn one_seed_gives_one_course() {
    for seed in 0..20 {
        assert_eq!(outcome(seed, false).unwrap(), outcome(seed, false).unwrap(), "seed {seed}");
    }
}

/// Takes the leader of three voters away in 200 courses. Returns the times, in the simulation, in
/// which half and 98 % of them have another one.
fn replaced_within(departure: course::Departure) -> (u64, u64) {
    let mut times: Vec<u64> = (0..200).map(|seed| course::replace_leader(seed, departure).unwrap()).collect();
    times.sort_unstable();
    let (half, most) = (times[times.len() / 2], times[times.len() * 98 / 100]);
    eprintln!("{departure:?}: half in {half} ms, 98 % in {most} ms, all in {} ms", times[times.len() - 1]);
    (half, most)
}

/// A process that is killed closes its connections. Its followers need not wait for the fetch
/// timeout of 2,000 ms.
#[test]
fn a_killed_leader_is_replaced_before_the_fetch_timeout() {
    let (half, most) = replaced_within(course::Departure::Killed);
    assert!(half < 200 && most < 400, "{half} {most}");
}

#[test]
fn a_leader_that_stops_hands_over_at_once() {
    let (half, most) = replaced_within(course::Departure::Stopped);
    assert!(half < 50 && most < 100, "{half} {most}");
}

#[test]
fn a_paused_leader_is_replaced_after_the_fetch_timeout() {
    let (half, most) = replaced_within(course::Departure::Paused);
    assert!(half < 2_500 && most < 3_000, "{half} {most}");
}
