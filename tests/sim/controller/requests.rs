//! The requests of brokers and administrators.

use crate::broker::{Broker, Phase};
use crate::data::Key;
use crate::random::Random;
use metadata::image::Partition;
use metadata::version::FEATURES;
use model::{BrokerId, DirectoryId, PartitionIndex, TopicId};
use protocol::messages::allocate_producer_ids_request::AllocateProducerIdsRequest;
use protocol::messages::alter_partition_reassignments_request as reassign;
use protocol::messages::alter_partition_request as isr_request;
use protocol::messages::assign_replicas_to_dirs_request as dirs;
use protocol::messages::broker_heartbeat_request::BrokerHeartbeatRequest;
use protocol::messages::broker_registration_request::{BrokerRegistrationRequest, Feature, Listener};
use protocol::messages::create_partitions_request::{CreatePartitionsRequest, CreatePartitionsTopic};
use protocol::messages::create_topics_request::{CreatableReplicaAssignment, CreatableTopic, CreateTopicsRequest};
use protocol::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use protocol::messages::elect_leaders_request::{ElectLeadersRequest, TopicPartitions};
use protocol::messages::incremental_alter_configs_request as configs;
use protocol::messages::update_features_request::{FeatureUpdateKey, UpdateFeaturesRequest};

pub fn registration(broker: &Broker, cluster_id: &str) -> BrokerRegistrationRequest {
    let features = FEATURES.iter().map(|it| Feature {
        name: it.name.into(),
        min_supported_version: it.min,
        max_supported_version: it.max,
        ..Default::default()
    });
    BrokerRegistrationRequest {
        broker_id: broker.id.0,
        cluster_id: cluster_id.into(),
        incarnation_id: broker.incarnation_id(),
        listeners: vec![Listener { name: "PLAINTEXT".into(), host: "h".into(), port: 9092, ..Default::default() }],
        features: features.collect(),
        rack: broker.rack.as_deref().map(Into::into),
        log_dirs: broker.dirs.clone(),
        previous_broker_epoch: broker.clean_epoch.unwrap_or(-1),
        ..Default::default()
    }
}

pub fn heartbeat(broker: &Broker, want_fence: bool) -> BrokerHeartbeatRequest {
    BrokerHeartbeatRequest {
        broker_id: broker.id.0,
        broker_epoch: broker.epoch,
        current_metadata_offset: broker.read,
        want_fence,
        want_shut_down: broker.phase == Phase::Stopping,
        offline_log_dirs: broker.failed.iter().copied().collect(),
        cordoned_log_dirs: Some(Vec::new()),
        ..Default::default()
    }
}

/// Some distinct brokers of a cluster, in any order.
pub fn some_brokers(random: &mut Random, count: usize) -> Vec<i32> {
    let mut ids: Vec<i32> = (1..=count as i32).collect();
    for last in (1..ids.len()).rev() {
        ids.swap(last, random.below(last + 1));
    }
    ids.truncate(random.within(1, 3) as usize);
    ids
}

pub fn creation(random: &mut Random, name: &str, brokers: usize) -> CreateTopicsRequest {
    let mut topic =
        CreatableTopic { name: name.into(), num_partitions: -1, replication_factor: -1, ..Default::default() };
    if random.chance(50) {
        topic.num_partitions = random.within(1, 2) as i32;
        topic.replication_factor = random.pick(&[1, 2, 3, 3]);
    } else {
        let factor = random.pick(&[1, 2, 3, 3]);
        topic.assignments = (0..random.within(1, 2) as i32)
            .map(|partition_index| {
                let mut broker_ids = some_brokers(random, brokers);
                while broker_ids.len() < factor.min(brokers) {
                    broker_ids = some_brokers(random, brokers);
                }
                broker_ids.truncate(factor);
                CreatableReplicaAssignment { partition_index, broker_ids, ..Default::default() }
            })
            .collect();
    }
    CreateTopicsRequest { topics: vec![topic], ..Default::default() }
}

pub fn deletion(topic_id: TopicId) -> DeleteTopicsRequest {
    DeleteTopicsRequest { topics: vec![DeleteTopicState { topic_id, ..Default::default() }], ..Default::default() }
}

