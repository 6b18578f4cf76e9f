//! Courses of a log that is compacted: what a cleaning leaves, and a stop in the middle of it, may lose no key.
//!
//! Of every key the newest flushed record is there, or a later one; after a kill the newest of all. What is read was appended so, at that offset. A key
//! whose newest record is a tombstone may be gone.

use crate::check::{Check, ensure};
use crate::random::Random;
use model::{LeaderEpoch, Offset, Timestamp, TopicId, TopicPartition};
use records::{BatchBuilder, BatchView, Batches, RecordReader, Validated};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::disk::{Crash, Disk, SimDisk};
use storage::{
    CleanerLimits, CleanupPolicy, Isolation, LeaderAppend, Log, LogConfig, LogDir, OpenFiles, Origin, Read, Wait,
};

/// Keys: few, so that there is much to compact.
const KEYS: usize = 5;

type Record = (u8, Option<u64>);

/// A log dir with one compacted partition.
struct Course {
    random: Random,
    disk: SimDisk,
    name: TopicPartition,
    config: LogConfig,
    now: i64,
    serial: u64,
    /// What was appended, by offset.
    appended: BTreeMap<i64, Record>,
    end: i64,
    flushed: i64,
}

/// Lives through the course of a seed. Gives a number that tells it from others.
pub fn run(seed: u64, is_printed: bool) -> Check<u64> {
    let mut random = Random::new(seed);
    let config = LogConfig {
        segment_bytes: random.pick(&[400, 800, 1500]),
        index_interval_bytes: random.pick(&[1, 200]),
        retention_ms: None,
        cleanup_policy: CleanupPolicy { delete: false, compact: true },
        delete_retention_ms: random.pick(&[0, 2000]),
        file_delete_delay_ms: random.pick(&[0, 500]),
        ..LogConfig::default()
    };
    let disk = SimDisk::new();
    disk.create_dir(Path::new("/data")).map_err(|error| error.to_string())?;
    disk.sync_dir(Path::new("/")).map_err(|error| error.to_string())?;
    let name = TopicPartition::new("c", 0);
    let mut course =
        Course { random, disk, name, config, now: 10_000, serial: 0, appended: BTreeMap::new(), end: 0, flushed: 0 };
    for generation in 0..course.random.within(2, 4) {
        let (dir, log) = course.start()?;
        if course.random.chance(75) {
            let limit = 1 << course.random.within(4, 9);
            let calls = course.random.below(limit) as u64;
            course.disk.crash_after(calls);
        }
        let steps = course.random.within(5, 50);
        for step in 0..steps {
            course.now += course.random.within(0, 500);
            let lived = course.step(&dir, &log)?;
            if is_printed {
                eprintln!("{generation}.{step} at call {}: {lived:?}, ends at {}", course.disk.calls(), course.end);
            }
            if lived.is_none() {
                break;
            }
        }
        drop((dir, log));
        let seed = course.random.next();
        let crash = if course.random.chance(60) { Crash::Power { seed } } else { Crash::Process };
        if is_printed {
            eprintln!("{crash:?} at call {}, flushed up to {}", course.disk.calls(), course.flushed);
        }
        course.disk.crash(crash);
        let log = course.start()?.1;
        let kept_below = if crash == Crash::Process { course.end } else { course.flushed };
        course.hold(&log, kept_below)?;
        course.disk.crash(Crash::Process);
    }
    Ok(course.disk.calls() ^ (course.serial << 32))
}

impl Course {
    /// Opens the log, perhaps in several attempts.
    fn start(&mut self) -> Check<(LogDir, Log)> {
        loop {
            if self.random.chance(20) {
                self.disk.crash_after(self.random.below(60) as u64);
            }
            let started = self.open();
            if !self.disk.has_stopped() {
                self.disk.crash_after(u64::MAX / 2);
                return started.map_err(|error| format!("start: {error}"));
            }
            // What a kill leaves, no power cut comes on top of: which of them it is was said before.
            self.disk.crash(Crash::Process);
        }
    }

    fn open(&self) -> storage::Result<(LogDir, Log)> {
        let disk = Arc::new(self.disk.clone());
        let dir = LogDir::open(disk, OpenFiles::new(6), PathBuf::from("/data"), 7)?;
        let (offsets, now) = (dir.read_offsets()?, Timestamp(self.now));
        let path = dir.path().join(self.name.to_string());
        let is_there = dir.partitions()?.iter().any(|found| found.path == path);
        let log = match is_there {
            true => dir.open_log(&self.name, path, self.config.clone(), &offsets, false, now)?.0,
            false => dir.create(&self.name, Some(TopicId::from_random([1; 16])), self.config.clone(), now)?,
        };
        log.advance_high_watermark(log.log_end_offset());
        Ok((dir, log))
    }

