//! What a cluster of several brokers needs beyond one: which broker goes first, what each must have
//! seen, and who leads when some are gone.

use super::*;
use crate::image::{LeaderRecovery, Partition};
use model::PartitionIndex;
use protocol::messages::alter_partition_reassignments_request as reassign;
use protocol::messages::alter_partition_request as isr;
use protocol::messages::assign_replicas_to_dirs_request as dirs;
use protocol::messages::create_topics_request::{CreatableReplicaAssignment, CreatableTopic, CreateTopicsRequest};
use protocol::messages::elect_leaders_request::{ElectLeadersRequest, TopicPartitions};
use protocol::messages::incremental_alter_configs_request as configs;

pub(super) fn create(cluster: &mut Cluster, name: &str, assignments: &[&[i32]]) {
    let assignments = (0..).zip(assignments).map(|(partition_index, ids)| CreatableReplicaAssignment {
        partition_index,
        broker_ids: ids.to_vec(),
        ..Default::default()
    });
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: -1,
        replication_factor: -1,
        assignments: assignments.collect(),
        ..Default::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
    let (_, reply) = cluster.decide(|image, _, context| create_topics(image, context, &request, &|_| true)).unwrap();
    assert_eq!(reply.topics[0].error_code, 0);
}

fn create_spread(cluster: &mut Cluster, name: &str, partitions: i32, factor: i16) -> String {
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: partitions,
        replication_factor: factor,
        ..Default::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
    let (_, reply) = cluster.decide(|image, _, context| create_topics(image, context, &request, &|_| true)).unwrap();
    result(reply.topics[0].error_code, reply.topics[0].error_message.as_ref())
}

pub(super) fn partition(cluster: &Cluster, name: &str, index: i32) -> Partition {
    Partition::clone(cluster.image.topics.partition(name, PartitionIndex(index)).unwrap())
}

pub(super) fn ids(of: &[BrokerId]) -> Vec<i32> {
    of.iter().map(|id| id.0).collect()
}

/// Leader, ISR and ELR of the first partition.
pub(super) fn state(cluster: &Cluster, name: &str) -> (Option<i32>, Vec<i32>, Vec<i32>) {
    let it = partition(cluster, name, 0);
    (it.leader.map(|id| id.0), ids(&it.isr), ids(&it.elr))
}

pub(super) fn fence(cluster: &mut Cluster, id: i32) {
    let records = fence_broker(&cluster.image, &cluster.settings, BrokerId(id));
    cluster.append(&records);
    cluster.soft.apply(SoftChange::Forgotten(BrokerId(id)), Offset(0));
}

pub(super) fn set(cluster: &mut Cluster, topic: &str, key: &str, value: &str) {
    let config = configs::AlterableConfig {
        name: key.into(),
        config_operation: 0,
        value: Some(value.into()),
        ..Default::default()
    };
    let resource = configs::AlterConfigsResource {
        resource_type: 2,
        resource_name: topic.into(),
        configs: vec![config],
        ..Default::default()
    };
    let request = configs::IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() };
    let altered = cluster
        .decide(|image, _, context| incremental_alter_configs(image, context, Origin::Controller, &request))
        .unwrap();
    assert_eq!(altered.1.responses[0].error_code, 0);
}

/// What a leader asks for, and how the controller's answer and records read.
pub(super) struct Ask<'a> {
    pub(super) leader: i32,
    /// Members with their broker epochs; `None` stands for the epoch that is registered.
    pub(super) isr: &'a [(i32, Option<i64>)],
}

pub(super) fn alter(cluster: &mut Cluster, name: &str, ask: &Ask<'_>, times: usize) -> (Vec<String>, Vec<ErrorCode>) {
    let epoch = |cluster: &Cluster, id: i32| cluster.image.cluster.brokers[&BrokerId(id)].epoch.0;
    let it = partition(cluster, name, 0);
    let members = ask.isr.iter().map(|(broker_id, broker_epoch)| isr::BrokerState {
        broker_id: *broker_id,
        broker_epoch: broker_epoch.unwrap_or_else(|| epoch(cluster, *broker_id)),
        ..Default::default()
    });
    let asked = isr::PartitionData {
        leader_epoch: it.leader_epoch.0,
        partition_epoch: it.partition_epoch.0,
        new_isr_with_epochs: members.collect(),
        ..Default::default()
    };
    let topic_id = cluster.image.topics.by_name(name).unwrap().id;
    let topics = vec![isr::TopicData { topic_id, partitions: vec![asked; times], ..Default::default() }];
    let (broker_id, broker_epoch) = (ask.leader, epoch(cluster, ask.leader));
    let request = isr::AlterPartitionRequest { broker_id, broker_epoch, topics, ..Default::default() };
    let (records, reply) = cluster.decide(|image, _, context| alter_partition(image, context, &request)).unwrap();
    let codes = reply.topics[0].partitions.iter().map(|it| ErrorCode::from_code(it.error_code).unwrap());
    (records, codes.collect())
}

