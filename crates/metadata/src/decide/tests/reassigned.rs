//! Reassignments that replace, end and cancel one another, and who may lead meanwhile.

use super::several::{Ask, alter, create, fence, ids, partition, reassign, set, state};
use super::*;
use crate::image::LeaderRecovery;
use protocol::messages::alter_partition_reassignments_request as reassign;

#[test]
fn a_reassignment_that_ends_may_move_the_leadership() {
    let mut cluster = Cluster::of_brokers(3, 1);
    create(&mut cluster, "a", &[&[1, 2]]);
    let (records, said) = reassign(&mut cluster, "a", &[Some(&[3, 2])]);
    assert_eq!(said, ["NONE"]);
    assert!(
        records[0].starts_with(
            "PartitionChange v2 {partitionId:0,topicId:a,replicas:[3,2,1],removingReplicas:[1],addingReplicas:[3]"
        ),
        "{records:?}"
    );
    let before = partition(&cluster, "a", 0).leader_epoch;
    let (records, codes) = alter(&mut cluster, "a", &Ask { leader: 1, isr: &[(1, None), (2, None), (3, None)] }, 1);
    assert_eq!(codes, [ErrorCode::NewLeaderElected], "the leader is removed, and must ask who leads");
    assert_eq!(records.len(), 1);
    let it = partition(&cluster, "a", 0);
    assert_eq!((ids(&it.replicas), ids(&it.isr), it.leader), (vec![3, 2], vec![2, 3], Some(BrokerId(3))));
    assert_eq!(it.leader_epoch.0, before.0 + 1);
}

#[test]
fn a_reassignment_back_to_where_the_replicas_were_ends_at_once() {
    let mut cluster = Cluster::of_brokers(3, 1);
    create(&mut cluster, "a", &[&[1, 2]]);
    fence(&mut cluster, 3);
    reassign(&mut cluster, "a", &[Some(&[1, 3])]);
    assert!(partition(&cluster, "a", 0).is_reassigning());
    let (_, said) = reassign(&mut cluster, "a", &[Some(&[1, 2])]);
    assert_eq!(said, ["NONE"]);
    let it = partition(&cluster, "a", 0);
    assert!(!it.is_reassigning(), "{it:?}");
    assert_eq!((ids(&it.replicas), ids(&it.isr)), (vec![1, 2], vec![1, 2]));
}

#[test]
fn a_reassignment_is_cancelled_and_a_partition_is_named_once() {
    let mut cluster = Cluster::of_brokers(3, 1);
    create(&mut cluster, "a", &[&[1, 2]]);
    fence(&mut cluster, 3);
    // The first changes nothing, and so the second is judged as if it were alone.
    let (records, said) = reassign(&mut cluster, "a", &[Some(&[1, 2]), None]);
    assert_eq!((records.len(), said), (0, vec!["NONE".to_owned(), "NO_REASSIGNMENT_IN_PROGRESS".to_owned()]));
    let (records, said) = reassign(&mut cluster, "a", &[Some(&[1, 3]), Some(&[3])]);
    assert_eq!(said, ["NONE", "INVALID_REQUEST: The partition is named more than once."]);
    assert_eq!(records.len(), 1);
    assert_eq!(reassign(&mut cluster, "a", &[None]).1, ["NONE"]);
    let it = partition(&cluster, "a", 0);
    assert_eq!((ids(&it.replicas), it.is_reassigning()), (vec![1, 2], false));
    assert_eq!(reassign(&mut cluster, "a", &[None]).1, ["NO_REASSIGNMENT_IN_PROGRESS"]);
    let (_, said) = reassign(&mut cluster, "a", &[Some(&[1, 9])]);
    assert_eq!(
        said,
        [
            "INVALID_REPLICA_ASSIGNMENT: The manual partition assignment includes broker 9, but no such broker is registered."
        ]
    );
}

/// A second reassignment leaves the leader and the ISR where they are until it ends.
#[test]
fn a_reassignment_that_replaces_another_keeps_who_is_in_sync() {
    let mut cluster = Cluster::of_brokers(4, 1);
    create(&mut cluster, "a", &[&[1, 2]]);
    fence(&mut cluster, 4);
    reassign(&mut cluster, "a", &[Some(&[3, 4])]);
    alter(&mut cluster, "a", &Ask { leader: 1, isr: &[(1, None), (2, None), (3, None)] }, 1);
    for id in 1..=2 {
        fence(&mut cluster, id);
    }
    assert_eq!(state(&cluster, "a"), (Some(3), vec![3], vec![]), "a new replica leads");
    for id in [1, 2, 4] {
        cluster.beat(id, |_| {}).unwrap();
    }
    let (_, said) = reassign(&mut cluster, "a", &[Some(&[1, 4])]);
    assert_eq!(said, ["NONE"]);
    let it = partition(&cluster, "a", 0);
    assert_eq!(ids(&it.replicas), [1, 4, 2, 3]);
    assert_eq!((ids(&it.adding_replicas), ids(&it.removing_replicas)), (vec![4], vec![2, 3]));
    assert_eq!((ids(&it.isr), it.leader), (vec![3], Some(BrokerId(3))));
    // Broker 4 was to be added before, and the reassignment still waits for it.
    alter(&mut cluster, "a", &Ask { leader: 3, isr: &[(3, None), (1, None)] }, 1);
    assert!(partition(&cluster, "a", 0).is_reassigning());
    let (_, codes) = alter(&mut cluster, "a", &Ask { leader: 3, isr: &[(3, None), (1, None), (4, None)] }, 1);
    assert_eq!(codes, [ErrorCode::NewLeaderElected]);
    let it = partition(&cluster, "a", 0);
    assert_eq!((ids(&it.replicas), ids(&it.isr), it.leader), (vec![1, 4], vec![1, 4], Some(BrokerId(1))));
}

