//! The controller's turns over a simulated disk, at moments that the test chooses.

mod elections;
mod following;
mod room;

use super::*;
use crate::config::{Properties, combined_node};
use crate::runtime::metadata_log::SnapshotLimits;
use arc_swap::ArcSwap;
use metadata::MetadataVersion;
use metadata::decide::{self, Decision, Soft};
use metadata::image::Image;
use model::{Now, PartitionIndex, Timestamp, TopicId, Uuid};
use protocol::messages::broker_heartbeat_request::BrokerHeartbeatRequest;
use protocol::messages::broker_registration_request::{BrokerRegistrationRequest, Feature};
use protocol::messages::config_record::ConfigRecord;
use protocol::messages::feature_level_record::FeatureLevelRecord;
use protocol::messages::partition_change_record::PartitionChangeRecord;
use protocol::{MetadataRecord, Str};
use raft::snapshot::retention::Limits;
use raft::{FetchLimits, ReplicaKey, Timeouts, VoterSet};
use std::collections::BTreeMap;
use std::iter;
use std::path::Path;
use storage::disk::{Disk, SimDisk};
use storage::{LogConfig, OpenFiles};

const DIR: &str = "/data";
const CLUSTER: &str = "AAAAAAAAAAAAAAAAAAAAAQ";

struct Controller {
    core: Core,
    handle: ControllerHandle,
    disk: SimDisk,
    publications: UnboundedReceiver<Publication>,
    now: Now,
}

impl Controller {
    /// A new cluster's.
    fn new() -> Self {
        let disk = SimDisk::new();
        disk.create_dir(Path::new(DIR)).unwrap();
        let bootstrap = decide::bootstrap_features(MetadataVersion::LATEST, &BTreeMap::new()).unwrap();
        Self::start(disk, bootstrap).unwrap()
    }

    fn start(disk: SimDisk, bootstrap: Vec<VersionedRecord>) -> Result<Self, LogFault> {
        let send: SendRequest = Box::new(|to, _, _| panic!("a lone voter sends nothing, and this to {to:?}"));
        Self::start_as(disk, bootstrap, (1, "1@127.0.0.1:9093"), send)
    }

    /// The controller of a node with this id, one of these voters.
    fn start_as(
        disk: SimDisk,
        bootstrap: Vec<VersionedRecord>,
        (id, voters): (i32, &str),
        send: SendRequest,
    ) -> Result<Self, LogFault> {
        let now = Now { monotonic: Monotonic(1), wall: Timestamp(1_800_000_000_000) };
        let limits = SnapshotLimits { max_bytes: 1 << 20, max_interval_ms: 0 };
        let files = OpenFiles::new(8);
        let opened = MetadataLog::open(
            Arc::new(disk.clone()),
            files,
            Path::new(DIR),
            LogConfig::default(),
            limits,
            Env::default(),
        )?;
        let raft_config = raft::Config {
            local: ReplicaKey { id: BrokerId(id), directory_id: Some(Uuid::from_random([1; 16])) },
            endpoints: Vec::new(),
            configured_voters: VoterSet::from_config(voters, "CONTROLLER").unwrap(),
            bootstrap_servers: Vec::new(),
            auto_join: false,
            fetch_limits: FetchLimits::default(),
            timeouts: Timeouts::default(),
        };
        let (raft, actions) = Raft::start(raft_config, opened.stored, 1, now)?;
        let config = Arc::new(combined_node(DIR));
        let effective = config.effective(&Properties::new(), &Properties::new());
        let (publisher, publications) = unbounded_channel();
        let parts = ControllerParts {
            log: opened.log,
            raft,
            actions,
            loader: opened.loader,
            applied: opened.applied,
            settings: Settings {
                node_id: BrokerId(id),
                cluster_id: CLUSTER.into(),
                default_partitions: 1,
                default_replication_factor: 1,
                min_insync_replicas: 1,
                unclean_leader_election: false,
                delete_topic_enable: true,
                broker_session_timeout_ms: 9_000,
            },
            rules: Arc::new(Rules::new(config, Arc::new(ArcSwap::from_pointee(effective)))),
            bootstrap,
            publisher,
            send,
            max_idle_ms: Some(500),
            elections: ElectionIntervals { balance_ms: Some(300_000), unclean_ms: Some(400_000) },
            stopping: CancellationToken::new(),
            retention: Limits { max_bytes: None, max_age_ms: None },
            env: Env::default(),
        };
        let (handle, inbox) = ControllerHandle::new(Clock::default());
        let mut core = Core::new(parts, inbox, now);
        core.begin()?;
        Ok(Self { core, handle, disk, publications, now })
    }

