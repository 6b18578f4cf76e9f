//! Creating, growing and deleting topics; ISRs, leaders, reassignments.

use super::*;
use model::PartitionIndex;
use protocol::messages::allocate_producer_ids_request::AllocateProducerIdsRequest;
use protocol::messages::alter_partition_reassignments_request as reassign;
use protocol::messages::alter_partition_request as isr;
use protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsRequest, CreatePartitionsTopic,
};
use protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use protocol::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use protocol::messages::elect_leaders_request::{ElectLeadersRequest, TopicPartitions};

fn topic(name: &str, num_partitions: i32, replication_factor: i16) -> CreatableTopic {
    CreatableTopic { name: name.into(), num_partitions, replication_factor, ..Default::default() }
}

fn assigned(name: &str, assignments: &[(i32, &[i32])]) -> CreatableTopic {
    let assignments = assignments.iter().map(|(partition_index, ids)| CreatableReplicaAssignment {
        partition_index: *partition_index,
        broker_ids: ids.to_vec(),
        ..Default::default()
    });
    CreatableTopic { assignments: assignments.collect(), ..topic(name, -1, -1) }
}

fn with(topic: CreatableTopic, name: &str, value: Option<&str>) -> CreatableTopic {
    let config = CreatableTopicConfig { name: name.into(), value: value.map(Into::into), ..Default::default() };
    CreatableTopic { configs: vec![config], ..topic }
}

fn ask(cluster: &mut Cluster, topics: Vec<CreatableTopic>) -> Result<(Vec<String>, Vec<String>), ApiError> {
    let request = CreateTopicsRequest { topics, ..Default::default() };
    let (records, reply) = cluster.decide(|image, _, context| create_topics(image, context, &request, &|_| true))?;
    let said =
        reply.topics.iter().map(|it| format!("{} {}", it.name, result(it.error_code, it.error_message.as_ref())));
    Ok((records, said.collect()))
}

pub(super) fn create(cluster: &mut Cluster, name: &str, replication_factor: i16) {
    let (_, said) = ask(cluster, vec![topic(name, 1, replication_factor)]).unwrap();
    assert_eq!(said, [format!("{name} NONE")]);
}

#[test]
fn a_topic_is_created_with_its_configs() {
    let mut cluster = Cluster::of_one_broker();
    let (records, said) = ask(&mut cluster, vec![with(topic("a", -1, -1), "min.insync.replicas", Some("1"))]).unwrap();
    assert_eq!(said, ["a NONE"]);
    let text = "Partition v2 {partitionId:0,topicId:a,replicas:[1],isr:[1],removingReplicas:[],addingReplicas:[],\
                leader:1,leaderEpoch:0,partitionEpoch:0,directories:[DIR]}";
    assert_eq!(
        records,
        [
            "Topic v0 {name:a,topicId:a}",
            "Config v0 {resourceType:2,resourceName:a,name:min.insync.replicas,value:1}",
            "ClearElr v0 {topicName:a}",
            text,
        ]
    );
}

