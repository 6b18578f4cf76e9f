//! Planted bugs of the machines, each caught by what it does to a whole cluster.

use crate::SIMULATION;
use std::fmt::Debug;

/// The most seeds that a bug may live through.
const SEEDS: u64 = 30;

/// Fails unless a course fails as the bug must let it fail.
fn is_caught<B: Copy + Debug>(bug: B, plant: fn(Option<B>), signs: &[&str]) {
    is_caught_among(0..SEEDS, bug, plant, signs);
}

/// Fails unless the course of one of these seeds fails as the bug must let it fail.
pub fn is_caught_among<B: Copy + Debug>(
    seeds: impl IntoIterator<Item = u64>,
    bug: B,
    plant: fn(Option<B>),
    signs: &[&str],
) {
    let (mut count, mut others) = (0, Vec::new());
    let mut failed = |seed| {
        count += 1;
        plant(Some(bug));
        let failed = SIMULATION.outcome(seed, false).err();
        plant(None);
        let reason = failed?;
        if signs.iter().any(|sign| reason.contains(sign)) {
            return Some(reason);
        }
        others.push((seed, reason));
        None
    };
    let caught = seeds.into_iter().find_map(|seed| Some((seed, failed(seed)?)));
    assert!(caught.is_some(), "{bug:?} lives through {count} seeds, and does otherwise: {others:#?}");
    eprintln!("{bug:?} is caught in course {count}: {caught:?}");
}

macro_rules! planted {
    ($($test:ident($of:ident::$bug:ident, $($sign:literal),+);)*) => {$(
        #[test]
        fn $test() {
            is_caught($of::planted::Bug::$bug, $of::planted::plant, &[$($sign),+]);
        }
    )*};
}

planted! {
    a_leader_epoch_that_is_not_raised(metadata::LeaderEpochNotRaised, "two leaders of");
    a_high_watermark_that_does_not_wait_for_the_slowest(replica::SlowestNotAwaited, "went back", "lost");
    half_of_the_voters_as_majority(raft::HalfIsMajority, "two leaders of the quorum");
    a_divergence_that_is_ignored(replica::DivergenceIgnored, "no progress", "logs differ", "went back");
}