    /// Time goes on, and the wall clock goes where it likes.
    fn at(&mut self, monotonic: u64, wall: i64) {
        self.now = Now { monotonic: Monotonic(monotonic), wall: Timestamp(wall) };
        self.core.set_now(self.now);
    }

    /// Takes one request, without the end of the turn.
    fn take<R: Send + 'static>(
        &mut self,
        reply_at: ReplyAt,
        decide: impl FnOnce(&ControllerState<'_>, &mut ControllerContext<'_>) -> Decided<R>,
    ) -> oneshot::Receiver<Result<R, ApiError>> {
        let (sender, answered) = oneshot::channel();
        let request = Request { deadline: None, reply_at };
        self.core.take(&request, decide, move |outcome| drop(sender.send(outcome)));
        answered
    }

    fn end_turn(&mut self) {
        self.core.check().unwrap();
        self.core.tick(true).unwrap();
        self.core.settle().unwrap();
    }

    fn publish(&mut self) {
        while let Ok(publication) = self.publications.try_recv() {
            publication.completions.into_iter().for_each(|completion| completion(Ok(())));
            self.core.published();
            self.core.publish();
        }
    }

    /// Has one request decided, to its reply.
    fn decide<R: Send + 'static>(
        &mut self,
        decide: impl FnOnce(&ControllerState<'_>, &mut ControllerContext<'_>) -> Decided<R>,
    ) -> Result<R, ApiError> {
        let mut answered = self.take(ReplyAt::Commit, decide);
        self.end_turn();
        answered.try_recv().unwrap()
    }

    fn register(&mut self) {
        let features = metadata::version::FEATURES.iter().map(|it| Feature {
            name: it.name.into(),
            min_supported_version: it.min,
            max_supported_version: it.max,
            ..Default::default()
        });
        let request = BrokerRegistrationRequest {
            broker_id: 1,
            cluster_id: CLUSTER.into(),
            incarnation_id: Uuid([3; 16]),
            features: features.collect(),
            log_dirs: vec![Uuid([7; 16])],
            ..Default::default()
        };
        self.decide(|state, cx| decide::register_broker(state.image, state.soft, cx, &request, state.next_offset))
            .unwrap();
    }

    fn heartbeat(&mut self) -> oneshot::Receiver<Result<bool, ApiError>> {
        let epoch = self.image().cluster.brokers[&BrokerId(1)].epoch;
        let request = BrokerHeartbeatRequest {
            broker_id: 1,
            broker_epoch: epoch.0,
            current_metadata_offset: epoch.0,
            cordoned_log_dirs: Some(Vec::new()),
            ..Default::default()
        };
        self.take(ReplyAt::Commit, move |state, cx| {
            let decided = decide::heartbeat(state.image, state.soft, cx, &request)?;
            let reply = decided.reply.is_fenced;
            Ok(Decision { records: decided.records, atomic: decided.atomic, soft: decided.soft, reply })
        })
    }

    fn image(&mut self) -> Image {
        self.state().0
    }

    /// Image, soft state and the log's end.
    fn state(&mut self) -> (Image, Soft, Offset) {
        let (sender, mut seen) = unbounded_channel();
        let request = Request { deadline: None, reply_at: ReplyAt::Commit };
        let look = |state: &ControllerState<'_>, _: &mut ControllerContext<'_>| {
            sender.send((state.image.clone(), state.soft.clone(), state.next_offset)).unwrap();
            Ok(Decision::reply(()))
        };
        self.core.take(&request, look, |_| {});
        seen.try_recv().unwrap()
    }

    /// The log's bytes.
    fn log(&self) -> Vec<u8> {
        let path = Path::new(DIR).join("__cluster_metadata-0/00000000000000000000.log");
        storage::disk::read_all(&self.disk, &path).unwrap()
    }

    /// The node ends without a clean stop, and starts again on what is on disk.
    fn restart(self) -> Result<Self, LogFault> {
        let disk = self.disk.clone();
        drop(self);
        Self::start(disk, Vec::new())
    }
}

