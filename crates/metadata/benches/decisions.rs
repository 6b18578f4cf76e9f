//! What the controller's decisions cost in a cluster of three brokers with 100,000 partitions, each
//! with a replica on every broker, so that each broker leads a third of them.

use criterion::{Criterion, criterion_group, criterion_main};
use metadata::decide::{self, ConfigRules, ControllerContext, Decided, Decision, Settings, Soft, SoftChange};
use metadata::version::{FEATURES, Feature as KnownFeature};
use metadata::{Image, LoadedBatch, Loader, MetadataVersion, VersionedRecord};
use model::{BrokerId, LeaderEpoch, Monotonic, Now, Offset, PartitionIndex, Timestamp, Uuid};
use protocol::messages::alter_partition_request::{AlterPartitionRequest, BrokerState, PartitionData, TopicData};
use protocol::messages::broker_heartbeat_request::BrokerHeartbeatRequest;
use protocol::messages::broker_heartbeat_response::BrokerHeartbeatResponse;
use protocol::messages::broker_registration_request::{BrokerRegistrationRequest, Feature};
use protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use protocol::messages::create_topics_response::CreateTopicsResponse;
use std::collections::BTreeMap;
use std::hint::black_box;

const TOPICS: usize = 1_000;
const PARTITIONS: i32 = 100;
const BROKERS: i32 = 3;

struct Cluster {
    loader: Loader,
    soft: Soft,
    settings: Settings,
    end: i64,
    random: u64,
}

impl Cluster {
    fn new() -> Self {
        let settings = Settings {
            node_id: BrokerId(100),
            cluster_id: "bench".into(),
            default_partitions: 1,
            default_replication_factor: 1,
            min_insync_replicas: 2,
            unclean_leader_election: false,
            delete_topic_enable: true,
            broker_session_timeout_ms: 9_000,
        };
        let loader = Loader::new(&Image::default());
        let mut it = Self { loader, soft: Soft::default(), settings, end: 0, random: 1 };
        let records = decide::bootstrap_features(MetadataVersion::LATEST, &BTreeMap::new()).expect("known levels");
        let records = decide::activate(it.image(), &it.settings, &records, false);
        it.append(&Decision::atomic(records, ()));
        for id in 1..=BROKERS {
            let request = registration(id);
            let next = Offset(it.end);
            let decision = it.decide(|cluster, context| {
                decide::register_broker(cluster.image(), &cluster.soft, context, &request, next)
            });
            it.append(&decision);
            let decision = it.heartbeat(id, false);
            it.append(&decision);
        }
        for number in 0..TOPICS {
            let decision = it.create(&format!("topic{number}"), PARTITIONS);
            it.append(&decision);
        }
        it
    }

    fn image(&self) -> &Image {
        self.loader.uncommitted_image()
    }

    fn decide<R>(&mut self, decide: impl FnOnce(&Self, &mut ControllerContext<'_>) -> Decided<R>) -> Decision<R> {
        let rules = ConfigRules {
            validate: &|_, _, _| Ok(()),
            is_list: &|_, _| false,
            default: &|_, _| None,
            topic_configs: &|_, _| Vec::new(),
        };
        let mut random = self.random;
        let mut source = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            random >> 7
        };
        let now = Now { monotonic: Monotonic(0), wall: Timestamp(0) };
        let settings = self.settings.clone();
        let mut context =
            ControllerContext { now, random: &mut source, settings: &settings, rules: &rules, is_late: false };
        let decision = decide(self, &mut context).expect("nothing is refused");
        self.random = random;
        decision
    }

    /// The loader after a decision's records, as the driver applies them.
    fn applied(&self, records: &[VersionedRecord]) -> Loader {
        let records: Vec<_> = records.iter().map(|it| it.record.clone()).collect();
        let records: Vec<_> = records.into_iter().filter(|it| !it.name().ends_with("TransactionRecord")).collect();
        let batch = LoadedBatch {
            base_offset: Offset(self.end),
            epoch: LeaderEpoch(1),
            timestamp: Timestamp(0),
            records: &records,
            last_offset: Offset(self.end + records.len() as i64 - 1),
        };
        self.loader.after(&batch).expect("records apply")
    }

    fn append<R>(&mut self, decision: &Decision<R>) {
        self.loader = self.applied(&decision.records);
        self.end += decision.records.len() as i64;
        for change in &decision.soft {
            self.soft.apply(*change, Offset(self.end - 1));
        }
    }

    fn create(&mut self, name: &str, num_partitions: i32) -> Decision<CreateTopicsResponse> {
        let topic = CreatableTopic { name: name.into(), num_partitions, replication_factor: 3, ..Default::default() };
        let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
        self.decide(|cluster, context| decide::create_topics(cluster.image(), context, &request, &|_| true))
    }

    fn epoch(&self, id: i32) -> i64 {
        self.image().cluster.brokers[&BrokerId(id)].epoch.0
    }

    fn heartbeat(&mut self, broker_id: i32, want_shut_down: bool) -> Decision<BrokerHeartbeatResponse> {
        let request = BrokerHeartbeatRequest {
            broker_id,
            broker_epoch: self.epoch(broker_id),
            current_metadata_offset: self.end,
            want_shut_down,
            cordoned_log_dirs: Some(Vec::new()),
            ..Default::default()
        };
        self.decide(|cluster, context| decide::heartbeat(cluster.image(), &cluster.soft, context, &request))
    }

