//! Tests of a leader and its followers, event by event.

use super::*;
use model::{BrokerEpoch, BrokerId, ErrorCode, LeaderEpoch, Monotonic, Offset, PartitionEpoch};

mod follower;
mod isr;
mod role;

const LAG_MAX_MS: u64 = 30_000;

fn leader(replicas: &[i32], isr: &[i32], min_insync_replicas: usize, log_end: i64, high_watermark: i64) -> Leader {
    let ids = |ids: &[i32]| ids.iter().map(|id| BrokerId(*id)).collect::<Vec<_>>();
    Leader::new(LeaderStart {
        broker_id: BrokerId(1),
        leader_epoch: LeaderEpoch(5),
        partition_epoch: PartitionEpoch(7),
        replicas: ids(replicas),
        isr: ids(isr),
        min_insync_replicas,
        lag_max_ms: LAG_MAX_MS,
        log_end_offset: Offset(log_end),
        own_end_offset: Offset(log_end),
        high_watermark: Offset(high_watermark),
        now: Monotonic(0),
    })
}

/// Every broker is registered under the epoch of its fetches.
fn all(id: BrokerId) -> Option<BrokerStanding> {
    Some(BrokerStanding { epoch: BrokerEpoch(i64::from(id.0) * 100), is_fenced: false, is_shutting_down: false })
}

fn fetch(leader: &mut Leader, id: i32, at: i64, leader_end: i64, now: u64) -> LeaderUpdate {
    let fetch = FollowerFetch {
        broker_id: BrokerId(id),
        broker_epoch: Some(BrokerEpoch(i64::from(id) * 100)),
        log_end_offset: Offset(at),
        log_start_offset: Offset(0),
        leader_log_start_offset: Offset(0),
        leader_log_end_offset: Offset(leader_end),
        now: Monotonic(now),
    };
    leader.fetched(&fetch, &all).unwrap()
}

fn append(leader: &mut Leader, end: i64) -> Option<i64> {
    leader.appended(Offset(end), Offset(end), &all).map(|offset| offset.0)
}

fn isr(proposal: &IsrProposal) -> Vec<i32> {
    proposal.isr.iter().map(|(id, _)| id.0).collect()
}

#[test]
fn with_one_replica_the_high_watermark_is_the_log_end() {
    let mut leader = leader(&[1], &[1], 1, 10, 4);
    assert_eq!(leader.high_watermark(), Offset(10));
    assert!(leader.has_caught_up());
    assert_eq!(append(&mut leader, 12), Some(12));
    assert_eq!(append(&mut leader, 12), None);
    assert_eq!(leader.check_lag(Monotonic(u64::MAX)), None);
    assert_eq!(leader.acknowledged(Offset(12)), Some(Ok(())));
    assert_eq!(leader.acknowledged(Offset(13)), None);
    // `min.insync.replicas` above the number of replicas counts as that number.
    leader.set_min_insync_replicas(3);
    assert!(!leader.is_under_min_isr());
}

#[test]
fn the_high_watermark_is_the_smallest_log_end_of_the_isr() {
    let mut leader = leader(&[1, 2, 3], &[1, 2, 3], 2, 10, 4);
    assert_eq!((leader.high_watermark(), leader.has_caught_up()), (Offset(4), false));
    assert_eq!(fetch(&mut leader, 2, 10, 10, 1), LeaderUpdate::default());
    assert_eq!(fetch(&mut leader, 3, 6, 10, 1).high_watermark, Some(Offset(6)));
    assert_eq!(append(&mut leader, 20), None);
    assert_eq!(fetch(&mut leader, 3, 15, 20, 2).high_watermark, Some(Offset(10)));
    assert!(leader.has_caught_up());
    // A follower that goes back does not move the high watermark back.
    assert_eq!(fetch(&mut leader, 2, 0, 20, 3), LeaderUpdate::default());
    assert_eq!(leader.high_watermark(), Offset(10));
}

