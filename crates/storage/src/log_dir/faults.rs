//! A log dir on a disk that refuses calls: every call once, with every kind of error, while a
//! broker does all that it can do.
//!
//! What was acknowledged is always there. A full disk stops only what needs space, and works again
//! once there is space. Any other error takes the dir offline at once, and a start finds all that
//! was acknowledged.

use super::*;
use crate::disk::{Crash, SimDisk};
use crate::log::{LeaderAppend, LogRead};
use crate::{DiskErrorKind, Isolation, Origin, Wait};
use model::{LeaderEpoch, ProducerEpoch, ProducerId};
use records::{BatchBuilder, Batches, EndTransactionMarker, Validated};
use std::collections::BTreeMap;
use std::io::ErrorKind;

const NOW: Timestamp = Timestamp(1_000_000);
const COUNT: usize = 3;

fn name(number: usize) -> TopicPartition {
    TopicPartition::new("t", number as i32)
}

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 500,
        index_interval_bytes: 60,
        retention_ms: None,
        verifies_transactions: false,
        ..LogConfig::default()
    }
}

fn open_dir(disk: &SimDisk) -> Result<LogDir> {
    LogDir::open(Arc::new(disk.clone()), OpenFiles::new(6), PathBuf::from("/data"), 0)
}

/// Acknowledged batches by base offset, each with the value of all of its records.
type Acknowledged = BTreeMap<i64, u8>;

/// A partition, and what was acknowledged in it.
#[derive(Default)]
struct Partition {
    log: Option<Arc<Log>>,
    acknowledged: Acknowledged,
    log_start: i64,
    /// The next sequences of the two producers.
    sequence: i32,
    txn_sequence: i32,
    open_txn: Option<i64>,
    /// First offsets of transactions whose abort was acknowledged.
    aborted: Vec<i64>,
}

/// The steps of a broker, which continue after refusals.
struct Course {
    disk: SimDisk,
    dir: LogDir,
    partitions: Vec<Partition>,
    refusals: usize,
    /// The value of the records in the newest batch.
    value: u8,
}

/// Returns two records; with a sequence, they have a producer.
fn plain(value: u8, sequence: Option<i32>) -> Validated {
    let mut batch = BatchBuilder::new(Offset(0));
    if sequence.is_some() {
        batch = batch.producer(ProducerId(7), ProducerEpoch(0), sequence);
    }
    (0..2).for_each(|number| batch.append(Timestamp(i64::from(value) + number), None, Some(&[value; 20])));
    Validated::trusted(&batch.finish().unwrap()).unwrap()
}

fn transactional(value: u8, sequence: i32) -> Validated {
    let mut batch =
        BatchBuilder::new(Offset(0)).producer(ProducerId(8), ProducerEpoch(0), Some(sequence)).transactional();
    batch.append(Timestamp(i64::from(value)), None, Some(&[value; 20]));
    Validated::trusted(&batch.finish().unwrap()).unwrap()
}

fn abort() -> Validated {
    let mut batch = BatchBuilder::new(Offset(0)).producer(ProducerId(8), ProducerEpoch(0), None);
    batch.append_end_transaction(Timestamp(6), EndTransactionMarker { committed: false, coordinator_epoch: 0 });
    Validated::trusted(&batch.finish().unwrap()).unwrap()
}

impl Course {
    fn begin(disk: &SimDisk) -> Result<Course> {
        let dir = open_dir(disk)?;
        let partitions = (0..COUNT).map(|_| Partition::default()).collect();
        Ok(Course { disk: disk.clone(), dir, partitions, refusals: 0, value: 0 })
    }

    /// Counts a refused call, and continues.
    fn tried<T>(&mut self, result: Result<T>, what: &str) -> Option<T> {
        result
            .map_err(|error| {
                let is_fault = !error.is_refusal();
                assert!(
                    !is_fault || self.dir.fault().is_some(),
                    "{what}: {error} is no refusal, and the dir is not offline"
                );
                self.refusals += 1;
            })
            .ok()
    }

