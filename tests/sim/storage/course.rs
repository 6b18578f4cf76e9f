//! A course: a sequence of random events of a node, decided by a seed, and the checks after each
//! event.

mod steps;
mod writes;

use crate::check::{self, Check, Ending, ensure};
use crate::node::{Node, Started, log_dir};
use crate::partition::{Partition, Pending};
use crate::random::Random;
use model::{LeaderEpoch, Offset, Timestamp};
use std::sync::Arc;
use storage::disk::{Crash, Disk, Fault, Operation, SimDisk};
use storage::{CheckpointedOffsets, CleanupPolicy, Error, LogConfig, LogDir, OffsetCheckpoint, OpenFiles};

/// The events as text, and their hash, which identifies a course.
#[derive(Debug)]
pub struct Trace {
    is_printed: bool,
    hash: u64,
}

impl Trace {
    /// Creates a trace that is hashed, and also printed if `is_printed`.
    pub fn new(is_printed: bool) -> Self {
        Trace { is_printed, hash: 0xcbf2_9ce4_8422_2325 }
    }

    fn line(&mut self, line: &str) {
        if self.is_printed {
            eprintln!("{line}");
        }
        for byte in line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// The faults of a course other than stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weather {
    Fair,
    /// Calls fail: EIO, short writes.
    Faults,
    /// The disk is full at times.
    Full,
}

/// The kind of a checkpoint file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Checkpoint {
    RecoveryPoints,
    LogStarts,
    HighWatermarks,
}

/// The state of a course.
pub struct Course {
    random: Random,
    disk: SimDisk,
    weather: Weather,
    partitions: Vec<Partition>,
    node: Option<Node>,
    now: i64,
    serial: u64,
    unique: u8,
    /// The possible contents of each checkpoint file: the last successful write, and later writes
    /// whose success is not known.
    checkpoints: [Vec<OffsetCheckpoint>; 3],
    /// The number of refused calls before the step.
    refusals: u64,
    /// A round of the group commit is running.
    is_committing: bool,
    /// The node cannot go on.
    must_restart: bool,
    trace: Trace,
}

/// Runs the course of a seed. Returns its hash.
pub fn run(seed: u64, is_printed: bool) -> Check<u64> {
    let mut course = Course::new(seed, Trace::new(is_printed));
    course.restart(Ending { was_power: false, is_clean: false })?;
    for _ in 0..course.random.within(2, 4) {
        course.live()?;
        let ending = course.end()?;
        course.restart(ending)?;
    }
    (0..course.partitions.len()).try_for_each(|index| course.look(index))?;
    Ok(course.trace.hash)
}

impl Course {
    fn new(seed: u64, trace: Trace) -> Self {
        let mut random = Random::new(seed);
        let disk = SimDisk::new();
        let weather = random.pick(&[Weather::Fair, Weather::Fair, Weather::Faults, Weather::Full]);
        let partitions = (0..3).map(|index| Partition::new(index, config(&mut random, index))).collect();
        disk.create_dir(&log_dir()).expect("the first call");
        disk.sync_dir(log_dir().parent().expect("not the root")).expect("the second call");
        let nothing = || vec![OffsetCheckpoint::new()];
        let mut course = Course {
            random,
            disk,
            weather,
            partitions,
            node: None,
            now: 10_000,
            serial: 0,
            unique: 0,
            checkpoints: [nothing(), nothing(), nothing()],
            refusals: 0,
            is_committing: false,
            must_restart: false,
            trace,
        };
        course.note(|course| format!("{:?} {:?}", course.weather, course.partitions));
        course
    }

