//! Tests of a log on a simulated disk: appends, reads, rolls. Each submodule has a topic of its
//! own.

use super::*;
use crate::ProducerError;
use crate::disk::{Crash, Disk, SimDisk};
use crate::files::OpenFiles;
use crate::index::Wait;
use crate::producer::Origin;
use bytes::Bytes;
use model::{LeaderEpoch, ProducerEpoch};
use records::{BatchBuilder, Batches, EndTransactionMarker, Validated};
use std::path::Path;

mod ancient;
mod compaction;
mod course;
mod crash;
mod ends;
mod follower;
mod found;
mod golden;
mod recall;
mod swap;
mod transactions;
mod verification;
mod waits;

/// A log on a simulated disk.
struct Bench {
    disk: SimDisk,
    log: Log,
    config: LogConfig,
}

/// Returns settings of a log whose transactions need no guard.
fn config() -> LogConfig {
    LogConfig { segment_bytes: 1000, index_interval_bytes: 100, verifies_transactions: false, ..LogConfig::default() }
}

fn open(disk: &SimDisk, config: LogConfig, is_clean: bool, recovery_point: i64) -> Result<(Log, Recovery)> {
    disk.create_dir(Path::new("/logs/t-0")).map_err(Error::io("create", "/logs/t-0"))?;
    Log::open(options(disk, config, is_clean, recovery_point))
}

fn options(disk: &SimDisk, config: LogConfig, is_clean: bool, recovery_point: i64) -> OpenLog {
    OpenLog {
        disk: Arc::new(disk.clone()),
        open_files: OpenFiles::new(8),
        path: PathBuf::from("/logs/t-0"),
        partition: TopicPartition::new("t", 0),
        config,
        recovery_point: Offset(recovery_point),
        log_start_offset: None,
        is_clean,
        now: Timestamp(0),
        jitter_seed: 1,
        interrupted: Arc::default(),
    }
}

impl Bench {
    fn new(config: LogConfig) -> Self {
        let disk = SimDisk::new();
        let (log, _) = open(&disk, config.clone(), true, 0).unwrap();
        Bench { disk, log, config }
    }

    fn reopen(self, is_clean: bool) -> (Self, Recovery) {
        let point = self.log.recovery_point().0;
        if is_clean {
            self.log.close(Timestamp(0)).unwrap();
        }
        let (log, recovery) = open(&self.disk, self.config.clone(), is_clean, point).unwrap();
        (Bench { log, ..self }, recovery)
    }
}

fn to_leader(bytes: &Bytes) -> Validated {
    Validated::trusted(bytes).unwrap()
}

/// A batch of records with these timestamps.
fn batch(timestamps: &[i64]) -> Validated {
    let mut builder = BatchBuilder::new(Offset(0));
    for timestamp in timestamps {
        builder.append(Timestamp(*timestamp), Some(b"key"), Some(b"a value of some bytes"));
    }
    to_leader(&builder.finish().unwrap())
}

fn produced(id: i64, epoch: i16, sequence: i32, count: usize, is_transactional: bool) -> Validated {
    let mut builder = BatchBuilder::new(Offset(0)).producer(ProducerId(id), ProducerEpoch(epoch), Some(sequence));
    if is_transactional {
        builder = builder.transactional();
    }
    for _ in 0..count {
        builder.append(Timestamp(5), None, Some(b"value"));
    }
    to_leader(&builder.finish().unwrap())
}

fn marker(id: i64, epoch: i16, committed: bool) -> Validated {
    let mut builder = BatchBuilder::new(Offset(0)).producer(ProducerId(id), ProducerEpoch(epoch), None);
    builder.append_end_transaction(Timestamp(6), EndTransactionMarker { committed, coordinator_epoch: 0 });
    to_leader(&builder.finish().unwrap())
}

fn at(epoch: i32, now: i64, origin: Origin) -> LeaderAppend {
    LeaderAppend { leader_epoch: LeaderEpoch(epoch), origin, now: Timestamp(now), transaction_version: 0, guard: None }
}

impl Bench {
    fn append(&self, batch: Validated) -> AppendOutcome {
        let appended = self.log.append_as_leader(&[batch], at(0, 0, Origin::Client)).unwrap();
        self.log.advance_high_watermark(self.log.log_end_offset());
        appended
    }