    fn create(&mut self, number: usize) {
        let created = self.dir.create(&name(number), Some(TopicId::from_random([1; 16])), config(), NOW);
        if let Some(log) = self.tried(created, "create") {
            self.partitions[number].log = Some(Arc::new(log));
        }
    }

    fn on(&mut self, number: usize, what: &str, act: impl Fn(&Log) -> Result<()>) -> bool {
        let Some(log) = self.partitions[number].log.clone() else { return false };
        let done = act(&log);
        self.tried(done, what).is_some()
    }

    fn append_batch(&mut self, number: usize, batch: &Validated, origin: Origin, epoch: i32) -> Option<i64> {
        let log = self.partitions[number].log.clone()?;
        let how =
            LeaderAppend { leader_epoch: LeaderEpoch(epoch), origin, now: NOW, transaction_version: 0, guard: None };
        let before = log.offsets();
        let appended = log.append_as_leader(std::slice::from_ref(batch), how);
        if appended.is_err() {
            assert_eq!(log.offsets(), before, "a refused append leaves the log as it was");
        }
        let base = self.tried(appended, "append")?.base_offset.0;
        log.advance_high_watermark(log.log_end_offset());
        Some(base)
    }

    fn append(&mut self, number: usize, epoch: i32) {
        self.value = self.value.wrapping_add(1);
        // The log that is truncated has no producers.
        let (value, sequence) = (self.value, (number != 2).then_some(self.partitions[number].sequence));
        if let Some(base) = self.append_batch(number, &plain(value, sequence), Origin::Client, epoch) {
            self.partitions[number].acknowledged.insert(base, value);
            self.partitions[number].sequence += 2;
        }
    }

    fn aborted_transaction(&mut self, number: usize, epoch: i32) {
        self.value = self.value.wrapping_add(1);
        let batch = transactional(self.value, self.partitions[number].txn_sequence);
        if let Some(base) = self.append_batch(number, &batch, Origin::Client, epoch) {
            let partition = &mut self.partitions[number];
            partition.acknowledged.insert(base, self.value);
            partition.txn_sequence += 1;
            partition.open_txn.get_or_insert(base);
        }
        if let Some(base) = self.append_batch(number, &abort(), Origin::Coordinator, epoch) {
            let partition = &mut self.partitions[number];
            partition.acknowledged.insert(base, 0);
            partition.aborted.extend(partition.open_txn.take());
        }
    }

    fn truncate(&mut self, number: usize) {
        let Some(log) = self.partitions[number].log.clone() else { return };
        let Some((&last, _)) = self.partitions[number].acknowledged.last_key_value() else { return };
        let before = log.log_end_offset();
        let cut = log.truncate_to(Offset(last), NOW);
        let partition = &mut self.partitions[number];
        partition.acknowledged.remove(&last);
        // After a truncation that failed, nothing above its offset is guaranteed.
        if self.tried(cut, "truncate").is_some() {
            assert!(log.log_end_offset() < before);
        }
    }

    fn delete_records(&mut self, number: usize, before: i64) {
        let Some(log) = self.partitions[number].log.clone() else { return };
        let before = before.min(log.high_watermark().0);
        // Whether the call succeeds or not, the records may be deleted.
        self.partitions[number].log_start = before;
        self.on(number, "delete records", |log| log.delete_records(Offset(before)).map(drop));
    }

    fn checkpoint(&mut self) {
        let offsets = |of: fn(&Log) -> Offset, partitions: &[Partition]| -> OffsetCheckpoint {
            let logs = partitions.iter().filter_map(|it| it.log.as_ref());
            logs.map(|log| (log.partition().clone(), of(log))).collect()
        };
        let written = self.dir.write_recovery_points(|| offsets(Log::recovery_point, &self.partitions));
        self.tried(written, "checkpoint");
        let written = self.dir.write_log_start_offsets(|| offsets(Log::log_start_offset, &self.partitions));
        self.tried(written, "checkpoint");
    }