pub fn more_partitions(name: &str, count: i32) -> CreatePartitionsRequest {
    let topic = CreatePartitionsTopic { name: name.into(), count, assignments: None, ..Default::default() };
    CreatePartitionsRequest { topics: vec![topic], ..Default::default() }
}

pub fn isr(
    leader: &Broker,
    (topic_id, index): Key,
    partition: &Partition,
    members: &[(BrokerId, i64)],
    partition_epoch: i32,
) -> isr_request::AlterPartitionRequest {
    let member = |(id, broker_epoch): &(BrokerId, i64)| isr_request::BrokerState {
        broker_id: id.0,
        broker_epoch: *broker_epoch,
        ..Default::default()
    };
    let asked = isr_request::PartitionData {
        partition_index: index.0,
        leader_epoch: partition.leader_epoch.0,
        new_isr_with_epochs: members.iter().map(member).collect(),
        leader_recovery_state: 0,
        partition_epoch,
        ..Default::default()
    };
    isr_request::AlterPartitionRequest {
        broker_id: leader.id.0,
        broker_epoch: leader.epoch,
        topics: vec![isr_request::TopicData { topic_id, partitions: vec![asked], ..Default::default() }],
        ..Default::default()
    }
}

pub fn reassignment(
    name: &str,
    index: PartitionIndex,
    replicas: Option<Vec<i32>>,
    allow_replication_factor_change: bool,
    is_twice: bool,
) -> reassign::AlterPartitionReassignmentsRequest {
    let partition = reassign::ReassignablePartition { partition_index: index.0, replicas, ..Default::default() };
    let mut partitions = vec![partition];
    if is_twice {
        partitions.push(reassign::ReassignablePartition {
            partition_index: index.0,
            replicas: Some(vec![1]),
            ..Default::default()
        });
    }
    reassign::AlterPartitionReassignmentsRequest {
        allow_replication_factor_change,
        topics: vec![reassign::ReassignableTopic { name: name.into(), partitions, ..Default::default() }],
        ..Default::default()
    }
}

/// Elects a leader of one partition, or of all.
pub fn election(is_unclean: bool, named: Option<(String, PartitionIndex)>) -> ElectLeadersRequest {
    let topic_partitions = named.map(|(topic, index)| {
        vec![TopicPartitions { topic: topic.into(), partitions: vec![index.0], ..Default::default() }]
    });
    ElectLeadersRequest { election_type: i8::from(is_unclean), topic_partitions, ..Default::default() }
}

pub fn assignment(
    broker: &Broker,
    (topic_id, index): Key,
    directory: DirectoryId,
) -> dirs::AssignReplicasToDirsRequest {
    let partitions = vec![dirs::PartitionData { partition_index: index.0, ..Default::default() }];
    let topics = vec![dirs::TopicData { topic_id, partitions, ..Default::default() }];
    dirs::AssignReplicasToDirsRequest {
        broker_id: broker.id.0,
        broker_epoch: broker.epoch,
        directories: vec![dirs::DirectoryData { id: directory, topics, ..Default::default() }],
        ..Default::default()
    }
}

/// Sets a topic's config, or removes it.
pub fn config(topic: &str, key: &str, value: Option<&str>) -> configs::IncrementalAlterConfigsRequest {
    let config = configs::AlterableConfig {
        name: key.into(),
        config_operation: i8::from(value.is_none()),
        value: value.map(Into::into),
        ..Default::default()
    };
    let resource = configs::AlterConfigsResource {
        resource_type: 2,
        resource_name: topic.into(),
        configs: vec![config],
        ..Default::default()
    };
    configs::IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() }
}

pub fn feature(name: &str, max_version_level: i16) -> UpdateFeaturesRequest {
    let update = FeatureUpdateKey { feature: name.into(), max_version_level, upgrade_type: 1, ..Default::default() };
    UpdateFeaturesRequest { feature_updates: vec![update], ..Default::default() }
}

pub fn producer_ids(broker: &Broker) -> AllocateProducerIdsRequest {
    AllocateProducerIdsRequest { broker_id: broker.id.0, broker_epoch: broker.epoch, ..Default::default() }
}