fn config_record(name: &str) -> VersionedRecord {
    VersionedRecord::v0(MetadataRecord::Config(ConfigRecord {
        resource_type: 4,
        name: name.into(),
        value: Some("1".into()),
        ..Default::default()
    }))
}

/// A change of a partition of a topic that does not exist.
fn impossible() -> VersionedRecord {
    let topic_id = TopicId::from_random([9; 16]);
    VersionedRecord::v0(MetadataRecord::PartitionChange(PartitionChangeRecord { topic_id, ..Default::default() }))
}

#[test]
fn a_decision_that_cannot_be_applied_costs_one_answer_and_leaves_no_trace() {
    let mut controller = Controller::new();
    controller.register();
    let (before, log) = (controller.state(), controller.log());
    let decided = controller.decide(|_, _| {
        let records = vec![config_record("log.retention.ms"), impossible()];
        Ok(Decision { soft: vec![decide::SoftChange::Forgotten(BrokerId(1))], ..Decision::atomic(records, ()) })
    });
    let error = decided.unwrap_err();
    assert_eq!(error.code, ErrorCode::UnknownServerError);
    assert!(error.message.unwrap().contains("does not exist"));
    let after = controller.state();
    assert_eq!((&after.0, after.2), (&before.0, before.2));
    assert!(after.1.sessions().eq(before.1.sessions()));
    assert_eq!(controller.log(), log);
    // The node goes on, now and after a crash.
    controller.decide(|_, _| Ok(Decision::atomic(vec![config_record("log.retention.ms")], ()))).unwrap();
    let mut again = controller.restart().unwrap();
    let image = again.image();
    let everywhere = metadata::image::ConfigResource::all_brokers();
    assert_eq!(image.configs.value(&everywhere, "log.retention.ms"), Some(&Str::from("1")));
}

#[test]
fn bootstrap_records_that_cannot_be_applied_end_the_start_and_are_not_in_the_log() {
    let disk = SimDisk::new();
    disk.create_dir(Path::new(DIR)).unwrap();
    let record = FeatureLevelRecord { name: "metadata.version".into(), feature_level: 99, ..Default::default() };
    let bad = vec![VersionedRecord::v0(MetadataRecord::FeatureLevel(record))];
    let fault = Controller::start(disk.clone(), bad).err().unwrap();
    assert!(fault.to_string().contains("99"), "{fault}");
    let good = decide::bootstrap_features(MetadataVersion::LATEST, &BTreeMap::new()).unwrap();
    let mut controller = Controller::start(disk, good).unwrap();
    assert_eq!(controller.image().features.metadata_version, Some(MetadataVersion::LATEST));
}

#[test]
fn a_decision_over_the_batch_limit_is_split_or_refused() {
    let mut controller = Controller::new();
    let before = controller.state().2;
    // 300 records of 32 KB each are more than 8 MiB.
    let records = |count: usize, bytes: usize| {
        let with_value = |number| {
            let mut record = config_record(&format!("name{number}"));
            if let MetadataRecord::Config(config) = &mut record.record {
                config.value = Some("x".repeat(bytes).into());
            }
            record
        };
        (0..count).map(with_value).collect::<Vec<_>>()
    };
    let error = controller.decide(|_, _| Ok(Decision::atomic(records(300, 32_000), ()))).unwrap_err();
    assert_eq!(error.code, ErrorCode::UnknownServerError, "as Apache Kafka 4.3.1 answers");
    assert_eq!(controller.state().2, before, "nothing of it is in the log");
    controller.decide(|_, _| Ok(Decision::of(records(300, 32_000), ()))).unwrap();
    assert_eq!(controller.state().2, before.plus(300));
    controller.decide(|_, _| Ok(Decision::of(records(10_001, 1), ()))).unwrap();
    let mut again = controller.restart().unwrap();
    let everywhere = metadata::image::ConfigResource::all_brokers();
    assert_eq!(again.image().configs.value(&everywhere, "name10000"), Some(&Str::from("x")));
}

