//! A snapshot that Apache Kafka 4.3.1 wrote becomes an image and records again, and they are the
//! same.
//!
//! `kafka-4.3.1-all-kinds.checkpoint` is
//! `__cluster_metadata-0/00000000000000000312-0000000001.checkpoint` of a combined node with two
//! log dirs, `broker.rack=r1`, `authorizer.class.name=...StandardAuthorizer`,
//! `delegation.token.secret.key`, a SASL_PLAINTEXT listener with SCRAM-SHA-256 and
//! `metadata.log.max.snapshot.interval.ms=20000`, after `kafka-topics.sh --create --topic t1
//! --partitions 3 --config retention.ms=1000 --config cleanup.policy=compact,delete` and calls of
//! the Java admin client: createTopics orders (4 partitions, cleanup.policy=compact,
//! min.insync.replicas=1), a.b_c, manual (assigned), gone; createPartitions orders to 6;
//! deleteTopics gone; incrementalAlterConfigs on broker 1, all brokers, group g1, client metrics
//! sub1; alterClientQuotas for (user bob, client-id c1), the default user, ip 127.0.0.9;
//! alterUserScramCredentials alice, bob, carol and carol away again; createAcls of three and
//! deleteAcls of one; createDelegationToken by alice for herself with two renewers, and for bob;
//! and one record sent by an idempotent producer.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod files;

use files::records;
use metadata::image::{ConfigResource, ScramMechanism};
use metadata::{Image, Loader, VersionedRecord};
use model::{BrokerId, LeaderEpoch, Offset, PartitionIndex, ProducerId};
use protocol::messages::zk_migration_state_record::ZkMigrationStateRecord;
use protocol::{Message, MetadataRecord};
use serde_json::Value;
use std::collections::BTreeSet;

const GOLDEN: &[u8] = include_bytes!("../testdata/kafka-4.3.1-all-kinds.checkpoint");

fn image(records: &[VersionedRecord]) -> Image {
    let loader =
        Loader::from_snapshot(&Image::default(), Default::default(), records.iter().map(|it| &it.record)).unwrap();
    loader.image().clone()
}

/// A record as text that does not depend on the order of the features within a registration, which
/// in Kafka is a hash map's.
fn canonical(it: &VersionedRecord) -> String {
    let mut it = it.clone();
    match &mut it.record {
        MetadataRecord::RegisterBroker(broker) => {
            broker.features.sort_by(|a, b| a.name.cmp(&b.name));
            broker.log_dirs.sort();
        }
        MetadataRecord::RegisterController(controller) => controller.features.sort_by(|a, b| a.name.cmp(&b.name)),
        _ => {}
    }
    format!("{} v{} {:?}", it.record.name(), it.version, it.encode().unwrap())
}

#[test]
fn a_snapshot_of_kafka_survives_the_image() {
    let kafkas = records(GOLDEN);
    let ours: Vec<_> = image(&kafkas).snapshot_records().collect();
    let sorted = |records: &[VersionedRecord]| {
        let mut lines: Vec<_> = records.iter().map(canonical).collect();
        lines.sort();
        lines
    };
    assert_eq!(kafkas.len(), 44);
    assert_eq!(sorted(&ours), sorted(&kafkas));
    // The kinds stand in Kafka's order too.
    let kinds = |records: &[VersionedRecord]| {
        let mut kinds: Vec<&str> = records.iter().map(|it| it.record.name()).collect();
        kinds.retain(|kind| *kind != "PartitionRecord");
        kinds.dedup();
        kinds
    };
    assert_eq!(kinds(&ours), kinds(&kafkas));
    assert_eq!(ours[0], kafkas[0], "metadata.version comes first");
}

/// Whether a snapshot must hold records of this kind; the others only change what those brought. A
/// new kind has to be decided on here.
fn is_of_snapshots(record: &MetadataRecord) -> bool {
    use MetadataRecord as Of;
    match record {
        Of::RegisterBroker(_) | Of::RegisterController(_) | Of::Topic(_) | Of::Partition(_) => true,
        Of::Config(_) | Of::FeatureLevel(_) | Of::ClientQuota(_) | Of::ProducerIds(_) => true,
        Of::AccessControlEntry(_) | Of::UserScramCredential(_) | Of::DelegationToken(_) => true,
        Of::ZkMigrationState(_) => true,
        Of::UnregisterBroker(_) | Of::FenceBroker(_) | Of::UnfenceBroker(_) | Of::BrokerRegistrationChange(_) => false,
        Of::RemoveTopic(_) | Of::PartitionChange(_) | Of::ClearElr(_) => false,
        Of::RemoveAccessControlEntry(_) | Of::RemoveUserScramCredential(_) | Of::RemoveDelegationToken(_) => false,
        Of::NoOp(_) | Of::BeginTransaction(_) | Of::EndTransaction(_) | Of::AbortTransaction(_) => false,
    }
}
/// How many kinds that is.
const KINDS_OF_SNAPSHOTS: usize = 12;

