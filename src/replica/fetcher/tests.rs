//! A fetcher between a partition that leads and one that follows, in one process. The link reads
//! from the leader as a Fetch request does, and waits for an append without a deadline: a follower
//! that is not woken waits for ever.

use super::*;
use crate::replica::fetchers::{Fetchers, FetchersParts};
use crate::replica::partition::tests::{append, numbered_on_node, on_node, rules, state};
use crate::replica::partition::{FollowerRead, PartitionPeers, ReadError, ReadRequest};
use crate::replica::{ReplicationQuotas, ThrottledReplicas, Wake, WriteRules};
use ::replica::{BrokerStanding, CommittedIsr, IsrProposal};
use model::PartitionEpoch;
use protocol::messages::fetch_response::FetchableTopicResponse;
use protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use std::sync::atomic::{AtomicUsize, Ordering};
use storage::{Isolation, LogConfig, Wait};

mod answer_size;
mod leader_change;

const SETTINGS: FetcherSettings = FetcherSettings {
    max_wait_ms: 500,
    min_bytes: 1,
    max_bytes: 10 << 20,
    partition_max_bytes: 1 << 20,
    backoff_ms: 1,
    produced_bytes_max: 1 << 20,
};
const FOLLOWER: BrokerId = BrokerId(2);
const BROKER_EPOCH: BrokerEpoch = BrokerEpoch(20);

/// A connection to the broker of a leader.
#[derive(Debug)]
struct Local {
    leader: Arc<Partition>,
    /// The session's partition, once a request has named it.
    wish: Mutex<Option<FetchPartition>>,
    /// How many requests fail before one is answered.
    failures: AtomicUsize,
    /// How many requests named the partition.
    named: AtomicUsize,
}

fn link(leader: &Arc<Partition>) -> Arc<Local> {
    let (wish, failures, named) = (Mutex::default(), AtomicUsize::new(0), AtomicUsize::new(0));
    Arc::new(Local { leader: leader.clone(), wish, failures, named })
}

impl Local {
    fn fails(&self) -> bool {
        self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
    }

    fn read(&self, broker_epoch: i64, wish: &FetchPartition, is_counted: bool) -> PartitionData {
        let read = self.leader.read(&ReadRequest {
            offset: Offset(wish.fetch_offset),
            current_leader_epoch: LeaderEpoch::from_wire(wish.current_leader_epoch),
            last_fetched_epoch: LeaderEpoch::from_wire(wish.last_fetched_epoch),
            max_bytes: wish.partition_max_bytes as u32,
            at_least_one_batch: true,
            isolation: Isolation::HighWatermark,
            wait: Wait::Block,
            leader_only: true,
            follower: Some(FollowerRead {
                broker_id: FOLLOWER,
                broker_epoch: BrokerEpoch::from_wire(broker_epoch),
                log_start_offset: Offset(wish.log_start_offset),
                now: Clock::default().monotonic(),
                is_counted,
            }),
        });
        let mut data = PartitionData { partition_index: 0, ..Default::default() };
        match read {
            Err(ReadError::Refused(code)) => data.error_code = code.code(),
            Err(ReadError::Storage(storage::Error::OffsetOutOfRange { .. })) => {
                data.error_code = ErrorCode::OffsetOutOfRange.code();
            }
            Err(ReadError::Storage(fault)) => panic!("{fault}"),
            Ok(read) => {
                data.high_watermark = read.offsets.high_watermark.0;
                data.log_start_offset = read.offsets.log_start_offset.0;
                if let Some((epoch, end)) = read.diverging {
                    (data.diverging_epoch.epoch, data.diverging_epoch.end_offset) = (epoch.0, end.0);
                }
                data.records = read.region.map(|region| Records::Bytes(region.read().unwrap().into()));
            }
        }
        data
    }
}