    fn note(&mut self, line: impl FnOnce(&Self) -> String) {
        let line = format!("{:>6} {}", self.disk.calls(), line(self));
        self.trace.line(&line);
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.now)
    }

    fn unique(&mut self) -> u8 {
        self.unique = self.unique.wrapping_add(1);
        self.unique
    }

    /// Returns the result of a call to the store, or `None` if the machine stopped or the disk
    /// refused.
    fn judge<T>(&self, what: &str, result: storage::Result<T>) -> Check<Option<T>> {
        match result {
            Ok(done) => Ok(Some(done)),
            Err(_) if self.disk.has_stopped() || self.disk.refusals() > self.refusals => Ok(None),
            Err(Error::Full { .. }) if self.node.as_ref().is_some_and(|node| node.dir.is_full()) => Ok(None),
            Err(error) => Err(format!("{what}: {error}")),
        }
    }

    /// Runs steps until the machine stops or the course is long enough.
    fn live(&mut self) -> Check {
        if self.random.chance(70) {
            let limit = 1 << self.random.within(2, 9);
            let calls = self.random.below(limit) as u64;
            self.disk.crash_after(calls);
        }
        for _ in 0..self.random.within(5, 45) {
            self.weather_changes();
            self.check_space()?;
            self.refusals = self.disk.refusals();
            self.now += self.random.within(0, 300);
            self.disk.set_now(self.now());
            let index = self.random.below(self.partitions.len());
            self.step(index)?;
            self.promises();
            if self.random.chance(15) {
                self.look(index)?;
            }
            let is_failed = self.node.as_ref().is_some_and(|node| node.dir.fault().is_some());
            if self.disk.has_stopped() || self.must_restart || is_failed {
                break;
            }
        }
        self.disk.heal();
        self.disk.set_capacity(None);
        (0..self.partitions.len()).try_for_each(|index| self.look(index))
    }

    fn weather_changes(&mut self) {
        match self.weather {
            Weather::Faults if self.random.chance(12) => self.plan_fault(),
            Weather::Faults if self.random.chance(12) => self.disk.heal(),
            Weather::Full if self.random.chance(10) => {
                let room = self.random.below(1500) as u64;
                self.disk.set_capacity(Some(self.disk.used_bytes() + room));
                self.note(|_| format!("room for {room} bytes"));
            }
            Weather::Full if self.random.chance(25) => self.disk.set_capacity(None),
            _ => {}
        }
    }

    /// Checks that the node recovers without a restart after room is freed, and that lack of room
    /// alone takes nothing offline.
    fn check_space(&self) -> Check {
        let Some(node) = &self.node else { return Ok(()) };
        self.judge("space", node.dir.check_space(|_| 1))?;
        for log in node.open_logs() {
            let is_offline = self.weather == Weather::Full && !self.disk.has_stopped() && log.fault().is_some();
            ensure!(!is_offline, "{} is offline on a full disk: {:?}", log.partition(), log.fault());
        }
        Ok(())
    }

    fn plan_fault(&mut self) {
        use Operation::{List, Metadata, Open, Read, RemoveFile, Rename, Sync, SyncDir, Truncate, Write};
        let random = &mut self.random;
        let calls = [Write, Write, Sync, Sync, SyncDir, Open, Open, Read, Truncate, Rename, RemoveFile, Metadata, List];
        let names = ["", "", ".log", ".log", "index", ".txnindex", ".snapshot", "leader-epoch", "checkpoint", "t-0"];
        let fault = Fault {
            operation: random.pick(&calls),
            path_contains: random.pick(&names).to_owned(),
            after: random.below(5) as u64,
            times: random.pick(&[1, 1, 2, 5]),
            error: random.pick(&[std::io::ErrorKind::Other, std::io::ErrorKind::StorageFull]),
            written_bytes: random.below(300),
        };
        self.note(|_| format!("{fault:?}"));
        self.disk.inject(fault);
    }

    /// Notes what the logs report as being on disk.
    fn promises(&mut self) {
        let Some(node) = &self.node else { return };
        for (index, partition) in self.partitions.iter_mut().enumerate() {
            if let Some(log) = node.log(index)
                && partition.pending == Pending::Nothing
            {
                partition.flushed_to(log.flushed_end().0);
            }
        }
    }

    /// Checks a partition that has no pending operation. No faults happen meanwhile.
    fn look(&mut self, index: usize) -> Check {
        let partition = &self.partitions[index];
        let Some(log) = self.node.as_ref().and_then(|node| node.log(index)) else { return Ok(()) };
        // Nothing uses a dir after its disk failed.
        let is_failed = self.node.as_ref().is_some_and(|node| node.dir.fault().is_some());
        if partition.pending != Pending::Nothing || self.disk.has_stopped() || is_failed {
            return Ok(());
        }
        self.disk.heal();
        let checked = check::running(partition, log, &mut self.random);
        let segments: Vec<_> = log.segments().iter().map(|it| (it.base_offset().0, it.size())).collect();
        let checked =
            checked.map_err(|reason| format!("{}: {reason}; segments and bytes {segments:?}", partition.name));
        // If the machine stopped meanwhile, the data read has no meaning.
        if self.disk.has_stopped() { Ok(()) } else { checked }
    }

    /// Ends the run of the node: cleanly, by a kill or by a power cut.
    fn end(&mut self) -> Check<Ending> {
        self.refusals = self.disk.refusals();
        let is_whole = self
            .node
            .as_ref()
            .is_some_and(|node| node.logs.iter().all(|log| log.as_ref().is_some_and(|log| log.fault().is_none())));
        if is_whole && self.random.chance(35) && !self.disk.has_stopped() {
            self.close()?;
        }
        self.node = None;
        (self.must_restart, self.is_committing) = (false, false);
        let is_clean = self.disk.files().iter().any(|path| path.ends_with(".kafka_cleanshutdown"));
        let crash = self.crash();
        self.note(|_| format!("{crash:?}"));
        self.disk.crash(crash);
        let is_clean = is_clean && self.disk.files().iter().any(|path| path.ends_with(".kafka_cleanshutdown"));
        Ok(Ending { was_power: crash != Crash::Process, is_clean })
    }

    /// Crashes by a kill or a power cut. After a failed sync it is a power cut, because the page
    /// cache differs from the disk. No new process can go on from that, Kafka's neither: the
    /// machine must be restarted.
    fn crash(&mut self) -> Crash {
        let seed = self.random.next();
        match self.disk.has_lost_writes() || self.random.chance(60) {
            true => Crash::Power { seed },
            false => Crash::Process,
        }
    }

    /// Stops cleanly, as a broker does.
    fn close(&mut self) -> Check {
        for index in 0..self.partitions.len() {
            let Some(log) = self.node.as_ref().and_then(|node| node.log(index)) else { return Ok(()) };
            if self.judge("close", log.close(self.now()))?.is_none() {
                return Ok(());
            }
            let end = self.partitions[index].end;
            self.partitions[index].flushed_to(end);
        }
        for checkpoint in [Checkpoint::RecoveryPoints, Checkpoint::LogStarts, Checkpoint::HighWatermarks] {
            if !self.write_checkpoint(checkpoint, None)? {
                return Ok(());
            }
        }
        let Some(node) = &self.node else { return Ok(()) };
        let marked = node.dir.write_clean_shutdown(None);
        self.judge("clean shutdown", marked)?;
        self.note(|_| "closed".to_owned());
        Ok(())
    }

    /// Starts the node, sometimes in several attempts, and compares what it finds with the model.
    fn restart(&mut self, mut ending: Ending) -> Check {
        self.disk.heal();
        self.disk.set_capacity(None);
        self.look_at_disk()?;
        let started = loop {
            if self.random.chance(25) {
                let calls = 1 << self.random.within(2, 8);
                self.disk.crash_after(self.random.below(calls) as u64);
            } else if self.weather == Weather::Faults && self.random.chance(25) {
                self.plan_fault();
            }
            self.refusals = self.disk.refusals();
            let (now, unique) = (self.now(), self.unique());
            let started = Node::start(&self.disk, &self.partitions, now, unique);
            if let Some(started) = self.judge("start", started)?
                && !self.disk.has_stopped()
            {
                self.disk.crash_after(u64::MAX / 2);
                break started;
            }
            let crash = self.crash();
            self.note(|_| format!("while starting: {crash:?}"));
            ending.was_power |= crash != Crash::Process;
            self.disk.heal();
            self.disk.crash(crash);
        };
        self.disk.heal();
        self.started(started, ending)
    }

    /// Checks what must be on disk before a start repairs anything.
    fn look_at_disk(&mut self) -> Check {
        let dir = LogDir::open(Arc::new(self.disk.clone()), OpenFiles::new(1), log_dir(), 0);
        let offsets = dir.and_then(|dir| dir.read_offsets()).map_err(|error| format!("checkpoints: {error}"))?;
        let CheckpointedOffsets { recovery_points, log_start_offsets, high_watermarks, .. } = offsets;
        for (found, known) in [recovery_points, log_start_offsets, high_watermarks].iter().zip(&self.checkpoints) {
            ensure!(known.contains(found), "a checkpoint holds {found:?} and none of {known:?}");
        }
        for partition in self.partitions.iter().filter(|partition| partition.is_settled && partition.is_named) {
            if partition.pending == Pending::Nothing {
                let (is_there, found) = self.topic_id_of(partition);
                ensure!(is_there, "{}: the topic id is lost: {found}", partition.name);
            }
        }
        Ok(())
    }

    /// Returns whether the topic id of a partition is in its folder, and the result of the read.
    fn topic_id_of(&self, partition: &Partition) -> (bool, String) {
        let path = log_dir().join(partition.name.to_string()).join("partition.metadata");
        let found = storage::read_partition_metadata(&self.disk, &path);
        let is_there = found.as_ref().is_ok_and(|found| *found == Some(partition.topic_id()));
        (is_there, format!("{found:?}"))
    }

    fn started(&mut self, started: Started, ending: Ending) -> Check {
        let Started { node, is_clean, offsets, recoveries } = started;
        self.note(|_| format!("started, clean {is_clean}, {offsets:?} {recoveries:?}"));
        ensure!(!is_clean || ending.is_clean, "a stop that was not clean counts as clean");
        let ending = Ending { is_clean, ..ending };
        for ((partition, log), recovery) in self.partitions.iter_mut().zip(node.open_logs()).zip(recoveries) {
            let name = partition.name.clone();
            let case = |reason: String| format!("{name}: {reason}");
            let is_new = partition.pending != Pending::Nothing;
            // Nothing is synced for a log that never held records.
            let was_written = partition.end > 0;
            ensure!(
                !is_clean || is_new || !was_written || recovery.segments_checked == 0,
                "{name}: recovered after a clean stop"
            );
            check::reopened(partition, log, ending).map_err(case)?;
            let known = offsets.high_watermarks.get(&name).map_or(0, |offset| offset.0);
            let expected = known.clamp(partition.start, partition.end);
            let found = log.high_watermark().0;
            ensure!(found == expected || is_new, "{name}: the high watermark is {found} and not {expected}");
        }
        let now_written = node.dir.read_offsets().map_err(|error| format!("checkpoints: {error}"))?;
        let CheckpointedOffsets { recovery_points, log_start_offsets, high_watermarks, .. } = now_written;
        // A power cut may undo a checkpoint that survived a kill.
        for (known, now) in self.checkpoints.iter_mut().zip([recovery_points, log_start_offsets, high_watermarks]) {
            known.push(now);
        }
        for index in 0..self.partitions.len() {
            self.partitions[index].is_named = self.topic_id_of(&self.partitions[index]).0;
        }
        self.node = Some(node);
        self.refusals = self.disk.refusals();
        for index in 0..self.partitions.len() {
            self.look(index)?;
            self.lead(index)?;
            if self.random.chance(70) {
                self.advance(index);
            }
        }
        Ok(())
    }

    /// Makes the node the leader of a partition.
    fn lead(&mut self, index: usize) -> Check {
        let epoch = self.partitions[index].leader_epoch + 1;
        self.partitions[index].leader_epoch = epoch;
        let Some(log) = self.node.as_ref().and_then(|node| node.log(index)) else { return Ok(()) };
        if self.judge("epoch", log.assign_epoch(LeaderEpoch(epoch)))?.is_some() {
            self.partitions[index].assigned = Some(epoch);
        }
        Ok(())
    }

    /// Replicates everything that is written.
    fn advance(&mut self, index: usize) {
        let Some(log) = self.node.as_ref().and_then(|node| node.log(index)) else { return };
        let partition = &mut self.partitions[index];
        log.advance_high_watermark(Offset(partition.end));
        partition.high_watermark = partition.high_watermark.max(partition.end);
    }
}

/// Segments are small, so that there are many. The first partition acknowledges only what is on
/// disk.
fn config(random: &mut Random, index: usize) -> LogConfig {
    LogConfig {
        segment_bytes: random.pick(&[600, 800, 1200, 4000]),
        index_interval_bytes: random.pick(&[1, 100, 300]),
        segment_index_bytes: random.pick(&[60, 1000, 10 << 20]),
        flush_messages: if index == 0 { Some(1) } else { random.pick(&[None, None, Some(7)]) },
        retention_bytes: random.pick(&[None, Some(1500)]),
        retention_ms: None,
        cleanup_policy: CleanupPolicy { delete: true, compact: false },
        file_delete_delay_ms: random.pick(&[0, 500]),
        producer_id_expiration_ms: i64::MAX / 2,
        ..LogConfig::default()
    }
}