pub(super) fn reassign(cluster: &mut Cluster, name: &str, targets: &[Option<&[i32]>]) -> (Vec<String>, Vec<String>) {
    let of = |target: &Option<&[i32]>| reassign::ReassignablePartition {
        partition_index: 0,
        replicas: target.map(<[i32]>::to_vec),
        ..Default::default()
    };
    let partitions = targets.iter().map(of).collect();
    let topics = vec![reassign::ReassignableTopic { name: name.into(), partitions, ..Default::default() }];
    let request = reassign::AlterPartitionReassignmentsRequest { topics, ..Default::default() };
    let (records, reply) =
        cluster.decide(|image, _, context| alter_partition_reassignments(image, context, &request)).unwrap();
    let said = reply.responses[0].partitions.iter().map(|it| result(it.error_code, it.error_message.as_ref()));
    (records, said.collect())
}

fn elect(cluster: &mut Cluster, election_type: i8, name: &str, partitions: &[i32]) -> Vec<String> {
    let topics = vec![TopicPartitions { topic: name.into(), partitions: partitions.to_vec(), ..Default::default() }];
    let request = ElectLeadersRequest { election_type, topic_partitions: Some(topics), ..Default::default() };
    let (_, reply) = cluster.decide(|image, _, context| elect_leaders(image, context, &request)).unwrap();
    let results = reply.replica_election_results[0].partition_result.iter();
    results.map(|it| result(it.error_code, it.error_message.as_ref())).collect()
}

#[test]
fn the_broker_that_was_silent_for_the_longest_time_is_fenced_first() {
    let mut cluster = Cluster::of_brokers(3, 1);
    for (now, id) in [(1_000, 3), (2_000, 1), (3_000, 2)] {
        cluster.now = now;
        cluster.beat(id, |_| {}).unwrap();
    }
    cluster.now = 20_000;
    let mut order = Vec::new();
    while let Some(id) = {
        let decided = cluster.decide(|image, soft, context| {
            Ok(fence_stale_brokers(image, soft, context).unwrap_or(Decision::reply(None)))
        });
        decided.unwrap().1
    } {
        order.push(id.0);
    }
    assert_eq!(order, [3, 1, 2]);
}

#[test]
fn a_broker_that_is_lost_is_fenced_before_its_session_ends_and_may_come_back() {
    let mut cluster = Cluster::of_brokers(3, 2);
    create(&mut cluster, "a", &[&[1, 2, 3]]);
    let epoch = cluster.image.cluster.brokers[&BrokerId(1)].epoch;
    let lose = |cluster: &mut Cluster, epoch| {
        let lost = LostBroker { id: BrokerId(1), epoch, since: Monotonic(cluster.now) };
        cluster.decide(|image, soft, context| Ok(fence_lost_broker(image, soft, context, lost))).unwrap()
    };
    assert_eq!(lose(&mut cluster, BrokerEpoch(3)), (vec![], false), "an earlier registration");
    let (records, fenced) = lose(&mut cluster, epoch);
    assert_eq!(
        records,
        [
            "PartitionChange v2 {partitionId:0,topicId:a,isr:[2,3],leader:2}",
            "BrokerRegistrationChange v0 {brokerId:1,brokerEpoch:10,fenced:1}",
        ]
    );
    assert!(fenced);
    assert_eq!(lose(&mut cluster, epoch), (vec![], false));
    // A false alarm: it goes on.
    let (_, says) = cluster.beat(1, |_| {}).unwrap();
    assert_eq!(says, "caught_up=true fenced=false shut_down=false");
    // It was lost indeed: its next process need not wait.
    lose(&mut cluster, epoch);
    cluster.register(1, 7, -1).unwrap();
}