#[test]
fn topics_that_kafka_refuses_to_create() {
    let mut cluster = Cluster::of_one_broker();
    create(&mut cluster, "a.b_c", 1);
    let long = "x".repeat(250);
    let refused = [
        (
            topic("a b", 1, 1),
            "INVALID_TOPIC_EXCEPTION: Topic name is invalid: 'a b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
        ),
        (topic("", 1, 1), "INVALID_TOPIC_EXCEPTION: Topic name is invalid: the empty string is not allowed"),
        (topic("..", 1, 1), "INVALID_TOPIC_EXCEPTION: Topic name is invalid: '..' is not allowed"),
        (
            topic("x", 1, 3),
            "INVALID_REPLICATION_FACTOR: Unable to replicate the partition 3 time(s): The target replication factor of 3 cannot be reached because only 1 broker(s) are registered or some brokers have all their log directories cordoned.",
        ),
        (
            topic("x", 1, 0),
            "INVALID_REPLICATION_FACTOR: Replication factor must be larger than 0, or -1 to use the default value.",
        ),
        (topic("x", 0, 1), "INVALID_PARTITIONS: Number of partitions was set to an invalid non-positive value."),
        (topic("a.b_c", 1, 1), "TOPIC_ALREADY_EXISTS: Topic 'a.b_c' already exists."),
        (topic("a_b.c", 1, 1), "INVALID_TOPIC_EXCEPTION: Topic 'a_b.c' collides with existing topic: a.b_c"),
        (
            topic("__cluster_metadata", 1, 1),
            "INVALID_REQUEST: Creation of internal topic __cluster_metadata is prohibited.",
        ),
        (
            assigned("x", &[(0, &[2])]),
            "INVALID_REPLICA_ASSIGNMENT: The manual partition assignment includes broker 2, but no such broker is registered.",
        ),
        (
            assigned("x", &[(0, &[1, 1])]),
            "INVALID_REPLICA_ASSIGNMENT: The manual partition assignment includes the broker 1 more than once.",
        ),
        (
            assigned("x", &[(0, &[])]),
            "INVALID_REPLICA_ASSIGNMENT: The manual partition assignment includes an empty replica list.",
        ),
        (
            assigned("x", &[(1, &[1])]),
            "INVALID_REPLICA_ASSIGNMENT: partitions should be a consecutive 0-based integer sequence",
        ),
        (
            assigned("x", &[(0, &[1]), (0, &[1])]),
            "INVALID_REPLICA_ASSIGNMENT: Found multiple manual partition assignments for partition 0",
        ),
        (with(topic("x", 1, 1), "bad", Some("1")), "INVALID_CONFIG: Unknown topic config name: bad"),
        (
            with(topic("x", 1, 1), "retention.ms", None),
            "INVALID_CONFIG: Null value not supported for topic configs: retention.ms",
        ),
    ];
    for (topic, expected) in refused {
        let name = topic.name.clone();
        let (records, said) = ask(&mut cluster, vec![topic]).unwrap();
        assert!(records.is_empty());
        assert_eq!(said, [format!("{name} {expected}")]);
    }
    let (_, said) = ask(&mut cluster, vec![topic(&long, 1, 1)]).unwrap();
    assert!(said[0].ends_with("' is longer than the max allowed length 249"));
    let (_, said) = ask(&mut cluster, vec![topic("x", 1, 1), topic("y", 1, 1), topic("x", 1, 1)]).unwrap();
    assert_eq!(said, ["y NONE", "x INVALID_REQUEST: Duplicate topic name."]);
    let many = ask(&mut cluster, vec![topic("z", 10_001, 1)]).unwrap_err();
    assert_eq!(super::said(&many), "POLICY_VIOLATION: Excessively large number of partitions per request.");
}

#[test]
fn replicas_are_spread_evenly_over_brokers() {
    let mut cluster = Cluster::of_one_broker();
    for id in 2..=4 {
        cluster.register(id, id as u8, -1).unwrap();
        cluster.beat(id, |_| {}).unwrap();
    }
    ask(&mut cluster, vec![topic("a", 8, 3)]).unwrap();
    let mut leaders = BTreeMap::new();
    let mut replicas = BTreeMap::new();
    for partition in cluster.image.topics.by_name("a").unwrap().partitions.values() {
        *leaders.entry(partition.leader.unwrap()).or_insert(0) += 1;
        let mut ids = partition.replicas.clone();
        ids.iter().for_each(|id| *replicas.entry(*id).or_insert(0) += 1);
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 3);
        assert_eq!(partition.leader, partition.preferred_leader());
    }
    assert!(leaders.len() == 4 && leaders.values().all(|count| *count == 2), "{leaders:?}");
    assert!(replicas.values().all(|count| *count == 6), "{replicas:?}");
}

#[test]
fn partitions_are_added() {
    let mut cluster = Cluster::of_one_broker();
    create(&mut cluster, "a", 1);
    let mut ask = |name: &str, count, assignments: Option<Vec<Vec<i32>>>| {
        let of = |ids| CreatePartitionsAssignment { broker_ids: ids, ..Default::default() };
        let assignments = assignments.map(|all| all.into_iter().map(of).collect());
        let topic = CreatePartitionsTopic { name: name.into(), count, assignments, ..Default::default() };
        let request = CreatePartitionsRequest { topics: vec![topic], ..Default::default() };
        let decided = cluster.decide(|image, _, context| create_partitions(image, context, &request));
        let (records, reply) = decided.unwrap();
        (records.len(), result(reply.results[0].error_code, reply.results[0].error_message.as_ref()))
    };
    assert_eq!(ask("a", 3, None), (2, "NONE".to_owned()));
    assert_eq!(ask("a", 4, Some(vec![vec![1]])), (1, "NONE".to_owned()));
    for (name, count, assignments, expected) in [
        ("a", 4, None, "INVALID_PARTITIONS: Topic already has 4 partition(s)."),
        ("a", 2, None, "INVALID_PARTITIONS: The topic a currently has 4 partition(s); 2 would not be an increase."),
        ("a", -5, None, "INVALID_PARTITIONS: The topic a currently has 4 partition(s); -5 would not be an increase."),
        (
            "a",
            6,
            Some(vec![vec![1]]),
            "INVALID_REPLICA_ASSIGNMENT: Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified.",
        ),
        ("b", 6, None, "UNKNOWN_TOPIC_OR_PARTITION"),
    ] {
        assert_eq!(ask(name, count, assignments), (0, expected.to_owned()));
    }
}