impl LeaderLink for Arc<Local> {
    async fn fetch(&self, request: FetchRequest, _: usize) -> Result<FetchResponse, String> {
        if self.fails() {
            return Err("the connection was lost".to_owned());
        }
        if request.session_epoch == 0 {
            *self.wish.lock() = None;
        } else if request.session_id != 7 {
            let error_code = ErrorCode::FetchSessionIdNotFound.code();
            return Ok(FetchResponse { error_code, ..Default::default() });
        }
        for partition in request.topics.into_iter().flat_map(|topic| topic.partitions) {
            self.named.fetch_add(1, Ordering::SeqCst);
            *self.wish.lock() = Some(partition);
        }
        let wish = self.wish.lock().clone().unwrap();
        let (wake, epoch) = (Wake::new(), request.replica_state.replica_epoch);
        let _watch = self.leader.watch_end_as(&wake, 0);
        let mut data = self.read(epoch, &wish, true);
        while data.error_code == 0 && data.records.is_none() && data.diverging_epoch.epoch < 0 {
            wake.woken().await;
            data = self.read(epoch, &wish, false);
        }
        let topic_id = self.leader.id().topic_id;
        let responses = vec![FetchableTopicResponse { topic_id, partitions: vec![data], ..Default::default() }];
        Ok(FetchResponse { session_id: 7, responses, ..Default::default() })
    }

    async fn list_offsets(&self, request: ListOffsetsRequest) -> Result<ListOffsetsResponse, String> {
        let asked = &request.topics[0].partitions[0];
        let offset = match asked.timestamp {
            LATEST => self.leader.log_end_offset(),
            _ => self.leader.log_start_offset(),
        };
        let partitions = vec![ListOffsetsPartitionResponse { offset: offset.0, ..Default::default() }];
        let topics = vec![ListOffsetsTopicResponse { name: Str::from("t"), partitions, ..Default::default() }];
        Ok(ListOffsetsResponse { topics, ..Default::default() })
    }

    fn close(&self) {}
}

/// The cluster as the leader sees it. It keeps what the leader proposes.
#[derive(Debug, Default)]
struct Peers {
    proposals: Mutex<Vec<IsrProposal>>,
    proposed: Notify,
}

impl PartitionPeers for Peers {
    fn standing(&self, _: BrokerId) -> Option<BrokerStanding> {
        Some(BrokerStanding { epoch: BROKER_EPOCH, is_fenced: false, is_shutting_down: false })
    }

    fn propose(&self, _: &Arc<Partition>, proposal: IsrProposal) {
        self.proposals.lock().push(proposal);
        self.proposed.notify_one();
    }
}

fn parts() -> FetcherParts {
    FetcherParts {
        broker_id: FOLLOWER,
        leader: BrokerId(1),
        settings: SETTINGS,
        quotas: Arc::default(),
        bytes_in: Counter::default(),
        env: Env::default(),
    }
}

/// Starts to fetch the partition. It ends when the token is dropped with the test.
fn start(follower: &Arc<Partition>, link: &Arc<Local>) -> (Arc<Fetcher>, tokio_util::sync::DropGuard) {
    let stopping = CancellationToken::new();
    let fetcher = Fetcher::new(parts());
    fetcher.add(follower.clone());
    tokio::spawn(fetcher.clone().run(link.clone(), || Some(BROKER_EPOCH), stopping.clone()));
    (fetcher, stopping.drop_guard())
}

fn leading(isr: &[i32]) -> Arc<Partition> {
    let leader = on_node(1, LogConfig::default());
    leader.lead(&state(5, 0, isr), Monotonic(0)).unwrap();
    leader
}

fn following(epoch: i32) -> Arc<Partition> {
    let follower = on_node(2, LogConfig::default());
    follower.follow(BrokerId(1), LeaderEpoch(epoch), SETTINGS.backoff_ms).unwrap();
    follower
}

fn append_all(partition: &Arc<Partition>, count: usize) {
    for _ in 0..count {
        append(partition, false).unwrap();
    }
}

async fn until(partition: &Arc<Partition>, holds: impl Fn(&Partition) -> bool) {
    let wake = Wake::new();
    let _watches = (partition.watch(&wake), partition.watch_end_as(&wake, 0));
    while !holds(partition) {
        wake.woken().await;
    }
}