#[test]
fn a_heartbeat_is_answered_while_the_publisher_is_held() {
    let mut controller = Controller::new();
    controller.register();
    // Nobody takes what is published: the publisher creates a large topic's logs, or waits for a
    // disk.
    for turn in 0..100 {
        let mut client = controller.take(ReplyAt::Publish, |_, _| Ok(Decision::reply(())));
        let now = 1 + turn * 2_000;
        controller.at(now, 1_800_000_000_000);
        let mut answered = controller.heartbeat();
        controller.end_turn();
        assert!(!answered.try_recv().unwrap().unwrap(), "fenced after {now} ms");
        assert!(client.try_recv().is_err(), "a client's reply waits for its image");
    }
    let waiting = iter::from_fn(|| controller.publications.try_recv().ok()).count();
    assert!(waiting <= crate::runtime::publisher::PUBLICATIONS_MAX, "{waiting} publications wait");
}

#[test]
fn what_is_committed_while_the_publisher_is_held_is_published_as_one() {
    let mut controller = Controller::new();
    controller.publish();
    let mut answers = Vec::new();
    for number in 0..5 {
        let name: Str = format!("follower.replication.throttled.rate{number}").into();
        answers.push(
            controller.take(ReplyAt::Publish, move |_, _| Ok(Decision::atomic(vec![config_record(&name)], number))),
        );
        controller.end_turn();
    }
    let first: Vec<Publication> = iter::from_fn(|| controller.publications.try_recv().ok()).collect();
    assert_eq!(first.len(), crate::runtime::publisher::PUBLICATIONS_MAX);
    let end = controller.state().2;
    for publication in first {
        publication.completions.into_iter().for_each(|completion| completion(Ok(())));
        controller.core.published();
    }
    controller.core.publish();
    let rest: Vec<Publication> = iter::from_fn(|| controller.publications.try_recv().ok()).collect();
    assert_eq!(rest.len(), 1);
    for publication in rest {
        let (image, changes) = publication.news.unwrap();
        assert_eq!(image.provenance.last_offset, Some(end.plus(-1)));
        assert!(!changes.is_empty());
        publication.completions.into_iter().for_each(|completion| completion(Ok(())));
    }
    let replies: Vec<i32> = answers.iter_mut().map(|answer| answer.try_recv().unwrap().unwrap()).collect();
    assert_eq!(replies, [0, 1, 2, 3, 4]);
}

#[test]
fn a_wall_clock_that_jumps_changes_no_session() {
    const DAY_MS: i64 = 86_400_000;
    let mut controller = Controller::new();
    controller.register();
    let mut answered = controller.heartbeat();
    controller.end_turn();
    assert!(!answered.try_recv().unwrap().unwrap());
    let is_fenced = |controller: &mut Controller| controller.image().cluster.brokers[&BrokerId(1)].fenced;
    controller.at(9_001, 1_800_000_000_000 + DAY_MS);
    controller.end_turn();
    assert!(!is_fenced(&mut controller), "a day forward");
    assert!(controller.core.until_deadline() <= Duration::from_millis(500));
    controller.at(9_002, 1_800_000_000_000 - DAY_MS);
    controller.end_turn();
    assert!(is_fenced(&mut controller), "a day back keeps nobody alive");
}

#[test]
fn a_controller_that_its_disk_held_up_fences_nobody_for_it() {
    let mut controller = Controller::new();
    controller.register();
    let mut answered = controller.heartbeat();
    controller.end_turn();
    assert!(!answered.try_recv().unwrap().unwrap());
    controller.at(60_001, 1_800_000_060_000);
    controller.core.listens_again(Monotonic(1));
    controller.end_turn();
    assert!(!controller.image().cluster.brokers[&BrokerId(1)].fenced);
    controller.at(69_002, 1_800_000_069_000);
    controller.core.tick(false).unwrap();
    assert!(!controller.image().cluster.brokers[&BrokerId(1)].fenced, "its heartbeat may still be in the inbox");
    controller.end_turn();
    assert!(controller.image().cluster.brokers[&BrokerId(1)].fenced);
}

#[test]
fn an_idle_controller_writes_a_sign_of_life() {
    let mut controller = Controller::new();
    let end = controller.state().2;
    controller.at(500, 1_800_000_000_000);
    controller.end_turn();
    assert_eq!(controller.state().2, end);
    controller.at(501, 0);
    controller.end_turn();
    assert_eq!(controller.state().2, end.plus(1));
}