    fn read(&self, offset: i64, max_bytes: u32) -> Vec<(i64, i64)> {
        offsets_in(&self.plan(offset, max_bytes, true, Isolation::HighWatermark).unwrap())
    }

    fn plan(&self, offset: i64, max_bytes: u32, at_least_one_batch: bool, isolation: Isolation) -> Result<ReadPlan> {
        self.log.read(LogRead { offset: Offset(offset), max_bytes, at_least_one_batch, isolation, wait: Wait::Block })
    }
}

/// Returns the base and last offset of every whole batch, and checks each batch.
fn offsets_in(plan: &ReadPlan) -> Vec<(i64, i64)> {
    let bytes = plan.region.as_ref().map(|region| region.read().unwrap()).unwrap_or_default();
    Batches::new(&bytes)
        .map_while(|batch| batch.ok())
        .map(|batch| {
            batch.verify_crc().unwrap();
            (batch.header().base_offset.0, batch.header().last_offset().0)
        })
        .collect()
}

#[test]
fn offsets_are_given_and_read_back() {
    let bench = Bench::new(config());
    for number in 0..50 {
        let appended = bench.append(batch(&[number, number]));
        assert_eq!((appended.base_offset, appended.last_offset), (Offset(number * 2), Offset(number * 2 + 1)));
    }
    assert!(bench.log.segments().len() > 5);
    for offset in 0..100 {
        let first = bench.read(offset, 1)[..].first().copied().unwrap();
        assert!(first.0 <= offset && offset <= first.1);
    }
    let (bench, recovery) = bench.reopen(true);
    assert_eq!(recovery, Recovery::default());
    assert_eq!(bench.log.log_end_offset(), Offset(100));
    bench.log.set_high_watermark(Offset(100));
    for offset in 0..100 {
        assert_eq!(bench.read(offset, 1)[0].0, offset / 2 * 2);
    }
    bench.append(batch(&[1]));
}

#[test]
fn a_fetch_offset_inside_a_batch_returns_that_batch() {
    let bench = Bench::new(config());
    bench.append(batch(&[1, 2, 3, 4]));
    bench.append(batch(&[5, 6]));
    assert_eq!(bench.read(2, 1), [(0, 3)]);
    assert_eq!(bench.read(2, 10_000), [(0, 3), (4, 5)]);
    assert_eq!(bench.read(4, 10_000), [(4, 5)]);
}

#[test]
fn a_read_stopped_by_max_bytes_never_continues_in_the_next_segment() {
    let bench = Bench::new(config());
    for _ in 0..50 {
        bench.append(batch(&[1, 2, 3, 4]));
    }
    let segments = bench.log.segments();
    assert!(segments.len() > 3);
    for (number, segment) in segments.iter().enumerate() {
        let plan = bench.plan(segment.base_offset().0, u32::MAX, true, Isolation::LogEnd).unwrap();
        let last = segments.get(number + 1).map_or(200, |next| next.base_offset().0) - 1;
        assert_eq!(offsets_in(&plan).last().unwrap().1, last);
        assert_eq!(plan.region.unwrap().length, segment.size());
        let cut = bench.plan(segment.base_offset().0, segment.size() - 1, true, Isolation::LogEnd).unwrap();
        assert_eq!(cut.region.unwrap().length, segment.size() - 1);
    }
}

#[test]
fn the_first_batch_is_whole_only_when_asked_for() {
    let bench = Bench::new(config());
    bench.append(batch(&[1, 2, 3, 4]));
    let whole = bench.plan(0, 10, true, Isolation::LogEnd).unwrap();
    assert_eq!((offsets_in(&whole), whole.is_first_batch_cut), (vec![(0, 3)], false));
    let cut = bench.plan(0, 10, false, Isolation::LogEnd).unwrap();
    assert_eq!((cut.region.unwrap().length, cut.is_first_batch_cut), (10, true));
    assert!(bench.plan(0, 0, false, Isolation::LogEnd).unwrap().region.is_none());
}