    /// Does everything once, and frequent things several times.
    fn run(&mut self) {
        for number in 0..COUNT {
            self.create(number);
            self.on(number, "assign", |log| log.assign_epoch(LeaderEpoch(0)));
        }
        for round in 0..4 {
            self.dir.check_space(|_| 0).ok();
            for number in 0..COUNT {
                if self.partitions[number].log.is_none() {
                    self.create(number);
                }
                self.on(number, "assign", |log| log.assign_epoch(LeaderEpoch(round)));
                (0..4).for_each(|_| self.append(number, round));
                if number == 1 {
                    self.aborted_transaction(number, round);
                }
                if number != 2 {
                    self.on(number, "flush", |log| log.flush(log.log_end_offset(), NOW));
                }
            }
            self.checkpoint();
            if round == 1 {
                self.delete_records(0, 12);
                self.on(0, "retention", |log| log.delete_old_segments(NOW).map(drop));
                self.on(0, "removal", |log| log.remove_deleted_files(Timestamp(i64::MAX)).map(drop));
            }
            if round == 2 {
                self.truncate(2);
                self.dir.check_space(|_| 0).ok();
                self.append(2, round);
            }
            self.read_all("in the course");
        }
    }

    /// Checks that every acknowledged batch is there with its own records, unless it was deleted,
    /// and that aborted ones are known as such.
    fn read_all(&mut self, when: &str) {
        if self.dir.fault().is_some() {
            return;
        }
        for (number, partition) in self.partitions.iter().enumerate() {
            let Some(log) = &partition.log else {
                assert!(partition.acknowledged.is_empty());
                continue;
            };
            let Some(found) = read(log) else { return };
            for (base, value) in partition.acknowledged.range(partition.log_start..) {
                assert_eq!(found.get(base), Some(value), "{when}: partition {number}, offset {base} of {found:?}");
            }
            for first in &partition.aborted {
                let offset = Offset(*first).max(log.log_start_offset());
                let Ok(plan) = log.read(LogRead { offset, ..read_of(Isolation::Committed) }) else { return };
                let aborted: Vec<i64> = plan.aborted.unwrap().iter().map(|txn| txn.first_offset.0).collect();
                assert!(aborted.contains(first), "{when}: {first} in {aborted:?}");
            }
        }
    }

    fn close(&mut self) -> Result<()> {
        for partition in &self.partitions {
            if let Some(log) = &partition.log {
                log.close(NOW)?;
            }
        }
        self.checkpoint();
        self.dir.write_clean_shutdown(None)
    }

    /// Starts again on the same folders. Returns what could not be opened.
    fn start_again(&mut self) -> Result<Vec<(usize, Error)>> {
        self.dir = open_dir(&self.disk)?;
        let (offsets, is_clean) = (self.dir.read_offsets()?, self.dir.clean_shutdown()?.is_some());
        let found = self.dir.partitions()?;
        self.dir.forget_clean_shutdown()?;
        let mut failed = Vec::new();
        for number in 0..COUNT {
            self.partitions[number].log = None;
            let Some(found) = found.iter().find(|found| found.folder == Folder::Partition(name(number))) else {
                continue;
            };
            match self.dir.open_log(&name(number), found.path.clone(), config(), &offsets, is_clean, NOW) {
                Ok((log, _)) => {
                    log.set_high_watermark(log.log_end_offset());
                    self.partitions[number].log = Some(Arc::new(log));
                }
                Err(error) => failed.push((number, error)),
            }
        }
        Ok(failed)
    }

    fn start_well(&mut self, case: &str) {
        let failed = self.start_again().unwrap_or_else(|error| panic!("{case}: {error}"));
        assert!(failed.is_empty(), "{case}: {failed:?}");
        self.read_all(case);
    }

    /// Checks that the state after a kill on a full disk can be served: only a log without records
    /// waits for space.
    fn start_full(&mut self, case: &str) {
        let failed = self.start_again().unwrap_or_else(|error| panic!("{case}: {error}"));
        for (number, error) in failed {
            assert!(error.is_refusal() && self.partitions[number].acknowledged.is_empty(), "{case}: {number} {error}");
        }
        assert_eq!(self.dir.fault(), None, "{case}");
        self.read_all(case);
    }

