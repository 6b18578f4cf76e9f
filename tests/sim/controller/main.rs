//! The controller's decisions under random events: brokers register, restart and fail, leaders
//! change ISRs, administrators create, reassign and elect.
//!
//! A course runs one active controller and 3 to 7 brokers. `course.rs` has the events, `data.rs` is
//! a model of which replica holds which record, and `check.rs` has what must hold after each record
//! and decision. When the faults stop, every partition that can have a leader must get one, and all
//! its replicas must be in sync. One seed gives one course.
//!
//! `CONTROLLER_SIM_SEED=7 cargo test -p metadata --all-features --test sim -- --nocapture a_seed`
//! runs one course and prints it. `CONTROLLER_SIM_SEEDS=100000` sets the number of seeds, and
//! `CONTROLLER_SIM_FIRST` the first one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

mod administrator;
mod broker;
mod check;
mod controller;
mod course;
mod data;
#[cfg(feature = "planted-bugs")]
mod planted;
mod random;
mod requests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// The number of seeds in a run of the tests.
const SEEDS: u64 = 1_000;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Runs one course. A panic fails it like any other fault.
fn outcome(seed: u64, is_printed: bool) -> Result<u64, String> {
    let ran = catch_unwind(AssertUnwindSafe(|| course::run(seed, is_printed)));
    ran.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default())
    })
}

#[test]
fn a_seed() {
    if let Some(seed) = number("CONTROLLER_SIM_SEED") {
        outcome(seed, true).unwrap_or_else(|reason| panic!("seed {seed}: {reason}"));
    }
}

#[test]
fn what_the_controller_decides_keeps_acknowledged_records() {
    let (first, count) = (number("CONTROLLER_SIM_FIRST").unwrap_or(0), number("CONTROLLER_SIM_SEEDS").unwrap_or(SEEDS));
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
            "{reason}\n  CONTROLLER_SIM_SEED={seed} cargo test -p metadata --all-features --test sim -- --nocapture a_seed\n"
        );
    }
    assert!(failed.is_empty(), "{} courses failed, the first of seed {}", failed.len(), failed[0].0);
}

#[test]
fn one_seed_gives_one_course() {
    for seed in 0..20 {
        assert_eq!(outcome(seed, false), outcome(seed, false), "seed {seed}");
    }
}