#[test]
fn the_replication_factor_is_that_of_the_target_in_progress() {
    let mut cluster = Cluster::of_brokers(4, 1);
    create(&mut cluster, "a", &[&[1, 2]]);
    fence(&mut cluster, 4);
    reassign(&mut cluster, "a", &[Some(&[1, 3, 4])]);
    let partition = reassign::ReassignablePartition { replicas: Some(vec![1, 2]), ..Default::default() };
    let topics =
        vec![reassign::ReassignableTopic { name: "a".into(), partitions: vec![partition], ..Default::default() }];
    let request = reassign::AlterPartitionReassignmentsRequest {
        allow_replication_factor_change: false,
        topics,
        ..Default::default()
    };
    let (records, reply) =
        cluster.decide(|image, _, context| alter_partition_reassignments(image, context, &request)).unwrap();
    assert!(records.is_empty());
    let it = &reply.responses[0].partitions[0];
    assert_eq!(
        result(it.error_code, it.error_message.as_ref()),
        "INVALID_REPLICATION_FACTOR: The replication factor is changed from 3 to 2"
    );
}

#[test]
fn a_reassignment_in_an_old_version_keeps_one_directory_for_each_replica() {
    let mut cluster = Cluster::new(MetadataVersion::from_name("3.6").unwrap());
    for id in 1..=2 {
        cluster.register(id, id as u8, -1).unwrap();
        cluster.beat(id, |_| {}).unwrap();
    }
    create(&mut cluster, "a", &[&[1]]);
    reassign(&mut cluster, "a", &[Some(&[1, 2])]);
    let it = partition(&cluster, "a", 0);
    assert_eq!(it.directories, [crate::image::MIGRATING; 2]);
    let records: Vec<_> = cluster.image.snapshot_records().map(|it| it.record).collect();
    let loaded = crate::Loader::from_snapshot(&Image::default(), Default::default(), &records).unwrap();
    assert_eq!(loaded.image().topics, cluster.image.topics);
}

#[test]
fn a_removed_replica_is_no_eligible_leader_when_it_is_added_again() {
    let mut cluster = Cluster::of_brokers(2, 2);
    create(&mut cluster, "a", &[&[1, 2]]);
    fence(&mut cluster, 2);
    assert_eq!(state(&cluster, "a"), (Some(1), vec![1], vec![2]));
    reassign(&mut cluster, "a", &[Some(&[1])]);
    assert_eq!(state(&cluster, "a"), (Some(1), vec![1], vec![]), "its records are gone");
    cluster.beat(2, |_| {}).unwrap();
    reassign(&mut cluster, "a", &[Some(&[1, 2])]);
    fence(&mut cluster, 1);
    assert_eq!(state(&cluster, "a").0, None);
}

#[test]
fn the_last_leader_does_not_lead_where_it_is_no_replica_any_more() {
    let mut cluster = Cluster::of_brokers(3, 2);
    create(&mut cluster, "a", &[&[1, 2]]);
    for id in [2, 1] {
        fence(&mut cluster, id);
    }
    for id in 1..=2 {
        cluster.register(id, 10 + id as u8, -1).unwrap();
    }
    assert_eq!(ids(&partition(&cluster, "a", 0).last_known_elr), [1]);
    reassign(&mut cluster, "a", &[Some(&[3])]);
    // A Kafka controller may have ended it so.
    let end = protocol::messages::partition_change_record::PartitionChangeRecord {
        partition_id: 0,
        topic_id: cluster.image.topics.by_name("a").unwrap().id,
        replicas: Some(vec![3]),
        adding_replicas: Some(vec![]),
        removing_replicas: Some(vec![]),
        directories: Some(vec![Uuid([9; 16])]),
        ..Default::default()
    };
    cluster.append(&[VersionedRecord { record: MetadataRecord::PartitionChange(end), version: 2 }]);
    cluster.beat(1, |_| {}).unwrap();
    assert_eq!(state(&cluster, "a"), (None, vec![], vec![]));
}

#[test]
fn a_cancellation_without_a_replica_in_sync_marks_its_leader() {
    let mut cluster = Cluster::of_brokers(4, 1);
    for id in [1, 4] {
        fence(&mut cluster, id);
    }
    create(&mut cluster, "b", &[&[1, 2]]);
    reassign(&mut cluster, "b", &[Some(&[3, 4])]);
    alter(&mut cluster, "b", &Ask { leader: 2, isr: &[(2, None), (3, None)] }, 1);
    fence(&mut cluster, 2);
    assert_eq!(state(&cluster, "b"), (Some(3), vec![3], vec![]), "only a replica that is added is in sync");
    cluster.beat(2, |_| {}).unwrap();
    let (_, said) = reassign(&mut cluster, "b", &[None]);
    assert_eq!(
        said,
        [
            "INVALID_REPLICA_ASSIGNMENT: Unable to revert partition assignment for b:0 because it would require an unclean leader election."
        ]
    );
    set(&mut cluster, "b", "unclean.leader.election.enable", "true");
    let (_, said) = reassign(&mut cluster, "b", &[None]);
    assert_eq!(said, ["NONE"]);
    let it = partition(&cluster, "b", 0);
    assert_eq!((ids(&it.replicas), ids(&it.isr), it.leader), (vec![1, 2], vec![2], Some(BrokerId(2))));
    assert_eq!(it.leader_recovery, LeaderRecovery::Recovering);
}
