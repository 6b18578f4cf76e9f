//! Whole clusters in one thread: three or five nodes with everything that is Gregor's, from the
//! listeners to the log store, and their clients, over a simulated network, simulated disks and
//! virtual time. A seed decides all faults: nodes are killed, lose their power, stop and pause;
//! disks stop between any two calls; links are cut in one or both directions; streams break, and
//! wall clocks jump.
//!
//! What is real: `node::start` and all that it starts. What is simulated: `env::Env`,
//! `storage::Disk`, and the streams behind `net::Listening` and `peer::Dial`.
//!
//! `CLUSTER_SIM_SEED=7 cargo test -p gregor --all-features --test cluster -- --nocapture a_seed`
//! runs one course and prints it. `CLUSTER_SIM_SEEDS=10000` sets the number of seeds.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod admin;
mod client;
mod clients;
mod commits;
mod committed;
mod course;
mod faults;
mod invariants;
mod layout;
mod ledger;
mod members;
mod membership;
mod net;
mod node;
mod panics;
mod pipelined;
#[cfg(feature = "planted-bugs")]
mod planted;
#[cfg(feature = "planted-bugs")]
mod planted_quorum;
mod quorum;
mod quorum_faults;
#[path = "../random.rs"]
mod random;
mod readers;
mod reassignments;
mod rot;
#[path = "../seeds.rs"]
mod seeds;
mod time;
mod transact;
mod transact_offsets;
mod transactions;
mod voters;

use self::seeds::simulation;

simulation! {
    name: "CLUSTER_SIM",
    arguments: "-p gregor --all-features --test cluster -- --nocapture a_seed",
    seeds: 60,
    course: course::run,
    all_seeds: clusters_keep_what_they_acknowledge,
}

/// The result of a check: why it failed.
type Check<T = ()> = Result<T, String>;
