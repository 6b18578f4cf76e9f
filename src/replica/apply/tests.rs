//! Images that come before, while and after a log is opened.

use super::*;
use crate::env::clock::Clock;
use crate::replica::ReplicasParts;
use crate::replica::open::OpenedLog;
use crate::replica::partition::tests::rules;
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

/// A broker, what the controller tells it, and the epochs in which it said that its partition
/// leads.
struct Bench {
    disk: Arc<SimDisk>,
    replicas: Arc<Replicas>,
    loader: Loader,
    image: Arc<ArcSwap<Image>>,
    told: Arc<Mutex<Vec<Option<LeaderEpoch>>>>,
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
        clock: Clock,
    };
    let replicas = Arc::new(Replicas::new(parts).unwrap());
    let told: Arc<Mutex<Vec<_>>> = Arc::default();
    let tell = told.clone();
    replicas.set_leadership_listener(Box::new(move |partition| tell.lock().push(partition.leader_epoch())));
    Bench { disk, replicas, loader: Loader::new(&Image::default()), image, told }
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
    /// An image with these records; stored as the publisher does before it is applied.
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

    /// As after a kill of a broker that had the partition: its log waits to be opened, and nobody
    /// opens it but the test.
    fn again() -> Bench {
        let mut before = on(Arc::default());
        before.apply(&[topic(), led_by(1, 0)]);
        assert_eq!(before.told.lock().as_slice(), [Some(LeaderEpoch(0))]);
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
fn an_image_before_the_opened_log_is_taken_over_is_the_one_that_it_follows() {
    let mut bench = Bench::again();
    let opened = bench.open();
    bench.apply(&[led_by(1, 2)]);
    assert!(bench.replicas.get(ID).is_none() && bench.told.lock().is_empty());
    bench.take_over(opened);
    assert_eq!(bench.told.lock().as_slice(), [Some(LeaderEpoch(2))]);
}

#[test]
fn an_image_after_the_opened_log_was_taken_over_is_followed_whatever_its_thread_does_next() {
    let mut bench = Bench::again();
    let opened = bench.open();
    bench.take_over(opened);
    assert_eq!(bench.told.lock().as_slice(), [None]);
    bench.apply(&[led_by(1, 2)]);
    assert_eq!(bench.told.lock().as_slice(), [None, Some(LeaderEpoch(2))]);
}

#[test]
fn who_depends_on_a_partition_is_told_when_it_is_deleted() {
    let mut bench = on(Arc::default());
    bench.apply(&[topic(), led_by(1, 0)]);
    bench.apply(&[RemoveTopicRecord { topic_id: Uuid::ONE, ..Default::default() }.into()]);
    assert_eq!(bench.told.lock().as_slice(), [Some(LeaderEpoch(0)), None]);
}

#[test]
fn who_depends_on_a_partition_is_told_when_its_log_dir_fails() {
    let mut bench = on(Arc::default());
    bench.apply(&[topic(), led_by(1, 0)]);
    bench.replicas.take_offline(&bench.replicas.dirs()[0]);
    assert_eq!(bench.told.lock().as_slice(), [Some(LeaderEpoch(0)), None]);
}