#[test]
fn readers_see_as_far_as_they_may() {
    let bench = Bench::new(config());
    let append = |log: &Log| log.append_as_leader(&[batch(&[1, 2])], at(0, 0, Origin::Client)).unwrap();
    (0..30).for_each(|_| {
        append(&bench.log);
    });
    assert_eq!(bench.log.high_watermark(), Offset(0));
    assert!(bench.plan(0, 1000, true, Isolation::HighWatermark).unwrap().region.is_none());
    for high_watermark in [2, 8, 20, 22, 58, 60] {
        assert!(bench.log.advance_high_watermark(Offset(high_watermark)));
        assert!(!bench.log.advance_high_watermark(Offset(high_watermark - 1)));
        for _ in 0..2 {
            let mut next = 0;
            while let Some((_, last)) = bench.read(next, u32::MAX).last() {
                next = last + 1;
            }
            assert_eq!(next, high_watermark);
        }
    }
    assert!(bench.plan(60, 1000, true, Isolation::LogEnd).unwrap().region.is_none());
    assert!(matches!(bench.plan(61, 1000, true, Isolation::LogEnd), Err(Error::OffsetOutOfRange { .. })));
}

#[test]
fn a_cold_read_says_so_and_does_not_wait() {
    let bench = Bench::new(config());
    (0..30).for_each(|_| {
        bench.append(batch(&[1, 2]));
    });
    let (bench, _) = bench.reopen(true);
    let read = LogRead {
        offset: Offset(3),
        max_bytes: 10,
        at_least_one_batch: true,
        isolation: Isolation::LogEnd,
        wait: Wait::Try,
    };
    assert!(matches!(bench.log.read(read), Err(Error::WouldBlock)));
    bench.log.read(LogRead { wait: Wait::Block, ..read }).unwrap();
    let plan = bench.log.read(read).unwrap();
    let region = plan.region.unwrap();
    let mut buffer = [0; 10];
    assert_eq!(region.read_at(0, &mut buffer, Wait::Try).unwrap(), 10);
    bench.disk.set_cold(true);
    assert!(matches!(region.read_at(0, &mut buffer, Wait::Try), Err(Error::WouldBlock)));
    assert!(matches!(bench.log.read(read), Err(Error::WouldBlock)));
}

#[test]
fn a_retry_is_answered_with_the_first_offset() {
    let bench = Bench::new(config());
    bench.append(batch(&[1, 2]));
    let first = bench.append(produced(9, 0, 0, 3, false));
    bench.append(produced(9, 0, 3, 1, false));
    let again = bench.append(produced(9, 0, 0, 3, false));
    assert!(again.is_duplicate && !first.is_duplicate);
    assert_eq!((again.base_offset, again.last_offset), (first.base_offset, first.last_offset));
    assert!(again.duplicate_timestamp.is_some() && first.duplicate_timestamp.is_none());
    assert_eq!(bench.log.log_end_offset(), Offset(6));
    let gap = bench.log.append_as_leader(&[produced(9, 0, 9, 1, false)], at(0, 0, Origin::Client));
    assert!(matches!(gap, Err(Error::Producer(ProducerError::OutOfOrderSequence(_)))));
    // A retry finds its first append after a restart and on another replica, too.
    let (bench, _) = bench.reopen(true);
    assert!(bench.append(produced(9, 0, 3, 1, false)).is_duplicate);
    let (bench, _) = bench.reopen(false);
    assert!(bench.append(produced(9, 0, 3, 1, false)).is_duplicate);
    let follower = Bench::new(config());
    let plan = bench.plan(0, u32::MAX, true, Isolation::LogEnd).unwrap();
    let bytes = Bytes::from(plan.region.unwrap().read().unwrap());
    let appended = follower.log.append_as_follower(&bytes, FollowerAppend { now: Timestamp(0) }).unwrap().unwrap();
    assert_eq!(appended.last_offset, Offset(5));
    assert!(follower.append(produced(9, 0, 0, 3, false)).is_duplicate);
    assert_eq!(bench.log.expire_producers(Timestamp(i64::MAX)), 1);
}