#[test]
fn unflushed_records_do_not_count_if_a_flush_is_required() {
    let mut leader = leader(&[1, 2], &[1, 2], 1, 10, 10);
    let durable = |leader: &mut Leader, end: i64, flushed: i64| {
        leader.appended(Offset(end), Offset(flushed), &all).map(|offset| offset.0)
    };
    assert_eq!(durable(&mut leader, 20, 10), None);
    // A follower may have more than the leader has flushed.
    assert_eq!(fetch(&mut leader, 2, 20, 20, 1), LeaderUpdate::default());
    assert_eq!(leader.acknowledged(Offset(11)), None);
    assert_eq!(durable(&mut leader, 20, 15), Some(15));
    assert_eq!(durable(&mut leader, 30, 30), Some(20));
    assert_eq!(fetch(&mut leader, 2, 30, 30, 1).high_watermark, Some(Offset(30)));
    // An older flush report changes nothing.
    assert_eq!(durable(&mut leader, 30, 15), None);
}

#[test]
fn a_follower_that_lags_leaves_and_comes_back() {
    let mut leader = leader(&[1, 2], &[1, 2], 1, 10, 10);
    fetch(&mut leader, 2, 10, 10, 1000);
    append(&mut leader, 20);
    assert_eq!(leader.check_lag(Monotonic(31_000)), None);
    let proposal = leader.check_lag(Monotonic(31_001)).unwrap();
    assert_eq!(isr(&proposal), [1]);
    assert_eq!((proposal.leader_epoch, proposal.partition_epoch), (LeaderEpoch(5), PartitionEpoch(7)));
    // The follower counts until the controller agrees.
    assert_eq!(append(&mut leader, 21), None);
    assert_eq!(leader.check_lag(Monotonic(99_000)), None);
    let replicas = [BrokerId(1), BrokerId(2)];
    let moved = leader.committed(PartitionEpoch(8), &replicas, vec![BrokerId(1)], Monotonic(31_002), &all);
    assert_eq!(moved, Some(Offset(21)));
    assert_eq!(fetch(&mut leader, 2, 20, 21, 32_000).proposal, None);
    let proposal = fetch(&mut leader, 2, 21, 21, 32_001).proposal.unwrap();
    assert_eq!(proposal.isr, [(BrokerId(1), None), (BrokerId(2), Some(BrokerEpoch(200)))]);
    assert_eq!(proposal.partition_epoch, PartitionEpoch(8));
    // The high watermark already waits for a follower that is about to join.
    assert_eq!(append(&mut leader, 30), None);
    assert_eq!(leader.answered(&proposal, Err(ErrorCode::IneligibleReplica), &all), ProposalOutcome::Withdrawn);
    assert!(!leader.isr().is_pending());
    assert_eq!(fetch(&mut leader, 2, 30, 30, 32_003).high_watermark, Some(Offset(30)));
}

#[test]
fn a_slow_follower_was_caught_up_at_its_previous_fetch() {
    let mut leader = leader(&[1, 2], &[1, 2], 1, 0, 0);
    for round in 0..100 {
        // The follower always fetches up to the end that the leader had a second ago. The leader
        // always has more.
        append(&mut leader, round * 10 + 10);
        let now = round as u64 * 1000;
        fetch(&mut leader, 2, round * 10, round * 10 + 10, now);
        assert_eq!(leader.check_lag(Monotonic(now)), None);
    }
    assert!(leader.check_lag(Monotonic(99_000 + LAG_MAX_MS)).is_some());
}

#[test]
fn a_follower_joins_only_with_all_records_up_to_the_epochs_start() {
    let mut leader = leader(&[1, 2], &[1], 1, 10, 10);
    assert_eq!(fetch(&mut leader, 2, 9, 10, 1).proposal, None);
    let unfenced = |id: BrokerId| all(id).filter(|_| id != BrokerId(2));
    let caught_up = FollowerFetch {
        broker_id: BrokerId(2),
        broker_epoch: None,
        log_end_offset: Offset(10),
        log_start_offset: Offset(0),
        leader_log_start_offset: Offset(0),
        leader_log_end_offset: Offset(10),
        now: Monotonic(2),
    };
    assert_eq!(leader.fetched(&caught_up, &unfenced).unwrap().proposal, None);
    assert!(leader.fetched(&caught_up, &all).unwrap().proposal.is_some());
    assert_eq!(leader.fetched(&caught_up, &all).unwrap().proposal, None, "one change at a time");
}

