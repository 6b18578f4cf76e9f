//! A replica from role to role.

use super::LAG_MAX_MS;
use crate::*;
use model::{BrokerId, LeaderEpoch, Monotonic, Offset, PartitionEpoch};

const REPLICAS: [BrokerId; 3] = [BrokerId(1), BrokerId(2), BrokerId(3)];

fn change(replica: &Replica, leader: Option<i32>, leader_epoch: i32) -> RoleChange {
    replica.change(&PartitionState {
        leader: leader.map(BrokerId),
        leader_epoch: LeaderEpoch(leader_epoch),
        partition_epoch: PartitionEpoch(leader_epoch),
        replicas: &REPLICAS,
        isr: &REPLICAS,
    })
}

fn lead(replica: &mut Replica, leader_epoch: i32) {
    replica.lead(LeaderStart {
        broker_id: BrokerId(1),
        leader_epoch: LeaderEpoch(leader_epoch),
        partition_epoch: PartitionEpoch(leader_epoch),
        replicas: REPLICAS.to_vec(),
        isr: REPLICAS.to_vec(),
        min_insync_replicas: 1,
        lag_max_ms: LAG_MAX_MS,
        log_end_offset: Offset(0),
        own_end_offset: Offset(0),
        high_watermark: Offset(0),
        now: Monotonic(0),
    });
}

#[test]
fn leader_epochs_change_roles_and_never_go_back() {
    let mut replica = Replica::new(BrokerId(1));
    assert_eq!(change(&replica, None, 0), RoleChange::Resign);
    assert_eq!(change(&replica, Some(2), 1), RoleChange::Follow(BrokerId(2)));
    replica.follow(BrokerId(2), LeaderEpoch(1), 1_000);
    assert_eq!(change(&replica, Some(2), 1), RoleChange::Nothing);
    assert_eq!(change(&replica, Some(1), 0), RoleChange::Nothing);
    // The same leader in another epoch is another leader.
    assert_eq!(change(&replica, Some(2), 2), RoleChange::Follow(BrokerId(2)));
    assert_eq!(change(&replica, Some(1), 3), RoleChange::Lead);
    lead(&mut replica, 3);
    assert!(replica.follower_mut().is_none() && replica.leader().is_some());
    assert_eq!(change(&replica, Some(1), 3), RoleChange::Update);
    assert_eq!(change(&replica, Some(1), 4), RoleChange::Lead);
    assert_eq!(change(&replica, Some(2), 2), RoleChange::Nothing);
    assert_eq!(change(&replica, Some(3), 5), RoleChange::Follow(BrokerId(3)));
    assert_eq!(change(&replica, None, 5), RoleChange::Resign);
    assert_eq!(replica.resign(LeaderEpoch(5)).map(|leader| leader.leader_epoch()), Some(LeaderEpoch(3)));
    assert_eq!((change(&replica, None, 5), replica.leader_epoch()), (RoleChange::Nothing, Some(LeaderEpoch(5))));
    // A broker that resigned within an epoch, since its log failed, may lead again in that epoch.
    assert_eq!(change(&replica, Some(1), 5), RoleChange::Lead);
}

#[test]
fn a_broker_that_is_no_replica_follows_nobody() {
    let mut replica = Replica::new(BrokerId(9));
    assert_eq!(change(&replica, Some(1), 1), RoleChange::Resign);
    replica.follow(BrokerId(2), LeaderEpoch(1), 1_000);
    assert_eq!(change(&replica, Some(1), 2), RoleChange::Resign);
}

#[test]
fn an_answer_after_the_role_has_changed_is_late() {
    let mut replica = Replica::new(BrokerId(1));
    replica.follow(BrokerId(2), LeaderEpoch(1), 1_000);
    let log = FollowerLog {
        log_start_offset: Offset(0),
        log_end_offset: Offset(5),
        high_watermark: Offset(5),
        latest_epoch: Some(LeaderEpoch(0)),
    };
    let Some(FollowerNext::Fetch(asked)) = replica.follower_mut().map(|it| it.next(&log, Monotonic(0))) else {
        panic!("it fetches")
    };
    let answer = FetchAnswer { error: None, diverging: None, high_watermark: Offset(5), log_start_offset: Offset(0) };
    lead(&mut replica, 2);
    assert_eq!(replica.fetched(&asked, &answer, &log, &|_| None, Monotonic(0)), FollowerStep::Nothing);
}
