//! The log store on a simulated disk: courses, which are sequences of random events from a seed,
//! checked against a model of what was acknowledged.
//!
//! A course runs a node with a few partitions through appends, flushes, truncations, deletions and
//! checkpoints. It stops the node at any call to the disk, by a kill or a power cut, starts it
//! again and compares what is there with the model. `node.rs` does what a broker does, `course` has
//! the events, `partition.rs` is the model, and `check.rs` has the checks. One seed gives one
//! course, independent of time and machine.
//!
//! `STORAGE_SIM_SEED=7 cargo test -p storage --all-features --test sim -- --nocapture a_seed` runs
//! one course and prints it. `STORAGE_SIM_SEEDS=100000` sets the number of seeds, and
//! `STORAGE_SIM_FIRST` the first one.

mod batch;
mod check;
mod compacted;
mod course;
mod node;
mod partition;
#[cfg(feature = "planted-bugs")]
mod planted;
mod random;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// The number of seeds in a run of the tests.
const SEEDS: u64 = 10_000;

/// One of this number of seeds runs a compacted log.
const COMPACTED_EVERY: u64 = 8;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Runs one course. A panic of the store fails it like any other fault.
fn outcome(seed: u64, is_printed: bool) -> Result<u64, String> {
    let live = if seed.is_multiple_of(COMPACTED_EVERY) { compacted::run } else { course::run };
    let ran = catch_unwind(AssertUnwindSafe(|| live(seed, is_printed)));
    ran.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default())
    })
}

#[test]
fn a_seed() {
    if let Some(seed) = number("STORAGE_SIM_SEED") {
        outcome(seed, true).unwrap_or_else(|reason| panic!("seed {seed}: {reason}"));
    }
}

/// Seeds that showed a bug and are not among those of every run.
#[test]
fn seeds_that_failed_once() {
    for seed in
        [8_659, 200_489, 223_471, 321_331, 332_655, 358_441, 378_701, 419_221, 525_972, 529_136, 546_278, 552_238]
    {
        outcome(seed, false).unwrap_or_else(|reason| panic!("seed {seed}: {reason}"));
    }
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_torn_is_served() {
    let (first, count) = (number("STORAGE_SIM_FIRST").unwrap_or(0), number("STORAGE_SIM_SEEDS").unwrap_or(SEEDS));
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
            "{reason}\n  STORAGE_SIM_SEED={seed} cargo test -p storage --all-features --test sim -- --nocapture a_seed\n"
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