#[test]
fn a_broker_that_was_heard_from_after_its_connection_ended_is_not_lost() {
    let mut cluster = Cluster::of_brokers(3, 2);
    let epoch = cluster.image.cluster.brokers[&BrokerId(1)].epoch;
    cluster.now = 2_000;
    let lost = LostBroker { id: BrokerId(1), epoch, since: Monotonic(2_000) };
    cluster.now = 2_001;
    cluster.beat(1, |_| {}).unwrap();
    let mut fence = |lost| cluster.decide(|image, soft, context| Ok(fence_lost_broker(image, soft, context, lost)));
    assert_eq!(fence(lost).unwrap(), (vec![], false));
    assert!(fence(LostBroker { since: Monotonic(2_001), ..lost }).unwrap().1);
}

#[test]
fn a_broker_is_unfenced_when_it_has_read_its_own_registration_and_not_the_cleanup_before_it() {
    let mut cluster = Cluster::of_brokers(2, 1);
    create(&mut cluster, "a", &[&[2, 1], &[2, 1], &[1, 2]]);
    cluster.soft.apply(SoftChange::Forgotten(BrokerId(2)), Offset(0));
    let records = cluster.register(2, 9, -1).unwrap();
    assert_eq!(records.len(), 4, "three partitions are cleaned up: {records:?}");
    let registered_at = cluster.next_offset - 1;
    let (records, says) = cluster.beat(2, |it| it.current_metadata_offset = registered_at - 1).unwrap();
    assert!(records.iter().all(|it| !it.contains("fenced:-1")), "{records:?}");
    assert_eq!(says, "caught_up=false fenced=true shut_down=false");
    let (_, says) = cluster.beat(2, |it| it.current_metadata_offset = registered_at).unwrap();
    assert_eq!(says, "caught_up=true fenced=false shut_down=false");
    // A new controller does not know where the registration stands, but it is no later than the
    // end.
    fence(&mut cluster, 2);
    cluster.image.provenance.last_offset = Some(Offset(cluster.next_offset - 1));
    cluster.soft = Soft::activated(&cluster.image, Monotonic(0), None);
    let end = cluster.next_offset - 1;
    assert_eq!(
        cluster.beat(2, |it| it.current_metadata_offset = end - 1).unwrap().1,
        "caught_up=false fenced=true shut_down=false"
    );
    assert_eq!(
        cluster.beat(2, |it| it.current_metadata_offset = end).unwrap().1,
        "caught_up=true fenced=false shut_down=false"
    );
}

#[test]
fn a_cleanup_of_many_partitions_may_be_split() {
    let cluster = Cluster::of_brokers(2, 1);
    let settings = cluster.settings.clone();
    let rules = ConfigRules {
        validate: &|_, _, _| Ok(()),
        is_list: &|_, _| false,
        default: &|_, _| None,
        topic_configs: &|_, _| Vec::new(),
    };
    let now = Now { monotonic: Monotonic(20_000), wall: Timestamp(0) };
    let mut random = || 1;
    let mut context =
        ControllerContext { now, random: &mut random, settings: &settings, rules: &rules, is_late: false };
    let features = vec![Feature {
        name: "metadata.version".into(),
        min_supported_version: 7,
        max_supported_version: 30,
        ..Default::default()
    }];
    let mut request = BrokerRegistrationRequest {
        broker_id: 3,
        cluster_id: settings.cluster_id.clone().into(),
        features,
        log_dirs: vec![Uuid([9; 16])],
        ..Default::default()
    };
    let error = register_broker(&cluster.image, &cluster.soft, &mut context, &request, Offset(9)).unwrap_err();
    assert_eq!(
        said(&error),
        "UNSUPPORTED_VERSION: Unable to register because the broker does not support finalized version 1 of eligible.leader.replicas.version. The broker wants a version between 0 and 0, inclusive."
    );
    for it in crate::version::FEATURES.iter().filter(|it| it.name != "metadata.version") {
        let feature = Feature {
            name: it.name.into(),
            min_supported_version: it.min,
            max_supported_version: it.max,
            ..Default::default()
        };
        request.features.push(feature);
    }
    let decided = register_broker(&cluster.image, &cluster.soft, &mut context, &request, Offset(9)).unwrap();
    assert!(!decided.atomic);
}

