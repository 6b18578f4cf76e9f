//! A log moves to another log dir while it is written, truncated and read, on a machine that stops
//! at every call.

use super::*;
use crate::disk::{Crash, Fault, Operation, SimDisk};
use crate::log::{LeaderAppend, LogRead};
use crate::{FileRegion, Isolation, Origin, VerificationStart, Wait};
use model::{LeaderEpoch, ProducerEpoch, ProducerId};
use records::{BatchBuilder, Batches, Validated};
use std::io::ErrorKind;

const NOW: Timestamp = Timestamp(0);
const DIRS: [&str; 2] = ["/a", "/b"];

fn id(number: u8) -> Uuid {
    Uuid::from_random([number; 16])
}

fn name() -> TopicPartition {
    TopicPartition::new("t", 0)
}

fn config() -> LogConfig {
    LogConfig { segment_bytes: 400, index_interval_bytes: 100, ..LogConfig::default() }
}

fn open_dirs(disk: &SimDisk) -> Result<[LogDir; 2]> {
    let open = |path: &str| LogDir::open(Arc::new(disk.clone()), OpenFiles::new(50), PathBuf::from(path), 0);
    Ok([open(DIRS[0])?, open(DIRS[1])?])
}

/// Returns a batch of two records whose value is their base offset. Batches with even offsets have
/// a producer.
fn append(log: &Log, epoch: i32) -> Result<()> {
    let next = log.log_end_offset();
    let mut batch = BatchBuilder::new(Offset(0));
    if next.0 % 4 == 0 {
        batch = batch.producer(ProducerId(7), ProducerEpoch(0), Some((next.0 / 2) as i32));
    }
    (0..2).for_each(|_| batch.append(NOW, None, Some(next.to_string().as_bytes())));
    let batch = Validated::trusted(&batch.finish().unwrap()).unwrap();
    let how = LeaderAppend {
        leader_epoch: LeaderEpoch(epoch),
        origin: Origin::Replication,
        now: NOW,
        transaction_version: 0,
        guard: None,
    };
    log.append_as_leader(&[batch], how)?;
    log.advance_high_watermark(log.log_end_offset());
    Ok(())
}

fn region(log: &Log, offset: Offset) -> Option<FileRegion> {
    let isolation = Isolation::LogEnd;
    let read = LogRead { offset, max_bytes: u32::MAX, at_least_one_batch: true, isolation, wait: Wait::Block };
    log.read(read).unwrap().region
}

/// Returns the base offsets of all batches, after checking that each holds the values that were
/// written.
fn bases(log: &Log) -> Vec<i64> {
    let (mut next, mut bases) = (log.log_start_offset(), Vec::new());
    while let Some(region) = region(log, next) {
        for batch in Batches::new(&region.read().unwrap()) {
            let batch = batch.unwrap();
            let base = batch.header().base_offset;
            let mut records = records::RecordReader::new(&batch).unwrap();
            while let Some(record) = records.next_record() {
                assert_eq!(record.unwrap().value.unwrap(), base.to_string().as_bytes());
            }
            // The epochs below a deletion are removed, even if a crash undoes the deletion.
            if let Some(epoch) = log.leader_epochs().epoch_of(base) {
                assert_eq!(Some(epoch), batch.header().partition_leader_epoch);
            }
            bases.push(base.0);
            next = batch.header().next_offset();
        }
    }
    bases
}

/// What is known outside the disk.
#[derive(Clone, Debug, Default)]
struct Known {
    /// All below it was acknowledged.
    written: i64,
    flushed: i64,
    /// Records below it were deleted, and a checkpoint with this offset was written.
    deleted: i64,
    /// The partition was created, and its folder has been flushed.
    is_durable: bool,
}

fn checkpoint(dir: &LogDir, logs: &[&Log]) -> Result<()> {
    let of = |offset: fn(&Log) -> Offset| logs.iter().map(|log| (log.partition().clone(), offset(log))).collect();
    dir.write_recovery_points(|| of(Log::recovery_point))?;
    dir.write_log_start_offsets(|| of(Log::log_start_offset))?;
    dir.write_high_watermarks(|| of(Log::high_watermark))
}