#[test]
fn a_decision_that_panics_costs_one_answer_and_leaves_no_trace() {
    let mut controller = Controller::new();
    controller.register();
    let (before, log) = (controller.state(), controller.log());
    let mut others = controller.take(ReplyAt::Commit, |_, _| Ok(Decision::reply(1)));
    let nobody: BTreeMap<i32, i32> = BTreeMap::new();
    let error = controller.decide::<i32>(move |_, _| Ok(Decision::reply(nobody[&1]))).unwrap_err();
    assert_eq!(error.code, ErrorCode::UnknownServerError);
    assert_eq!(others.try_recv().unwrap(), Ok(1));
    let after = controller.state();
    assert_eq!((&after.0, after.2), (&before.0, before.2));
    assert!(after.1.sessions().eq(before.1.sessions()));
    assert_eq!(controller.log(), log);
    controller.decide(|_, _| Ok(Decision::atomic(vec![config_record("log.retention.ms")], ()))).unwrap();
    assert!(controller.restart().is_ok());
}

/// Carries out the decisions that wait in the inbox, to their replies. Returns how many there were.
fn serve(controller: &mut Controller, inbox: &mut Inbox) -> usize {
    let mut count = 0;
    while let Ok(message) = inbox.messages.try_recv() {
        let Message::Decide(job) = message else { continue };
        job(&mut controller.core);
        count += 1;
    }
    controller.end_turn();
    controller.publish();
    count
}

fn nothing(_: &ControllerState<'_>, _: &mut ControllerContext<'_>) -> Decided<()> {
    Ok(Decision::reply(()))
}

#[tokio::test(start_paused = true)]
async fn a_client_over_the_limit_of_waiting_requests_waits_for_a_place_or_its_timeout() {
    let mut controller = Controller::new();
    controller.publish();
    let (handle, mut inbox) = ControllerHandle::new(Clock::default());
    let ask = || {
        let handle = handle.clone();
        tokio::spawn(async move { handle.decide(nothing).await })
    };
    let waiting: Vec<_> = (0..CLIENT_REQUESTS_MAX).map(|_| ask()).collect();
    while handle.clients.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    let timed_out = handle.decide_within(1_000, nothing).await.unwrap_err();
    assert_eq!(timed_out.code, ErrorCode::RequestTimedOut);
    let patient = ask();
    // A broker's request has a place of its own.
    let broker = handle.clone();
    let broker = tokio::spawn(async move { broker.decide_at_commit(nothing).await });
    while handle.brokers.available_permits() == BROKER_REQUESTS_MAX {
        tokio::task::yield_now().await;
    }
    assert_eq!(serve(&mut controller, &mut inbox), CLIENT_REQUESTS_MAX + 1);
    broker.await.unwrap().unwrap();
    for answer in waiting {
        answer.await.unwrap().unwrap();
    }
    // The places are free again: the patient client has one, and its reply frees it.
    while handle.clients.available_permits() == CLIENT_REQUESTS_MAX {
        tokio::task::yield_now().await;
    }
    assert_eq!(serve(&mut controller, &mut inbox), 1);
    patient.await.unwrap().unwrap();
    assert_eq!(handle.clients.available_permits(), CLIENT_REQUESTS_MAX);
    assert_eq!(handle.brokers.available_permits(), BROKER_REQUESTS_MAX);
}

#[tokio::test]
async fn a_broker_over_the_limit_of_waiting_requests_waits_and_a_client_that_left_keeps_its_place() {
    let mut controller = Controller::new();
    controller.publish();
    let (handle, mut inbox) = ControllerHandle::new(Clock::default());
    let ask = || {
        let handle = handle.clone();
        tokio::spawn(async move { handle.decide_at_commit(nothing).await })
    };
    let waiting: Vec<_> = (0..BROKER_REQUESTS_MAX).map(|_| ask()).collect();
    while handle.brokers.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    // The controller still has the requests of connections that are closed.
    for request in &waiting {
        request.abort();
    }
    let next = ask();
    tokio::task::yield_now().await;
    assert!(!next.is_finished());
    assert_eq!(handle.brokers.available_permits(), 0);
    assert_eq!(serve(&mut controller, &mut inbox), BROKER_REQUESTS_MAX);
    while handle.brokers.available_permits() == BROKER_REQUESTS_MAX {
        tokio::task::yield_now().await;
    }
    assert_eq!(serve(&mut controller, &mut inbox), 1);
    next.await.unwrap().unwrap();
    assert_eq!(handle.brokers.available_permits(), BROKER_REQUESTS_MAX);
}
