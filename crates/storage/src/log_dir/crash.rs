//! Partitions are created, written, flushed, deleted and created again on a machine that stops at
//! every call. A start repairs every state that this leaves, and all flushed records are there.

use super::*;
use crate::disk::{Crash, OpenMode, Operation, SimDisk};
use crate::log::{LeaderAppend, LogRead};
use crate::{Isolation, Origin, Wait};
use model::LeaderEpoch;
use records::{BatchBuilder, Batches, Validated};
use std::io::IoSlice;

const NOW: Timestamp = Timestamp(0);
const COUNT: usize = 4;

/// What is known outside the disk: the metadata log's partitions, and how far each was flushed.
#[derive(Clone, Debug)]
struct Known {
    topics: [u8; COUNT],
    flushed: [i64; COUNT],
}

pub(super) fn id(topic: u8) -> TopicId {
    TopicId::from_random([topic; 16])
}

pub(super) fn name(number: usize) -> TopicPartition {
    TopicPartition::new("t", number as i32)
}

pub(super) fn config() -> LogConfig {
    LogConfig { segment_bytes: 400, index_interval_bytes: 100, ..LogConfig::default() }
}

pub(super) fn open_dir(disk: &SimDisk) -> Result<LogDir> {
    LogDir::open(Arc::new(disk.clone()), OpenFiles::new(50), PathBuf::from("/data"), 0)
}

/// Returns a batch of two records, whose timestamps identify the topic that they were written to.
pub(super) fn append(log: &Log, topic: u8, epoch: i32) -> Result<()> {
    let mut batch = BatchBuilder::new(Offset(0));
    (0..2).for_each(|_| batch.append(Timestamp(i64::from(topic)), None, Some(b"value")));
    let batch = Validated::trusted(&batch.finish().unwrap()).unwrap();
    let leader_epoch = LeaderEpoch(epoch);
    let how = LeaderAppend { leader_epoch, origin: Origin::Client, now: NOW, transaction_version: 0, guard: None };
    log.append_as_leader(&[batch], how)?;
    log.advance_high_watermark(log.log_end_offset());
    Ok(())
}

fn write_checkpoints(dir: &LogDir, logs: &[&Log]) -> Result<()> {
    dir.write_recovery_points(|| logs.iter().map(|log| (log.partition().clone(), log.recovery_point())).collect())
}

/// Runs until the machine stops.
fn live(disk: &SimDisk, known: &mut Known) -> Result<()> {
    let dir = open_dir(disk)?;
    let topic = known.topics[0];
    let mut logs = Vec::new();
    for number in 0..COUNT {
        let log = dir.create(&name(number), Some(id(topic)), config(), NOW)?;
        log.assign_epoch(LeaderEpoch(0))?;
        logs.push(log);
    }
    for round in 0..3 {
        for (number, log) in logs.iter().enumerate().skip(round) {
            log.assign_epoch(LeaderEpoch(round as i32))?;
            (0..3).try_for_each(|_| append(log, topic, round as i32))?;
            // The last one is never flushed.
            if number == round {
                log.flush(log.log_end_offset(), NOW)?;
                known.flushed[number] = log.recovery_point().0;
            }
        }
        write_checkpoints(&dir, &logs.iter().collect::<Vec<_>>())?;
    }
    // The second topic's partition has the name of a deleted one.
    known.topics[1] = topic + 1;
    known.flushed[1] = 0;
    let old = logs.remove(1).delete(id(9))?;
    dir.sync()?;
    write_checkpoints(&dir, &logs.iter().collect::<Vec<_>>())?;
    let log = dir.create(&name(1), Some(id(known.topics[1])), config(), NOW)?;
    log.assign_epoch(LeaderEpoch(0))?;
    append(&log, known.topics[1], 0)?;
    log.flush(log.log_end_offset(), NOW)?;
    known.flushed[1] = log.recovery_point().0;
    dir.remove_folder(&old)?;
    logs.insert(1, log);
    for (number, log) in logs.iter().enumerate() {
        log.close(NOW)?;
        known.flushed[number] = log.recovery_point().0;
    }
    write_checkpoints(&dir, &logs.iter().collect::<Vec<_>>())?;
    dir.write_clean_shutdown(None)
}