    /// Checks that every partition accepts records again.
    fn go_on(&mut self, case: &str) {
        self.dir.check_space(|_| 0).unwrap();
        let refusals = self.refusals;
        for number in 0..COUNT {
            if self.partitions[number].log.is_none() {
                self.create(number);
            }
            self.on(number, "assign", |log| log.assign_epoch(LeaderEpoch(9)));
            (0..3).for_each(|_| {
                self.value = self.value.wrapping_add(1);
                let value = self.value;
                let base = self.append_batch(number, &plain(value, None), Origin::Client, 9);
                self.partitions[number].acknowledged.insert(base.unwrap_or_else(|| panic!("{case}: {number}")), value);
            });
            self.on(number, "flush", |log| log.flush(log.log_end_offset(), NOW));
        }
        assert_eq!(self.refusals, refusals, "{case}: nothing is refused after all is well");
        self.read_all(case);
    }
}

fn read_of(isolation: Isolation) -> LogRead {
    LogRead { offset: Offset(0), max_bytes: u32::MAX, at_least_one_batch: true, isolation, wait: Wait::Block }
}

/// Returns the first byte of the first record's value of each batch, by base offset; 0 for markers.
/// `None` if reading failed.
fn read(log: &Log) -> Option<Acknowledged> {
    let (mut next, end) = (log.log_start_offset(), log.log_end_offset());
    let mut found = Acknowledged::new();
    while next < end {
        let region = log.read(LogRead { offset: next, ..read_of(Isolation::LogEnd) }).ok()?.region?;
        for batch in Batches::new(&region.read().ok()?) {
            let batch = batch.unwrap();
            batch.verify_crc().unwrap();
            let header = *batch.header();
            let body = batch.body();
            let value = if header.is_control() { 0 } else { body[body.len() - 2] };
            found.insert(header.base_offset.0, value);
            next = header.next_offset();
        }
    }
    Some(found)
}

/// Returns how many calls a run without errors makes.
fn calls() -> u64 {
    let disk = SimDisk::new();
    let mut course = Course::begin(&disk).unwrap();
    course.run();
    assert_eq!(course.refusals, 0);
    assert!(course.partitions.iter().all(|partition| partition.acknowledged.len() > 14));
    disk.calls()
}

#[test]
fn a_full_disk_at_any_call_refuses_that_one_and_heals_in_place() {
    for (times, written_bytes, step) in [(1, 0, 1), (1, 30, 5), (40, 0, 7), (u64::MAX, 7, 5)] {
        for at_call in (0..calls()).step_by(step) {
            let case = format!("{times} calls from {at_call} on, {written_bytes} bytes written");
            let disk = SimDisk::new();
            disk.refuse(at_call, times, ErrorKind::StorageFull, written_bytes);
            let Ok(mut course) = Course::begin(&disk) else { continue };
            course.run();
            assert_eq!(course.dir.fault(), None, "{case}");
            let mut logs = course.partitions.iter().filter_map(|partition| partition.log.as_ref());
            assert!(logs.all(|log| log.fault().is_none()), "{case}");
            if at_call % 2 == 0 {
                disk.crash(Crash::Process);
                course.start_full(&case);
            }
            disk.heal();
            if at_call % 3 == 0 {
                // Nothing that was kept in memory for lack of space is needed.
                disk.crash(Crash::Process);
                course.start_well(&case);
            }
            course.go_on(&case);
            course.close().unwrap_or_else(|error| panic!("{case}: {error}"));
            course.dir.unlock().unwrap();
            course.start_well(&case);
            course.go_on(&case);
        }
    }
}