#[test]
fn topics_are_deleted_by_name_and_by_id() {
    let mut cluster = Cluster::of_one_broker();
    for name in ["a", "b", "c"] {
        create(&mut cluster, name, 1);
    }
    let id = |name: &str, cluster: &Cluster| cluster.image.topics.by_name(name).unwrap().id;
    let (b, c) = (id("b", &cluster), id("c", &cluster));
    let by =
        |name: Option<&str>, topic_id| DeleteTopicState { name: name.map(Into::into), topic_id, ..Default::default() };
    let topics = vec![
        by(Some("a"), Uuid::ZERO),
        by(None, b),
        by(None, c),
        by(Some("c"), Uuid::ZERO),
        by(Some("x"), b),
        by(None, Uuid::ZERO),
        by(Some("nope"), Uuid::ZERO),
        by(Some("twice"), Uuid::ZERO),
        by(Some("twice"), Uuid::ZERO),
        by(None, Uuid([9; 16])),
    ];
    let request = DeleteTopicsRequest { topics, ..Default::default() };
    let allowed = |_: &str| TopicToDelete { describable: true, deletable: true };
    let (records, reply) =
        cluster.decide(|image, _, context| delete_topics(image, context, &request, &allowed)).unwrap();
    assert_eq!(records.len(), 2);
    let mut said: Vec<_> = reply
        .responses
        .iter()
        .map(|it| format!("{} {}", it.name.as_deref().unwrap_or("-"), result(it.error_code, it.error_message.as_ref())))
        .collect();
    said.sort();
    assert_eq!(
        said,
        [
            "- INVALID_REQUEST: Neither topic name nor id were specified.",
            "- UNKNOWN_TOPIC_ID: This server does not host this topic ID.",
            "a NONE",
            "b NONE",
            "c INVALID_REQUEST: The provided topic name maps to an ID that was already supplied.",
            "nope UNKNOWN_TOPIC_OR_PARTITION: This server does not host this topic-partition.",
            "twice INVALID_REQUEST: Duplicate topic name.",
            "x INVALID_REQUEST: You may not specify both topic name and topic id.",
        ]
    );
    assert_eq!(cluster.image.topics.len(), 1);
}

#[test]
fn a_leader_changes_its_isr() {
    let mut cluster = Cluster::of_one_broker();
    cluster.register(2, 2, -1).unwrap();
    cluster.beat(2, |_| {}).unwrap();
    ask(&mut cluster, vec![assigned("a", &[(0, &[1, 2])])]).unwrap();
    let topic_id = cluster.image.topics.by_name("a").unwrap().id;
    let mut alter = |new_isr: &[i32], leader_epoch, partition_epoch| {
        let member = |id: &i32| isr::BrokerState { broker_id: *id, broker_epoch: -1, ..Default::default() };
        let partition = isr::PartitionData {
            leader_epoch,
            partition_epoch,
            new_isr_with_epochs: new_isr.iter().map(member).collect(),
            ..Default::default()
        };
        let topic = isr::TopicData { topic_id, partitions: vec![partition], ..Default::default() };
        let epoch = cluster.image.cluster.brokers[&BrokerId(1)].epoch.0;
        let request =
            isr::AlterPartitionRequest { broker_id: 1, broker_epoch: epoch, topics: vec![topic], ..Default::default() };
        let decided = cluster.decide(|image, _, context| alter_partition(image, context, &request)).unwrap();
        let answer = &decided.1.topics[0].partitions[0];
        (decided.0, ErrorCode::from_code(answer.error_code).unwrap(), answer.partition_epoch)
    };
    assert_eq!(alter(&[1, 2], 1, 0).1, ErrorCode::NotController);
    assert_eq!(alter(&[2], 0, 0).1, ErrorCode::InvalidRequest);
    let (records, code, epoch) = alter(&[1], 0, 0);
    assert_eq!(records, ["PartitionChange v2 {partitionId:0,topicId:a,isr:[1]}"]);
    assert_eq!((code, epoch), (ErrorCode::None, 1));
    assert_eq!(alter(&[1, 2], 0, 0).1, ErrorCode::InvalidUpdateVersion);
    assert_eq!(alter(&[1, 3], 0, 1).1, ErrorCode::InvalidRequest);
    assert_eq!(alter(&[1, 2], 0, 1).2, 2);
}

