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
#[path = "../random.rs"]
mod random;
mod requests;
#[path = "../seeds.rs"]
mod seeds;

use seeds::simulation;

simulation! {
    name: "CONTROLLER_SIM",
    arguments: "-p metadata --all-features --test sim -- --nocapture a_seed",
    seeds: 1_000,
    course: course::run,
    all_seeds: what_the_controller_decides_keeps_acknowledged_records,
}