/// Runs until the machine stops: a log is written, moved from `/a` to `/b`, and written again.
fn live(disk: &SimDisk, known: &mut Known) -> Result<()> {
    let [a, b] = open_dirs(disk)?;
    let log = a.create(&name(), Some(id(1)), config(), NOW)?;
    let write = |log: &Log, known: &mut Known, epoch: i32| {
        append(log, epoch)?;
        known.written = log.log_end_offset().0;
        Ok::<_, Error>(())
    };
    for epoch in 0..3 {
        log.assign_epoch(LeaderEpoch(epoch))?;
        (0..4).try_for_each(|_| write(&log, known, epoch))?;
        if epoch == 1 {
            log.flush(log.log_end_offset(), NOW)?;
            (known.flushed, known.is_durable) = (log.recovery_point().0, true);
        }
    }
    // Within a batch: the copy must begin with all of it.
    log.delete_records(Offset(5))?;
    checkpoint(&a, &[&log])?;
    known.deleted = 5;
    let copy = b.create_future(&name(), id(1), id(2), config(), NOW)?;
    while !copy.follow(&log, 300, NOW)? {
        write(&log, known, 2)?;
        if log.log_end_offset() == Offset(28) {
            checkpoint(&b, &[&copy])?;
            copy.flush(copy.log_end_offset(), NOW)?;
        }
    }
    log.assign_epoch(LeaderEpoch(3))?;
    write(&log, known, 3)?;
    log.delete_records(Offset(9))?;
    checkpoint(&a, &[&log])?;
    checkpoint(&b, &[&copy])?;
    known.deleted = 9;
    // While the checkpoints of the new log dir are as old as its log.
    while !copy.follow(&log, u64::MAX, NOW)? {}
    checkpoint(&b, &[&copy])?;
    let old = log.replace_with(&copy, id(3), NOW, || {})?;
    assert!(append(&copy, 2).is_err(), "epoch 2 has ended");
    known.flushed = known.written;
    checkpoint(&a, &[])?;
    checkpoint(&b, &[&copy])?;
    (0..3).try_for_each(|_| write(&copy, known, 3))?;
    a.remove_folder(&old)?;
    copy.close(NOW)?;
    known.flushed = known.written;
    checkpoint(&b, &[&copy])?;
    b.write_clean_shutdown(None)?;
    a.write_clean_shutdown(None)
}

/// Opens what exists, as a broker does: a copy beside the log continues to follow it, a copy alone
/// is the log. `None` if there is neither.
fn start(disk: &SimDisk, case: &str) -> Result<Option<(LogDir, Log)>> {
    let dirs = open_dirs(disk)?;
    let (mut own, mut future) = (Vec::new(), Vec::new());
    let dirs = dirs.map(Arc::new);
    for dir in &dirs {
        for found in dir.partitions()? {
            match found.folder {
                Folder::Partition(_) => own.push((dir.clone(), found.path)),
                Folder::Future(_) => future.push((dir.clone(), found.path)),
                _ => {}
            }
        }
    }
    let paths = |found: &[(_, PathBuf)]| found.iter().map(|(_, path)| path.clone()).collect::<Vec<_>>();
    assert!(own.len() < 2 && future.len() < 2, "{case}: {:?} {:?}", paths(&own), paths(&future));
    let open = |dir: &LogDir, path: PathBuf| {
        let (offsets, is_clean) = (dir.read_offsets()?, dir.clean_shutdown()?.is_some());
        dir.open_log(&name(), path, config(), &offsets, is_clean, NOW).map(|(log, _)| log)
    };
    let (dir, log) = match (own.pop(), future.pop()) {
        (None, None) => return Ok(None),
        (None, Some((dir, path))) => {
            let path = dir.adopt_future(&name(), &path, dirs.iter().map(|dir| &**dir))?;
            let log = open(&dir, path)?;
            (dir, log)
        }
        (Some((dir, path)), None) => {
            let log = open(&dir, path)?;
            (dir, log)
        }
        (Some((from, path)), Some((to, copied))) => {
            let log = open(&from, path)?;
            let (offsets, is_clean) = (to.read_offsets()?, to.clean_shutdown()?.is_some());
            let copy = to.open_future(&name(), copied, config(), &offsets, is_clean, NOW)?;
            log.set_high_watermark(log.log_end_offset());
            let mut is_published = false;
            log.replace_with(&copy, id(4), NOW, || is_published = true)?;
            assert!(is_published && log.is_moved());
            assert!(matches!(append(&log, 9), Err(Error::Moved { .. })));
            (to, copy)
        }
    };
    drop(dirs);
    Ok(Some((Arc::into_inner(dir).unwrap(), log)))
}