#[test]
fn any_other_refusal_takes_the_dir_offline_and_a_start_finds_what_was_acknowledged() {
    let errors = [ErrorKind::Other, ErrorKind::ReadOnlyFilesystem, ErrorKind::PermissionDenied];
    for (error, (written_bytes, step)) in errors.into_iter().zip([(30, 1), (0, 5), (7, 5)]) {
        for at_call in (3..calls()).step_by(step) {
            let case = format!("{error} at call {at_call}");
            let disk = SimDisk::new();
            let mut course = Course::begin(&disk).unwrap();
            let is_reported = Arc::new(AtomicBool::new(false));
            let report = is_reported.clone();
            course.dir.on_fault(Box::new(move |_| report.store(true, Ordering::SeqCst)));
            disk.refuse(at_call - 3, 1, error, written_bytes);
            course.run();
            assert!(course.dir.fault().is_some() && is_reported.load(Ordering::SeqCst), "{case}");
            let calls = disk.calls();
            course.run();
            assert!(course.close().is_err(), "{case}");
            assert_eq!(disk.calls(), calls, "{case}: nothing is asked of it any more");
            // The lock is released anyway.
            course.dir.unlock().unwrap();
            disk.crash(Crash::Process);
            course.start_well(&case);
            course.go_on(&case);
        }
    }
}

#[test]
fn a_start_on_a_disk_without_a_byte_left_serves_all_that_is_there() {
    for is_clean in [true, false] {
        let disk = SimDisk::new();
        let mut course = Course::begin(&disk).unwrap();
        course.run();
        match is_clean {
            true => course.close().unwrap(),
            false => disk.crash(Crash::Process),
        }
        course.dir.unlock().unwrap();
        // Indexes are rebuilt, for which there is no space.
        let is_index = |path: &&PathBuf| path.extension().is_some_and(|it| it == "index" || it == "timeindex");
        disk.files().iter().filter(is_index).for_each(|path| disk.remove_file(path).unwrap());
        disk.set_capacity(Some(0));
        for _ in 0..2 {
            course.start_full(&format!("clean: {is_clean}"));
            assert!(course.partitions.iter().all(|partition| partition.log.is_some()));
            assert_eq!(course.dir.check_space(|_| 1).unwrap().usable_bytes, 0);
            course.append(0, 9);
            assert!(course.refusals > 0 && course.dir.fault().is_none());
            // Retention and DeleteRecords free space without needing any.
            course.delete_records(0, 20);
            assert!(course.on(0, "retention", |log| log.delete_old_segments(NOW).map(drop)));
            assert!(course.on(0, "removal", |log| log.remove_deleted_files(Timestamp(i64::MAX)).map(drop)));
            assert!(course.partitions[0].log.as_ref().unwrap().log_start_offset() == Offset(20));
            course.read_all("on the full disk");
            disk.crash(Crash::Process);
        }
        disk.set_capacity(None);
        course.start_well("healed");
        course.go_on("healed");
    }
}

#[test]
fn producers_are_refused_before_the_disk_is_full_and_coordinators_are_not() {
    let disk = SimDisk::new();
    disk.set_capacity(Some(100_000));
    let mut course = Course::begin(&disk).unwrap();
    course.create(0);
    course.append(0, 0);
    let space = course.dir.check_space(|_| 50_000).unwrap();
    assert!(!course.dir.is_full() && space.total_bytes == 100_000);
    course.dir.check_space(|_| 99_999).unwrap();
    assert!(course.dir.is_full());
    let log = course.partitions[0].log.clone().unwrap();
    let calls = disk.calls();
    let how =
        |origin| LeaderAppend { leader_epoch: LeaderEpoch(0), origin, now: NOW, transaction_version: 0, guard: None };
    let refused = log.append_as_leader(&[plain(9, None)], how(Origin::Client)).unwrap_err();
    assert!(matches!(refused, Error::Full { .. }) && refused.is_disk_full() && refused.is_refusal());
    assert_eq!(refused.to_string(), "the disk of /data is full: appends to t-0 are refused until there is room");
    assert_eq!(disk.calls(), calls, "an append does not ask the disk");
    log.append_as_leader(&[plain(9, None)], how(Origin::Coordinator)).unwrap();
    course.dir.check_space(|_| 50_000).unwrap();
    log.append_as_leader(&[plain(9, None)], how(Origin::Client)).unwrap();
    // Producers cannot fill the disk between two checks either.
    let free = course.dir.check_space(|_| 50_000).unwrap().usable_bytes - 50_000;
    let size = plain(9, None).header().size_bytes() as u64;
    let fits = (0..2000).take_while(|_| log.append_as_leader(&[plain(9, None)], how(Origin::Client)).is_ok()).count();
    assert!(fits as u64 * size <= free + size && fits as u64 * size > free / 2, "{fits} of {size} bytes in {free}");
    course.dir.check_space(|_| 0).unwrap();
    // A real refusal has an effect at once.
    disk.set_capacity(Some(0));
    assert!(log.append_as_leader(&[plain(9, None)], how(Origin::Client)).is_err());
    let refused = log.append_as_leader(&[plain(9, None)], how(Origin::Client));
    assert!(matches!(refused, Err(Error::Full { .. })));
}

