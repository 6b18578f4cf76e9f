//! Replication of one partition: courses, which are sequences of random events from a seed, checked
//! against a ledger of what was committed and acknowledged.
//!
//! A course runs three to five replicas and a controller. Messages are delayed, reordered, repeated
//! and dropped; links are cut in one or both directions; replicas are killed, restarted, paused and
//! shut down, and fetch slowly. What is real: `Replica` with `Leader` and `Follower`. What is
//! modelled: the log (`log.rs`), what a broker does with the machines (`node.rs`, `exchange.rs`),
//! and the controller (`controller.rs`). There is one thread and no clock: time is a number.
//!
//! A kill keeps the log: the page cache survives it. In one of four courses some kills lose records
//! that were not flushed, as a power cut does. Then one replica at a time: what it lost is still
//! on another member of the ISR, and the controller takes it out of the ISR when it comes back. In
//! one of eight courses, elections are unclean, and only what must hold then is checked: in the end
//! all logs are equal.
//!
//! `REPLICA_SIM_SEED=7 cargo test -p replica --all-features --test sim -- --nocapture a_seed` runs
//! one course and prints it. `REPLICA_SIM_SEEDS=100000` sets the number of seeds, and
//! `REPLICA_SIM_FIRST` the first one.

mod controller;
mod course;
mod exchange;
mod ledger;
mod log;
mod node;
#[cfg(feature = "planted-bugs")]
mod planted;
#[path = "../../../../tests/sim/random.rs"]
mod random;
#[path = "../../../../tests/sim/seeds.rs"]
mod seeds;

use seeds::simulation;

simulation! {
    name: "REPLICA_SIM",
    arguments: "-p replica --all-features --test sim -- --nocapture a_seed",
    seeds: 2_000,
    course: course::run,
    all_seeds: nothing_acknowledged_is_lost_and_replicas_become_equal,
}

/// The result of a check: why it failed.
type Check<T = ()> = Result<T, String>;