#[test]
fn a_follower_writes_what_its_leader_sent() {
    let leader = Bench::new(LogConfig { segment_bytes: 1 << 20, ..config() });
    for epoch in [0, 0, 3, 3, 4] {
        leader.log.append_as_leader(&[batch(&[1, 2])], at(epoch, 0, Origin::Client)).unwrap();
    }
    let bytes = Bytes::from(leader.plan(0, u32::MAX, true, Isolation::LogEnd).unwrap().region.unwrap().read().unwrap());
    let follower = Bench::new(config());
    let how = FollowerAppend { now: Timestamp(0) };
    let cut = bytes.slice(..bytes.len() - 1);
    assert_eq!(follower.log.append_as_follower(&cut, how).unwrap().unwrap().last_offset, Offset(7));
    assert!(matches!(follower.log.append_as_follower(&bytes, how), Err(Error::UnexpectedOffset { .. })));
    assert_eq!(follower.log.append_as_follower(&bytes.slice(..30), how).unwrap(), None);
    let last = bytes.slice(bytes.len() / 5 * 4..);
    let mut bad = last.to_vec();
    *bad.last_mut().unwrap() ^= 1;
    assert!(matches!(follower.log.append_as_follower(&bad.into(), how), Err(Error::InvalidBatch { .. })));
    follower.log.append_as_follower(&last, how).unwrap();
    assert_eq!(follower.log.leader_epochs(), leader.log.leader_epochs());
    assert_eq!(follower.log.end_of_epoch(LeaderEpoch(2)), Some((LeaderEpoch(0), Offset(4))));
    let same = follower.plan(0, u32::MAX, true, Isolation::LogEnd).unwrap().region.unwrap().read().unwrap();
    assert_eq!(same, bytes);
}

#[test]
fn segments_are_rolled_by_size_time_and_full_index() {
    let by_time = Bench::new(LogConfig { segment_ms: 100, ..config() });
    let append = |bench: &Bench, timestamp| {
        bench.log.append_as_leader(&[batch(&[timestamp])], at(0, 0, Origin::Client)).unwrap().rolled_at
    };
    assert_eq!(append(&by_time, 1000), None);
    assert_eq!(append(&by_time, 1100), None);
    assert_eq!(append(&by_time, 1101), Some(Offset(2)));
    assert_eq!(append(&by_time, 500), None);
    let by_index =
        Bench::new(LogConfig { segment_bytes: 1 << 20, index_interval_bytes: 0, segment_index_bytes: 80, ..config() });
    // The offset index holds ten entries and the time index six, of which one stays free. The first
    // batch has no entry.
    let rolled: Vec<_> = (0..20).filter_map(|number| append(&by_index, number)).collect();
    assert_eq!(rolled, [Offset(6), Offset(12), Offset(18)]);
    let too_large = by_time.log.append_as_leader(&[batch(&[1; 100])], at(0, 0, Origin::Client));
    assert!(matches!(too_large, Err(Error::LargerThanSegment { .. })));
    let jitter = Bench::new(LogConfig { segment_ms: 100, segment_jitter_ms: 100, ..config() });
    append(&jitter, 1000);
    let waited = (0..=101).find(|waited| append(&jitter, 1000 + waited).is_some()).unwrap();
    assert!(waited <= 101);
}

#[test]
fn a_log_in_which_the_disk_was_full_goes_on() {
    let bench = Bench::new(config());
    bench.append(batch(&[1, 2]));
    let used = bench.disk.files().iter().map(|path| bench.disk.metadata(path).unwrap().length).sum::<u64>();
    bench.disk.set_capacity(Some(used + 140));
    let error = bench.log.append_as_leader(&[batch(&[1, 2, 3])], at(0, 0, Origin::Client)).unwrap_err();
    assert!(error.is_disk_full());
    assert_eq!(bench.read(0, 1000), [(0, 1)]);
    bench.disk.set_capacity(None);
    assert_eq!(bench.append(batch(&[3])).base_offset, Offset(2));
    assert_eq!(bench.read(0, 1000), [(0, 1), (2, 2)]);
    let log = Path::new("/logs/t-0/00000000000000000000.log");
    assert_eq!(bench.disk.metadata(log).unwrap().length, u64::from(bench.log.segments()[0].size()));
}

#[test]
fn ten_times_as_many_segments_as_files_may_be_open() {
    let bench = Bench::new(LogConfig { segment_bytes: 200, ..config() });
    for number in 0..100 {
        bench.append(batch(&[number, number]));
    }
    assert_eq!(bench.log.segments().len(), 100);
    for offset in (0..200).rev() {
        assert_eq!(bench.read(offset, 1)[0].0, offset / 2 * 2);
    }
    assert!(bench.log.folder.open_files.count() <= 8);
}
