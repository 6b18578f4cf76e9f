//! Proposals to change the ISR, and what the controller answers.

use super::*;

fn standing(epoch: i64) -> BrokerStanding {
    BrokerStanding { epoch: BrokerEpoch(epoch), is_fenced: false, is_shutting_down: false }
}

fn committed(isr: &[i32], leader_epoch: i32, partition_epoch: i32) -> CommittedIsr {
    CommittedIsr {
        isr: isr.iter().map(|id| BrokerId(*id)).collect(),
        leader_epoch: LeaderEpoch(leader_epoch),
        partition_epoch: PartitionEpoch(partition_epoch),
    }
}

/// A leader that has proposed to add follower 2, at log end 20 and high watermark 20.
fn expanding() -> (Leader, IsrProposal) {
    let mut leader = leader(&[1, 2], &[1], 1, 20, 0);
    let proposal = fetch(&mut leader, 2, 20, 20, 1).proposal.unwrap();
    (leader, proposal)
}

#[test]
fn a_replica_that_is_fenced_or_shutting_down_or_has_another_epoch_does_not_join() {
    let fenced = BrokerStanding { is_fenced: true, ..standing(200) };
    let leaving = BrokerStanding { is_shutting_down: true, ..standing(200) };
    for refused in [None, Some(fenced), Some(leaving), Some(standing(199))] {
        let mut leader = leader(&[1, 2], &[1], 1, 20, 0);
        let fetch = FollowerFetch {
            broker_id: BrokerId(2),
            broker_epoch: Some(BrokerEpoch(200)),
            log_end_offset: Offset(20),
            log_start_offset: Offset(0),
            leader_log_start_offset: Offset(0),
            leader_log_end_offset: Offset(20),
            now: Monotonic(1),
        };
        assert_eq!(leader.fetched(&fetch, &|_| refused).unwrap().proposal, None, "{refused:?}");
        // Without a broker epoch, the request is from before KIP-903. The other conditions hold.
        let old = FollowerFetch { broker_epoch: None, ..fetch };
        let joins = refused == Some(standing(199));
        assert_eq!(leader.fetched(&old, &|_| refused).unwrap().proposal.is_some(), joins, "{refused:?}");
    }
}

#[test]
fn a_fetch_of_an_older_registration_is_refused_and_changes_nothing() {
    let mut leader = leader(&[1, 2], &[1, 2], 1, 20, 0);
    let fetch = FollowerFetch {
        broker_id: BrokerId(2),
        broker_epoch: Some(BrokerEpoch(200)),
        log_end_offset: Offset(20),
        log_start_offset: Offset(0),
        leader_log_start_offset: Offset(0),
        leader_log_end_offset: Offset(20),
        now: Monotonic(1),
    };
    // The image knows a newer registration, although nothing was fetched under it yet.
    assert_eq!(leader.fetched(&fetch, &|_| Some(standing(201))), Err(FetchError::StaleBrokerEpoch));
    assert_eq!(leader.follower(BrokerId(2)).unwrap().log_end_offset, None);
    // As in Kafka, the epoch of a fenced broker says nothing.
    let fenced = BrokerStanding { is_fenced: true, ..standing(201) };
    assert_eq!(leader.fetched(&fetch, &|_| Some(fenced)).unwrap().high_watermark, Some(Offset(20)));
}

#[test]
fn a_committed_proposal_is_taken_over_at_once() {
    let (mut leader, proposal) = expanding();
    assert_eq!(leader.answered(&proposal, Ok(committed(&[1, 2], 5, 8)), &all), ProposalOutcome::Committed(None));
    assert_eq!(leader.isr(), &Isr::Committed(vec![BrokerId(1), BrokerId(2)]));
    assert_eq!(leader.partition_epoch(), PartitionEpoch(8));
    // Nothing changed at the controller: the partition epoch is the same.
    let proposal = leader.check_lag(Monotonic(LAG_MAX_MS * 9)).map(|it| it.isr);
    assert_eq!(proposal, None, "it has everything");
}

#[test]
fn a_shrink_moves_the_high_watermark_only_once_it_is_committed() {
    let mut leader = leader(&[1, 2], &[1, 2], 1, 20, 0);
    let proposal = leader.check_lag(Monotonic(LAG_MAX_MS + 1)).unwrap();
    assert_eq!(append(&mut leader, 21), None);
    let outcome = leader.answered(&proposal, Ok(committed(&[1], 5, 8)), &all);
    assert_eq!(outcome, ProposalOutcome::Committed(Some(Offset(21))));
}

