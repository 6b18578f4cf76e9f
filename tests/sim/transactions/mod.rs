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
#[path = "../random.rs"]
mod random;
mod reader;
#[path = "../seeds.rs"]
mod seeds;
mod slot;
mod station;

use self::seeds::simulation;

simulation! {
    name: "TRANSACTION_SIM",
    arguments: "-p gregor --lib --all-features -- --nocapture simulation::a_seed",
    seeds: 5_000,
    course: course::run,
    all_seeds: transactions_are_whole_or_absent_and_come_to_rest,
}

/// The result of a check: why it failed.
type Check<T = ()> = Result<T, String>;