#[test]
fn under_min_isr_nothing_is_acknowledged() {
    let mut leader = leader(&[1, 2, 3], &[1], 2, 10, 10);
    assert!(leader.is_under_min_isr());
    assert_eq!(append(&mut leader, 11), None);
    assert_eq!(leader.acknowledged(Offset(10)), Some(Err(ErrorCode::NotEnoughReplicasAfterAppend)));
    let progress = fetch(&mut leader, 2, 11, 11, 1);
    assert_eq!((progress.high_watermark, isr(&progress.proposal.unwrap())), (None, vec![1, 2]));
    let replicas = [1, 2, 3].map(BrokerId);
    let moved = leader.committed(PartitionEpoch(8), &replicas, vec![BrokerId(1), BrokerId(2)], Monotonic(2), &all);
    assert_eq!(moved, Some(Offset(11)));
}

#[test]
fn fetches_that_do_not_count() {
    let mut leader = leader(&[1, 2], &[1, 2], 1, 10, 10);
    fetch(&mut leader, 2, 10, 10, 1);
    let mut stale = FollowerFetch {
        broker_id: BrokerId(2),
        broker_epoch: Some(BrokerEpoch(199)),
        log_end_offset: Offset(3),
        log_start_offset: Offset(0),
        leader_log_start_offset: Offset(0),
        leader_log_end_offset: Offset(10),
        now: Monotonic(2),
    };
    assert_eq!(leader.fetched(&stale, &all), Err(FetchError::StaleBrokerEpoch));
    assert_eq!(leader.follower(BrokerId(2)).unwrap().log_end_offset, Some(Offset(10)));
    stale.broker_id = BrokerId(9);
    assert_eq!(leader.fetched(&stale, &all), Err(FetchError::UnknownReplica));
}

#[test]
fn an_older_state_of_the_partition_is_ignored() {
    let mut leader = leader(&[1, 2], &[1, 2], 1, 10, 0);
    let replicas = [BrokerId(1), BrokerId(2)];
    for epoch in [6, 7] {
        assert_eq!(leader.committed(PartitionEpoch(epoch), &replicas, vec![BrokerId(1)], Monotonic(0), &all), None);
        assert_eq!(leader.isr().committed().len(), 2);
    }
    // A removed replica does not hold back the high watermark. A new one starts with nothing.
    let replicas = [BrokerId(1), BrokerId(3)];
    assert_eq!(leader.committed(PartitionEpoch(8), &replicas, vec![BrokerId(1)], Monotonic(0), &all), Some(Offset(10)));
    assert!(leader.follower(BrokerId(2)).is_none() && leader.follower(BrokerId(3)).is_some());
}

proptest::proptest! {
    #[test]
    fn the_high_watermark_never_moves_back_nor_past_the_isr(events in proptest::collection::vec((0u8..5, 2i32..4, 0i64..40), 1..200)) {
        let mut leader = leader(&[1, 2, 3], &[1, 2, 3], 2, 0, 0);
        let replicas = [1, 2, 3].map(BrokerId);
        let (mut end, mut now, mut high_watermark, mut pending) = (0, 0, 0, None::<IsrProposal>);
        let mut epoch = 7;
        for (kind, id, amount) in events {
            now += 1 + amount as u64 * 500;
            match kind {
                0 => { end += amount; append(&mut leader, end); }
                1 | 2 => { let at = (end - amount).max(0); pending = fetch(&mut leader, id, at, end, now).proposal.or(pending); }
                3 => pending = leader.check_lag(Monotonic(now)).or(pending),
                _ => if let Some(proposal) = pending.take() {
                    epoch += 1;
                    let isr = proposal.isr.iter().map(|(id, _)| *id).collect();
                    leader.committed(PartitionEpoch(epoch), &replicas, isr, Monotonic(now), &all);
                }
            }
            let now_at = leader.high_watermark().0;
            proptest::prop_assert!(now_at >= high_watermark && now_at <= end);
            if now_at > high_watermark {
                for id in leader.isr().committed().iter().filter(|id| **id != BrokerId(1)) {
                    let reached = leader.follower(*id).unwrap().log_end_offset.unwrap_or_default().0;
                    proptest::prop_assert!(reached >= now_at, "{} at {} holds less than {}", id, reached, now_at);
                }
            }
            high_watermark = now_at;
        }
    }
}