#[test]
fn a_folder_that_vanishes_takes_the_dir_offline_and_one_that_was_deleted_does_not() {
    for is_root in [false, true] {
        let disk = SimDisk::new();
        let mut course = Course::begin(&disk).unwrap();
        (0..2).for_each(|number| course.create(number));
        (0..2).for_each(|number| course.append(number, 0));
        let gone = course.partitions[1].log.take().unwrap();
        let path = gone.delete(Uuid::from_random([4; 16])).unwrap();
        course.dir.remove_folder(&path).unwrap();
        assert!(gone.flush(Offset(2), NOW).is_err() && gone.append_as_leader(&[], course_how()).is_err());
        assert!(gone.read(read_of(Isolation::LogEnd)).is_err() || read(&gone).is_none());
        assert_eq!(course.dir.fault(), None);
        let log = course.partitions[0].log.clone().unwrap();
        course.dir.remove_folder(&log.path()).unwrap();
        if is_root {
            disk.remove_file(Path::new("/data/.lock")).unwrap();
            disk.remove_dir(Path::new("/data")).unwrap();
        }
        log.assign_epoch(LeaderEpoch(4)).unwrap();
        let how = LeaderAppend { leader_epoch: LeaderEpoch(4), ..course_how() };
        // The system accepts writes to an open file.
        log.append_as_leader(&[plain(9, None)], how).unwrap();
        assert!(log.flush(log.log_end_offset(), NOW).is_err());
        assert!(course.dir.fault().is_some_and(|reason| reason.contains("t-0")), "{:?}", course.dir.fault());
    }
    let disk = SimDisk::new();
    let dir = open_dir(&disk).unwrap();
    disk.remove_file(Path::new("/data/.lock")).unwrap();
    disk.remove_dir(Path::new("/data")).unwrap();
    assert!(dir.check_space(|_| 0).is_err() && dir.fault().is_some());
}

fn course_how() -> LeaderAppend {
    LeaderAppend { leader_epoch: LeaderEpoch(0), origin: Origin::Client, now: NOW, transaction_version: 0, guard: None }
}

#[test]
fn disk_errors_are_classified() {
    let of = |kind: ErrorKind| DiskErrorKind::of(&kind.into());
    assert_eq!(of(ErrorKind::StorageFull), DiskErrorKind::OutOfSpace);
    assert_eq!(of(ErrorKind::QuotaExceeded), DiskErrorKind::OutOfSpace);
    assert_eq!(of(ErrorKind::NotFound), DiskErrorKind::Name);
    assert_eq!(of(ErrorKind::WouldBlock), DiskErrorKind::Transient);
    assert_eq!(of(ErrorKind::ReadOnlyFilesystem), DiskErrorKind::DirFailed);
    let of = |errno| DiskErrorKind::of(&std::io::Error::from_raw_os_error(errno));
    // ENOSPC, EDQUOT, EMFILE, ENFILE, EIO, EROFS on Linux.
    let kinds = [28, 122, 24, 23, 5, 30].map(of);
    use DiskErrorKind::{DirFailed, OutOfSpace, Transient};
    assert_eq!(kinds, [OutOfSpace, OutOfSpace, Transient, Transient, DirFailed, DirFailed]);
}