fn bytes_of(partition: &Partition) -> Vec<u8> {
    let read = storage::LogRead {
        offset: partition.log_start_offset(),
        max_bytes: u32::MAX,
        at_least_one_batch: true,
        isolation: Isolation::LogEnd,
        wait: Wait::Block,
    };
    partition.log().read(read).unwrap().region.unwrap().read().unwrap()
}

#[tokio::test]
async fn a_write_with_acks_all_is_answered_once_the_follower_has_it() {
    let (leader, follower) = (leading(&[1, 2]), following(5));
    append(&leader, true).unwrap();
    let link = link(&leader);
    let _running = start(&follower, &link);
    for _ in 0..20 {
        let appended = append(&leader, true).unwrap();
        leader.until_replicated(&appended).await.unwrap();
        assert!(follower.log_end_offset() > appended.last_offset);
    }
    assert_eq!((leader.high_watermark(), follower.high_watermark()), (Offset(21), Offset(20)));
    assert_eq!(bytes_of(&leader), bytes_of(&follower));
    assert_eq!(leader.log().leader_epochs(), follower.log().leader_epochs());
    assert_eq!(follower.check_leader(None), Err(ErrorCode::NotLeaderOrFollower));
}

#[tokio::test]
async fn a_follower_that_has_caught_up_is_proposed_and_joins() {
    let (leader, follower) = (leading(&[1]), following(5));
    let peers = Arc::new(Peers::default());
    leader.set_peers(peers.clone());
    append(&leader, true).unwrap();
    let _running = start(&follower, &link(&leader));
    // Its second fetch says that it has the record.
    peers.proposed.notified().await;
    let proposal = peers.proposals.lock()[0].clone();
    assert_eq!(proposal.isr, [(BrokerId(1), None), (FOLLOWER, Some(BROKER_EPOCH))]);
    // Nobody knows whether it was applied: it is sent again.
    leader.proposal_answered(&proposal, Err(ErrorCode::RequestTimedOut));
    assert_eq!(*peers.proposals.lock(), [proposal.clone(), proposal.clone()]);
    let isr = vec![BrokerId(1), FOLLOWER];
    let committed = CommittedIsr { isr, leader_epoch: LeaderEpoch(5), partition_epoch: PartitionEpoch(1) };
    leader.proposal_answered(&proposal, Ok(committed));
    // A lag that is over the limit is proposed in turn.
    leader.check_lag(Monotonic(u64::MAX));
    assert_eq!(peers.proposals.lock().len(), 2, "it has everything");
}

#[tokio::test]
async fn each_leader_has_its_fetchers_while_a_partition_follows_it() {
    let leaders = [leading(&[1, 2]), leading(&[1, 2])];
    let links = [link(&leaders[0]), link(&leaders[1])];
    let made = links.clone();
    let fetchers = Fetchers::new(FetchersParts {
        broker_id: FOLLOWER,
        per_leader: 2,
        settings: SETTINGS,
        quotas: Arc::default(),
        bytes_in: Counter::default(),
        own_epoch: Arc::new(|| Some(BROKER_EPOCH)),
        link: Box::new(move |leader| made[usize::from(leader != BrokerId(1))].clone()),
        env: Env::default(),
        runtime: tokio::runtime::Handle::current(),
    });
    let follower = on_node(2, LogConfig::default());
    fetchers.update(&follower);
    assert!(fetchers.is_empty(), "it follows nobody");
    follower.follow(BrokerId(1), LeaderEpoch(5), SETTINGS.backoff_ms).unwrap();
    fetchers.update(&follower);
    let appended = append(&leaders[0], true).unwrap();
    leaders[0].until_replicated(&appended).await.unwrap();
    // Another broker leads in the next epoch, with the same records and one more.
    append(&leaders[1], true).unwrap();
    leaders[1].lead(&state(6, 1, &[1, 2]), Monotonic(0)).unwrap();
    follower.follow(BrokerId(3), LeaderEpoch(6), SETTINGS.backoff_ms).unwrap();
    fetchers.update(&follower);
    let appended = append(&leaders[1], true).unwrap();
    leaders[1].until_replicated(&appended).await.unwrap();
    assert_eq!((fetchers.len(), follower.log_end_offset()), (1, Offset(2)));
    follower.resign();
    fetchers.update(&follower);
    assert!(fetchers.is_empty());
}

