//! Transcripts: image and request in, records and reply out. What is expected was seen on Apache
//! Kafka 4.3.1 on one combined node, in its answers and with `kafka-dump-log.sh
//! --cluster-metadata-decoder`.

mod acls;
mod brokers;
mod configs;
mod features;
mod reassigned;
mod security;
mod several;
mod topics;

use super::*;
use crate::delta::Delta;
use crate::image::ResourceType;
use crate::version::MetadataVersion;
use imbl::OrdMap;
use model::{Monotonic, Now, Offset, Timestamp, Uuid};
use protocol::messages::broker_heartbeat_request::BrokerHeartbeatRequest;
use protocol::messages::broker_registration_request::{BrokerRegistrationRequest, Feature, Listener};
use protocol::{Message, MetadataRecord, Str};
use std::collections::BTreeMap;

/// A cluster of one controller, whose log is a count of records.
pub(super) struct Cluster {
    pub(super) image: Image,
    pub(super) soft: Soft,
    pub(super) settings: Settings,
    pub(super) quorum: QuorumMembers,
    /// The monotonic clock.
    pub(super) now: u64,
    /// The wall clock, which goes as it likes.
    pub(super) wall: i64,
    /// Whether requests come too late.
    pub(super) is_late: bool,
    next_offset: i64,
    random: u64,
}

const DIR: Uuid = Uuid([7; 16]);

impl Cluster {
    /// A new log at a metadata version, activated.
    fn new(version: MetadataVersion) -> Self {
        Self::with_min_isr(version, 1)
    }

    fn with_min_isr(version: MetadataVersion, min_insync_replicas: i32) -> Self {
        let settings = Settings {
            node_id: BrokerId(1),
            cluster_id: "AAAAAAAAAAAAAAAAAAAAAQ".into(),
            default_partitions: 1,
            default_replication_factor: 1,
            min_insync_replicas,
            unclean_leader_election: false,
            delete_topic_enable: true,
            broker_session_timeout_ms: 9000,
        };
        let mut it = Self {
            image: Image::default(),
            soft: Soft::default(),
            settings,
            quorum: QuorumMembers { voters: [BrokerId(1)].into(), ..Default::default() },
            now: 0,
            wall: 0,
            is_late: false,
            next_offset: 1,
            random: 1,
        };
        let bootstrap = bootstrap_features(version, &BTreeMap::new()).unwrap();
        it.append(&activate(&it.image.clone(), &it.settings, &bootstrap, false));
        it
    }

    /// Brokers 1 to `count`, registered and unfenced. The cluster's `min.insync.replicas` is
    /// `min_isr`.
    pub(super) fn of_brokers(count: i32, min_isr: i32) -> Self {
        let mut it = Self::with_min_isr(MetadataVersion::LATEST, min_isr);
        for id in 1..=count {
            it.register(id, id as u8, -1).unwrap();
            it.beat(id, |_| {}).unwrap();
        }
        it
    }

    /// One broker, registered and unfenced.
    pub(super) fn of_one_broker() -> Self {
        let mut it = Self::new(MetadataVersion::LATEST);
        it.register(1, 1, -1).unwrap();
        it.beat(1, |_| {}).unwrap();
        it
    }

    pub(super) fn append(&mut self, records: &[VersionedRecord]) {
        let mut delta = Delta::new(&self.image);
        for it in records {
            // Whatever is decided must be writable in the version that it is decided in.
            let (read, version) = MetadataRecord::decode(it.encode().unwrap()).unwrap();
            assert_eq!((&read, version), (&it.record, it.version));
            self.next_offset += 1;
            if it.record.name().ends_with("TransactionRecord") {
                continue;
            }
            delta.apply(&it.record).unwrap();
        }
        self.image = delta.finish().0;
    }

    /// Decides with config rules under which the key `bad` is invalid everywhere and `list` is a
    /// list.
    pub(super) fn decide<R>(
        &mut self,
        decide: impl FnOnce(&Image, &Soft, &mut ControllerContext<'_>) -> Decided<R>,
    ) -> Result<(Vec<String>, R), ApiError> {
        let validate = |resource: &crate::image::ConfigResource, new: &OrdMap<Str, Str>, _: &OrdMap<Str, Str>| {
            let message = format!("Unknown {} config name: bad", resource.kind.name().to_lowercase());
            if new.contains_key("bad") { Err(ApiError::new(ErrorCode::InvalidConfig, message)) } else { Ok(()) }
        };
        let rules = ConfigRules {
            validate: &validate,
            is_list: &|_, key| key == "cleanup.policy",
            default: &|kind, key| (kind == ResourceType::Topic && key == "cleanup.policy").then(|| "delete".into()),
            topic_configs: &|_, _| Vec::new(),
        };
        let mut random = self.random;
        let mut source = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            random
        };
        let settings = self.settings.clone();
        let now = Now { monotonic: Monotonic(self.now), wall: Timestamp(self.wall) };
        let mut context =
            ControllerContext { now, random: &mut source, settings: &settings, rules: &rules, is_late: self.is_late };
        let decision = decide(&self.image, &self.soft, &mut context)?;
        self.random = random;
        self.append(&decision.records);
        for change in decision.soft {
            self.soft.apply(change, Offset(self.next_offset - 1));
        }
        Ok((decision.records.iter().map(|it| text(it, &self.image)).collect(), decision.reply))
    }

