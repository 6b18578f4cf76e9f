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
#[path = "../random.rs"]
mod random;
#[path = "../seeds.rs"]
mod seeds;

use seeds::simulation;

simulation! {
    name: "STORAGE_SIM",
    arguments: "-p storage --all-features --test sim -- --nocapture a_seed",
    seeds: 10_000,
    course: courses,
    all_seeds: nothing_acknowledged_is_lost_and_nothing_torn_is_served,
}

/// One of this number of seeds runs a compacted log.
const COMPACTED_EVERY: u64 = 8;

/// Runs the course of a seed.
fn courses(seed: u64, is_printed: bool) -> Result<u64, String> {
    let live = if seed.is_multiple_of(COMPACTED_EVERY) { compacted::run } else { course::run };
    live(seed, is_printed)
}

/// Seeds that showed a bug and are not among those of every run.
#[test]
fn seeds_that_failed_once() {
    SIMULATION.run_these(&[
        8_659, 200_489, 223_471, 321_331, 332_655, 358_441, 378_701, 419_221, 525_972, 529_136, 546_278, 552_238,
    ]);
}