fn check(log: &Log, known: &Known, from: i64, case: &str) {
    let found = bases(log);
    let start = log.log_start_offset().0;
    let case = format!("{case}: {known:?}, from {start} to {}, has {found:?}", log.log_end_offset());
    assert!(start >= known.deleted.min(from), "{case}");
    let expected: Vec<i64> = (0..from).filter(|base| base % 2 == 0 && base + 1 >= start).collect();
    assert_eq!(found[..expected.len().min(found.len())], expected, "{case}");
    // A power cut may remove any segment that was not flushed.
    assert!(found.windows(2).all(|pair| pair[0] + 2 <= pair[1]), "{case}");
}

#[test]
fn a_crash_leaves_the_old_log_and_perhaps_a_copy_or_the_new_one_and_never_two_or_none() {
    let mut known = Known::default();
    let disk = SimDisk::new();
    live(&disk, &mut known).unwrap();
    let calls = disk.calls();
    assert!(calls > 200 && known.flushed > 30, "{calls} {known:?}");
    for at_call in 0..=calls {
        for seed in 0..6 {
            let case = format!("call {at_call}, seed {seed}");
            let (disk, mut known) = (SimDisk::new(), Known::default());
            for dir in DIRS {
                disk.create_dir(Path::new(dir)).unwrap();
            }
            disk.sync_dir(Path::new("/")).unwrap();
            disk.crash_after(at_call);
            let _ = live(&disk, &mut known);
            let is_kill = seed == 0;
            disk.crash(if is_kill { Crash::Process } else { Crash::Power { seed: seed * 10_000 + at_call } });
            let started = start(&disk, &case).unwrap_or_else(|error| panic!("{case}: {error}"));
            let Some((dir, log)) = started else {
                assert!(!known.is_durable && (!is_kill || known.written == 0), "{case}: no log at all");
                continue;
            };
            check(&log, &known, if is_kill { known.written } else { known.flushed }, &case);
            // The result is a log like any other.
            append(&log, 9).unwrap();
            log.flush(log.log_end_offset(), NOW).unwrap();
            checkpoint(&dir, &[&log]).unwrap();
            let before = bases(&log);
            drop((dir, log));
            disk.crash(Crash::Power { seed: seed + at_call });
            let (_, log) = start(&disk, &case).unwrap().unwrap_or_else(|| panic!("{case}: gone"));
            assert_eq!(bases(&log), before, "{case}, again");
        }
    }
}

/// Returns a log with batches, and a copy in another dir.
fn with_copy(disk: &SimDisk, batches: usize) -> (Log, Log) {
    let [a, b] = open_dirs(disk).unwrap();
    let log = a.create(&name(), Some(id(1)), config(), NOW).unwrap();
    (0..batches).for_each(|_| append(&log, 0).unwrap());
    let copy = b.create_future(&name(), id(1), id(2), config(), NOW).unwrap();
    (log, copy)
}

#[test]
fn what_is_cut_from_a_log_is_cut_from_its_copy() {
    let (log, copy) = with_copy(&SimDisk::new(), 10);
    assert!(copy.follow(&log, u64::MAX, NOW).unwrap());
    log.truncate_to(Offset(12), NOW).unwrap();
    log.assign_epoch(LeaderEpoch(1)).unwrap();
    (0..6).for_each(|_| append(&log, 1).unwrap());
    while !copy.follow(&log, 200, NOW).unwrap() {}
    assert_eq!((bases(&copy), copy.leader_epochs()), (bases(&log), log.leader_epochs()));
    log.truncate_fully_and_start_at(Offset(100), NOW).unwrap();
    log.assign_epoch(LeaderEpoch(2)).unwrap();
    append(&log, 2).unwrap();
    while !copy.follow(&log, 200, NOW).unwrap() {}
    assert_eq!((bases(&copy), copy.log_start_offset()), (vec![100], Offset(100)));
    // Retention was faster than the copy.
    (0..10).for_each(|_| append(&log, 2).unwrap());
    log.truncate_fully_and_start_at(Offset(200), NOW).unwrap();
    log.assign_epoch(LeaderEpoch(3)).unwrap();
    (0..2).for_each(|_| append(&log, 3).unwrap());
    while !copy.follow(&log, 200, NOW).unwrap() {}
    assert_eq!((bases(&copy), copy.log_end_offset()), (vec![200, 202], Offset(204)));
}