#[tokio::test]
async fn partitions_are_spread_over_the_fetchers_of_a_leader_and_moved_when_their_number_changes() {
    let (sender, _requests) = tokio::sync::mpsc::unbounded_channel();
    let fetchers = Fetchers::new(FetchersParts {
        broker_id: FOLLOWER,
        per_leader: 1,
        settings: SETTINGS,
        quotas: Arc::default(),
        bytes_in: Counter::default(),
        own_epoch: Arc::new(|| Some(BROKER_EPOCH)),
        link: Box::new(move |_| Silent(sender.clone())),
        env: Env::default(),
        runtime: tokio::runtime::Handle::current(),
    });
    let followers: Vec<_> = (0..6).map(|number| numbered_on_node(2, number, LogConfig::default())).collect();
    for follower in &followers {
        follower.follow(BrokerId(1), LeaderEpoch(5), SETTINGS.backoff_ms).unwrap();
        fetchers.update(follower);
    }
    for (count, each) in [(1, 6), (3, 2), (2, 3), (1, 6)] {
        fetchers.set_per_leader(count);
        let partitions = fetchers.partitions();
        assert_eq!(partitions.iter().map(Vec::len).collect::<Vec<_>>(), vec![each; count]);
        let all: BTreeSet<_> = partitions.into_iter().flatten().map(|partition| partition.id()).collect();
        assert_eq!(all.len(), followers.len());
    }
}

#[tokio::test]
async fn records_of_another_leader_are_truncated_by_their_epochs() {
    let follower = on_node(2, LogConfig::default());
    // It led in epoch 3 and 4, and nobody copied what it appended in 4.
    for (epoch, count) in [(3, 2), (4, 3)] {
        let led = metadata::image::Partition { leader: Some(FOLLOWER), ..state(epoch, 0, &[2]) };
        follower.lead(&led, Monotonic(0)).unwrap();
        append_all(&follower, count);
    }
    let leader = on_node(1, LogConfig::default());
    for (epoch, count) in [(3, 2), (5, 4)] {
        leader.lead(&state(epoch, 0, &[1]), Monotonic(0)).unwrap();
        append_all(&leader, count);
    }
    follower.follow(BrokerId(1), LeaderEpoch(5), SETTINGS.backoff_ms).unwrap();
    let _running = start(&follower, &link(&leader));
    until(&follower, |follower| follower.log_end_offset() == Offset(6)).await;
    until(&follower, |follower| follower.log().leader_epochs() == leader.log().leader_epochs()).await;
    assert_eq!(bytes_of(&leader), bytes_of(&follower));
}

#[tokio::test]
async fn a_retry_of_a_batch_that_was_replicated_is_not_appended_again_by_a_new_leader() {
    let (leader, follower) = (leading(&[1, 2]), following(5));
    let _running = start(&follower, &link(&leader));
    let mut batch =
        records::BatchBuilder::new(Offset(0)).producer(model::ProducerId(9), model::ProducerEpoch(0), Some(0));
    batch.append(model::Timestamp(1_000), None, Some(b"once"));
    let request = crate::replica::AppendRequest {
        records: batch.finish().unwrap(),
        all_replicas: true,
        may_write_internal: false,
        guard: None,
        now: model::Timestamp(1_000),
    };
    let first = leader.append(request.clone()).await.unwrap();
    leader.until_replicated(&first).await.unwrap();
    leader.resign();
    let led = metadata::image::Partition { leader: Some(FOLLOWER), ..state(6, 1, &[2]) };
    follower.lead(&led, Monotonic(0)).unwrap();
    let again = follower.append(request).await.unwrap();
    assert_eq!((again.base_offset, again.record_count), (first.base_offset, 0));
    assert_eq!(follower.log_end_offset(), Offset(1));
}

#[tokio::test]
async fn a_follower_that_must_flush_has_flushed_what_it_says_to_have() {
    let leader = leading(&[1, 2]);
    let follower = on_node(2, LogConfig { flush_messages: Some(1), ..LogConfig::default() });
    follower.follow(BrokerId(1), LeaderEpoch(5), SETTINGS.backoff_ms).unwrap();
    let _running = start(&follower, &link(&leader));
    let appended = append(&leader, true).unwrap();
    leader.until_replicated(&appended).await.unwrap();
    assert_eq!(follower.log().flushed_end(), Offset(1));
}

