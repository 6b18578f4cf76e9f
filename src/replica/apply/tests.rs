//! Images that are applied before, while and after a log is opened.

use super::*;
use crate::env::Env;
use crate::replica::open::OpenedLog;
use crate::replica::partition::tests::rules;
use crate::replica::{Following, ReplicasParts};
use crate::telemetry::FlushMetrics;
use arc_swap::ArcSwap;
use metadata::{LoadedBatch, Loader};
use model::{BrokerId, LeaderEpoch, Offset, Uuid};
use parking_lot::Mutex;
use protocol::MetadataRecord;
use protocol::messages::partition_record::PartitionRecord;
use protocol::messages::remove_topic_record::RemoveTopicRecord;
use protocol::messages::topic_record::TopicRecord;
use std::sync::atomic::AtomicBool;
use storage::disk::SimDisk;
use storage::{LogConfig, LogDir, OpenFiles};

const ID: TopicIdPartition = TopicIdPartition { topic_id: Uuid::ONE, partition: PartitionIndex(0) };

/// A broker, the records of the controller, and the epochs that the leadership listener saw.
struct Bench {
    disk: Arc<SimDisk>,
    replicas: Arc<Replicas>,
    loader: Loader,
    image: Arc<ArcSwap<Image>>,
    leader_epochs: Arc<Mutex<Vec<Option<LeaderEpoch>>>>,
}

fn on(disk: Arc<SimDisk>) -> Bench {
    let log_dir = LogDir::open(disk.clone(), OpenFiles::new(8), "/logs".into(), 0).unwrap();
    let image = Arc::new(ArcSwap::from_pointee(Image::default()));
    let parts = ReplicasParts {
        node_id: BrokerId(1),
        dirs: vec![(log_dir, Uuid([2; 16]))],
        lost: Vec::new(),
        reserve_bytes: None,
        settings: Box::new(|_, _| (LogConfig::default(), rules(1))),
        image: image.clone(),
        recovery_threads: 1,
        move_threads: 1,
        flushes: FlushMetrics::default(),
        env: Env::default(),
    };
    let replicas = Arc::new(Replicas::new(parts).unwrap());
    let leader_epochs: Arc<Mutex<Vec<_>>> = Arc::default();
    let tell = leader_epochs.clone();
    replicas.set_leadership_listener(Box::new(move |partition| tell.lock().push(partition.leader_epoch())));
    Bench { disk, replicas, loader: Loader::new(&Image::default()), image, leader_epochs }
}

fn topic() -> MetadataRecord {
    TopicRecord { name: "t".into(), topic_id: Uuid::ONE, ..Default::default() }.into()
}

fn led_by(leader: i32, leader_epoch: i32) -> MetadataRecord {
    let (replicas, isr, directories) = (vec![1], vec![1], vec![Uuid([2; 16])]);
    PartitionRecord {
        topic_id: Uuid::ONE,
        partition_id: 0,
        replicas,
        isr,
        directories,
        leader,
        leader_epoch,
        ..Default::default()
    }
    .into()
}

impl Bench {
    /// Returns an image with these records, stored as the publisher does before it is applied.
    fn published(&mut self, records: &[MetadataRecord]) -> (Arc<Image>, Changes) {
        let (base_offset, timestamp) = (Offset(0), Timestamp(0));
        let last_offset = Offset(records.len() as i64 - 1);
        let epoch = LeaderEpoch(1);
        self.loader.apply(&LoadedBatch { base_offset, epoch, timestamp, records, last_offset }).unwrap();
        let (image, changes) = self.loader.publish();
        let image = Arc::new(image);
        self.image.store(image.clone());
        (image, changes)
    }

    fn apply(&mut self, records: &[MetadataRecord]) {
        let (image, changes) = self.published(records);
        self.replicas.apply(&image, &changes);
    }

    /// Creates a broker as after a kill. The partition's log waits to be opened, and only the test
    /// opens it.
    fn again() -> Bench {
        let mut before = on(Arc::default());
        before.apply(&[topic(), led_by(1, 0)]);
        assert_eq!(before.leader_epochs.lock().as_slice(), [Some(LeaderEpoch(0))]);
        before.replicas.unlock();
        let mut again = on(before.disk);
        let (_, changes) = again.published(&[topic(), led_by(-1, 1)]);
        let mine = changes.partitions.keys().filter_map(|id| again.image.load().topics.by_id(*id).cloned());
        assert!(again.replicas.queue_existing(mine.map(|topic| (topic, ID.partition)).collect()).is_empty());
        again
    }