#[test]
fn nothing_is_copied_behind_a_cut_before_its_checkpoint_can_be_written() {
    let (log, copy) = with_copy(&SimDisk::new(), 10);
    assert!(copy.follow(&log, u64::MAX, NOW).unwrap());
    copy.flush(copy.log_end_offset(), NOW).unwrap();
    log.truncate_to(Offset(12), NOW).unwrap();
    (0..6).for_each(|_| append(&log, 1).unwrap());
    let cuts = copy.cuts();
    assert!(!copy.follow(&log, u64::MAX, NOW).unwrap());
    assert_eq!((copy.cuts() > cuts, copy.log_end_offset(), copy.recovery_point()), (true, Offset(12), Offset(12)));
    let cuts = copy.cuts();
    assert!(copy.follow(&log, u64::MAX, NOW).unwrap());
    assert_eq!((copy.cuts(), bases(&copy)), (cuts, bases(&log)));
}

#[test]
fn a_log_takes_its_place_with_all_that_is_known_of_it_and_regions_of_the_old_one_stay_valid() {
    let disk = SimDisk::new();
    let (log, copy) = with_copy(&disk, 10);
    // An epoch without records, and a producer whose batches are gone.
    log.assign_epoch(LeaderEpoch(5)).unwrap();
    log.delete_records(Offset(20)).unwrap();
    append(&log, 5).unwrap();
    let held = region(&log, Offset(20)).unwrap();
    let bytes = held.read().unwrap();
    let old_folder = log.replace_with(&copy, id(3), NOW, || {}).unwrap();
    assert_eq!(copy.offsets(), log.offsets());
    assert_eq!((copy.leader_epochs(), copy.recovery_point()), (log.leader_epochs(), Offset(22)));
    let producer = |log: &Log| format!("{:?}", log.producer(ProducerId(7)));
    assert_eq!(producer(&copy), producer(&log));
    assert_eq!((copy.path(), old_folder), (PathBuf::from("/b/t-0"), log.path()));
    assert!(log.path().to_str().unwrap().ends_with("-delete"));
    assert!(held.is_intact() && held.read().unwrap() == bytes);
    let [a, b] = DIRS.map(|dir| disk.list(Path::new(dir)).unwrap().into_iter().filter(|entry| entry.is_dir).count());
    assert_eq!((a, b), (1, 1));
}

#[test]
fn a_verification_that_began_before_a_move_is_valid_after_it() {
    let (log, copy) = with_copy(&SimDisk::new(), 2);
    let (producer_id, epoch) = (ProducerId(9), ProducerEpoch(0));
    let start = VerificationStart { producer_id, epoch, base_sequence: 0, supports_epoch_bump: true, now: NOW };
    let guard = log.begin_verification(&start, Wait::Block).unwrap();
    log.replace_with(&copy, id(3), NOW, || {}).unwrap();
    assert!(log.begin_verification(&start, Wait::Block).unwrap_err().is_moved());
    assert_eq!(copy.begin_verification(&start, Wait::Block).unwrap(), guard);
}

#[test]
fn a_refused_rename_leaves_the_log_where_it_was() {
    for folder in ["/a/t-0", "/b/t-0."] {
        let disk = SimDisk::new();
        let (log, copy) = with_copy(&disk, 5);
        let (operation, error, path_contains) = (Operation::Rename, ErrorKind::StorageFull, folder.to_owned());
        disk.inject(Fault { operation, path_contains, after: 0, times: 1, error, written_bytes: 0 });
        assert!(log.replace_with(&copy, id(3), NOW, || panic!("{folder}")).is_err());
        assert_eq!((log.path(), log.is_moved()), (PathBuf::from("/a/t-0"), false), "{folder}");
        append(&log, 0).unwrap();
        log.replace_with(&copy, id(3), NOW, || {}).unwrap();
        assert_eq!((copy.path(), bases(&copy).len()), (PathBuf::from("/b/t-0"), 6));
    }
}