#[test]
fn log_dirs_belong_to_one_broker() {
    let mut cluster = Cluster::of_brokers(2, 1);
    let taken = cluster.register_as(3, 3, -1, |it| it.log_dirs = vec![Uuid([7; 16])]).unwrap_err();
    assert_eq!(
        said(&taken),
        format!("INVALID_REGISTRATION: Broker 1 is already registered with directory {}", Uuid([7; 16]))
    );
    let other = cluster.register_as(3, 3, -1, |it| it.cluster_id = "other".into()).unwrap_err();
    assert_eq!(
        said(&other),
        "INCONSISTENT_CLUSTER_ID: Expected cluster ID AAAAAAAAAAAAAAAAAAAAAQ, but got cluster ID other"
    );
    let zk = cluster.register_as(3, 3, -1, |it| it.is_migrating_zk_broker = true).unwrap_err();
    assert_eq!(said(&zk), "BROKER_ID_NOT_REGISTERED: Controller does not support registering ZK brokers.");
}

#[test]
fn a_failed_log_dir_is_not_elected_when_its_broker_is_unfenced_by_the_same_heartbeat() {
    let mut cluster = Cluster::of_brokers(1, 1);
    let two = vec![Uuid([8; 16]), Uuid([9; 16])];
    cluster.register_as(2, 2, -1, |it| it.log_dirs.clone_from(&two)).unwrap();
    cluster.beat(2, |_| {}).unwrap();
    create(&mut cluster, "a", &[&[2]]);
    let topic_id = cluster.image.topics.by_name("a").unwrap().id;
    let topic = dirs::TopicData { topic_id, partitions: vec![dirs::PartitionData::default()], ..Default::default() };
    let directory = dirs::DirectoryData { id: two[0], topics: vec![topic], ..Default::default() };
    let broker_epoch = cluster.image.cluster.brokers[&BrokerId(2)].epoch.0;
    let request = dirs::AssignReplicasToDirsRequest {
        broker_id: 2,
        broker_epoch,
        directories: vec![directory],
        ..Default::default()
    };
    cluster.decide(|image, _, context| assign_replicas_to_dirs(image, context, &request)).unwrap();
    fence(&mut cluster, 2);
    assert_eq!(state(&cluster, "a"), (None, vec![], vec![2]));
    let (records, _) = cluster.beat(2, |it| it.offline_log_dirs = vec![two[0]]).unwrap();
    assert_eq!(state(&cluster, "a"), (None, vec![], vec![2]), "{records:?}");
    assert!(!cluster.image.cluster.brokers[&BrokerId(2)].fenced);
    // A broker that is fenced and loses a log dir at once changes each partition once.
    create(&mut cluster, "b", &[&[2, 1]]);
    let (records, _) = cluster.beat(2, |it| (it.want_fence, it.offline_log_dirs) = (true, vec![two[1]])).unwrap();
    assert_eq!(records.iter().filter(|it| it.contains("topicId:b")).count(), 1, "{records:?}");
}

#[test]
fn a_failed_log_dir_moves_leaders_and_the_election_is_unclean_only_where_that_is_allowed() {
    let mut cluster = Cluster::of_brokers(3, 1);
    create(&mut cluster, "a", &[&[1, 2]]);
    create(&mut cluster, "b", &[&[1, 2]]);
    set(&mut cluster, "b", "unclean.leader.election.enable", "true");
    for name in ["a", "b"] {
        alter(&mut cluster, name, &Ask { leader: 1, isr: &[(1, None)] }, 1);
    }
    assert_eq!(state(&cluster, "b"), (Some(1), vec![1], vec![]));
    let dir = cluster.image.cluster.brokers[&BrokerId(1)].log_dirs[0];
    cluster.beat(1, |it| it.offline_log_dirs = vec![dir]).unwrap();
    assert_eq!(state(&cluster, "a"), (None, vec![], vec![1]));
    assert_eq!(state(&cluster, "b"), (Some(2), vec![2], vec![]));
    assert_eq!(partition(&cluster, "b", 0).leader_recovery, LeaderRecovery::Recovering);
}