    fn open(&self) -> (Option<OpenedLog>, Arc<AtomicBool>) {
        let dir = &self.replicas.dirs()[0];
        let (id, given_up) = dir.queue.take().unwrap();
        assert_eq!(id, ID);
        (self.replicas.open(dir, id, &given_up), given_up)
    }

    fn take_over(&self, (opened, given_up): (Option<OpenedLog>, Arc<AtomicBool>)) {
        self.replicas.take_over(&self.replicas.dirs()[0], ID, opened, &given_up);
    }
}

#[test]
fn an_image_that_is_applied_before_the_log_is_hosted_counts() {
    let mut bench = Bench::again();
    let opened = bench.open();
    bench.apply(&[led_by(1, 2)]);
    assert!(bench.replicas.get(ID).is_none() && bench.leader_epochs.lock().is_empty());
    bench.take_over(opened);
    assert_eq!(bench.leader_epochs.lock().as_slice(), [Some(LeaderEpoch(2))]);
}

#[test]
fn an_image_that_is_applied_after_the_log_is_hosted_counts_too() {
    let mut bench = Bench::again();
    let opened = bench.open();
    bench.take_over(opened);
    assert_eq!(bench.leader_epochs.lock().as_slice(), [None]);
    bench.apply(&[led_by(1, 2)]);
    assert_eq!(bench.leader_epochs.lock().as_slice(), [None, Some(LeaderEpoch(2))]);
}

#[test]
fn no_partition_has_a_role_before_its_broker_is_registered() {
    let mut bench = Bench::again();
    bench.replicas.hold_roles();
    let opened = bench.open();
    bench.apply(&[led_by(1, 2)]);
    bench.take_over(opened);
    assert_eq!(bench.leader_epochs.lock().as_slice(), [None], "an earlier process was to lead in this epoch");
    let image = bench.image.load_full();
    bench.replicas.begin_roles(&image);
    assert_eq!(bench.leader_epochs.lock().as_slice(), [None, Some(LeaderEpoch(2))]);
    bench.replicas.begin_roles(&image);
    bench.apply(&[led_by(1, 3)]);
    assert_eq!(bench.leader_epochs.lock().as_slice(), [None, Some(LeaderEpoch(2)), Some(LeaderEpoch(3))]);
}

#[test]
fn the_leadership_listener_hears_of_a_deleted_partition() {
    let mut bench = on(Arc::default());
    bench.apply(&[topic(), led_by(1, 0)]);
    bench.apply(&[RemoveTopicRecord { topic_id: Uuid::ONE, ..Default::default() }.into()]);
    assert_eq!(bench.leader_epochs.lock().as_slice(), [Some(LeaderEpoch(0)), None]);
}

/// Returns the record of a partition that this broker and broker 2 replicate.
fn shared(leader: i32, leader_epoch: i32) -> MetadataRecord {
    shared_record(leader, leader_epoch).into()
}

fn shared_record(leader: i32, leader_epoch: i32) -> PartitionRecord {
    PartitionRecord {
        topic_id: Uuid::ONE,
        partition_id: 0,
        replicas: vec![1, 2],
        isr: vec![1, 2],
        directories: vec![Uuid([2; 16]), Uuid([3; 16])],
        leader,
        leader_epoch,
        ..Default::default()
    }
}

#[test]
fn images_make_leaders_and_followers_if_partitions_may_follow() {
    for may_follow in [true, false] {
        let mut bench = on(Arc::default());
        let followed: Arc<Mutex<Vec<_>>> = Arc::default();
        if may_follow {
            let tell = followed.clone();
            bench.replicas.set_following(Following {
                backoff_ms: 1_000,
                listener: Box::new(move |partition| tell.lock().push(partition.followed())),
                set_fetcher_count: Box::new(|_| {}),
            });
        }
        bench.apply(&[topic(), shared(2, 0)]);
        bench.apply(&[shared(1, 1)]);
        bench.apply(&[shared(2, 2)]);
        bench.apply(&[shared(-1, 3)]);
        bench.apply(&[RemoveTopicRecord { topic_id: Uuid::ONE, ..Default::default() }.into()]);
        let of = |epoch: i32| Some((BrokerId(2), LeaderEpoch(epoch)));
        let expected = if may_follow { vec![of(0), None, of(2), None, None] } else { Vec::new() };
        assert_eq!(*followed.lock(), expected);
        let led = [None, Some(LeaderEpoch(1)), None, None, None];
        assert_eq!(bench.leader_epochs.lock().as_slice(), led);
    }
}