#[test]
fn elections_and_reassignments_of_one_node() {
    let mut cluster = Cluster::of_one_broker();
    create(&mut cluster, "a", 1);
    let mut elect = |election_type, topics: Option<Vec<(&str, i32)>>| {
        let of = |(topic, index): (&str, i32)| TopicPartitions {
            topic: topic.into(),
            partitions: vec![index],
            ..Default::default()
        };
        let topic_partitions = topics.map(|topics| topics.into_iter().map(of).collect());
        let request = ElectLeadersRequest { election_type, topic_partitions, ..Default::default() };
        let (records, reply) = cluster.decide(|image, _, context| elect_leaders(image, context, &request)).unwrap();
        assert!(records.is_empty());
        let results = reply.replica_election_results.iter().flat_map(|it| &it.partition_result);
        results.map(|it| result(it.error_code, it.error_message.as_ref())).collect::<Vec<_>>()
    };
    assert_eq!(
        elect(0, Some(vec![("a", 0), ("nope", 0), ("a", 7)])),
        [
            "ELECTION_NOT_NEEDED: Leader election not needed for topic partition.",
            "UNKNOWN_TOPIC_OR_PARTITION: No such topic as nope",
            "UNKNOWN_TOPIC_OR_PARTITION: No such partition as a-7",
        ]
    );
    assert_eq!(elect(1, Some(vec![("a", 0)])).len(), 1);
    assert!(elect(0, None).is_empty());
    let mut reassign = |name: &str, index, replicas: Option<Vec<i32>>| {
        let partition = reassign::ReassignablePartition { partition_index: index, replicas, ..Default::default() };
        let topic =
            reassign::ReassignableTopic { name: name.into(), partitions: vec![partition], ..Default::default() };
        let request = reassign::AlterPartitionReassignmentsRequest { topics: vec![topic], ..Default::default() };
        let decided = cluster.decide(|image, _, context| alter_partition_reassignments(image, context, &request));
        let (records, reply) = decided.unwrap();
        assert!(records.is_empty());
        let it = &reply.responses[0].partitions[0];
        result(it.error_code, it.error_message.as_ref())
    };
    assert_eq!(reassign("a", 0, Some(vec![1])), "NONE");
    assert_eq!(
        reassign("a", 0, Some(vec![2])),
        "INVALID_REPLICA_ASSIGNMENT: The manual partition assignment includes broker 2, but no such broker is registered."
    );
    assert_eq!(reassign("a", 0, None), "NO_REASSIGNMENT_IN_PROGRESS");
    assert_eq!(reassign("b", 0, None), "UNKNOWN_TOPIC_OR_PARTITION: Unable to find a topic named b.");
    assert_eq!(reassign("a", 7, None), "UNKNOWN_TOPIC_OR_PARTITION: Unable to find partition a:7.");
}

#[test]
fn a_reassignment_runs_until_its_new_replica_is_in_sync() {
    let mut cluster = Cluster::of_one_broker();
    cluster.register(2, 2, -1).unwrap();
    cluster.beat(2, |_| {}).unwrap();
    ask(&mut cluster, vec![assigned("a", &[(0, &[1])])]).unwrap();
    let partition = reassign::ReassignablePartition { replicas: Some(vec![2]), ..Default::default() };
    let topic = reassign::ReassignableTopic { name: "a".into(), partitions: vec![partition], ..Default::default() };
    let request = reassign::AlterPartitionReassignmentsRequest { topics: vec![topic], ..Default::default() };
    let decided = cluster.decide(|image, _, context| alter_partition_reassignments(image, context, &request));
    let expected = format!(
        "PartitionChange v2 {{partitionId:0,topicId:a,replicas:[2,1],removingReplicas:[1],addingReplicas:[2],directories:[{},DIR]}}",
        Uuid([8; 16])
    );
    assert_eq!(decided.unwrap().0, [expected]);
    let listed = list_partition_reassignments(&cluster.image, &Default::default());
    assert_eq!(listed.topics[0].partitions[0].adding_replicas, [2]);
    let topic = cluster.image.topics.by_name("a").unwrap().clone();
    let partition = topic.partition(PartitionIndex(0)).unwrap();
    let rules = context::ElectionRules::of(&cluster.image, &cluster.settings, &topic);
    let mut change = change::PartitionChange::of(&cluster.image, rules, &topic, PartitionIndex(0), partition);
    change.isr.push(BrokerId(2));
    let record = change.build().unwrap();
    cluster.append(&[record]);
    let after = cluster.image.topics.partition("a", PartitionIndex(0)).unwrap();
    assert_eq!((after.replicas.as_slice(), after.leader), ([BrokerId(2)].as_slice(), Some(BrokerId(2))));
    assert!(!after.is_reassigning());
}

