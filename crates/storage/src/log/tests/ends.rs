//! Tests of truncation, deletion and retention.

use super::*;
use crate::config::CleanupPolicy;

fn filled(count: i64) -> Bench {
    let bench = Bench::new(config());
    (0..count).for_each(|number| {
        bench.append(batch(&[number * 10, number * 10]));
    });
    bench
}

#[test]
fn a_truncated_log_ends_before_the_batch_and_goes_on() {
    for end in [118, 60, 34, 2, 0] {
        let bench = filled(60);
        let stale = bench.plan(end, u32::MAX, true, Isolation::LogEnd).unwrap().region.unwrap();
        assert!(stale.is_intact());
        assert!(bench.log.truncate_to(Offset(end), Timestamp(0)).unwrap());
        assert!(!bench.log.truncate_to(Offset(end), Timestamp(0)).unwrap());
        assert!(!stale.is_intact(), "{end}");
        assert_eq!(bench.log.log_end_offset(), Offset(end));
        assert!(bench.log.high_watermark() <= Offset(end));
        assert_eq!(bench.append(batch(&[7, 7])).base_offset, Offset(end));
        let mut next = 0;
        while let Some((_, last)) = bench.read(next, u32::MAX).last() {
            next = last + 1;
        }
        assert_eq!(next, end + 2);
        let (bench, _) = bench.reopen(false);
        assert_eq!(bench.log.log_end_offset(), Offset(end + 2), "{end}");
    }
}

#[test]
fn leader_epochs_are_cut_with_the_log() {
    let bench = Bench::new(config());
    for epoch in 0..5 {
        bench.log.append_as_leader(&[batch(&[1, 1])], at(epoch, 0, Origin::Client)).unwrap();
    }
    bench.log.truncate_to(Offset(4), Timestamp(0)).unwrap();
    assert_eq!(bench.log.latest_epoch(), Some(LeaderEpoch(1)));
    bench.log.assign_epoch(LeaderEpoch(7)).unwrap();
    assert_eq!(bench.log.end_of_epoch(LeaderEpoch(3)), Some((LeaderEpoch(1), Offset(4))));
}

