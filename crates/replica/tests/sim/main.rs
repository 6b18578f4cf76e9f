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
#[path = "../../../../tests/sim/storage/random.rs"]
mod random;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// The number of seeds in a run of the tests.
const SEEDS: u64 = 2_000;

/// The result of a check: why it failed.
type Check<T = ()> = Result<T, String>;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Runs one course and returns its hash. A panic of the code fails it like any other fault.
fn outcome(seed: u64, is_printed: bool) -> Check<u64> {
    let ran = catch_unwind(AssertUnwindSafe(|| course::run(seed, is_printed)));
    ran.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default())
    })
}

#[test]
fn a_seed() {
    if let Some(seed) = number("REPLICA_SIM_SEED") {
        outcome(seed, true).unwrap_or_else(|reason| panic!("seed {seed}: {reason}"));
    }
}

#[test]
fn nothing_acknowledged_is_lost_and_replicas_become_equal() {
    let (first, count) = (number("REPLICA_SIM_FIRST").unwrap_or(0), number("REPLICA_SIM_SEEDS").unwrap_or(SEEDS));
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
            "{reason}\n  REPLICA_SIM_SEED={seed} cargo test -p replica --all-features --test sim -- --nocapture a_seed\n"
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