#[test]
fn producer_ids_come_in_blocks_of_a_thousand() {
    let mut cluster = Cluster::of_one_broker();
    let request = AllocateProducerIdsRequest { broker_id: 1, broker_epoch: 10, ..Default::default() };
    for start in [0, 1000] {
        let (records, reply) = cluster.decide(|image, _, _| allocate_producer_ids(image, &request)).unwrap();
        let next = start + 1000;
        assert_eq!(records, [format!("ProducerIds v0 {{brokerId:1,brokerEpoch:10,nextProducerId:{next}}}")]);
        assert_eq!((reply.producer_id_start, reply.producer_id_len), (start, 1000));
    }
    let stale = AllocateProducerIdsRequest { broker_epoch: 4, ..request };
    let refused = cluster.decide(|image, _, _| allocate_producer_ids(image, &stale)).unwrap_err();
    assert_eq!(refused.code, ErrorCode::StaleBrokerEpoch);
}

#[test]
fn what_comes_too_late_is_not_looked_at() {
    let mut cluster = Cluster::of_one_broker();
    create(&mut cluster, "a", 1);
    cluster.is_late = true;
    let late = Err("REQUEST_TIMED_OUT".to_owned());
    let mut create = |names: &[&str]| {
        let topics = names.iter().map(|name| topic(name, 1, 1)).collect();
        ask(&mut cluster, topics).map(|it| it.1).map_err(|error| said(&error))
    };
    assert_eq!(create(&["b"]), late);
    assert_eq!(create(&["a", "b", "b"]), late);
    // Nothing is left to be looked at.
    assert_eq!(create(&["b", "b"]), Ok(vec!["b INVALID_REQUEST: Duplicate topic name.".to_owned()]));
    assert_eq!(create(&[]), Ok(vec![]));

    let grow = |names: &[&str]| CreatePartitionsRequest {
        topics: names.iter().map(|name| CreatePartitionsTopic { name: (*name).into(), ..Default::default() }).collect(),
        ..Default::default()
    };
    for (names, expected) in [(&["a"][..], Err(ErrorCode::RequestTimedOut)), (&["a", "a"], Ok(1)), (&[], Ok(0))] {
        let decided = cluster.decide(|image, _, context| create_partitions(image, context, &grow(names)));
        assert_eq!(decided.map(|it| it.1.results.len()).map_err(|error| error.code), expected, "{names:?}");
    }

    let delete = |names: &[&str]| DeleteTopicsRequest {
        topic_names: names.iter().map(|name| (*name).into()).collect(),
        ..Default::default()
    };
    let anything = |_: &str| TopicToDelete { describable: true, deletable: true };
    for (names, expected) in [(&["a"][..], Err(ErrorCode::RequestTimedOut)), (&["a", "a"], Ok(1)), (&[], Ok(0))] {
        let decided = cluster.decide(|image, _, context| delete_topics(image, context, &delete(names), &anything));
        assert_eq!(decided.map(|it| it.1.responses.len()).map_err(|error| error.code), expected, "{names:?}");
    }

    let mut elect = |topic_partitions: Option<Vec<TopicPartitions>>| {
        let request = ElectLeadersRequest { election_type: 9, topic_partitions, ..Default::default() };
        let decided = cluster.decide(|image, _, context| elect_leaders(image, context, &request));
        decided.map(|it| it.1).map_err(|error| error.code)
    };
    assert_eq!(elect(None), Err(ErrorCode::RequestTimedOut));
    assert_eq!(elect(Some(Vec::new())), Ok(Default::default()));

    let mut reassign = |topics: Vec<reassign::ReassignableTopic>| {
        let request = reassign::AlterPartitionReassignmentsRequest { topics, ..Default::default() };
        let decided = cluster.decide(|image, _, context| alter_partition_reassignments(image, context, &request));
        decided.map(|it| it.1.error_message).map_err(|error| error.code)
    };
    assert_eq!(reassign(vec![Default::default()]), Err(ErrorCode::RequestTimedOut));
    assert_eq!(reassign(vec![]), Ok(Some("".into())), "an untouched answer");
}