/// Opens every partition that exists, as a broker does.
fn start(disk: &SimDisk, known: &Known) -> Result<(LogDir, Vec<Log>)> {
    let dir = open_dir(disk)?;
    let (offsets, is_clean) = (dir.read_offsets()?, dir.clean_shutdown()?.is_some());
    let found = dir.partitions()?;
    dir.forget_clean_shutdown()?;
    let mut logs = Vec::new();
    for number in 0..COUNT {
        let (name, topic_id) = (name(number), id(known.topics[number]));
        let folder = found.iter().find(|found| found.folder == Folder::Partition(name.clone()));
        logs.push(match folder {
            Some(folder) if folder.topic_id.is_none_or(|found| found == topic_id) => {
                let (log, _) = dir.open_log(&name, folder.path.clone(), config(), &offsets, is_clean, NOW)?;
                if folder.topic_id.is_none() {
                    log.restore_topic_id(topic_id)?;
                }
                log
            }
            Some(folder) => {
                dir.set_aside(&name, &folder.path, id(8))?;
                dir.create(&name, Some(topic_id), config(), NOW)?
            }
            None => dir.create(&name, Some(topic_id), config(), NOW)?,
        });
    }
    Ok((dir, logs))
}

/// Reads all batches and checks that each belongs to the partition's own topic, in its epoch.
/// Returns their base offsets.
fn read(log: &Log, topic: u8, case: &str) -> Vec<i64> {
    let end = log.log_end_offset();
    log.set_high_watermark(end);
    let (mut next, mut bases) = (Offset(0), Vec::new());
    while next < end {
        let isolation = Isolation::HighWatermark;
        let read =
            LogRead { offset: next, max_bytes: u32::MAX, at_least_one_batch: true, isolation, wait: Wait::Block };
        let Some(region) = log.read(read).unwrap().region else { break };
        for batch in Batches::new(&region.read().unwrap()) {
            let header = *batch.unwrap().header();
            assert!(header.base_offset >= next, "{case}");
            assert_eq!(header.max_timestamp.0, i64::from(topic), "{case}");
            let epoch = log.leader_epochs().epoch_of(header.base_offset);
            assert_eq!(header.partition_leader_epoch, epoch, "{case}");
            bases.push(header.base_offset.0);
            next = header.next_offset();
        }
    }
    bases
}

fn check(logs: &[Log], known: &Known, case: &str) {
    for (number, log) in logs.iter().enumerate() {
        let flushed = known.flushed[number];
        let case = format!("{case}: partition {number}, flushed up to {flushed}, ends at {}", log.log_end_offset());
        let bases = read(log, known.topics[number], &case);
        assert!((0..flushed).step_by(2).all(|base| bases.contains(&base)), "{case}: has {bases:?}");
    }
}

#[test]
fn a_start_repairs_what_a_crash_leaves_of_partitions_and_finds_what_was_flushed() {
    let mut known = Known { topics: [1; COUNT], flushed: [0; COUNT] };
    let new = known.clone();
    let disk = SimDisk::new();
    live(&disk, &mut known).unwrap();
    let calls = disk.calls();
    assert!(calls > 300 && known.flushed.iter().all(|flushed| *flushed > 0), "{calls} {known:?}");
    for at_call in 0..=calls {
        for seed in 0..5 {
            let case = format!("call {at_call}, seed {seed}");
            let power = |salt| Crash::Power { seed: seed * 10_000 + at_call + salt };
            let (disk, mut known) = (SimDisk::new(), new.clone());
            disk.create_dir(Path::new("/data")).unwrap();
            disk.sync_dir(Path::new("/")).unwrap();
            disk.crash_after(at_call);
            let _ = live(&disk, &mut known);
            disk.crash(if seed % 4 == 0 { Crash::Process } else { power(0) });
            let (_, logs) = start(&disk, &known).unwrap_or_else(|error| panic!("{case}: {error}"));
            check(&logs, &known, &case);
            // What is flushed now survives the next power cut, even if the folder is from before a
            // kill.
            let mut before = Vec::new();
            for (number, log) in logs.iter().enumerate() {
                append(log, known.topics[number], 9).unwrap();
                log.flush(log.log_end_offset(), NOW).unwrap();
                before.push(read(log, known.topics[number], &case));
            }
            disk.crash(power(5));
            let (dir, logs) = start(&disk, &known).unwrap_or_else(|error| panic!("{case}, again: {error}"));
            for (number, log) in logs.iter().enumerate() {
                assert_eq!(read(log, known.topics[number], &case), before[number], "{case}, again: {number}");
            }
            let is_named =
                |found: &PartitionFolder| found.topic_id.is_some() || !matches!(found.folder, Folder::Partition(_));
            assert!(dir.partitions().unwrap().iter().all(is_named), "{case}");
        }
    }
}