/// A kind that the image lacks would be lost with the first snapshot: ACLs and credentials for
/// good.
#[test]
fn a_snapshot_drops_no_record_kind_that_the_cluster_has() {
    let mut kafkas = records(GOLDEN);
    // What Kafka's own migration wrote last; releases since 4.0 keep it.
    let migration = ZkMigrationStateRecord { zk_migration_state: 4, ..Default::default() };
    kafkas.push(VersionedRecord { record: MetadataRecord::ZkMigrationState(migration), version: 0 });
    let ours: Vec<_> = image(&kafkas).snapshot_records().collect();
    let kinds = |records: &[VersionedRecord]| -> BTreeSet<&str> { records.iter().map(|it| it.record.name()).collect() };
    assert_eq!(kinds(&ours), kinds(&kafkas));
    assert_eq!(kinds(&ours).len(), KINDS_OF_SNAPSHOTS);
    assert!(ours.iter().all(|it| is_of_snapshots(&it.record)));
}

#[test]
fn the_image_says_what_was_done_to_the_cluster() {
    let image = image(&records(GOLDEN));
    assert_eq!(image.features.version().name(), "4.3-IV0");
    assert_eq!(image.features.level("transaction.version"), 2);
    let names: Vec<_> = image.topics.iter().map(|topic| topic.name.as_str()).collect();
    assert_eq!(names, ["a.b_c", "manual", "orders", "t1"]);
    let partition = image.topics.partition("orders", PartitionIndex(5)).unwrap();
    assert_eq!((partition.leader, partition.leader_epoch), (Some(BrokerId(1)), LeaderEpoch(0)));
    let broker = &image.cluster.brokers[&BrokerId(1)];
    assert!(broker.has_online_dir(partition.directory(BrokerId(1)).unwrap()));
    assert_eq!(image.configs.value(&ConfigResource::topic("t1"), "retention.ms").unwrap(), "1000");
    assert_eq!(image.configs.value(&ConfigResource::all_brokers(), "message.max.bytes").unwrap(), "2000000");
    assert_eq!(image.next_producer_id, Some(ProducerId(1000)));
    assert_eq!(image.security.acls.len(), 2);
    assert!(image.security.scram.contains_key(&(ScramMechanism::Sha256, "alice".into())));
    assert_eq!(image.security.tokens.len(), 2);
    assert_eq!(image.quotas.iter().count(), 3);
}

#[test]
fn a_snapshot_that_replaces_an_image_says_what_differs() {
    let kafkas = records(GOLDEN);
    let before = image(&kafkas);
    let changed: Vec<_> = kafkas
        .iter()
        .filter(|it| match &it.record {
            MetadataRecord::Topic(topic) => topic.name != "t1",
            MetadataRecord::Partition(partition) => partition.topic_id != before.topics.by_name("t1").unwrap().id,
            MetadataRecord::Config(config) => config.resource_name != "g1",
            _ => true,
        })
        .map(|it| &it.record)
        .collect();
    let provenance = metadata::image::Provenance { last_offset: Some(Offset(400)), ..Default::default() };
    let mut loader = Loader::from_snapshot(&before, provenance, changed).unwrap();
    let (after, changes) = loader.publish();
    assert_eq!(after.topics.len(), 3);
    let deleted: Vec<_> = changes.topics_deleted.values().map(|topic| topic.name.as_str()).collect();
    assert_eq!(deleted, ["t1"]);
    assert!(changes.topics_created.is_empty() && changes.partitions.is_empty() && changes.brokers.is_empty());
    assert_eq!(changes.configs.len(), 1);
}

#[test]
fn records_are_what_kafkas_own_tools_print() {
    let json: Value = records(GOLDEN)
        .iter()
        .find_map(|it| match &it.record {
            MetadataRecord::ProducerIds(record) => Some(record.to_json(it.version)),
            _ => None,
        })
        .unwrap();
    assert_eq!(json, serde_json::json!({"brokerId": -1, "brokerEpoch": -1, "nextProducerId": 1000}));
}