#[test]
fn a_controlled_shutdown_waits_until_the_others_have_seen_who_leads() {
    let mut cluster = Cluster::of_brokers(3, 1);
    create(&mut cluster, "a", &[&[1, 2, 3]]);
    let seen = cluster.next_offset - 1;
    let (records, says) = cluster.beat(1, |it| it.want_shut_down = true).unwrap();
    assert_eq!(
        records,
        [
            "BrokerRegistrationChange v1 {brokerId:1,brokerEpoch:10,inControlledShutdown:1}",
            "PartitionChange v2 {partitionId:0,topicId:a,isr:[2,3],leader:2}",
        ]
    );
    assert_eq!(says, "caught_up=true fenced=false shut_down=false");
    cluster.beat(2, |_| {}).unwrap();
    cluster.beat(3, |it| it.current_metadata_offset = seen).unwrap();
    let stop = |cluster: &mut Cluster| cluster.beat(1, |it| it.want_shut_down = true).unwrap();
    assert_eq!(stop(&mut cluster).1, "caught_up=true fenced=false shut_down=false");
    cluster.beat(3, |_| {}).unwrap();
    let (records, says) = stop(&mut cluster);
    assert_eq!(records, ["BrokerRegistrationChange v0 {brokerId:1,brokerEpoch:10,fenced:1}"]);
    assert_eq!(says, "caught_up=true fenced=true shut_down=true");
}

#[test]
fn a_broker_in_controlled_shutdown_fails_no_creation() {
    let mut cluster = Cluster::of_brokers(3, 1);
    create(&mut cluster, "a", &[&[1, 2, 3]]);
    cluster.beat(1, |it| it.want_shut_down = true).unwrap();
    assert_eq!(create_spread(&mut cluster, "b", 6, 3), "NONE");
    for it in cluster.image.topics.by_name("b").unwrap().partitions.values() {
        assert!(!it.isr.contains(&BrokerId(1)) && it.isr.len() == 2 && it.leader == it.preferred_leader());
    }
    // Where the others are enough, it gets nothing.
    assert_eq!(create_spread(&mut cluster, "c", 6, 2), "NONE");
    assert!(cluster.image.topics.by_name("c").unwrap().partitions.values().all(|it| it.isr.len() == 2));
    assert_eq!(
        create_spread(&mut cluster, "d", 1, 4),
        "INVALID_REPLICATION_FACTOR: Unable to replicate the partition 4 time(s): The target replication factor of 4 cannot be reached because only 3 broker(s) are registered or some brokers have all their log directories cordoned."
    );
    for id in 2..=3 {
        fence(&mut cluster, id);
    }
    fence(&mut cluster, 1);
    assert_eq!(
        create_spread(&mut cluster, "d", 1, 1),
        "INVALID_REPLICATION_FACTOR: Unable to replicate the partition 1 time(s): All brokers are currently fenced, or have all their log directories cordoned."
    );
}

#[test]
fn replicas_are_spread_over_racks_and_a_broker_has_many_neighbours() {
    let mut cluster = Cluster::new(MetadataVersion::LATEST);
    for id in 1..=6 {
        let rack = format!("r{}", id % 3);
        cluster.register_as(id, id as u8, -1, |it| it.rack = Some(rack.into())).unwrap();
        cluster.beat(id, |_| {}).unwrap();
    }
    assert_eq!(create_spread(&mut cluster, "a", 60, 3), "NONE");
    let mut neighbours = std::collections::BTreeSet::new();
    for it in cluster.image.topics.by_name("a").unwrap().partitions.values() {
        let racks: std::collections::BTreeSet<_> = it.replicas.iter().map(|id| id.0 % 3).collect();
        assert_eq!(racks.len(), 3, "one replica in each rack: {:?}", it.replicas);
        if it.replicas[0] == BrokerId(1) {
            neighbours.insert(it.replicas[1]);
        }
    }
    assert!(neighbours.len() > 2, "the leaderships of a broker that is gone go to several: {neighbours:?}");
}

#[test]
fn eligible_leaders_are_kept_while_too_few_replicas_are_in_sync() {
    let mut cluster = Cluster::of_brokers(3, 2);
    create(&mut cluster, "a", &[&[1, 2, 3]]);
    fence(&mut cluster, 3);
    assert_eq!(state(&cluster, "a"), (Some(1), vec![1, 2], vec![]), "two are enough");
    fence(&mut cluster, 2);
    assert_eq!(state(&cluster, "a"), (Some(1), vec![1], vec![2]));
    fence(&mut cluster, 1);
    assert_eq!(state(&cluster, "a"), (None, vec![], vec![1, 2]));
    assert_eq!(ids(&partition(&cluster, "a", 0).last_known_elr), [1]);
    cluster.beat(3, |_| {}).unwrap();
    assert_eq!(state(&cluster, "a"), (None, vec![], vec![1, 2]), "it may lack records");
    assert_eq!(
        elect(&mut cluster, 0, "a", &[0]),
        ["PREFERRED_LEADER_NOT_AVAILABLE: The preferred leader was not available."]
    );
    cluster.beat(2, |_| {}).unwrap();
    assert_eq!(state(&cluster, "a"), (Some(2), vec![2], vec![1]));
    assert!(partition(&cluster, "a", 0).last_known_elr.is_empty());
    let (_, codes) = alter(&mut cluster, "a", &Ask { leader: 2, isr: &[(2, None), (3, None)] }, 1);
    assert_eq!(codes, [ErrorCode::None]);
    assert_eq!(state(&cluster, "a"), (Some(2), vec![2, 3], vec![]));
}

