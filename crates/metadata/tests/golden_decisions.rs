//! The decisions about brokers and partitions are those of Apache Kafka 4.3.1.
//!
//! `kafka-4.3.1-three-brokers.log` is the metadata log of a cluster of one combined node and two
//! brokers, each of these with two log dirs and all with `min.insync.replicas=2`. Brokers were
//! killed, stopped, started again and unregistered, topics were created, reassigned (a reassignment
//! was cancelled) and deleted, and preferred leaders were elected. The test walks through the log.
//! It asks at each record which event Kafka had decided about, decides about the same event on the
//! image of the records so far, and wants the same records.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod files;

use files::records_at;
use metadata::decide::{self, ConfigRules, ControllerContext, Decided, Settings, Soft, SoftChange};
use metadata::image::Partition;
use metadata::{Image, Loader, VersionedRecord};
use model::{BrokerId, Monotonic, Now, Offset, PartitionIndex, Timestamp};
use protocol::MetadataRecord;
use protocol::messages::alter_partition_reassignments_request as reassign;
use protocol::messages::alter_partition_request as isr;
use protocol::messages::assign_replicas_to_dirs_request as dirs;
use protocol::messages::broker_heartbeat_request::BrokerHeartbeatRequest;
use protocol::messages::broker_registration_request::{BrokerRegistrationRequest, Feature, Listener};
use protocol::messages::elect_leaders_request::{ElectLeadersRequest, TopicPartitions};
use protocol::messages::partition_change_record::PartitionChangeRecord;
use protocol::messages::register_broker_record::RegisterBrokerRecord;
use std::collections::BTreeMap;

const LOG: &[u8] = include_bytes!("../testdata/kafka-4.3.1-three-brokers.log");
const BROKERS: [BrokerId; 3] = [BrokerId(1), BrokerId(2), BrokerId(3)];

/// The image so far, and the record at which the walk is.
struct Walk {
    image: Image,
    settings: Settings,
    offset: i64,
}

fn settings() -> Settings {
    Settings {
        node_id: BrokerId(1),
        cluster_id: "AAAAAAAAAAAAAAAAAAAAAQ".into(),
        default_partitions: 1,
        default_replication_factor: 1,
        min_insync_replicas: 2,
        unclean_leader_election: false,
        delete_topic_enable: true,
        broker_session_timeout_ms: 3000,
    }
}

