//! A truncation lowers the log's entries in the checkpoints of its dir, before anything is appended
//! again. Nobody but the log does that.

use super::crash::{append, config, name, open_dir};
use super::*;
use crate::disk::{Crash, Disk, SimDisk};
use model::LeaderEpoch;

const NOW: Timestamp = Timestamp(0);

fn entry(offsets: &OffsetCheckpoint) -> Option<i64> {
    offsets.get(&name(0)).map(|offset| offset.0)
}

fn checkpointed(dir: &LogDir) -> [Option<i64>; 3] {
    let offsets = dir.read_offsets().unwrap();
    [&offsets.recovery_points, &offsets.log_start_offsets, &offsets.high_watermarks].map(entry)
}

/// Returns a log of forty records that are flushed and below the high watermark, and whose start is
/// 10. The checkpoints say so, for it and for another one.
fn written(disk: &SimDisk) -> (LogDir, Log) {
    let dir = open_dir(disk).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    let log = dir.create(&name(0), Some(TopicId::ONE), config(), NOW).unwrap();
    log.assign_epoch(LeaderEpoch(0)).unwrap();
    (0..20).for_each(|_| append(&log, 1, 0).unwrap());
    log.flush(Offset(40), NOW).unwrap();
    log.delete_records(Offset(10)).unwrap();
    let with_other = |offset: Offset| OffsetCheckpoint::from([(name(0), offset), (name(1), Offset(99))]);
    dir.write_recovery_points(|| with_other(log.recovery_point())).unwrap();
    dir.write_log_start_offsets(|| with_other(log.log_start_offset())).unwrap();
    dir.write_high_watermarks(|| with_other(log.high_watermark())).unwrap();
    assert_eq!(checkpointed(&dir), [Some(40), Some(10), Some(40)]);
    (dir, log)
}

#[test]
fn a_truncation_lowers_what_the_checkpoints_say() {
    for (end, expected) in [(20, [20, 10, 20]), (6, [6, 6, 6])] {
        let (dir, log) = written(&SimDisk::new());
        assert!(log.truncate_to(Offset(end), NOW).unwrap());
        assert_eq!(checkpointed(&dir), expected.map(Some));
        let others = dir.read_offsets().unwrap();
        assert_eq!(others.recovery_points.get(&name(1)), Some(&Offset(99)));
    }
    let (dir, log) = written(&SimDisk::new());
    log.truncate_fully_and_start_at(Offset(4), NOW).unwrap();
    assert_eq!(checkpointed(&dir), [Some(4); 3]);
    let (dir, log) = written(&SimDisk::new());
    log.truncate_fully_and_start_at(Offset(70), NOW).unwrap();
    assert_eq!(checkpointed(&dir), [Some(40), Some(10), Some(40)], "they are below the log, and may stay");
}

#[test]
fn records_behind_a_cut_are_checked_after_a_power_cut() {
    for seed in 0..20 {
        let disk = SimDisk::new();
        let (dir, log) = written(&disk);
        log.truncate_to(Offset(20), NOW).unwrap();
        log.assign_epoch(LeaderEpoch(1)).unwrap();
        // They end above the offset up to which the first records were flushed.
        (0..15).for_each(|_| append(&log, 2, 1).unwrap());
        drop((dir, log));
        disk.crash(Crash::Power { seed });
        let dir = open_dir(&disk).unwrap();
        let offsets = dir.read_offsets().unwrap();
        let path = PathBuf::from("/data").join(name(0).to_string());
        let (log, recovery) = dir.open_log(&name(0), path, config(), &offsets, false, NOW).unwrap();
        assert!(log.recovery_point() <= Offset(20) && recovery.segments_checked > 0);
        assert!(log.high_watermark() <= Offset(20), "what came after the cut is committed by nobody");
        assert!(log.log_end_offset() >= Offset(20));
    }
}

#[test]
fn a_checkpoint_that_was_collected_before_a_cut_is_not_written_after_it() {
    let (dir, log) = written(&SimDisk::new());
    std::thread::scope(|scope| {
        let (collected, wait) = std::sync::mpsc::channel::<()>();
        let writer = scope.spawn({
            let (dir, log) = (&dir, &log);
            move || {
                dir.write_recovery_points(|| {
                    let offsets = OffsetCheckpoint::from([(name(0), log.recovery_point())]);
                    collected.send(()).unwrap();
                    std::thread::yield_now();
                    offsets
                })
            }
        });
        wait.recv().unwrap();
        log.truncate_to(Offset(20), NOW).unwrap();
        writer.join().unwrap().unwrap();
    });
    assert_eq!(checkpointed(&dir)[0], Some(20));
}
