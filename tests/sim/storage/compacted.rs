//! Courses of a compacted log: neither a cleaning nor a stop during one may lose a key.
//!
//! For every key, the newest decided record that must be there, or a later one, is there. After a
//! kill, all acknowledged records count for this; after a power cut, the flushed ones. Each record
//! that is read was appended at that offset with that content. A key whose newest record is a
//! tombstone may be missing. Aborted records may also be missing, and read_committed consumers see
//! none of them.

mod model;

use self::model::{Model, Reading, Record};
use crate::check::{Check, ensure};
use crate::random::Random;
use ::model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp, TopicId, TopicPartition};
use records::{BatchBuilder, EndTransactionMarker, Validated};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::disk::{Crash, Disk, Fault, Operation, SimDisk};
use storage::{
    CleanerLimits, CleanupPolicy, Isolation, LeaderAppend, Log, LogConfig, LogDir, OpenFiles, Origin,
    VerificationStart, Wait,
};

/// The number of keys: small, so that compaction has much to do.
const KEYS: usize = 5;

/// Transactional producers.
const PRODUCERS: [i64; 2] = [11, 12];

/// The faults other than stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weather {
    Fair,
    Faults,
    Full,
}

/// A log dir with one compacted partition.
struct Course {
    random: Random,
    disk: SimDisk,
    weather: Weather,
    name: TopicPartition,
    config: LogConfig,
    now: i64,
    serial: u64,
    model: Model,
}

/// Runs the course of a seed. Returns a number that differs between courses.
pub fn run(seed: u64, is_printed: bool) -> Check<u64> {
    let mut course = Course::new(seed)?;
    for generation in 0..course.random.within(2, 4) {
        let (dir, log) = course.start()?;
        course.live(&dir, &log, |text| {
            if is_printed {
                eprintln!("{generation}: {text}");
            }
        })?;
        course.disk.heal();
        course.disk.set_capacity(None);
        if course.random.chance(30) {
            course.close(&dir, &log)?;
        }
        drop((dir, log));
        let seed = course.random.next();
        // After a failed sync, a new process cannot trust what the page cache holds.
        let is_power = course.disk.has_lost_writes() || course.random.chance(60);
        let crash = if is_power { Crash::Power { seed } } else { Crash::Process };
        let kept_below = if is_power { course.model.flushed } else { course.model.end };
        if is_printed {
            eprintln!("{generation}: {crash:?} at call {}, all below {kept_below} is kept", course.disk.calls());
        }
        course.disk.crash(crash);
        let (dir, log) = course.start()?;
        course.model.hold(&log, kept_below, true, &mut course.random)?;
        drop((dir, log));
        course.disk.crash(Crash::Process);
    }
    Ok(course.disk.calls() ^ (course.serial << 32))
}

impl Course {
    fn new(seed: u64) -> Check<Self> {
        let mut random = Random::new(seed);
        let config = LogConfig {
            segment_bytes: random.pick(&[400, 800, 1500]),
            index_interval_bytes: random.pick(&[1, 200]),
            retention_ms: None,
            cleanup_policy: CleanupPolicy { delete: false, compact: true },
            delete_retention_ms: random.pick(&[0, 2000]),
            file_delete_delay_ms: random.pick(&[0, 500]),
            producer_id_expiration_ms: i64::MAX / 2,
            ..LogConfig::default()
        };
        let weather = random.pick(&[Weather::Fair, Weather::Fair, Weather::Faults, Weather::Full]);
        let disk = SimDisk::new();
        disk.create_dir(Path::new("/data")).map_err(|error| error.to_string())?;
        disk.sync_dir(Path::new("/")).map_err(|error| error.to_string())?;
        let name = TopicPartition::new("c", 0);
        Ok(Course { random, disk, weather, name, config, now: 10_000, serial: 0, model: Model::default() })
    }

