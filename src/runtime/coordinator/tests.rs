//! Tests of shards on a partition of a simulated disk. The time is an argument, and no test waits
//! for it.

mod effects;

use super::driver::ShardDriver;
use super::task::{ShardEnd, replay};
use super::*;
use crate::replica::{StateAppend, Wake, leading};
use crate::runtime::group::GroupCoordinators;
use coordinator::group::GroupTypes;
use coordinator::{GroupConfig, GroupReply, GroupRequest, GroupShard};
use model::{Monotonic, Now, Offset, Timestamp};
use protocol::messages::heartbeat_request::HeartbeatRequest;
use protocol::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use protocol::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use records::BatchBuilder;
use std::sync::atomic::AtomicUsize;

/// Returns the result of a future that does not wait.
fn now<T>(future: impl Future<Output = T>) -> T {
    futures_util::FutureExt::now_or_never(future).expect("nothing to wait for")
}

/// How many faults of a kind are left.
#[derive(Clone, Debug, Default)]
pub(super) struct PlantedFault(Arc<AtomicUsize>);

impl PlantedFault {
    fn plant(&self, count: usize) {
        self.0.store(count, Ordering::SeqCst);
    }

    fn left(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// Takes one fault. Returns whether there was one.
    pub(super) fn take(&self) -> bool {
        self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
    }
}

/// Faults that a test plants.
#[derive(Clone, Debug, Default)]
pub(super) struct PlantedFaults {
    pub(super) load: PlantedFault,
    pub(super) apply: PlantedFault,
}

const EPOCH: LeaderEpoch = LeaderEpoch(5);
const COMMIT_TIMEOUT_MS: i64 = 5000;

fn at(ms: u64) -> Now {
    Now { monotonic: Monotonic(ms), wall: Timestamp(1_000_000) }
}

fn parts(partition: Arc<Partition>) -> DriverParts<GroupShard> {
    let config = GroupConfig { min_session_timeout_ms: 10, initial_rebalance_delay_ms: 0, ..Default::default() };
    let (inbox, _) = mpsc::channel(1);
    DriverParts {
        partition,
        epoch: EPOCH,
        shard: Arc::default(),
        config: Arc::new(ArcSwap::from_pointee(config)),
        image: Arc::default(),
        effects: Arc::new(NoEffects),
        inbox: inbox.downgrade(),
        codec: Codec::None,
        commit_timeout_ms: COMMIT_TIMEOUT_MS,
        session: Arc::new(OwnSession::endless()),
        env: Env::default(),
        faults: PlantedFaults::default(),
    }
}

fn commit(offset: i64) -> GroupRequest {
    let partition = OffsetCommitRequestPartition { committed_offset: offset, ..Default::default() };
    let topic = OffsetCommitRequestTopic { name: "t".into(), partitions: vec![partition], ..Default::default() };
    let request = OffsetCommitRequest {
        group_id: "g".into(),
        generation_id_or_member_epoch: -1,
        topics: vec![topic],
        retention_time_ms: -1,
        ..Default::default()
    };
    GroupRequest::OffsetCommit { request, supports_member_epochs: true }
}

fn join(member: &str) -> GroupRequest {
    let protocol = JoinGroupRequestProtocol { name: "range".into(), ..Default::default() };
    let request = JoinGroupRequest {
        group_id: "g".into(),
        member_id: member.into(),
        protocol_type: "consumer".into(),
        protocols: vec![protocol],
        session_timeout_ms: 100,
        rebalance_timeout_ms: 100,
        ..Default::default()
    };
    let client = coordinator::Client::default();
    GroupRequest::JoinGroup { client, request, require_known_member_id: true, supports_skipping_assignment: true }
}

fn message(request: GroupRequest) -> (Message<GroupTypes>, oneshot::Receiver<GroupReply>) {
    let (answer, answered) = oneshot::channel();
    (Message::Request(Box::new(request), answer), answered)
}

fn error_of(reply: GroupReply) -> ErrorCode {
    let code = match reply {
        GroupReply::OffsetCommit(response) => response.topics[0].partitions[0].error_code,
        GroupReply::Heartbeat(response) => response.error_code,
        GroupReply::JoinGroup(response) => response.error_code,
        other => panic!("{other:?}"),
    };
    ErrorCode::from_code(code).unwrap()
}

/// Appends a record that no broker writes: its key is too short.
fn append_garbage(partition: &Arc<Partition>) {
    let mut batch = BatchBuilder::new(Offset(0)).leader_epoch(EPOCH);
    batch.append(Timestamp(1), Some(&[0]), Some(b"?"));
    now(partition.append_state(batch.finish().unwrap(), EPOCH, StateAppend::default())).unwrap();
}

/// Runs a shard's task. A request returns the error of its reply.
fn run(
    parts: DriverParts<GroupShard>,
) -> (mpsc::Sender<Message<GroupTypes>>, Arc<AtomicBool>, tokio::task::JoinHandle<()>) {
    let (inbox, messages) = mpsc::channel(8);
    let is_loaded = Arc::new(AtomicBool::new(false));
    let task = tokio::spawn(task::run(parts, messages, is_loaded.clone()));
    (inbox, is_loaded, task)
}

async fn ask(inbox: &mpsc::Sender<Message<GroupTypes>>, request: GroupRequest) -> ErrorCode {
    let (message, answered) = message(request);
    let _ = inbox.send(message).await;
    answered.await.map_or(ErrorCode::NotCoordinator, error_of)
}

#[test]
fn a_reply_is_held_until_its_record_is_committed() {
    let parts = parts(leading(EPOCH.0, &[1, 2]));
    let partition = parts.partition.clone();
    let mut driver = now(ShardDriver::start(parts, None, at(0))).unwrap();
    let (message, mut answered) = message(commit(7));
    now(driver.receive(message, at(0))).unwrap();
    now(driver.elapse(at(4999))).unwrap();
    assert!(answered.try_recv().is_err(), "the other replica in sync does not have it");
    assert_eq!(driver.next_deadline(), Some(Monotonic(5000)));
    partition.lead(&crate::replica::alone_in_sync(EPOCH.0, 1), Monotonic(1)).unwrap();
    driver.release(Monotonic(4999));
    assert_eq!(error_of(answered.try_recv().unwrap()), ErrorCode::None);
    assert!(!driver.holds_back());
}

#[test]
fn a_reply_that_is_held_too_long_is_coordinator_not_available() {
    let parts = parts(leading(EPOCH.0, &[1, 2]));
    let partition = parts.partition.clone();
    let mut driver = now(ShardDriver::start(parts, None, at(0))).unwrap();
    let (first, mut first_answered) = message(commit(7));
    now(driver.receive(first, at(0))).unwrap();
    let (second, mut second_answered) = message(commit(8));
    now(driver.receive(second, at(10))).unwrap();
    now(driver.elapse(at(5000))).unwrap();
    assert_eq!(error_of(first_answered.try_recv().unwrap()), ErrorCode::CoordinatorNotAvailable);
    assert!(second_answered.try_recv().is_err());
    // Its record is in the log nevertheless, and commits later.
    partition.lead(&crate::replica::alone_in_sync(EPOCH.0, 1), Monotonic(1)).unwrap();
    now(driver.elapse(at(5009))).unwrap();
    assert_eq!(error_of(second_answered.try_recv().unwrap()), ErrorCode::None);
    assert_eq!(partition.high_watermark(), Offset(2));
}

#[test]
fn a_reply_of_a_leadership_that_has_ended_is_not_coordinator() {
    let parts = parts(leading(EPOCH.0, &[1, 2]));
    let partition = parts.partition.clone();
    let mut driver = now(ShardDriver::start(parts, None, at(0))).unwrap();
    let (message, mut answered) = message(commit(7));
    now(driver.receive(message, at(0))).unwrap();
    partition.resign();
    driver.release(Monotonic(1));
    assert_eq!(error_of(answered.try_recv().unwrap()), ErrorCode::NotCoordinator);
    assert!(!driver.is_leading());
}

/// A session expires although the inbox is never empty.
#[tokio::test]
async fn timers_do_not_wait_behind_requests_that_keep_coming() {
    let parts = parts(leading(EPOCH.0, &[1]));
    let shard = parts.shard.clone();
    let (inbox, is_loaded, task) = run(parts);
    let (first, answered) = message(join(""));
    inbox.send(first).await.unwrap();
    let GroupReply::JoinGroup(joined) = answered.await.unwrap() else { panic!() };
    assert_eq!(error_of(GroupReply::JoinGroup(joined.clone())), ErrorCode::MemberIdRequired);
    // The generated member id expires after 100 ms. Until then the inbox is kept full.
    let deadline = shard.lock().next_deadline();
    assert!(deadline.is_some() && is_loaded.load(Ordering::SeqCst));
    let filler = || {
        let request = HeartbeatRequest { group_id: "x".into(), member_id: "m".into(), ..Default::default() };
        message(GroupRequest::Heartbeat(request)).0
    };
    while shard.lock().next_deadline() == deadline {
        while inbox.try_send(filler()).is_ok() {}
        tokio::task::yield_now().await;
    }
    drop(inbox);
    task.await.unwrap();
}

#[test]
fn every_message_is_followed_by_the_timers_that_are_due() {
    let mut driver = now(ShardDriver::start(parts(leading(EPOCH.0, &[1])), None, at(0))).unwrap();
    let (first, mut answered) = message(join(""));
    now(driver.receive(first, at(0))).unwrap();
    assert_eq!(error_of(answered.try_recv().unwrap()), ErrorCode::MemberIdRequired);
    assert_eq!(driver.next_deadline(), Some(Monotonic(100)));
    now(driver.elapse(at(100))).unwrap();
    assert_eq!(driver.next_deadline(), Some(Monotonic(600_000)), "only the search for expired offsets is left");
}

#[test]
fn an_unreadable_record_in_a_partition_fails_the_load() {
    let partition = leading(EPOCH.0, &[1]);
    append_garbage(&partition);
    assert!(
        matches!(replay::<GroupShard>(&partition, EPOCH), Err(ShardEnd::Fault(reason)) if reason.contains("offset 0"))
    );
    partition.resign();
    assert!(matches!(replay::<GroupShard>(&partition, EPOCH), Err(ShardEnd::Leadership)));
}

/// In one turn of the runtime: a client that has just created the topic may already commit.
#[tokio::test]
async fn a_new_partition_is_served_without_a_wait() {
    let partition = leading(EPOCH.0, &[1]);
    let (inbox, is_loaded, _task) = run(parts(partition));
    tokio::task::yield_now().await;
    assert!(is_loaded.load(Ordering::SeqCst));
    assert_eq!(ask(&inbox, commit(7)).await, ErrorCode::None);
}

#[tokio::test]
async fn groups_that_cannot_be_loaded_are_not_coordinator_and_their_partition_is_offline() {
    let partition = leading(EPOCH.0, &[1]);
    append_garbage(&partition);
    let groups = GroupCoordinators::new(CoordinatorParts {
        config: GroupConfig::default(),
        image: Arc::default(),
        effects: Arc::new(NoEffects),
        codec: Codec::None,
        commit_timeout_ms: COMMIT_TIMEOUT_MS,
        session: Arc::new(OwnSession::endless()),
        env: Env::default(),
    });
    groups.set_partition_count(1);
    let wake = Wake::new();
    let _watch = partition.watch(&wake);
    groups.lead(partition.clone(), EPOCH);
    while partition.leader_epoch().is_some() {
        wake.woken().await;
    }
    assert_eq!(partition.check_leader(None), Err(ErrorCode::KafkaStorageError));
    assert_eq!(error_of(groups.request(commit(7)).await), ErrorCode::NotCoordinator);
    // The image is published again: nothing is loaded again.
    groups.lead(partition.clone(), EPOCH);
    assert_eq!(error_of(groups.request(commit(7)).await), ErrorCode::NotCoordinator);
}

#[tokio::test]
async fn a_failed_load_is_retried_once() {
    let parts = parts(leading(EPOCH.0, &[1]));
    let (partition, faults) = (parts.partition.clone(), parts.faults.clone());
    faults.load.plant(1);
    let (inbox, _, task) = run(parts.clone());
    assert_eq!(ask(&inbox, commit(7)).await, ErrorCode::None);
    drop(inbox);
    task.await.unwrap();
    assert_eq!(partition.leader_epoch(), Some(EPOCH));
    faults.load.plant(3);
    let (_inbox, _, task) = run(parts);
    task.await.unwrap();
    assert_eq!((partition.leader_epoch(), faults.load.left()), (None, 1));
}

#[tokio::test]
async fn a_record_of_its_own_that_cannot_be_applied_is_never_acknowledged() {
    let parts = parts(leading(EPOCH.0, &[1]));
    let (partition, faults) = (parts.partition.clone(), parts.faults.clone());
    let (inbox, is_loaded, task) = run(parts);
    assert_eq!(ask(&inbox, commit(7)).await, ErrorCode::None);
    faults.apply.plant(1);
    assert_eq!(ask(&inbox, commit(8)).await, ErrorCode::NotCoordinator);
    // The groups are loaded again, with the record that is in the log.
    assert_eq!(ask(&inbox, commit(9)).await, ErrorCode::None);
    assert!(is_loaded.load(Ordering::SeqCst));
    assert_eq!(partition.log_end_offset(), Offset(3));
    faults.apply.plant(1);
    let (last, behind) = (ask(&inbox, commit(10)), ask(&inbox, commit(11)));
    assert_eq!(tokio::join!(last, behind), (ErrorCode::NotCoordinator, ErrorCode::NotCoordinator));
    task.await.unwrap();
    assert_eq!(partition.check_leader(None), Err(ErrorCode::KafkaStorageError));
    assert!(inbox.is_closed() && !is_loaded.load(Ordering::SeqCst));
}
