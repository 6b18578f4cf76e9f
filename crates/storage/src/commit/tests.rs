//! Runs rounds step by step, with batches between any two steps, failed syncs, and power cuts at
//! every call.

use super::*;
use crate::disk::{Crash, Disk, Fault, Operation, SimDisk};
use crate::log::LeaderAppend;
use crate::producer::Origin;
use crate::{CheckpointedOffsets, Error, LogConfig, LogDir, OpenFiles};
use model::{LeaderEpoch, TopicPartition};
use records::{BatchBuilder, Validated};
use std::path::{Path, PathBuf};

const NOW: Timestamp = Timestamp(0);

fn config() -> LogConfig {
    LogConfig { segment_bytes: 400, index_interval_bytes: 100, flush_messages: Some(1), ..LogConfig::default() }
}

fn open_dir(disk: &SimDisk) -> Result<LogDir> {
    LogDir::open(Arc::new(disk.clone()), OpenFiles::new(10), PathBuf::from("/data"), 0)
}

fn partition(number: i32) -> TopicPartition {
    TopicPartition::new("t", number)
}

fn logs(disk: &SimDisk, count: i32) -> Result<Vec<Arc<Log>>> {
    let dir = open_dir(disk)?;
    (0..count).map(|number| dir.create(&partition(number), None, config(), NOW).map(Arc::new)).collect()
}

/// Appends a batch of one record.
fn append(commits: &GroupCommit<Log>, log: &Arc<Log>) -> Result<bool> {
    let mut builder = BatchBuilder::new(Offset(0));
    builder.append(NOW, Some(b"key"), Some(b"a value of some bytes"));
    let batch = Validated::trusted(&builder.finish().unwrap()).unwrap();
    let how = LeaderAppend {
        leader_epoch: LeaderEpoch(0),
        origin: Origin::Client,
        now: NOW,
        transaction_version: 0,
        guard: None,
    };
    log.append_as_leader(&[batch], how)?;
    Ok(commits.add(log))
}

/// Runs a whole round.
fn round(commits: &GroupCommit<Log>) -> Option<RoundOutcome<Log>> {
    commits.begin(Arc::clone).map(|round| commits.finish(round.sync(), NOW))
}

fn fail(disk: &SimDisk, operation: Operation, path_contains: &str, times: u64) {
    let (path_contains, error) = (path_contains.to_owned(), std::io::ErrorKind::Other);
    disk.inject(Fault { operation, path_contains, after: 0, times, error, written_bytes: 0 });
}

#[test]
fn a_batch_that_came_after_a_sync_began_waits_for_the_next() {
    let (disk, commits) = (SimDisk::new(), GroupCommit::default());
    let log = &logs(&disk, 1).unwrap()[0];
    assert!(append(&commits, log).unwrap(), "somebody has to begin a round");
    assert!(!append(&commits, log).unwrap());
    let begun = commits.begin(Arc::clone).unwrap();
    assert!(!append(&commits, log).unwrap(), "it is in a round");
    assert!(commits.begin(Arc::clone).is_none(), "no log is in two rounds");
    let synced = begun.sync();
    assert_eq!(log.recovery_point(), Offset(0));
    append(&commits, log).unwrap();
    let committed = commits.finish(synced, NOW);
    assert_eq!((committed.flushed.unwrap(), committed.batches, committed.is_waiting), (Offset(2), 2, true));
    assert_eq!(log.recovery_point(), Offset(2));
    let committed = round(&commits).unwrap();
    assert_eq!((committed.flushed.unwrap(), committed.batches, committed.is_waiting), (Offset(4), 2, false));
    assert!(round(&commits).is_none() && !commits.has_waiting());
    assert!(append(&commits, log).unwrap());
}

#[test]
fn a_round_is_one_sync_however_many_batches_wait() {
    let (disk, commits) = (SimDisk::new(), GroupCommit::default());
    let logs = logs(&disk, 3).unwrap();
    // The first flush of a log settles its folder.
    logs.iter().for_each(|log| assert!(append(&commits, log).is_ok()));
    logs.iter().for_each(|_| assert!(round(&commits).unwrap().flushed.is_ok()));
    let before = (disk.count(Operation::Sync), disk.count(Operation::SyncDir));
    for _ in 0..2 {
        logs.iter().for_each(|log| assert!(append(&commits, log).is_ok()));
    }
    let rounds: Vec<_> = (0..3).map(|_| commits.begin(Arc::clone).unwrap()).collect();
    for (round, log) in rounds.into_iter().zip(&logs) {
        let committed = commits.finish(round.sync(), NOW);
        assert!(Arc::ptr_eq(&committed.member, log), "the one that has waited longest");
        assert_eq!((committed.flushed.unwrap(), committed.batches), (Offset(3), 2));
    }
    assert_eq!((disk.count(Operation::Sync), disk.count(Operation::SyncDir)), (before.0 + 3, before.1));
}

#[test]
fn a_failed_sync_acknowledges_nothing_and_is_never_tried_again() {
    let (disk, commits) = (SimDisk::new(), GroupCommit::default());
    let logs = logs(&disk, 2).unwrap();
    logs.iter().for_each(|log| assert!(append(&commits, log).is_ok()));
    logs.iter().for_each(|_| assert!(round(&commits).unwrap().flushed.is_ok()));
    append(&commits, &logs[0]).unwrap();
    append(&commits, &logs[1]).unwrap();
    fail(&disk, Operation::Sync, "t-0", 1);
    let begun = commits.begin(Arc::clone).unwrap();
    // It was appended before the sync failed, and waits for another.
    append(&commits, &logs[0]).unwrap();
    let committed = commits.finish(begun.sync(), NOW);
    assert!(matches!(committed.flushed, Err(Error::Io { .. })) && committed.is_waiting);
    assert!(logs[0].fault().is_some());
    let syncs = disk.count(Operation::Sync);
    // The disk would accept these, but is not called: the whole log dir is offline.
    for log in [&logs[1], &logs[0]] {
        let committed = round(&commits).unwrap();
        assert!(Arc::ptr_eq(&committed.member, log) && matches!(committed.flushed, Err(Error::Offline { .. })));
        assert_eq!(log.recovery_point(), Offset(1));
    }
    assert_eq!(disk.count(Operation::Sync), syncs);
    assert!(append(&commits, &logs[0]).is_err());
}