#[test]
fn the_last_leader_leads_again_where_nobody_has_every_record() {
    let mut cluster = Cluster::of_brokers(2, 2);
    create(&mut cluster, "a", &[&[1, 2]]);
    let before = partition(&cluster, "a", 0).leader_epoch;
    for id in 1..=2 {
        fence(&mut cluster, id);
    }
    assert_eq!(state(&cluster, "a"), (None, vec![], vec![1, 2]));
    // Both restart after a crash: the last leader is the best choice that is left.
    for id in 1..=2 {
        cluster.register(id, 10 + id as u8, -1).unwrap();
    }
    assert_eq!(state(&cluster, "a"), (None, vec![], vec![]));
    cluster.beat(1, |_| {}).unwrap();
    assert_eq!(state(&cluster, "a"), (None, vec![], vec![]));
    assert_eq!(
        elect(&mut cluster, 0, "a", &[0]),
        ["PREFERRED_LEADER_NOT_AVAILABLE: The preferred leader was not available."]
    );
    cluster.beat(2, |_| {}).unwrap();
    assert_eq!(state(&cluster, "a"), (Some(2), vec![2], vec![]));
    assert_eq!(partition(&cluster, "a", 0).leader_recovery, LeaderRecovery::Recovering);
    assert!(partition(&cluster, "a", 0).leader_epoch > before);
}

/// Reads records as every node does, and returns the numbers of unclean elections and of elections
/// from the ELR.
fn elections(image: &Image, records: &[VersionedRecord]) -> (u64, u64) {
    let mut delta = Delta::new(image);
    for it in records {
        delta.apply(&it.record).unwrap();
    }
    (delta.changes().unclean_elections, delta.changes().elr_elections)
}

#[test]
fn elections_are_counted_by_what_their_leader_may_lack() {
    let mut cluster = Cluster::of_brokers(3, 2);
    create(&mut cluster, "a", &[&[1, 2, 3]]);
    set(&mut cluster, "a", "unclean.leader.election.enable", "true");
    let fence = |cluster: &mut Cluster, id| {
        let records = fence_broker(&cluster.image, &cluster.settings, BrokerId(id));
        let counts = elections(&cluster.image, &records);
        cluster.append(&records);
        (counts, partition(cluster, "a", 0).leader)
    };
    assert_eq!(fence(&mut cluster, 1), ((0, 0), Some(BrokerId(2))));
    assert_eq!(fence(&mut cluster, 3), ((0, 0), Some(BrokerId(2))));
    cluster.beat(1, |_| {}).unwrap();
    assert_eq!(state(&cluster, "a"), (Some(2), vec![2], vec![3]));
    assert_eq!(fence(&mut cluster, 2), ((1, 0), Some(BrokerId(1))), "the ELR has nobody who is there");
    assert_eq!(fence(&mut cluster, 1), ((0, 0), None));
    let before = cluster.image.clone();
    let (records, _) = cluster.beat(1, |_| {}).unwrap();
    assert!(records[1].contains("isr:[1],leader:1"), "{records:?}");
    let records: Vec<_> = broker_events::broker_returns(&before, &cluster.settings, BrokerId(1));
    assert_eq!(elections(&before, &records), (0, 1));
}