#[test]
fn a_broker_that_stops_still_gives_its_partitions_away() {
    let mut bench = on(Arc::default());
    bench.replicas.set_following(Following {
        backoff_ms: 1_000,
        listener: Box::new(|_| {}),
        set_fetcher_count: Box::new(|_| {}),
    });
    bench.apply(&[topic(), shared(1, 0)]);
    bench.replicas.interrupt();
    bench.apply(&[shared(2, 1)]);
    // What waits for replicas under the old epoch is answered now.
    assert_eq!(bench.leader_epochs.lock().as_slice(), [Some(LeaderEpoch(0)), None]);
    bench.apply(&[PartitionRecord { partition_id: 1, ..shared_record(1, 0) }.into()]);
    assert_eq!(bench.replicas.len(), 1, "a log is created after the interruption");
}

#[test]
fn the_leadership_listener_hears_of_a_failed_log_dir() {
    let mut bench = on(Arc::default());
    bench.apply(&[topic(), led_by(1, 0)]);
    bench.replicas.take_offline(&bench.replicas.dirs()[0]);
    assert_eq!(bench.leader_epochs.lock().as_slice(), [Some(LeaderEpoch(0)), None]);
}

/// Returns the record of a partition after a reassignment to brokers 2 and 3.
fn taken_away(leader_epoch: i32) -> MetadataRecord {
    PartitionRecord {
        topic_id: Uuid::ONE,
        partition_id: 0,
        replicas: vec![2, 3],
        isr: vec![2, 3],
        directories: vec![Uuid([3; 16]), Uuid([4; 16])],
        leader: 2,
        leader_epoch,
        ..Default::default()
    }
    .into()
}

impl Bench {
    /// Returns the names of the partitions' folders.
    fn folders(&self) -> BTreeSet<String> {
        let of_dir = |path: &std::path::PathBuf| Some(path.parent()?.file_name()?.to_str()?.to_owned());
        self.disk.files().iter().filter_map(of_dir).filter(|name| name.starts_with('t')).collect()
    }

    /// Asserts that the partition's folder waits for its removal, and is removed when it is due.
    fn assert_is_removed_later(&self) {
        let delay = LogConfig::default().file_delete_delay_ms;
        let folders = self.folders();
        assert!(folders.len() == 1 && folders.iter().all(|name| name.ends_with("-delete")), "{folders:?}");
        let dir = &self.replicas.dirs()[0];
        dir.remove_due_folders(Timestamp(self.replicas.clock.now().0 + delay - 1_000));
        assert_eq!(self.folders(), folders);
        dir.remove_due_folders(Timestamp(self.replicas.clock.now().0 + delay));
        assert!(self.folders().is_empty(), "{:?}", self.folders());
        assert!(self.replicas.get(ID).is_none() && dir.partition_count() == 0);
    }
}

#[test]
fn a_replica_that_a_reassignment_took_away_is_removed() {
    let mut bench = on(Arc::default());
    bench.apply(&[topic(), led_by(1, 0)]);
    bench.apply(&[taken_away(1)]);
    assert_eq!(bench.leader_epochs.lock().as_slice(), [Some(LeaderEpoch(0)), None]);
    bench.assert_is_removed_later();
    // The partition may come back, with a new log.
    bench.apply(&[taken_away(2)]);
    bench.apply(&[shared(2, 3)]);
    assert_eq!(bench.folders(), ["t-0".to_owned()].into());
}

#[test]
fn a_replica_that_is_taken_away_before_its_log_is_opened_is_removed() {
    let mut bench = Bench::again();
    bench.apply(&[taken_away(2)]);
    assert!(bench.replicas.dirs()[0].queue.take().is_none());
    bench.assert_is_removed_later();
}

#[test]
fn a_replica_that_is_taken_away_while_its_log_is_opened_is_removed() {
    let mut bench = Bench::again();
    let opened = bench.open();
    // The thread that opens it sees the newer image before that image is applied.
    let (image, changes) = bench.published(&[taken_away(2)]);
    bench.take_over(opened);
    bench.replicas.apply(&image, &changes);
    bench.assert_is_removed_later();
}

#[test]
fn a_folder_that_no_image_has_explained_is_not_removed() {
    let mut bench = on(Arc::default());
    bench.apply(&[topic(), led_by(1, 0)]);
    bench.replicas.unlock();
    // The first image after the start may be older than the folder.
    let mut again = on(bench.disk);
    again.apply(&[topic(), taken_away(1)]);
    again.apply(&[taken_away(2)]);
    assert!(again.folders().iter().all(|name| name.ends_with("-stray")), "{:?}", again.folders());
}