    /// One thing happens. What it was; `None` where the machine has stopped.
    fn step(&mut self, dir: &LogDir, log: &Log) -> Check<Option<&'static str>> {
        let now = Timestamp(self.now);
        let (what, done) = match self.random.below(100) {
            0..60 => ("append", self.append(log)),
            60..70 => ("flush", log.flush(log.log_end_offset(), now)),
            70..78 => {
                let points = [(self.name.clone(), log.recovery_point())].into();
                ("checkpoint", dir.write_recovery_points(&points))
            }
            78..94 => ("clean", self.clean(log)),
            _ => ("remove", log.remove_deleted_files(now).map(drop)),
        };
        self.flushed = self.flushed.max(log.recovery_point().0);
        if self.disk.has_stopped() {
            return Ok(None);
        }
        done.map_err(|error| format!("{what}: {error}"))?;
        if what == "clean" {
            let held = self.hold(log, self.end);
            // What was read from a machine that stopped meanwhile says nothing.
            if self.disk.has_stopped() {
                return Ok(None);
            }
            held?;
        }
        Ok(Some(what))
    }

    fn append(&mut self, log: &Log) -> storage::Result<()> {
        let mut batch = BatchBuilder::new(Offset(0));
        let mut records: Vec<Record> = Vec::new();
        for _ in 0..self.random.within(1, 4) {
            self.serial += 1;
            let record = (self.random.below(KEYS) as u8, (!self.random.chance(15)).then_some(self.serial));
            let value = record.1.map(|serial| [serial.to_be_bytes().to_vec(), vec![0; 20]].concat());
            batch.append(Timestamp(self.now), Some(&[record.0]), value.as_deref());
            records.push(record);
        }
        let bytes = batch.finish().expect("a batch of a few records");
        let valid = Validated::trusted(&bytes).expect("built here");
        let (leader_epoch, now) = (LeaderEpoch(0), Timestamp(self.now));
        let how = LeaderAppend { leader_epoch, origin: Origin::Client, now, transaction_version: 0 };
        // It may be there though it was not acknowledged.
        let base = self.end;
        self.appended.extend((base..).zip(records.iter().copied()));
        log.append_as_leader(&[valid], how)?;
        self.end = base + records.len() as i64;
        log.advance_high_watermark(log.log_end_offset());
        Ok(())
    }

    fn clean(&mut self, log: &Log) -> storage::Result<()> {
        let limits = CleanerLimits {
            dedupe_buffer_bytes: 1 << 16,
            load_factor: 0.9,
            io_buffer_bytes: self.random.pick(&[200, 4000]),
            seed: [1, 2],
        };
        let dirt = log.dirt(Timestamp(self.now))?;
        let mut paces = if self.random.chance(15) { self.random.below(6) } else { usize::MAX };
        let mut pace = |_| {
            paces = paces.saturating_sub(1);
            paces > 0
        };
        log.clean(&dirt, limits, Timestamp(self.now), &mut pace).map(drop)
    }

    fn read(log: &Log) -> Check<BTreeMap<i64, Record>> {
        let (mut next, end) = (log.log_start_offset(), log.log_end_offset());
        let mut found = BTreeMap::new();
        while next < end {
            let (isolation, wait) = (Isolation::LogEnd, Wait::Block);
            let read = Read { offset: next, max_bytes: u32::MAX, at_least_one_batch: true, isolation, wait };
            let plan = log.read(read).map_err(|error| format!("read {next}: {error}"))?;
            let Some(region) = plan.region else { break };
            let bytes = region.read().map_err(|error| error.to_string())?;
            let before = next;
            for batch in Batches::new(&bytes) {
                let batch: BatchView<'_> = batch.map_err(|error| format!("torn: {error}"))?;
                batch.verify_crc().map_err(|error| format!("torn at {}: {error}", batch.header().base_offset))?;
                let mut reader = RecordReader::new(&batch).map_err(|error| error.to_string())?;
                while let Some(record) = reader.next_record() {
                    let record = record.map_err(|error| error.to_string())?;
                    let number = |bytes: &[u8]| bytes[..8].iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
                    let key = record.key.and_then(|key| key.first().copied()).unwrap_or(u8::MAX);
                    let is_new = found.insert(record.offset.0, (key, record.value.map(number))).is_none();
                    ensure!(is_new, "{} is there twice", record.offset);
                }
                next = batch.header().next_offset();
            }
            ensure!(next > before, "nothing whole at {next}");
        }
        Ok(found)
    }

    /// Of every key the newest record below an offset is there, or a later one. What is there is what is known from then on.
    fn hold(&mut self, log: &Log, kept_below: i64) -> Check {
        let found = Self::read(log)?;
        let stranger = found.iter().find(|(offset, record)| self.appended.get(offset) != Some(record));
        ensure!(stranger.is_none(), "{stranger:?} was never appended");
        for key in 0..KEYS as u8 {
            let of_key = |(offset, record): (&i64, &Record)| (record.0 == key).then_some((*offset, record.1));
            let newest = self.appended.range(..kept_below).rev().find_map(of_key);
            let Some((newest, Some(_))) = newest else { continue };
            let is_there = found.range(newest..).find_map(of_key).is_some();
            let was_deleted =
                self.appended.range(newest..).rev().find_map(of_key).is_some_and(|(_, value)| value.is_none());
            ensure!(
                is_there || was_deleted,
                "key {key} is lost, which was at {newest}, below {kept_below}; there is {:?}",
                found.keys().collect::<Vec<_>>()
            );
        }
        let end = log.log_end_offset().0;
        ensure!(end >= kept_below, "ends at {end}, below {kept_below}");
        // What was not flushed and is not there now was lost, and its offsets are given anew.
        self.appended.retain(|offset, _| *offset < self.flushed || found.contains_key(offset));
        self.end = end;
        Ok(())
    }
}