#[test]
fn an_isr_takes_only_members_that_are_alive_and_known() {
    let mut cluster = Cluster::of_brokers(3, 1);
    create(&mut cluster, "a", &[&[1, 2, 3]]);
    let (_, codes) = alter(&mut cluster, "a", &Ask { leader: 1, isr: &[(1, None)] }, 1);
    assert_eq!(codes, [ErrorCode::None]);
    let grown = |members: &'static [(i32, Option<i64>)]| Ask { leader: 1, isr: members };
    let refused = |cluster: &mut Cluster, ask: &Ask<'_>| {
        let (records, codes) = alter(cluster, "a", ask, 1);
        assert!(records.is_empty());
        codes
    };
    assert_eq!(refused(&mut cluster, &grown(&[(1, None), (2, Some(3))])), [ErrorCode::IneligibleReplica]);
    fence(&mut cluster, 2);
    assert_eq!(refused(&mut cluster, &grown(&[(1, None), (2, None)])), [ErrorCode::IneligibleReplica]);
    cluster.beat(3, |it| it.want_shut_down = true).unwrap();
    assert!(cluster.image.cluster.brokers[&BrokerId(3)].fenced, "it leads nothing, so it may stop at once");
    cluster.beat(2, |_| {}).unwrap();
    // Without a check of epochs (-1), as the versions before 3 ask.
    let (_, codes) = alter(&mut cluster, "a", &grown(&[(1, None), (2, Some(-1))]), 1);
    assert_eq!(codes, [ErrorCode::None]);
}

#[test]
fn a_partition_that_an_isr_request_names_twice_is_changed_once() {
    let mut cluster = Cluster::of_brokers(2, 1);
    create(&mut cluster, "a", &[&[1, 2]]);
    let (records, codes) = alter(&mut cluster, "a", &Ask { leader: 1, isr: &[(1, None)] }, 2);
    assert_eq!(records.len(), 1);
    assert_eq!(codes, [ErrorCode::None, ErrorCode::InvalidUpdateVersion]);
}

#[test]
fn leaderships_go_back_to_preferred_leaders_that_can_lead() {
    let mut cluster = Cluster::of_brokers(3, 1);
    create(&mut cluster, "a", &[&[1, 2], &[2, 1], &[3, 1]]);
    fence(&mut cluster, 1);
    cluster.beat(1, |_| {}).unwrap();
    let balance =
        |cluster: &mut Cluster| cluster.decide(|image, _, context| Ok(balance_leaders(image, context))).unwrap();
    assert!(balance(&mut cluster).0.is_empty(), "its preferred leader is not in sync");
    alter(&mut cluster, "a", &Ask { leader: 2, isr: &[(2, None), (1, None)] }, 1);
    let (records, is_full) = balance(&mut cluster);
    assert_eq!(records, ["PartitionChange v2 {partitionId:0,topicId:a,leader:1}"]);
    assert!(!is_full);
    assert!(balance(&mut cluster).0.is_empty());
    assert_eq!(
        elect(&mut cluster, 0, "a", &[0]),
        ["ELECTION_NOT_NEEDED: Leader election not needed for topic partition."]
    );
}

#[test]
fn a_round_of_elections_is_bounded() {
    let mut cluster = Cluster::of_brokers(2, 1);
    let assignments = vec![[1, 2].as_slice(); ELECTIONS_PER_ROUND_MAX + 5];
    create(&mut cluster, "a", &assignments);
    for at in 0..assignments.len() {
        let record = protocol::messages::partition_change_record::PartitionChangeRecord {
            partition_id: at as i32,
            topic_id: cluster.image.topics.by_name("a").unwrap().id,
            leader: 2,
            ..Default::default()
        };
        cluster.append(&[VersionedRecord { record: MetadataRecord::PartitionChange(record), version: 2 }]);
    }
    let balance =
        |cluster: &mut Cluster| cluster.decide(|image, _, context| Ok(balance_leaders(image, context))).unwrap();
    let (records, is_full) = balance(&mut cluster);
    assert_eq!((records.len(), is_full), (ELECTIONS_PER_ROUND_MAX, true));
    let (records, is_full) = balance(&mut cluster);
    assert_eq!((records.len(), is_full), (5, false));
}