impl Walk {
    fn decide<R>(
        &self,
        decide: impl FnOnce(&mut ControllerContext<'_>, &Soft) -> Decided<R>,
    ) -> Option<Vec<VersionedRecord>> {
        let rules = ConfigRules {
            validate: &|_, _, _| Ok(()),
            is_list: &|_, _| false,
            default: &|_, _| None,
            topic_configs: &|_, _| Vec::new(),
        };
        let mut soft = Soft::default();
        for broker in self.image.cluster.brokers.values().filter(|it| !it.fenced) {
            let heard = SoftChange::Heard {
                broker: broker.id,
                epoch: broker.epoch,
                at: Monotonic(0),
                metadata_offset: Some(Offset(i64::MAX)),
                fenced: false,
            };
            soft.apply(heard, Offset(0));
        }
        let mut random = || 1;
        let now = Now { monotonic: Monotonic(10_000), wall: Timestamp(0) };
        let settings = &self.settings;
        let mut context = ControllerContext { now, random: &mut random, settings, rules: &rules, is_late: false };
        let decided = decide(&mut context, &soft).ok()?.records;
        (!decided.is_empty()).then_some(decided)
    }

    fn epoch(&self, id: BrokerId) -> i64 {
        self.image.cluster.brokers.get(&id).map_or(-1, |it| it.epoch.0)
    }

    fn heartbeat(
        &self,
        id: BrokerId,
        adjust: impl FnOnce(&mut BrokerHeartbeatRequest),
    ) -> Option<Vec<VersionedRecord>> {
        let mut request = BrokerHeartbeatRequest {
            broker_id: id.0,
            broker_epoch: self.epoch(id),
            current_metadata_offset: i64::MAX,
            cordoned_log_dirs: None,
            ..Default::default()
        };
        adjust(&mut request);
        self.decide(|context, soft| decide::heartbeat(&self.image, soft, context, &request))
    }

    fn registration(&self, record: &RegisterBrokerRecord, previous_broker_epoch: i64) -> Option<Vec<VersionedRecord>> {
        let listener = |it: &protocol::messages::register_broker_record::BrokerEndpoint| Listener {
            name: it.name.clone(),
            host: it.host.clone(),
            port: it.port,
            security_protocol: it.security_protocol,
            ..Default::default()
        };
        let feature = |it: &protocol::messages::register_broker_record::BrokerFeature| Feature {
            name: it.name.clone(),
            min_supported_version: it.min_supported_version,
            max_supported_version: it.max_supported_version,
            ..Default::default()
        };
        let request = BrokerRegistrationRequest {
            broker_id: record.broker_id,
            cluster_id: self.settings.cluster_id.clone().into(),
            incarnation_id: record.incarnation_id,
            listeners: record.end_points.iter().map(listener).collect(),
            features: record.features.iter().map(feature).collect(),
            rack: record.rack.clone(),
            log_dirs: record.log_dirs.clone(),
            previous_broker_epoch,
            ..Default::default()
        };
        // The walk knows no sessions: the one of the incarnation before has ended.
        let soft = Soft::default();
        let next = Offset(self.offset);
        self.decide(|context, _| decide::register_broker(&self.image, &soft, context, &request, next))
    }

    /// The events of brokers that may have been decided here, each with its name and our records.
    fn broker_events(&self, coming: &[(i64, VersionedRecord)]) -> Vec<(&'static str, Vec<VersionedRecord>)> {
        let mut events = Vec::new();
        let mut add = |name, records: Option<Vec<VersionedRecord>>| events.extend(records.map(|it| (name, it)));
        for id in BROKERS {
            if let Some(broker) = self.image.cluster.brokers.get(&id) {
                if !broker.fenced {
                    add("fence", Some(decide::fence_broker(&self.image, &self.settings, id)));
                    add("shutdown", self.heartbeat(id, |it| it.want_shut_down = true));
                } else {
                    add("unfence", self.heartbeat(id, |_| {}));
                    // Kafka fences a broker that stopped once more when its session ends. We do
                    // not.
                    add("fence again", Some(decide::fence_broker(&self.image, &self.settings, id)));
                }
                if broker.cordoned_log_dirs.is_none() {
                    let cordon = |it: &mut BrokerHeartbeatRequest| {
                        (it.want_fence, it.cordoned_log_dirs) = (broker.fenced, Some(Vec::new()));
                    };
                    add("cordon", self.heartbeat(id, cordon));
                }
                add("unregister", self.decide(|context, _| decide::unregister_broker(&self.image, context, id)));
            }
            let registered = coming.iter().find_map(|(_, it)| match &it.record {
                MetadataRecord::RegisterBroker(record) if record.broker_id == id.0 => Some(record),
                _ => None,
            });
            if let Some(record) = registered {
                add("register cleanly", self.registration(record, self.epoch(id)));
                add("register uncleanly", self.registration(record, -1));
            }
        }
        events
    }

    /// What may have been decided about a single partition.
    fn partition_events(&self, record: &PartitionChangeRecord) -> Vec<(&'static str, Vec<VersionedRecord>)> {
        let topic = self.image.topics.by_id(record.topic_id).unwrap();
        let partition = topic.partition(PartitionIndex(record.partition_id)).unwrap();
        let mut events = Vec::new();
        if record.replicas.is_none() && record.isr.is_none() && record.directories.is_some() {
            events.extend(self.directories(record, partition).map(|it| ("assign dirs", it)));
        }
        for target in proposals(record, partition) {
            events.extend(self.alter_partition(record, partition, &target).map(|it| ("alter partition", it)));
        }
        let targets = [record.replicas.clone(), Some(partition.replicas.iter().map(|id| id.0).collect())];
        for target in targets.into_iter().flatten() {
            let removing = record.removing_replicas.clone().unwrap_or_default();
            let target: Vec<i32> = target.into_iter().filter(|id| !removing.contains(id)).collect();
            events.extend(self.reassign(&topic.name, record.partition_id, Some(target)).map(|it| ("reassign", it)));
        }
        events.extend(self.reassign(&topic.name, record.partition_id, None).map(|it| ("cancel", it)));
        for (name, election_type) in [("elect preferred", 0), ("elect unclean", 1)] {
            let topics = TopicPartitions {
                topic: topic.name.clone(),
                partitions: vec![record.partition_id],
                ..Default::default()
            };
            let request =
                ElectLeadersRequest { election_type, topic_partitions: Some(vec![topics]), ..Default::default() };
            let elected = self.decide(|context, _| decide::elect_leaders(&self.image, context, &request));
            events.extend(elected.map(|it| (name, it)));
        }
        events
    }

    fn directories(&self, record: &PartitionChangeRecord, partition: &Partition) -> Option<Vec<VersionedRecord>> {
        let after = record.directories.as_ref()?;
        let place = after.iter().zip(&partition.directories).position(|(after, before)| after != before)?;
        let broker = partition.replicas[place];
        let partitions = vec![dirs::PartitionData { partition_index: record.partition_id, ..Default::default() }];
        let topics = vec![dirs::TopicData { topic_id: record.topic_id, partitions, ..Default::default() }];
        let directory = dirs::DirectoryData { id: after[place], topics, ..Default::default() };
        let request = dirs::AssignReplicasToDirsRequest {
            broker_id: broker.0,
            broker_epoch: self.epoch(broker),
            directories: vec![directory],
            ..Default::default()
        };
        self.decide(|context, _| decide::assign_replicas_to_dirs(&self.image, context, &request))
    }

    fn alter_partition(
        &self,
        record: &PartitionChangeRecord,
        partition: &Partition,
        target: &[i32],
    ) -> Option<Vec<VersionedRecord>> {
        let leader = partition.leader?;
        let member = |id: &i32| isr::BrokerState {
            broker_id: *id,
            broker_epoch: self.epoch(BrokerId(*id)),
            ..Default::default()
        };
        let asked = isr::PartitionData {
            partition_index: record.partition_id,
            leader_epoch: partition.leader_epoch.0,
            new_isr_with_epochs: target.iter().map(member).collect(),
            leader_recovery_state: 0,
            partition_epoch: partition.partition_epoch.0,
            ..Default::default()
        };
        let topics = vec![isr::TopicData { topic_id: record.topic_id, partitions: vec![asked], ..Default::default() }];
        let request = isr::AlterPartitionRequest {
            broker_id: leader.0,
            broker_epoch: self.epoch(leader),
            topics,
            ..Default::default()
        };
        self.decide(|context, _| decide::alter_partition(&self.image, context, &request))
    }

    fn reassign(&self, topic: &str, partition_index: i32, replicas: Option<Vec<i32>>) -> Option<Vec<VersionedRecord>> {
        let partitions = vec![reassign::ReassignablePartition { partition_index, replicas, ..Default::default() }];
        let topics = vec![reassign::ReassignableTopic { name: topic.into(), partitions, ..Default::default() }];
        let request = reassign::AlterPartitionReassignmentsRequest { topics, ..Default::default() };
        self.decide(|context, _| decide::alter_partition_reassignments(&self.image, context, &request))
    }
}

/// The ISRs that a leader may have proposed: the one of the record, with the replicas that a
/// completed reassignment took out of it.
fn proposals(record: &PartitionChangeRecord, partition: &Partition) -> Vec<Vec<i32>> {
    let before: Vec<i32> = partition.isr.iter().map(|id| id.0).collect();
    let Some(isr) = &record.isr else { return vec![before] };
    let removed = before.iter().filter(|id| !isr.contains(id)).copied();
    vec![
        isr.clone(),
        isr.iter().copied().chain(removed.clone()).collect(),
        removed.chain(isr.iter().copied()).collect(),
    ]
}

/// The records as text, in an order that depends on nothing.
fn canonical(records: &[VersionedRecord]) -> Vec<String> {
    let mut lines: Vec<String> = records
        .iter()
        .map(|it| {
            let mut it = it.clone();
            if let MetadataRecord::RegisterBroker(broker) = &mut it.record {
                broker.features.sort_by(|a, b| a.name.cmp(&b.name));
            }
            format!("v{} {:?}", it.version, it.record)
        })
        .collect();
    lines.sort();
    lines
}

/// Whether Kafka removes a replica that it still counts as one that is added. Such a reassignment
/// never ends, and so we decide otherwise: see docs/decisions.
fn is_endless(image: &Image, record: &MetadataRecord) -> bool {
    let MetadataRecord::PartitionChange(change) = record else { return false };
    let topic = image.topics.by_id(change.topic_id).unwrap();
    let adding = &topic.partition(PartitionIndex(change.partition_id)).unwrap().adding_replicas;
    let removing = change.removing_replicas.iter().flatten();
    change.adding_replicas.is_none() && removing.into_iter().any(|id| adding.contains(&BrokerId(*id)))
}

/// Whether Kafka's controller writes such a record on its own, without an event that is decided
/// here.
fn is_decided_elsewhere(record: &MetadataRecord) -> bool {
    !matches!(
        record,
        MetadataRecord::PartitionChange(_)
            | MetadataRecord::RegisterBroker(_)
            | MetadataRecord::UnregisterBroker(_)
            | MetadataRecord::BrokerRegistrationChange(_)
    )
}

#[test]
fn kafkas_decisions_about_brokers_and_partitions_are_ours() {
    let records = records_at(LOG);
    let mut walk = Walk { image: Image::default(), settings: settings(), offset: 0 };
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut at = 0;
    while let Some((offset, record)) = records.get(at) {
        walk.offset = *offset;
        let mut taken = 1;
        if !is_decided_elsewhere(&record.record) {
            let coming = &records[at..];
            let mut events = walk.broker_events(coming);
            if let MetadataRecord::PartitionChange(change) = &record.record {
                events.extend(walk.partition_events(change));
            }
            let fits = |ours: &[VersionedRecord]| {
                let kafkas: Vec<_> = coming.iter().take(ours.len()).map(|(_, it)| it.clone()).collect();
                canonical(ours) == canonical(&kafkas)
            };
            if is_endless(&walk.image, &record.record) {
                events.push(("reassign without end", vec![record.clone()]));
            }
            let found = events.iter().filter(|(_, ours)| fits(ours)).max_by_key(|(_, ours)| ours.len());
            let Some((name, ours)) = found else {
                let ours: Vec<_> = events.iter().map(|(name, ours)| (name, canonical(ours))).collect();
                panic!("nothing explains the record at offset {offset}: {record:?}\nours: {ours:#?}");
            };
            *counts.entry(name).or_default() += 1;
            taken = ours.len();
        }
        let mut loader = Loader::new(&walk.image);
        for (offset, record) in &records[at..at + taken] {
            let batch = metadata::LoadedBatch {
                base_offset: Offset(*offset),
                epoch: Default::default(),
                timestamp: Timestamp(0),
                records: std::slice::from_ref(&record.record),
                last_offset: Offset(*offset),
            };
            if !record.record.name().ends_with("TransactionRecord") {
                loader.apply(&batch).unwrap();
            }
        }
        walk.image = loader.image().clone();
        at += taken;
    }
    println!("{counts:?}");
    for name in [
        "alter partition",
        "assign dirs",
        "cancel",
        "elect preferred",
        "fence",
        "reassign",
        "register cleanly",
        "register uncleanly",
        "shutdown",
        "unfence",
        "unregister",
    ] {
        assert!(counts.contains_key(name), "the log has no example of: {name}");
    }
}