    /// A broker takes another one out of the ISRs of some of the partitions that it leads.
    fn shrink(&self, leader: i32, count: usize) -> AlterPartitionRequest {
        let mut topics = Vec::new();
        let mut left = count;
        for topic in self.image().topics.iter() {
            let mut partitions = Vec::new();
            for (PartitionIndex(partition_index), it) in &topic.partitions {
                if it.leader != Some(BrokerId(leader)) || left == 0 {
                    continue;
                }
                left -= 1;
                let ids = it.isr.iter().filter(|id| id.0 != leader % BROKERS + 1);
                let member = |id: &BrokerId| BrokerState {
                    broker_id: id.0,
                    broker_epoch: self.epoch(id.0),
                    ..Default::default()
                };
                partitions.push(PartitionData {
                    partition_index: *partition_index,
                    leader_epoch: it.leader_epoch.0,
                    partition_epoch: it.partition_epoch.0,
                    new_isr_with_epochs: ids.map(member).collect(),
                    ..Default::default()
                });
            }
            if !partitions.is_empty() {
                topics.push(TopicData { topic_id: topic.id, partitions, ..Default::default() });
            }
        }
        AlterPartitionRequest { broker_id: leader, broker_epoch: self.epoch(leader), topics, ..Default::default() }
    }
}

fn registration(broker_id: i32) -> BrokerRegistrationRequest {
    let feature = |it: &KnownFeature| Feature {
        name: it.name.into(),
        min_supported_version: it.min,
        max_supported_version: it.max,
        ..Default::default()
    };
    BrokerRegistrationRequest {
        broker_id,
        cluster_id: "bench".into(),
        incarnation_id: Uuid([broker_id as u8; 16]),
        features: FEATURES.iter().map(feature).collect(),
        log_dirs: vec![Uuid([200 + broker_id as u8; 16])],
        ..Default::default()
    }
}

fn requests(criterion: &mut Criterion, cluster: &mut Cluster) {
    let mut group = criterion.benchmark_group("requests at 100,000 partitions");
    group.sample_size(10);
    group.bench_function("heartbeat", |bencher| bencher.iter(|| black_box(cluster.heartbeat(1, false))));
    group.bench_function("create a topic of 10 partitions", |bencher| {
        bencher.iter(|| black_box(cluster.create("new", 10)));
    });
    group.bench_function("create a topic of 10 partitions and apply it", |bencher| {
        bencher.iter(|| {
            let decision = cluster.create("new", 10);
            black_box(cluster.applied(&decision.records))
        });
    });
    for count in [1, 2_000] {
        let request = cluster.shrink(1, count);
        group.bench_function(format!("change {count} ISRs and apply it"), |bencher| {
            bencher.iter(|| {
                let decision =
                    cluster.decide(|cluster, context| decide::alter_partition(cluster.image(), context, &request));
                assert_eq!(decision.records.len(), count);
                black_box(cluster.applied(&decision.records))
            });
        });
    }
    group.bench_function("list reassignments where there are none", |bencher| {
        bencher.iter(|| black_box(decide::list_partition_reassignments(cluster.image(), &Default::default())));
    });
    group.bench_function("balance leaders that are in balance", |bencher| {
        bencher.iter(|| {
            black_box(cluster.decide(|cluster, context| Ok(decide::balance_leaders(cluster.image(), context))))
        });
    });
    group.finish();
}

fn broker_events(criterion: &mut Criterion, cluster: &mut Cluster) {
    let mut group = criterion.benchmark_group("a broker that leads a third of 100,000 partitions");
    group.sample_size(10);
    group.bench_function("fence", |bencher| {
        bencher.iter(|| black_box(decide::fence_broker(cluster.image(), &cluster.settings, BrokerId(1))));
    });
    let fenced = decide::fence_broker(cluster.image(), &cluster.settings, BrokerId(1));
    group.bench_function("apply the records that fence it", |bencher| {
        bencher.iter(|| black_box(cluster.applied(&fenced)));
    });
    group.bench_function("begin its shutdown", |bencher| {
        bencher.iter(|| black_box(cluster.heartbeat(1, true)));
    });
    cluster.append(&Decision::of(fenced, ()));
    cluster.soft.apply(SoftChange::Forgotten(BrokerId(1)), Offset(0));
    group.bench_function("unfence it", |bencher| bencher.iter(|| black_box(cluster.heartbeat(1, false))));
    let request = BrokerRegistrationRequest { incarnation_id: Uuid([9; 16]), ..registration(1) };
    group.bench_function("register it after a crash", |bencher| {
        bencher.iter(|| {
            let next = Offset(cluster.end);
            black_box(cluster.decide(|cluster, context| {
                decide::register_broker(cluster.image(), &cluster.soft, context, &request, next)
            }))
        });
    });
    group.bench_function("balance a round of 1,000 leaders", |bencher| {
        bencher.iter(|| {
            black_box(cluster.decide(|cluster, context| Ok(decide::balance_leaders(cluster.image(), context))))
        });
    });
    group.finish();
}

fn decisions(criterion: &mut Criterion) {
    let mut cluster = Cluster::new();
    assert_eq!(cluster.image().topics.partition_count(), TOPICS * PARTITIONS as usize);
    requests(criterion, &mut cluster);
    broker_events(criterion, &mut cluster);
}

criterion_group!(benches, decisions);
criterion_main!(benches);