#[test]
fn a_partition_without_a_leader_gets_one_when_its_topic_allows_an_unclean_election() {
    let mut cluster = Cluster::of_brokers(2, 1);
    create(&mut cluster, "a", &[&[1, 2]]);
    alter(&mut cluster, "a", &Ask { leader: 1, isr: &[(1, None)] }, 1);
    fence(&mut cluster, 1);
    assert_eq!(state(&cluster, "a"), (None, vec![], vec![1]));
    let unclean = |cluster: &mut Cluster| {
        cluster.decide(|image, _, context| Ok(elect_unclean_leaders(image, context))).unwrap().0
    };
    assert!(unclean(&mut cluster).is_empty(), "the topic does not allow it");
    set(&mut cluster, "a", "unclean.leader.election.enable", "true");
    let records = unclean(&mut cluster);
    assert_eq!(
        records,
        [
            "PartitionChange v2 {partitionId:0,topicId:a,isr:[2],leader:2,leaderRecoveryState:1,eligibleLeaderReplicas:[],lastKnownElr:[]}"
        ]
    );
    assert!(unclean(&mut cluster).is_empty());
    // An administrator may do so without the config, and a second naming finds a leader.
    fence(&mut cluster, 2);
    set(&mut cluster, "a", "unclean.leader.election.enable", "false");
    cluster.beat(1, |_| {}).unwrap();
    assert_eq!(
        elect(&mut cluster, 1, "a", &[0, 0, 5]),
        [
            "NONE",
            "ELECTION_NOT_NEEDED: Leader election not needed for topic partition.",
            "UNKNOWN_TOPIC_OR_PARTITION: No such partition as a-5",
        ]
    );
    fence(&mut cluster, 1);
    assert_eq!(
        elect(&mut cluster, 1, "a", &[0]),
        ["ELIGIBLE_LEADERS_NOT_AVAILABLE: Eligible topic partition leaders are not available."]
    );
}

#[test]
fn an_unregistered_broker_is_in_no_isr_and_its_heartbeats_are_refused() {
    let mut cluster = Cluster::of_brokers(3, 1);
    create(&mut cluster, "a", &[&[3, 1]]);
    let epoch = cluster.image.cluster.brokers[&BrokerId(3)].epoch.0;
    let (records, ()) = cluster.decide(|image, _, context| unregister_broker(image, context, BrokerId(3))).unwrap();
    assert_eq!(
        records,
        [
            "PartitionChange v2 {partitionId:0,topicId:a,isr:[1],leader:1}".to_owned(),
            format!("UnregisterBroker v0 {{brokerId:3,brokerEpoch:{epoch}}}"),
        ]
    );
    let error = cluster.beat(3, |it| it.broker_epoch = epoch).unwrap_err();
    assert_eq!(said(&error), "STALE_BROKER_EPOCH: No broker registration found for broker id 3");
    assert!(cluster.soft.session(BrokerId(3)).is_none());
}

#[test]
fn the_index_is_a_function_of_the_partitions() {
    let mut cluster = Cluster::of_brokers(3, 2);
    create(&mut cluster, "a", &[&[1, 2, 3], &[2, 3, 1]]);
    create(&mut cluster, "b", &[&[3, 1]]);
    reassign(&mut cluster, "b", &[Some(&[2, 1])]);
    fence(&mut cluster, 1);
    fence(&mut cluster, 3);
    let names = |topics: &mut dyn Iterator<Item = &std::sync::Arc<crate::image::Topic>>| {
        let mut names: Vec<String> = topics.map(|it| it.name.to_string()).collect();
        names.sort();
        names
    };
    create(&mut cluster, "x.y", &[&[2]]);
    let topics = &cluster.image.topics;
    assert_eq!(topics.alike("x_y").map(|it| it.as_str()), Some("x.y"));
    assert_eq!((topics.alike("x_z"), topics.alike("a")), (None, None));
    assert_eq!(names(&mut topics.of_broker(BrokerId(2))), ["a", "b", "x.y"]);
    assert_eq!(names(&mut topics.leaderless()), ["b"]);
    assert_eq!(names(&mut topics.imbalanced()), ["a", "b"]);
    assert_eq!(names(&mut topics.reassigning()), ["b"]);
    assert_eq!((topics.leaderships(BrokerId(2)), topics.leaderships(BrokerId(1))), (3, 0));
    assert_eq!(topics.partition_count(), 4);
    let records: Vec<_> = cluster.image.snapshot_records().map(|it| it.record).collect();
    let loaded = crate::Loader::from_snapshot(&Image::default(), Default::default(), &records).unwrap();
    assert_eq!(loaded.image().topics, cluster.image.topics);
    let id = cluster.image.topics.by_name("b").unwrap().id;
    let remove = protocol::messages::remove_topic_record::RemoveTopicRecord { topic_id: id, ..Default::default() };
    cluster.append(&[VersionedRecord::v0(MetadataRecord::RemoveTopic(remove))]);
    assert_eq!(cluster.image.topics.leaderless().count() + cluster.image.topics.reassigning().count(), 0);
}
