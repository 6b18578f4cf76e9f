//! Transactions on simulated partitions: courses, which are sequences of random events from a seed,
//! checked against a ledger of what the producers were told.
//!
//! A course runs producers of all transaction versions, consumers of both isolations, groups with
//! offsets in transactions, and the leaders of a few partitions. Leaders crash, come back with a
//! part of their log, load late and replicate late. Requests are repeated, delayed over the next
//! transactions and overtaken. What is real: `ShardDriver` with `TransactionShard` and
//! `GroupShard`, `replica::Partition`, and the logs of the state and of the data on a simulated
//! disk. What is modelled: the network (`cluster.rs`), what the API files do before an append
//! (`broker.rs`), the sending of markers (`markers.rs`), and the clients. There is one thread, no
//! runtime and no clock: futures are polled in turn, and time is a number.
//!
//! `TRANSACTION_SIM_SEED=7 cargo test -p gregor --lib --all-features -- --nocapture
//! simulation::a_seed` runs one course and prints it. `TRANSACTION_SIM_SEEDS=100000` sets the
//! number of seeds, and `TRANSACTION_SIM_FIRST` the first one.

mod broker;
mod cluster;
mod course;
mod group;
mod ledger;
mod markers;
#[cfg(feature = "planted-bugs")]
mod planted;
mod producer;
#[path = "../storage/random.rs"]
mod random;
mod reader;
mod slot;
mod station;

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
    if let Some(seed) = number("TRANSACTION_SIM_SEED") {
        outcome(seed, true).unwrap_or_else(|reason| panic!("seed {seed}: {reason}"));
    }
}

#[test]
fn transactions_are_whole_or_absent_and_come_to_rest() {
    let first = number("TRANSACTION_SIM_FIRST").unwrap_or(0);
    let count = number("TRANSACTION_SIM_SEEDS").unwrap_or(SEEDS);
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
            "{reason}\n  TRANSACTION_SIM_SEED={seed} cargo test -p gregor --lib --all-features -- --nocapture simulation::a_seed\n"
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