    /// Opens the log, sometimes in several attempts.
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
            // A power cut does not follow a kill here: the kind of the crash was decided before.
            self.disk.crash(Crash::Process);
        }
    }

    fn open(&self) -> storage::Result<(LogDir, Log)> {
        let disk = Arc::new(self.disk.clone());
        let dir = LogDir::open(disk, OpenFiles::new(6), PathBuf::from("/data"), 7)?;
        let (offsets, now) = (dir.read_offsets()?, Timestamp(self.now));
        let is_clean = dir.clean_shutdown()?.is_some();
        dir.forget_clean_shutdown()?;
        let path = dir.path().join(self.name.to_string());
        let is_there = dir.partitions()?.iter().any(|found| found.path == path);
        let log = match is_there {
            true => dir.open_log(&self.name, path, self.config.clone(), &offsets, is_clean, now)?.0,
            false => dir.create(&self.name, Some(TopicId::from_random([1; 16])), self.config.clone(), now)?,
        };
        // If a checkpoint is ahead of the log, records appended from now on would count as flushed.
        if offsets.recovery_points.get(&self.name).is_some_and(|known| *known > log.recovery_point()) {
            self.checkpoint(&dir, &log)?;
        }
        log.advance_high_watermark(log.log_end_offset());
        Ok((dir, log))
    }

    fn checkpoint(&self, dir: &LogDir, log: &Log) -> storage::Result<()> {
        dir.write_recovery_points(|| [(self.name.clone(), log.recovery_point())].into())
    }

    fn live(&mut self, dir: &LogDir, log: &Log, mut tell: impl FnMut(String)) -> Check {
        if self.random.chance(75) {
            let limit = 1 << self.random.within(4, 9);
            let calls = self.random.below(limit) as u64;
            self.disk.crash_after(calls);
        }
        for _ in 0..self.random.within(5, 50) {
            self.now += self.random.within(0, 500);
            self.disk.set_now(Timestamp(self.now));
            self.weather_changes();
            // Checks whether there is room again. If the check fails, this is a fault like any
            // other.
            let _ = dir.check_space(|_| 1);
            let what = self.step(dir, log)?;
            tell(format!("{what} at call {}, ends at {}", self.disk.calls(), self.model.end));
            if self.disk.has_stopped() || log.fault().is_some() {
                break;
            }
        }
        Ok(())
    }

    fn weather_changes(&mut self) {
        match self.weather {
            Weather::Faults if self.random.chance(12) => {
                use Operation::{Open, Read, RemoveFile, Rename, Sync, SyncDir, Write};
                let random = &mut self.random;
                self.disk.inject(Fault {
                    operation: random.pick(&[Write, Write, Sync, Sync, SyncDir, Open, Read, Rename, RemoveFile]),
                    path_contains: random.pick(&["", ".log", ".cleaned", ".swap", "index", "checkpoint"]).to_owned(),
                    after: random.below(5) as u64,
                    times: random.pick(&[1, 1, 2, 5]),
                    error: random.pick(&[ErrorKind::Other, ErrorKind::StorageFull]),
                    written_bytes: random.below(300),
                });
            }
            Weather::Faults if self.random.chance(12) => self.disk.heal(),
            Weather::Full if self.random.chance(10) => {
                let room = self.random.below(1500) as u64;
                self.disk.set_capacity(Some(self.disk.used_bytes() + room));
            }
            Weather::Full if self.random.chance(25) => self.disk.set_capacity(None),
            _ => {}
        }
    }

    /// Runs one step. Returns its name.
    fn step(&mut self, dir: &LogDir, log: &Log) -> Check<&'static str> {
        let (now, refusals) = (Timestamp(self.now), self.disk.refusals());
        let (what, done) = match self.random.below(100) {
            0..48 => ("append", self.append(log, None)),
            48..58 => ("append of a transaction", self.append_transactional(log)),
            58..64 => ("marker", self.end_transaction(log)),
            64..70 => ("flush", log.flush(log.log_end_offset(), now)),
            70..75 => ("checkpoint", self.checkpoint(dir, log)),
            75..92 => ("clean", self.clean(dir, log)),
            _ => ("remove", log.remove_deleted_files(now).map(drop)),
        };
        self.model.flushed = self.model.flushed.max(log.flushed_end().0);
        let is_excused = self.disk.has_stopped() || self.disk.refusals() > refusals || dir.is_full();
        if let Err(error) = done {
            ensure!(is_excused, "{what}: {error}");
        }
        if what == "clean" && log.fault().is_none() && !self.disk.has_stopped() {
            self.disk.heal();
            let end = self.model.end;
            let held = self.model.hold(log, end, false, &mut self.random);
            // If the machine stopped meanwhile, the data read has no meaning.
            if !self.disk.has_stopped() {
                held.map_err(|reason| format!("after a cleaning: {reason}"))?;
            }
        }
        Ok(what)
    }

    /// Appends a batch of a few records, in a transaction if there is a `producer`.
    fn append(&mut self, log: &Log, producer: Option<i64>) -> storage::Result<()> {
        let mut batch = BatchBuilder::new(Offset(0));
        if let Some(id) = producer {
            let known = log.producers().into_iter().find(|(known, _)| known.0 == id);
            let next = known.and_then(|(_, entry)| entry.last_sequence()).map_or(0, |last| last + 1);
            batch = batch.producer(ProducerId(id), ProducerEpoch(0), Some(next)).transactional();
        }
        let mut records: Vec<Record> = Vec::new();
        for _ in 0..self.random.within(1, 4) {
            self.serial += 1;
            let key = self.random.below(KEYS) as u8;
            let value = (!self.random.chance(15)).then_some(self.serial);
            let bytes = value.map(|serial| [serial.to_be_bytes().to_vec(), vec![0; 20]].concat());
            batch.append(Timestamp(self.now), Some(&[key]), bytes.as_deref());
            records.push(Record { key, value, producer });
        }
        // The batch may be in the log although it was not acknowledged.
        let base = self.model.end;
        self.model.appended.extend((base..).zip(records.iter().copied()));
        if let Err(error) = self.put(log, batch, Origin::Client) {
            self.model.ghosts.extend((base..).zip(records));
            return Err(error);
        }
        let end = base + records.len() as i64;
        self.model.markers.retain(|offset, _| !(base..end).contains(offset));
        self.model.end = end;
        Ok(())
    }

    fn append_transactional(&mut self, log: &Log) -> storage::Result<()> {
        let id = self.random.pick(&PRODUCERS);
        self.append(log, Some(id))
    }

    /// Ends an open transaction, if there is one.
    fn end_transaction(&mut self, log: &Log) -> storage::Result<()> {
        let is_open = |entry: &storage::ProducerEntry| entry.txn_first_offset.is_some();
        let open: Vec<i64> =
            log.producers().into_iter().filter(|(_, entry)| is_open(entry)).map(|(id, _)| id.0).collect();
        let Some(id) = (!open.is_empty()).then(|| self.random.pick(&open)) else { return Ok(()) };
        let aborted = self.random.chance(50);
        let mut batch = BatchBuilder::new(Offset(0)).producer(ProducerId(id), ProducerEpoch(0), None);
        let marker = EndTransactionMarker { committed: !aborted, coordinator_epoch: 0 };
        batch.append_end_transaction(Timestamp(self.now), marker);
        let base = self.model.end;
        self.model.markers.insert(base, (id, aborted));
        self.put(log, batch, Origin::Coordinator)?;
        // The marker overwrites a batch that was refused at this offset.
        self.model.appended.remove(&base);
        self.model.end = base + 1;
        Ok(())
    }

    fn put(&mut self, log: &Log, batch: BatchBuilder, origin: Origin) -> storage::Result<()> {
        let bytes = batch.finish().expect("a batch of a few records");
        let valid = Validated::trusted(&bytes).expect("built here");
        let (leader_epoch, now) = (LeaderEpoch(0), Timestamp(self.now));
        let header = valid.header();
        let guard = match (header.producer_id, header.producer_epoch, header.base_sequence) {
            (Some(producer_id), Some(epoch), Some(base_sequence)) => {
                let supports_epoch_bump = false;
                let start = VerificationStart { producer_id, epoch, base_sequence, supports_epoch_bump, now };
                log.begin_verification(&start, Wait::Block)?
            }
            _ => None,
        };
        let how = LeaderAppend { leader_epoch, origin, now, transaction_version: 0, guard };
        log.append_as_leader(&[valid], how)?;
        log.advance_high_watermark(log.log_end_offset());
        Ok(())
    }

    /// Runs one cleaning until it ends or fails. Sometimes writes its position to the checkpoint.
    fn clean(&mut self, dir: &LogDir, log: &Log) -> storage::Result<()> {
        let limits = CleanerLimits {
            dedupe_buffer_bytes: self.random.pick(&[72, 1 << 16]),
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
        let cleaned = log.clean(&dirt, limits, Timestamp(self.now), &mut pace)?;
        match log.cleaned_up_to().filter(|_| cleaned.is_some() && self.random.chance(70)) {
            Some(up_to) => dir.write_cleaner_offsets(&[(self.name.clone(), up_to)].into()),
            None => Ok(()),
        }
    }

    /// Stops cleanly, as a broker does.
    fn close(&mut self, dir: &LogDir, log: &Log) -> Check {
        let (now, refusals) = (Timestamp(self.now), self.disk.refusals());
        let closed = (log.fault().is_none()).then(|| {
            log.close(now).and_then(|()| self.checkpoint(dir, log)).and_then(|()| dir.write_clean_shutdown(None))
        });
        match closed {
            Some(Ok(())) => self.model.flushed = self.model.end,
            Some(Err(error)) => {
                ensure!(self.disk.has_stopped() || self.disk.refusals() > refusals, "close: {error}");
            }
            None => {}
        }
        Ok(())
    }
}

/// Reads every record from an offset on, by offset.
fn records_from(log: &Log, from: i64) -> Check<BTreeMap<i64, Record>> {
    Ok(Reading::of(log, from, Isolation::LogEnd)?.records)
}
