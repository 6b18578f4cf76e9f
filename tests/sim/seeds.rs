//! Runs a simulation from seeds: one that is asked for, or all of a run on all cores. Every
//! simulation includes this file.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// The number of failed seeds after which a run ends.
const FAILED_MAX: usize = 10;

/// A simulation.
pub struct Simulation {
    /// What its environment variables begin with.
    pub name: &'static str,
    /// The arguments of `cargo test` that run one seed.
    pub arguments: &'static str,
    /// The number of seeds in a run of the tests.
    pub seeds: u64,
    /// Runs the course of a seed, and prints it if asked. Returns a digest of its events, or why it
    /// failed.
    pub course: fn(u64, bool) -> Result<u64, String>,
}

/// Makes `SIMULATION` and the tests that every simulation has. `all_seeds` names the test that runs
/// all seeds, by what must hold in each.
macro_rules! simulation {
    (name: $name:expr, arguments: $arguments:expr, seeds: $seeds:expr, course: $course:expr, all_seeds: $all:ident,) => {
        const SIMULATION: seeds::Simulation =
            seeds::Simulation { name: $name, arguments: $arguments, seeds: $seeds, course: $course };

        #[test]
        fn a_seed() {
            SIMULATION.run_one();
        }

        #[test]
        fn $all() {
            SIMULATION.run_all();
        }

        #[test]
        fn one_seed_gives_one_course() {
            SIMULATION.run_twice();
        }
    };
}
pub(crate) use simulation;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

impl Simulation {
    /// Runs one course. A panic fails it like any other fault.
    pub fn outcome(&self, seed: u64, is_printed: bool) -> Result<u64, String> {
        let ran = catch_unwind(AssertUnwindSafe(|| (self.course)(seed, is_printed)));
        ran.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            Err(text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default())
        })
    }

    /// Returns the seed that `NAME_SEED` gives.
    pub fn asked_seed(&self) -> Option<u64> {
        number(&format!("{}_SEED", self.name))
    }

    /// Runs and prints the seed that `NAME_SEED` gives, if it does.
    pub fn run_one(&self) {
        if let Some(seed) = self.asked_seed() {
            self.outcome(seed, true).unwrap_or_else(|reason| panic!("seed {seed}: {reason}"));
        }
    }

    /// Runs seeds that are not among those of every run.
    #[allow(dead_code, reason = "not every simulation has such seeds")]
    pub fn run_these(&self, seeds: &[u64]) {
        for seed in seeds {
            self.outcome(*seed, false).unwrap_or_else(|reason| panic!("seed {seed}: {reason}"));
        }
    }

    /// Runs the seeds of a run: `NAME_SEEDS` of them, from `NAME_FIRST` on.
    pub fn run_all(&self) {
        let first = number(&format!("{}_FIRST", self.name)).unwrap_or(0);
        let count = number(&format!("{}_SEEDS", self.name)).unwrap_or(self.seeds);
        let next = AtomicU64::new(first);
        let failed = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
                scope.spawn(|| {
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= first + count || failed.lock().unwrap().len() >= FAILED_MAX {
                            return;
                        }
                        if let Err(reason) = self.outcome(seed, false) {
                            failed.lock().unwrap().push((seed, reason));
                        }
                    }
                });
            }
        });
        let mut failed = failed.into_inner().unwrap();
        failed.sort();
        for (seed, reason) in &failed {
            eprintln!("{reason}\n  {}_SEED={seed} cargo test {}\n", self.name, self.arguments);
        }
        assert!(failed.is_empty(), "{} courses failed, the first of seed {}", failed.len(), failed[0].0);
    }

    /// Runs a few seeds twice: one seed gives one course.
    pub fn run_twice(&self) {
        for seed in 0..20 {
            assert_eq!(self.outcome(seed, false).unwrap(), self.outcome(seed, false).unwrap(), "seed {seed}");
        }
    }
}