#[test]
fn of_two_flushes_that_fail_together_neither_succeeds() {
    let (disk, commits) = (SimDisk::new(), GroupCommit::default());
    let log = &logs(&disk, 1).unwrap()[0];
    append(&commits, log).unwrap();
    let (first, second) = (log.begin_flush(Offset(1)).unwrap(), log.begin_flush(Offset(1)).unwrap());
    fail(&disk, Operation::Sync, ".log", 1);
    assert!(log.sync(first).is_err());
    // The system would report success for this one.
    assert!(matches!(log.sync(second), Err(Error::Offline { .. })));
    assert_eq!(log.recovery_point(), Offset(0));
}

#[test]
fn a_truncation_during_a_round_takes_its_records_out_of_it() {
    let (disk, commits) = (SimDisk::new(), GroupCommit::default());
    let log = &logs(&disk, 1).unwrap()[0];
    (0..4).for_each(|_| assert!(append(&commits, log).is_ok()));
    let begun = commits.begin(Arc::clone).unwrap();
    log.truncate_to(Offset(1), NOW).unwrap();
    append(&commits, log).unwrap();
    append(&commits, log).unwrap();
    let committed = commits.finish(begun.sync(), NOW);
    assert_eq!((committed.flushed.unwrap(), committed.is_waiting), (Offset(0), true));
    assert_eq!(round(&commits).unwrap().flushed.unwrap(), Offset(3));
}

#[test]
fn a_segment_that_is_passed_has_its_indexes_on_disk() {
    let (disk, commits) = (SimDisk::new(), GroupCommit::default());
    let log = &logs(&disk, 1).unwrap()[0];
    while log.segments().len() < 3 {
        append(&commits, log).unwrap();
        round(&commits).unwrap().flushed.unwrap();
    }
    let read = |path: &PathBuf| crate::disk::read_all(&disk, path).unwrap();
    let indexes = |disk: &SimDisk| -> Vec<PathBuf> {
        let is_index = |path: &PathBuf| path.extension().is_some_and(|it| it == "index" || it == "timeindex");
        let mut indexes: Vec<_> = disk.files().into_iter().filter(is_index).collect();
        indexes.sort();
        indexes.truncate(4);
        indexes
    };
    let before: Vec<_> = indexes(&disk).iter().map(read).collect();
    assert!(before.iter().all(|bytes| !bytes.is_empty()));
    for seed in 0..10 {
        disk.crash(Crash::Power { seed });
        assert_eq!(indexes(&disk).iter().map(read).collect::<Vec<_>>(), before);
    }
}

/// Appends to three logs, with rounds that begin, sync and end between the appends in an order that
/// the seed decides, until the machine stops. Returns how far each log was acknowledged.
fn live(disk: &SimDisk, mut seed: u64) -> [i64; 3] {
    let mut acknowledged = [0; 3];
    let mut run = || -> Result<()> {
        let (commits, logs) = (GroupCommit::default(), logs(disk, 3)?);
        let (mut begun, mut synced) = (VecDeque::new(), VecDeque::new());
        for _ in 0..90 {
            match crate::random::next_random(&mut seed) % 6 {
                number @ 0..3 => _ = append(&commits, &logs[number as usize])?,
                3 => begun.extend(commits.begin(Arc::clone)),
                4 => synced.extend(begun.pop_front().map(Round::<Log, Flush>::sync)),
                _ => {
                    let Some(round) = synced.pop_front() else { continue };
                    let committed = commits.finish(round, NOW);
                    let number = committed.member.partition().partition.0;
                    acknowledged[number as usize] = committed.flushed?.0;
                }
            }
        }
        Ok(())
    };
    let _ = run();
    acknowledged
}

#[test]
fn what_was_acknowledged_outlives_a_power_cut_at_every_call() {
    for seed in 0..4 {
        let all = SimDisk::new();
        let reached = live(&all, seed);
        assert!(reached.iter().all(|end| *end > 3), "{reached:?}");
        for at_call in 0..all.calls() {
            let disk = SimDisk::new();
            disk.create_dir(Path::new("/data")).unwrap();
            disk.sync_dir(Path::new("/")).unwrap();
            disk.crash_after(at_call);
            let acknowledged = live(&disk, seed);
            disk.crash(Crash::Power { seed: at_call });
            let dir = open_dir(&disk).unwrap();
            for (number, end) in acknowledged.into_iter().enumerate() {
                let name = partition(number as i32);
                let path = Path::new("/data").join(name.to_string());
                if end > 0 {
                    // The checkpoint of the recovery point may be from any time.
                    let at = Offset(if seed % 2 == 0 { end } else { 0 });
                    let offsets = CheckpointedOffsets {
                        recovery_points: [(name.clone(), at)].into(),
                        ..CheckpointedOffsets::default()
                    };
                    let (log, _) = dir.open_log(&name, path, config(), &offsets, false, NOW).unwrap();
                    assert!(
                        log.log_end_offset().0 >= end,
                        "call {at_call}, seed {seed}: {} of {end}",
                        log.log_end_offset()
                    );
                }
            }
        }
    }
}