#[tokio::test]
async fn a_follower_below_the_leaders_log_start_begins_there() {
    let (leader, follower) = (leading(&[1]), following(5));
    append_all(&leader, 6);
    leader.log().delete_records(Offset(4)).unwrap();
    let _running = start(&follower, &link(&leader));
    until(&follower, |follower| follower.log_end_offset() == Offset(6)).await;
    assert_eq!(follower.log_start_offset(), Offset(4));
}

#[tokio::test]
async fn a_leader_that_does_not_answer_is_asked_again_with_a_full_request() {
    let (leader, follower) = (leading(&[1, 2]), following(5));
    let link = link(&leader);
    link.failures.store(3, Ordering::SeqCst);
    let _running = start(&follower, &link);
    let appended = append(&leader, true).unwrap();
    leader.until_replicated(&appended).await.unwrap();
    assert_eq!(link.failures.load(Ordering::SeqCst), 0);
    // The same connection forgets the session once, as after a restart.
    link.failures.store(1, Ordering::SeqCst);
    let appended = append(&leader, true).unwrap();
    leader.until_replicated(&appended).await.unwrap();
}

#[tokio::test]
async fn an_epoch_that_is_behind_waits_for_the_image_and_a_new_one_goes_on() {
    let (leader, follower) = (leading(&[1, 2]), following(4));
    let (fetcher, _running) = start(&follower, &link(&leader));
    let appended = append(&leader, true).unwrap();
    // The leader answers FENCED_LEADER_EPOCH.
    until_stopped(&follower).await;
    assert_eq!(leader.acknowledged(&appended), None);
    follower.follow(BrokerId(1), LeaderEpoch(5), SETTINGS.backoff_ms).unwrap();
    fetcher.add(follower.clone());
    leader.until_replicated(&appended).await.unwrap();
}

async fn until_stopped(follower: &Arc<Partition>) {
    while follower.next_as_follower(Clock::default().both()).unwrap() != FollowerNext::AwaitImage {
        tokio::task::yield_now().await;
    }
}

/// A leader without records, which lets every fetch wait. It tells of the requests, and of the
/// connections that are closed.
#[derive(Debug)]
struct Silent(tokio::sync::mpsc::UnboundedSender<Option<FetchRequest>>);

impl LeaderLink for Silent {
    async fn fetch(&self, request: FetchRequest, _: usize) -> Result<FetchResponse, String> {
        self.0.send(Some(request)).unwrap();
        std::future::pending().await
    }

    async fn list_offsets(&self, _: ListOffsetsRequest) -> Result<ListOffsetsResponse, String> {
        std::future::pending().await
    }

    fn close(&self) {
        self.0.send(None).unwrap();
    }
}