#[test]
fn partitions_are_created_without_a_sync_and_their_names_synced_once() {
    let disk = SimDisk::new();
    let dir = open_dir(&disk).unwrap();
    let logs: Vec<Log> = (0..50).map(|number| dir.create(&name(number), Some(id(1)), config(), NOW).unwrap()).collect();
    for log in &logs {
        log.assign_epoch(LeaderEpoch(0)).unwrap();
        append(log, 1, 0).unwrap();
    }
    assert_eq!((disk.count(Operation::Sync), disk.count(Operation::SyncDir)), (0, 0));
    logs.iter().for_each(|log| log.flush(Offset(2), NOW).unwrap());
    // One sync for each folder, and one for all of their names.
    assert_eq!(disk.count(Operation::SyncDir), 51);
}

#[test]
fn a_damaged_topic_id_is_found_as_none_and_stops_no_other_partition() {
    for damage in ["", "garbage", "version: 0\ntopic_id: ?", "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA", "\0\0\0\0"]
    {
        let disk = SimDisk::new();
        let dir = open_dir(&disk).unwrap();
        for number in 0..2 {
            append(&dir.create(&name(number), Some(id(1)), config(), NOW).unwrap(), 1, 0).unwrap();
        }
        let path = Path::new("/data/t-1").join(names::PARTITION_METADATA);
        let file = disk.open(&path, OpenMode::Truncate).unwrap();
        file.write_at(0, &[IoSlice::new(damage.as_bytes())]).unwrap();
        disk.crash(Crash::Process);
        let found = open_dir(&disk).unwrap().partitions().unwrap();
        assert_eq!(found.iter().map(|found| found.topic_id).collect::<Vec<_>>(), [Some(id(1)), None], "{damage:?}");
        let (dir, logs) = start(&disk, &Known { topics: [1; COUNT], flushed: [2, 2, 0, 0] }).unwrap();
        check(&logs, &Known { topics: [1; COUNT], flushed: [2, 2, 0, 0] }, damage);
        assert!(dir.partitions().unwrap().iter().all(|found| found.topic_id == Some(id(1))));
    }
}

#[test]
fn damaged_leader_epochs_are_read_from_the_records() {
    for (damage, is_clean) in
        [("", false), ("0\n2\n0 0\n", true), ("\0\0", true), ("\0\0", false), ("0\n1\n7 3\n", false)]
    {
        let disk = SimDisk::new();
        let dir = open_dir(&disk).unwrap();
        let log = dir.create(&name(0), Some(id(1)), config(), NOW).unwrap();
        (0..6).for_each(|epoch| append(&log, 1, epoch).unwrap());
        let epochs = log.leader_epochs();
        assert_eq!(epochs.entries().len(), 6);
        let file = disk.open(Path::new("/data/t-0/leader-epoch-checkpoint"), OpenMode::Truncate).unwrap();
        file.write_at(0, &[IoSlice::new(damage.as_bytes())]).unwrap();
        let offsets = CheckpointedOffsets::default();
        let (log, _) = dir.open_log(&name(0), log.path(), config(), &offsets, is_clean, NOW).unwrap();
        assert_eq!((log.leader_epochs(), log.log_end_offset()), (epochs.clone(), Offset(12)), "{damage:?} {is_clean}");
        // After that they are on disk again.
        log.close(NOW).unwrap();
        let (log, _) = dir.open_log(&name(0), log.path(), config(), &offsets, true, NOW).unwrap();
        assert_eq!(log.leader_epochs(), epochs);
    }
}

#[test]
fn a_log_that_begins_anew_counts_as_flushed_up_to_there_and_is_settled() {
    for seed in 0..20 {
        let disk = SimDisk::new();
        disk.create_dir(Path::new("/data")).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        let known = Known { topics: [1; COUNT], flushed: [0; COUNT] };
        let (dir, logs) = start(&disk, &known).unwrap();
        logs[0].truncate_fully_and_start_at(Offset(100), NOW).unwrap();
        write_checkpoints(&dir, &logs.iter().collect::<Vec<_>>()).unwrap();
        disk.crash(Crash::Process);
        let (_, logs) = start(&disk, &known).unwrap();
        append(&logs[0], 1, 0).unwrap();
        logs[0].flush(Offset(102), NOW).unwrap();
        disk.crash(Crash::Power { seed });
        let (_, logs) = start(&disk, &known).unwrap();
        assert_eq!((logs[0].log_start_offset(), logs[0].log_end_offset()), (Offset(100), Offset(102)), "seed {seed}");
    }
}