    pub(super) fn register(
        &mut self,
        id: i32,
        incarnation: u8,
        previous_broker_epoch: i64,
    ) -> Result<Vec<String>, ApiError> {
        self.register_as(id, incarnation, previous_broker_epoch, |_| {})
    }

    fn register_as(
        &mut self,
        id: i32,
        incarnation: u8,
        previous_broker_epoch: i64,
        adjust: impl FnOnce(&mut BrokerRegistrationRequest),
    ) -> Result<Vec<String>, ApiError> {
        let features = crate::version::FEATURES.iter().map(|it| Feature {
            name: it.name.into(),
            min_supported_version: it.min,
            max_supported_version: it.max,
            ..Default::default()
        });
        let mut request = BrokerRegistrationRequest {
            broker_id: id,
            cluster_id: "AAAAAAAAAAAAAAAAAAAAAQ".into(),
            incarnation_id: Uuid([incarnation; 16]),
            listeners: vec![Listener { name: "PLAINTEXT".into(), port: 9092, ..Default::default() }],
            features: features.collect(),
            log_dirs: vec![Uuid([6 + id as u8; 16])],
            previous_broker_epoch,
            ..Default::default()
        };
        adjust(&mut request);
        let next = Offset(self.next_offset);
        self.decide(|image, soft, context| register_broker(image, soft, context, &request, next)).map(|it| it.0)
    }

    /// A heartbeat of a broker that has seen everything.
    pub(super) fn beat(
        &mut self,
        id: i32,
        adjust: impl FnOnce(&mut BrokerHeartbeatRequest),
    ) -> Result<(Vec<String>, String), ApiError> {
        let epoch = self.image.cluster.brokers.get(&BrokerId(id)).map_or(-1, |it| it.epoch.0);
        let mut request = BrokerHeartbeatRequest {
            broker_id: id,
            broker_epoch: epoch,
            current_metadata_offset: self.next_offset - 1,
            cordoned_log_dirs: Some(Vec::new()),
            ..Default::default()
        };
        adjust(&mut request);
        let (records, reply) = self.decide(|image, soft, context| heartbeat(image, soft, context, &request))?;
        let says =
            format!("caught_up={} fenced={} shut_down={}", reply.is_caught_up, reply.is_fenced, reply.should_shut_down);
        Ok((records, says))
    }
}

/// A record as `dump-log` prints it, with names in place of random ids.
fn text(it: &VersionedRecord, image: &Image) -> String {
    let mut json = match &it.record {
        MetadataRecord::RegisterBroker(record) => {
            return format!("RegisterBroker v{} {} epoch {}", it.version, record.broker_id, record.broker_epoch);
        }
        MetadataRecord::UnregisterBroker(record) => record.to_json(it.version),
        MetadataRecord::Topic(record) => record.to_json(it.version),
        MetadataRecord::Partition(record) => record.to_json(it.version),
        MetadataRecord::PartitionChange(record) => record.to_json(it.version),
        MetadataRecord::RemoveTopic(record) => record.to_json(it.version),
        MetadataRecord::Config(record) => record.to_json(it.version),
        MetadataRecord::FeatureLevel(record) => record.to_json(it.version),
        MetadataRecord::BrokerRegistrationChange(record) => record.to_json(it.version),
        MetadataRecord::ClearElr(record) => record.to_json(it.version),
        MetadataRecord::ClientQuota(record) => record.to_json(it.version),
        MetadataRecord::ProducerIds(record) => record.to_json(it.version),
        MetadataRecord::UserScramCredential(record) => record.to_json(it.version),
        MetadataRecord::RemoveUserScramCredential(record) => record.to_json(it.version),
        MetadataRecord::BeginTransaction(record) => record.to_json(it.version),
        other => return other.name().to_owned(),
    };
    if let Some(id) = json.get("topicId").and_then(|id| id.as_str()).map(str::to_owned) {
        let topic = id.parse().ok().and_then(|id| image.topics.by_id(id));
        json["topicId"] = topic.map_or("?".to_owned(), |topic| topic.name.to_string()).into();
    }
    let name = it.record.name().trim_end_matches("Record");
    format!("{name} v{} {}", it.version, json.to_string().replace('"', "").replace(&DIR.to_string(), "DIR"))
}

/// An error as one line.
pub(super) fn said(error: &ApiError) -> String {
    error.to_string()
}

/// A result's code and message as one line.
pub(super) fn result(code: i16, message: Option<&Str>) -> String {
    let code = ErrorCode::from_code(code).unwrap();
    said(&ApiError { code, message: message.map(ToString::to_string) })
}