fn partitions_in(request: &FetchRequest) -> Vec<(i32, i32)> {
    let topics = request.topics.iter().flat_map(|topic| &topic.partitions);
    topics.map(|asked| (asked.partition, asked.current_leader_epoch)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_is_added_does_not_wait_for_the_fetch_in_flight() {
    let (sender, mut requests) = tokio::sync::mpsc::unbounded_channel();
    let (stopping, fetcher) = (CancellationToken::new(), Fetcher::new(parts()));
    let followers = [0, 1].map(|number| numbered_on_node(2, number, LogConfig::default()));
    let follow = |number: usize, epoch: i32| {
        followers[number].follow(BrokerId(1), LeaderEpoch(epoch), SETTINGS.backoff_ms).unwrap();
        fetcher.add(followers[number].clone());
    };
    follow(0, 5);
    tokio::spawn(fetcher.clone().run(Silent(sender), || Some(BROKER_EPOCH), stopping.clone()));
    let _stops = stopping.drop_guard();
    let first = requests.recv().await.unwrap().unwrap();
    assert_eq!((partitions_in(&first), first.session_epoch), (vec![(0, 5)], 0));
    // Another change of the partition asks for nothing new, and a removal neither.
    fetcher.add(followers[0].clone());
    fetcher.remove(followers[1].id());
    assert!(tokio::time::timeout(Duration::from_secs(60), requests.recv()).await.is_err());
    for (number, epoch, expected) in [(1, 7, vec![(0, 5), (1, 7)]), (0, 6, vec![(0, 6), (1, 7)])] {
        follow(number, epoch);
        assert!(requests.recv().await.unwrap().is_none(), "the connection is closed");
        let next = requests.recv().await.unwrap().unwrap();
        assert_eq!((partitions_in(&next), next.session_epoch), (expected, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_fetch_waits_no_longer_than_the_backoff_of_another_partition() {
    let (sender, mut requests) = tokio::sync::mpsc::unbounded_channel();
    let (stopping, fetcher) = (CancellationToken::new(), Fetcher::new(parts()));
    let followers = [0, 1].map(|number| numbered_on_node(2, number, LogConfig::default()));
    for follower in &followers {
        follower.follow(BrokerId(1), LeaderEpoch(5), 300).unwrap();
        fetcher.add(follower.clone());
    }
    followers[1].fetch_unanswered(LeaderEpoch(5), Env::default().clock().monotonic());
    tokio::spawn(fetcher.run(Silent(sender), || Some(BROKER_EPOCH), stopping.clone()));
    let _stops = stopping.drop_guard();
    let request = requests.recv().await.unwrap().unwrap();
    assert_eq!(partitions_in(&request), [(0, 5)]);
    assert!(request.max_wait_ms <= 300);
}

#[test]
fn a_leader_refuses_fetches_that_say_nothing_of_a_replica() {
    let leader = leading(&[1, 2]);
    append(&leader, false).unwrap();
    let refused = |broker: i32, epoch: Option<i32>, broker_epoch: i64| {
        let read = leader.read(&ReadRequest {
            offset: Offset(1),
            current_leader_epoch: epoch.map(LeaderEpoch),
            last_fetched_epoch: None,
            max_bytes: 100,
            at_least_one_batch: true,
            isolation: Isolation::HighWatermark,
            wait: Wait::Block,
            leader_only: true,
            follower: Some(FollowerRead {
                broker_id: BrokerId(broker),
                broker_epoch: BrokerEpoch::from_wire(broker_epoch),
                log_start_offset: Offset(0),
                now: Monotonic(1),
                is_counted: true,
            }),
        });
        match read {
            Err(ReadError::Refused(code)) => Some(code),
            other => {
                other.unwrap();
                None
            }
        }
    };
    assert_eq!(refused(9, Some(5), 1), Some(ErrorCode::UnknownLeaderEpoch));
    assert_eq!(refused(9, None, 1), Some(ErrorCode::NotLeaderOrFollower));
    assert_eq!(refused(2, Some(4), 20), Some(ErrorCode::FencedLeaderEpoch));
    assert_eq!(refused(2, Some(6), 20), Some(ErrorCode::UnknownLeaderEpoch));
    assert_eq!(leader.high_watermark(), Offset(0), "none of them counts");
    assert_eq!(refused(2, Some(5), 20), None);
    assert_eq!(refused(2, Some(5), 19), Some(ErrorCode::NotLeaderOrFollower));
    assert_eq!(leader.high_watermark(), Offset(1));
}

#[tokio::test(start_paused = true)]
async fn a_throttled_follower_that_lags_waits_for_its_quota() {
    for (throttled, expected) in [
        (ThrottledReplicas::All, 1),
        (ThrottledReplicas::Some(vec![(PartitionIndex(0), FOLLOWER)]), 1),
        (ThrottledReplicas::Some(vec![(PartitionIndex(0), BrokerId(1)), (PartitionIndex(1), FOLLOWER)]), 3),
        (ThrottledReplicas::None, 3),
    ] {
        let (leader, follower) = (leading(&[1]), following(5));
        append_all(&leader, 3);
        let rules = WriteRules { throttled_followers: throttled, ..rules(1) };
        follower.set_config(LogConfig::default(), rules);
        let quotas = Arc::new(ReplicationQuotas::default());
        quotas.follower.set_bound(Some(1));
        let (stopping, one_batch) = (CancellationToken::new(), FetcherSettings { partition_max_bytes: 1, ..SETTINGS });
        let fetcher = Fetcher::new(FetcherParts { settings: one_batch, quotas: quotas.clone(), ..parts() });
        fetcher.add(follower.clone());
        tokio::spawn(fetcher.run(link(&leader), || Some(BROKER_EPOCH), stopping.clone()));
        let _stops = stopping.drop_guard();
        let has_all = || until(&follower, |follower| follower.log_end_offset() == Offset(3));
        let is_done = tokio::time::timeout(Duration::from_millis(100), has_all()).await.is_ok();
        assert_eq!((is_done, follower.log_end_offset()), (expected == 3, Offset(expected)));
        quotas.follower.set_bound(None);
        has_all().await;
    }
}

/// A consumer reads from a follower up to the high watermark that the follower knows (KIP-392).
#[tokio::test]
async fn a_consumer_reads_from_a_follower_up_to_its_high_watermark() {
    let (leader, follower) = (leading(&[1, 2]), following(5));
    let _running = start(&follower, &link(&leader));
    for _ in 0..2 {
        let appended = append(&leader, true).unwrap();
        leader.until_replicated(&appended).await.unwrap();
    }
    assert_eq!((follower.log_end_offset(), follower.high_watermark()), (Offset(2), Offset(1)));
    let read = |offset: i64, epoch: Option<i32>, leader_only: bool| {
        let read = follower.read(&ReadRequest {
            offset: Offset(offset),
            current_leader_epoch: epoch.map(LeaderEpoch),
            last_fetched_epoch: None,
            max_bytes: 1 << 20,
            at_least_one_batch: true,
            isolation: Isolation::HighWatermark,
            wait: Wait::Block,
            leader_only,
            follower: None,
        });
        match read {
            Ok(read) => Ok((read.region.is_some(), read.offsets.high_watermark.0)),
            Err(ReadError::Refused(code)) => Err(Some(code)),
            Err(ReadError::Storage(storage::Error::OffsetOutOfRange { .. })) => Err(None),
            Err(ReadError::Storage(fault)) => panic!("{fault}"),
        }
    };
    assert_eq!(read(0, Some(5), false), Ok((true, 1)));
    // What the follower does not know to be committed comes later.
    assert_eq!(read(1, None, false), Ok((false, 1)));
    assert_eq!(read(2, None, false), Ok((false, 1)));
    assert_eq!(read(3, None, false), Err(None));
    assert_eq!(read(0, Some(4), false), Err(Some(ErrorCode::FencedLeaderEpoch)));
    assert_eq!(read(0, Some(6), false), Err(Some(ErrorCode::UnknownLeaderEpoch)));
    // A consumer from before KIP-392.
    assert_eq!(read(0, Some(5), true), Err(Some(ErrorCode::NotLeaderOrFollower)));
    // It is not counted as a replica, and a follower sends nobody elsewhere.
    assert_eq!(follower.preferred_read_replica(Offset(0), &|id| id == BrokerId(1)), None);
    assert_eq!(leader.preferred_read_replica(Offset(0), &|id| id == FOLLOWER), Some(FOLLOWER));
}

#[test]
fn an_answer_that_comes_after_the_election_changes_nothing() {
    let follower = following(5);
    let now = Clock::default().both();
    let FollowerNext::Fetch(asked) = follower.next_as_follower(now).unwrap() else { panic!("it fetches") };
    let source = leading(&[1]);
    append(&source, false).unwrap();
    let answer = FetchAnswer { error: None, diverging: None, high_watermark: Offset(1), log_start_offset: Offset(0) };
    let led = metadata::image::Partition { leader: Some(FOLLOWER), ..state(6, 1, &[2]) };
    follower.lead(&led, Monotonic(0)).unwrap();
    assert_eq!(follower.take_fetch(&asked, &answer, &bytes_of(&source).into(), now, Wait::Block).unwrap(), 0);
    assert_eq!(follower.log_end_offset(), Offset(0));
}