/// Returns the epoch of a refused append, and the lowest epoch that is accepted.
fn ended(appended: Result<AppendOutcome>) -> (i32, i32) {
    match appended {
        Err(Error::EndedEpoch { epoch, least, .. }) => (epoch.0, least.0),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_leader_does_not_append_in_an_epoch_that_has_ended() {
    let bench = Bench::new(config());
    let append = |epoch| bench.log.append_as_leader(&[batch(&[1, 1])], at(epoch, 0, Origin::Client));
    bench.log.assign_epoch(LeaderEpoch(5)).unwrap();
    append(5).unwrap();
    // The next leader's epoch begins, with or without records.
    bench.log.assign_epoch(LeaderEpoch(7)).unwrap();
    assert_eq!(ended(append(5)), (5, 7));
    append(7).unwrap();
    assert_eq!(ended(append(5)), (5, 7));
    let coordinator = bench.log.append_as_leader(&[batch(&[1])], at(5, 0, Origin::Coordinator));
    assert_eq!(ended(coordinator), (5, 7));
    assert_eq!(bench.log.leader_epochs().entries(), [(LeaderEpoch(5), Offset(0)), (LeaderEpoch(7), Offset(2))]);
    assert_eq!(bench.log.log_end_offset(), Offset(4));
    // This replica no longer leads, and knows nothing of the next leader's epoch yet.
    bench.log.end_epoch(LeaderEpoch(7)).unwrap();
    assert_eq!(ended(append(7)), (7, 8));
    bench.log.assign_epoch(LeaderEpoch(9)).unwrap();
    append(9).unwrap();
    // After a restart the epochs come from the records.
    let (bench, _) = bench.reopen(false);
    let late = bench.log.append_as_leader(&[batch(&[1])], at(8, 0, Origin::Client));
    assert_eq!(ended(late), (8, 9));
}

#[test]
fn a_log_can_begin_anew_elsewhere() {
    let bench = filled(60);
    let stale = bench.plan(0, 10, true, Isolation::LogEnd).unwrap().region.unwrap();
    bench.log.truncate_fully_and_start_at(Offset(500), Timestamp(0)).unwrap();
    assert!(!stale.is_intact());
    let LogOffsets { log_start_offset, log_end_offset, high_watermark, .. } = bench.log.offsets();
    assert_eq!([log_start_offset, log_end_offset, high_watermark], [Offset(500); 3]);
    assert_eq!(bench.append(batch(&[1])).base_offset, Offset(500));
    let (bench, _) = bench.reopen(true);
    assert_eq!((bench.log.log_start_offset(), bench.log.log_end_offset()), (Offset(500), Offset(501)));
}

#[test]
fn deleted_records_are_gone_at_once_and_their_files_later() {
    let bench = filled(60);
    assert!(matches!(bench.log.delete_records(Offset(121)), Err(Error::AboveHighWatermark { .. })));
    let plan = bench.plan(0, u32::MAX, true, Isolation::LogEnd).unwrap();
    assert!(bench.log.delete_records(Offset(61)).unwrap());
    assert!(!bench.log.delete_records(Offset(60)).unwrap());
    assert!(matches!(bench.plan(60, 1, true, Isolation::LogEnd), Err(Error::OffsetOutOfRange { .. })));
    assert_eq!(bench.read(61, 1), [(60, 61)]);
    assert_eq!(bench.log.leader_epochs().entries(), [(LeaderEpoch(0), Offset(61))]);
    let before = bench.log.segments().len();
    let expired = bench.log.delete_old_segments(Timestamp(1000)).unwrap();
    assert!(expired.segments > 0 && bench.log.segments().len() == before - expired.segments);
    assert!(bench.log.segments()[0].base_offset() <= Offset(61));
    assert_eq!(offsets_in(&plan)[0], (0, 1), "a response under way keeps its file");
    let deleted = || bench.disk.files().iter().filter(|path| path.to_string_lossy().ends_with(".deleted")).count();
    assert!(deleted() >= expired.segments * 3);
    assert!(bench.log.remove_deleted_files(Timestamp(60_999)).unwrap() > 0);
    assert_eq!(bench.log.remove_deleted_files(Timestamp(61_000)).unwrap(), 0);
    assert_eq!(deleted(), 0);
}

#[test]
fn retention_goes_by_the_newest_record_of_a_segment() {
    let bench = filled(60);
    bench.log.set_config(LogConfig { retention_ms: Some(100), ..bench.config.clone() });
    let expired = bench.log.delete_old_segments(Timestamp(400)).unwrap();
    assert!(expired.segments > 0);
    let first = bench.log.segments()[0].clone();
    assert!(first.largest_timestamp().unwrap() >= Timestamp(300));
    assert_eq!(bench.log.log_start_offset(), first.base_offset());
    // Once the active segment is too old, it is rolled and deleted too.
    bench.log.delete_old_segments(Timestamp(10_000)).unwrap();
    assert_eq!(bench.log.segments().len(), 1);
    assert_eq!((bench.log.log_start_offset(), bench.log.log_end_offset()), (Offset(120), Offset(120)));
    assert_eq!(bench.log.delete_old_segments(Timestamp(20_000)).unwrap(), Expired::default());
    assert_eq!(bench.append(batch(&[1])).base_offset, Offset(120));
    let (bench, _) = bench.reopen(true);
    assert_eq!(bench.log.log_start_offset(), Offset(120));
}

#[test]
fn retention_goes_by_size_and_never_above_the_high_watermark() {
    let bench = Bench::new(LogConfig { retention_bytes: Some(2500), retention_ms: None, ..config() });
    (0..60).for_each(|_| {
        bench.log.append_as_leader(&[batch(&[1, 1])], at(0, 0, Origin::Client)).unwrap();
    });
    assert_eq!(bench.log.delete_old_segments(Timestamp(0)).unwrap(), Expired::default());
    bench.log.advance_high_watermark(Offset(120));
    bench.log.delete_old_segments(Timestamp(0)).unwrap();
    let first = u64::from(bench.log.segments()[0].size());
    let size = bench.log.size_bytes();
    assert!(size >= 2500 && size - first < 2500, "{size} {first}");
    let kept = Bench::new(LogConfig {
        cleanup_policy: CleanupPolicy { delete: false, compact: true },
        retention_bytes: Some(0),
        ..config()
    });
    (0..60).for_each(|_| {
        kept.append(batch(&[1, 1]));
    });
    assert_eq!(kept.log.delete_old_segments(Timestamp(i64::MAX)).unwrap(), Expired::default());
}

#[test]
fn a_deleted_log_gets_a_folder_that_nobody_opens() {
    let bench = filled(5);
    let plan = bench.plan(0, u32::MAX, true, Isolation::LogEnd).unwrap();
    let path = bench.log.delete(model::Uuid::from_random([3; 16])).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    assert!(matches!(names::Folder::parse(name), Some(names::Folder::Deleted(_))));
    assert!(matches!(bench.log.append_as_leader(&[batch(&[1])], at(0, 0, Origin::Client)), Err(Error::Offline { .. })));
    assert_eq!(offsets_in(&plan).len(), 5);
    assert!(bench.disk.files().iter().all(|file| file.starts_with(&path)));
}

#[test]
fn offsets_by_time() {
    let bench = Bench::new(config());
    let timestamps: Vec<i64> = (0..200).map(|number| number * 37 % 400 + number).collect();
    timestamps.chunks(4).for_each(|chunk| {
        bench.append(batch(chunk));
    });
    let first = |target: i64, start: usize| {
        let mut reached = timestamps.iter().enumerate().skip(start).filter(|(_, timestamp)| **timestamp >= target);
        reached.next().map(|(offset, _)| offset)
    };
    for start in [0, 57] {
        for target in -1..620 {
            let found = bench.log.offset_for_timestamp(Timestamp(target)).unwrap();
            assert_eq!(found.map(|found| found.offset.0 as usize), first(target, start), "{target}");
            assert!(found.is_none_or(|found| found.leader_epoch == Some(LeaderEpoch(0))));
        }
        let max = bench.log.offset_of_max_timestamp().unwrap().unwrap();
        let newest = timestamps.iter().copied().max().unwrap();
        assert_eq!((max.timestamp.0, Some(max.offset.0 as usize)), (newest, first(newest, 0)));
        bench.log.delete_records(Offset(57)).unwrap();
    }
    assert_eq!(Bench::new(config()).log.offset_of_max_timestamp().unwrap(), None);
}

#[test]
fn a_flush_that_races_a_deleted_file_does_not_take_the_log_offline() {
    let bench = filled(60);
    let stale = bench.log.segments();
    let begun = bench.log.begin_flush(Offset(120)).unwrap();
    bench.log.delete_records(Offset(100)).unwrap();
    bench.log.delete_old_segments(Timestamp(0)).unwrap();
    // The flush reaches segments that were deleted meanwhile.
    assert!(stale[0].sync().unwrap_err().is_not_found());
    let synced = bench.log.sync(begun).unwrap();
    bench.log.finish_flush(synced, Timestamp(0)).unwrap();
    assert_eq!((bench.log.fault(), bench.log.recovery_point()), (None, Offset(120)));
}

#[test]
fn flushes_fall_due_by_count_and_time() {
    let bench = Bench::new(LogConfig { flush_messages: Some(4), flush_ms: Some(1000), ..config() });
    let append = |now| bench.log.append_as_leader(&[batch(&[1, 1])], at(0, now, Origin::Client)).unwrap().is_flush_due;
    assert!(!append(0));
    assert!(append(0));
    bench.log.flush(Offset(4), Timestamp(10)).unwrap();
    assert!(!append(500));
    assert!(!bench.log.is_flush_due(Timestamp(1009)));
    assert!(bench.log.is_flush_due(Timestamp(1010)));
}

#[test]
fn a_write_back_is_due_once_for_every_eight_megabytes() {
    let bench = Bench::new(LogConfig { segment_bytes: 1 << 30, ..config() });
    let megabyte = || {
        let mut batch = BatchBuilder::new(Offset(0));
        batch.append(Timestamp(1), None, Some(&[7; 1 << 20]));
        Validated::trusted(&batch.finish().unwrap()).unwrap()
    };
    // The caller may begin a write-back late, or miss one.
    let due: Vec<usize> = (0..24)
        .filter(|number| {
            if *number == 18 {
                bench.log.begin_write_back().unwrap();
            }
            bench.append(megabyte()).is_write_back_due
        })
        .collect();
    assert_eq!(due, [7, 15]);
    bench.append(megabyte());
    assert!(bench.append(megabyte()).is_write_back_due);
}

#[test]
fn an_epoch_without_records_is_cut_at_the_log_end() {
    // A leader that appended nothing left its epoch at the log end. As a follower it must not name
    // that epoch to the next leader, who has never heard of it.
    let bench = Bench::new(config());
    bench.log.append_as_leader(&[batch(&[1, 1])], at(5, 0, Origin::Client)).unwrap();
    bench.log.assign_epoch(LeaderEpoch(7)).unwrap();
    assert_eq!(bench.log.latest_epoch(), Some(LeaderEpoch(7)));
    assert!(!bench.log.truncate_to(Offset(2), Timestamp(0)).unwrap());
    assert_eq!(bench.log.latest_epoch(), Some(LeaderEpoch(5)));
    let (bench, _) = bench.reopen(true);
    assert_eq!(bench.log.latest_epoch(), Some(LeaderEpoch(5)));
}