#[test]
fn how_refusals_of_a_proposal_are_classified() {
    for code in [ErrorCode::OperationNotAttempted, ErrorCode::IneligibleReplica] {
        let (mut leader, proposal) = expanding();
        assert_eq!(leader.answered(&proposal, Err(code), &all), ProposalOutcome::Withdrawn);
        assert!(!leader.isr().is_pending());
    }
    for code in [
        ErrorCode::FencedLeaderEpoch,
        ErrorCode::InvalidUpdateVersion,
        ErrorCode::InvalidRequest,
        ErrorCode::NewLeaderElected,
        ErrorCode::UnknownTopicId,
        ErrorCode::UnknownTopicOrPartition,
    ] {
        let (mut leader, proposal) = expanding();
        assert_eq!(leader.answered(&proposal, Err(code), &all), ProposalOutcome::AwaitsImage);
        // Both ISRs still count, and nothing else is proposed.
        assert_eq!(append(&mut leader, 30), None);
        assert_eq!(leader.check_lag(Monotonic(LAG_MAX_MS * 9)), None);
    }
    for code in [ErrorCode::NotController, ErrorCode::NetworkException, ErrorCode::UnknownServerError] {
        let (mut leader, proposal) = expanding();
        let outcome = leader.answered(&proposal, Err(code), &all);
        assert_eq!(outcome, ProposalOutcome::SendAgain(proposal), "the controller may have applied it");
        assert!(leader.isr().is_pending());
    }
}

#[test]
fn answers_to_what_the_leader_no_longer_waits_for_are_stale() {
    let (mut leader, proposal) = expanding();
    assert_eq!(leader.answered(&proposal, Ok(committed(&[1, 2], 6, 8)), &all), ProposalOutcome::Stale);
    assert_eq!(leader.answered(&proposal, Ok(committed(&[1, 2], 5, 6)), &all), ProposalOutcome::Stale);
    let replicas = [BrokerId(1), BrokerId(2)];
    leader.committed(PartitionEpoch(8), &replicas, vec![BrokerId(1)], Monotonic(2), &all);
    assert_eq!(leader.answered(&proposal, Ok(committed(&[1, 2], 5, 8)), &all), ProposalOutcome::Stale);
    assert_eq!(leader.isr(), &Isr::Committed(vec![BrokerId(1)]));
}

#[test]
fn an_image_of_the_same_partition_epoch_does_not_drop_a_proposal() {
    let (mut leader, proposal) = expanding();
    let replicas = [1, 2, 3].map(BrokerId);
    leader.committed(PartitionEpoch(7), &replicas, vec![BrokerId(1)], Monotonic(2), &all);
    assert_eq!(leader.isr().proposal(), Some(&proposal));
    assert_eq!(append(&mut leader, 30), None, "the controller may have added follower 2 by now");
    // What an answer does not say is taken from the image: here, that there is another replica.
    assert!(leader.follower(BrokerId(3)).is_some());
}

#[test]
fn a_follower_whose_records_all_lie_below_the_leaders_log_start_does_not_join_yet() {
    let mut leader = leader(&[1, 2], &[1], 1, 20, 20);
    let fetch = FollowerFetch {
        broker_id: BrokerId(2),
        broker_epoch: Some(BrokerEpoch(200)),
        log_end_offset: Offset(20),
        log_start_offset: Offset(5),
        leader_log_start_offset: Offset(20),
        leader_log_end_offset: Offset(20),
        now: Monotonic(1),
    };
    assert_eq!(leader.fetched(&fetch, &all).unwrap().proposal, None);
    // The answer has moved its log start.
    let next = FollowerFetch { log_start_offset: Offset(20), ..fetch };
    assert!(leader.fetched(&next, &all).unwrap().proposal.is_some());
}

#[test]
fn a_consumer_reads_from_the_follower_in_sync_in_its_rack_that_has_most() {
    let mut leader = leader(&[1, 2, 3, 4], &[1, 2, 3], 1, 10, 10);
    for (follower, end, now) in [(2, 10, 1), (3, 8, 2), (4, 10, 3)] {
        fetch(&mut leader, follower, end, 10, now);
    }
    let chosen = |leader: &Leader, offset: i64, rack: &[i32]| {
        leader.preferred_read_replica(Offset(offset), &|id| rack.contains(&id.0)).map(|id| id.0)
    };
    assert_eq!(chosen(&leader, 5, &[2, 3]), Some(2));
    assert_eq!(chosen(&leader, 5, &[3]), Some(3));
    // It lacks the record.
    assert_eq!(chosen(&leader, 9, &[3]), None);
    // It is not in sync.
    assert_eq!(chosen(&leader, 5, &[4]), None);
    assert_eq!(chosen(&leader, 5, &[4, 3]), Some(3));
    // The leader is as near, or nobody is.
    assert_eq!(chosen(&leader, 5, &[1, 2]), None);
    assert_eq!(chosen(&leader, 5, &[]), None);
    // Of equals, the one that was caught up last.
    fetch(&mut leader, 3, 10, 10, 4);
    assert_eq!(chosen(&leader, 5, &[2, 3]), Some(3));
}
