//! Faults that the simulation of the store found, each reduced to a few steps.

use super::*;
use crate::disk::{Fault, Operation};
use std::io::ErrorKind;

fn refuse(disk: &SimDisk, operation: Operation, path_contains: &str) {
    let (path_contains, error) = (path_contains.to_owned(), ErrorKind::StorageFull);
    disk.inject(Fault { operation, path_contains, after: 0, times: 1, error, written_bytes: 0 });
}

/// Returns a bench whose folders are on disk.
fn bench(config: LogConfig) -> Bench {
    let bench = Bench::new(config);
    bench.disk.sync_dir(Path::new("/logs")).unwrap();
    bench.disk.sync_dir(Path::new("/")).unwrap();
    bench
}

#[test]
fn a_truncation_that_is_stopped_at_any_call_leaves_no_hole() {
    for at_call in 0..40 {
        for is_power in [false, true] {
            let bench = bench(LogConfig { segment_bytes: 300, ..config() });
            (0..12).for_each(|number| _ = bench.append(batch(&[number, number])));
            bench.log.flush(Offset(24), Timestamp(0)).unwrap();
            bench.disk.crash_after(at_call);
            let _ = bench.log.truncate_to(Offset(2), Timestamp(0));
            bench.disk.crash(if is_power { Crash::Power { seed: at_call } } else { Crash::Process });
            let (log, _) = open(&bench.disk, bench.config.clone(), false, 2).unwrap();
            let end = log.log_end_offset().0;
            log.set_high_watermark(Offset(end));
            let bench = Bench { log, ..bench };
            (0..end).for_each(|offset| {
                assert_eq!(bench.read(offset, 1), [(offset / 2 * 2, offset / 2 * 2 + 1)], "{at_call}")
            });
        }
    }
}

#[test]
fn the_last_stable_offset_and_the_newest_time_outlast_a_truncation() {
    let bench = Bench::new(LogConfig { index_interval_bytes: 1000, ..config() });
    bench.append(produced(1, 0, 0, 2, true));
    bench.log.append_as_leader(&[marker(1, 0, true)], at(0, 0, Origin::Coordinator)).unwrap();
    bench.append(batch(&[700]));
    bench.append(batch(&[900]));
    assert_eq!(bench.log.last_stable_offset(), Offset(5));
    bench.log.truncate_to(Offset(4), Timestamp(0)).unwrap();
    assert_eq!(bench.log.last_stable_offset(), Offset(4));
    let found = bench.log.offset_for_timestamp(Timestamp(600)).unwrap().unwrap();
    assert_eq!((found.offset, found.timestamp), (Offset(3), Timestamp(700)));
}

#[test]
fn what_a_roll_that_failed_leaves_hides_no_records() {
    let bench = Bench::new(LogConfig { segment_bytes: 300, ..config() });
    bench.append(batch(&[1, 2]));
    // The state after a power cut that undoes the removal.
    let half_made = Path::new("/logs/t-0/00000000000000000002.log");
    bench.disk.open(half_made, crate::disk::OpenMode::Create).unwrap();
    bench.append(batch(&[3]));
    let (bench, _) = bench.reopen(false);
    assert_eq!((bench.log.log_end_offset(), bench.log.segments().len()), (Offset(3), 1));
    assert_eq!(bench.append(batch(&[4])).base_offset, Offset(3));
}

#[test]
fn a_segment_that_begins_behind_the_log_end_takes_no_records_before_it() {
    let follower = Bench::new(config());
    let how = FollowerAppend { now: Timestamp(0) };
    let sent = |base: i64| {
        let mut builder = BatchBuilder::new(Offset(base));
        builder.append(Timestamp(base), None, Some(&[7; 200]));
        builder.finish().unwrap()
    };
    (0..3).for_each(|base| _ = follower.log.append_as_follower(&sent(base), how).unwrap());
    refuse(&follower.disk, Operation::Write, "00000000000000000009.log");
    assert!(follower.log.append_as_follower(&sent(9), how).is_err());
    follower.log.append_as_follower(&sent(3), how).unwrap();
    let (follower, recovery) = follower.reopen(false);
    assert_eq!((follower.log.log_end_offset(), recovery.bytes_cut), (Offset(4), 0));
}

#[test]
fn a_snapshot_of_a_roll_that_failed_does_not_stand_for_the_producers() {
    let bench = Bench::new(LogConfig { segment_bytes: 300, ..config() });
    bench.append(produced(5, 0, 0, 1, false));
    let sent = BatchBuilder::new(Offset(9));
    let mut sent = sent;
    sent.append(Timestamp(1), None, Some(&[7; 180]));
    refuse(&bench.disk, Operation::Write, "00000000000000000009.log");
    let how = FollowerAppend { now: Timestamp(0) };
    assert!(bench.log.append_as_follower(&sent.finish().unwrap(), how).is_err());
    bench.append(produced(5, 0, 1, 1, false));
    let (bench, _) = bench.reopen(true);
    assert!(bench.append(produced(5, 0, 1, 1, false)).is_duplicate);
}

#[test]
fn a_refused_append_leaves_no_entries_in_the_indexes() {
    let bench = Bench::new(LogConfig { segment_bytes: 4000, index_interval_bytes: 0, ..config() });
    bench.append(batch(&[1]));
    refuse(&bench.disk, Operation::Write, ".log");
    assert!(bench.log.append_as_leader(&[batch(&[2]), batch(&[3])], at(0, 0, Origin::Client)).is_err());
    let offsets = bench.log.segments()[0].offsets.count().unwrap();
    bench.append(batch(&[4, 5, 6]));
    assert_eq!(bench.log.segments()[0].offsets.count().unwrap(), offsets + 1);
    (0..4).for_each(|offset| assert_eq!(bench.read(offset, 1)[0].0, offset.min(1)));
    assert_eq!(bench.log.offset_of_max_timestamp().unwrap().unwrap().offset, Offset(3));
}

#[test]
fn an_aborted_transaction_that_was_cut_does_not_come_back() {
    for seed in 0..40 {
        let bench = bench(config());
        bench.append(produced(1, 0, 0, 2, true));
        bench.log.append_as_leader(&[marker(1, 0, false)], at(0, 0, Origin::Coordinator)).unwrap();
        bench.log.flush(Offset(3), Timestamp(0)).unwrap();
        bench.log.truncate_to(Offset(2), Timestamp(0)).unwrap();
        bench.log.append_as_leader(&[marker(1, 0, true)], at(0, 0, Origin::Coordinator)).unwrap();
        bench.log.close(Timestamp(0)).unwrap();
        bench.disk.crash(Crash::Power { seed });
        let (log, _) = open(&bench.disk, bench.config.clone(), true, 3).unwrap();
        log.set_high_watermark(Offset(3));
        let bench = Bench { log, ..bench };
        let plan = bench.plan(0, u32::MAX, true, Isolation::Committed).unwrap();
        assert_eq!(plan.aborted.unwrap(), [], "seed {seed}");
    }
}

#[test]
fn a_rolled_segment_whose_records_were_all_flushed_is_complete_on_disk() {
    for seed in 0..40 {
        let bench = bench(LogConfig { segment_bytes: 300, index_interval_bytes: 1000, ..config() });
        bench.append(produced(1, 0, 0, 2, true));
        bench.log.append_as_leader(&[marker(1, 0, false)], at(0, 0, Origin::Coordinator)).unwrap();
        bench.log.flush(Offset(3), Timestamp(0)).unwrap();
        // A start rebuilds its indexes. After the roll no start reads it again.
        bench.disk.crash(Crash::Process);
        let (log, _) = open(&bench.disk, bench.config.clone(), false, 3).unwrap();
        let bench = Bench { log, ..bench };
        bench.append(batch(&[900; 6]));
        assert_eq!(bench.log.segments().len(), 2);
        bench.disk.crash(Crash::Power { seed });
        let (log, _) = open(&bench.disk, bench.config.clone(), false, 3).unwrap();
        log.set_high_watermark(log.log_end_offset());
        let found = log.offset_for_timestamp(Timestamp(6)).unwrap().map(|found| found.offset);
        assert_eq!(found, Some(Offset(2)), "seed {seed}");
        let bench = Bench { log, ..bench };
        let aborted = bench.plan(0, u32::MAX, true, Isolation::Committed).unwrap().aborted.unwrap();
        assert_eq!(aborted.len(), 1, "seed {seed}");
    }
}

#[test]
fn a_deletion_of_segments_is_in_the_checkpoint_or_on_disk() {
    let bench = bench(LogConfig { segment_bytes: 300, retention_bytes: Some(400), ..config() });
    (0..12).for_each(|number| _ = bench.append(batch(&[number, number])));
    assert!(bench.log.delete_old_segments(Timestamp(0)).unwrap().segments > 0);
    let start = bench.log.log_start_offset();
    assert_eq!(bench.log.log_start_to_checkpoint(), None);
    bench.disk.crash(Crash::Power { seed: 1 });
    let (log, _) = open(&bench.disk, bench.config.clone(), false, 0).unwrap();
    // Until the folder is synced, it is unknown which changes of the killed broker are on disk.
    let found = log.log_start_offset();
    assert_eq!((found >= start, log.log_start_to_checkpoint()), (true, Some(found)));
    log.flush(log.log_end_offset(), Timestamp(0)).unwrap();
    assert_eq!(log.log_start_to_checkpoint(), None);
}

#[test]
fn leader_epochs_of_records_that_were_refused_are_forgotten() {
    let bench = Bench::new(config());
    bench.log.append_as_leader(&[batch(&[1])], at(1, 0, Origin::Client)).unwrap();
    bench.log.assign_epoch(LeaderEpoch(2)).unwrap();
    // It follows again, and the leader has continued in the first epoch.
    let (header, body) = {
        let batch = batch(&[1]);
        (batch.assign(Offset(1), LeaderEpoch(1)).0, batch.body().clone())
    };
    let copied = Bytes::from([&header[..], &body].concat());
    bench.log.append_as_follower(&copied, FollowerAppend { now: Timestamp(0) }).unwrap().unwrap();
    assert_eq!(bench.log.leader_epochs().entries(), [(LeaderEpoch(1), Offset(0))]);
}

#[test]
fn a_flush_that_a_roll_came_into_leaves_the_indexes_to_the_next() {
    for (is_power, seed) in [(false, 0)].into_iter().chain((0..20).map(|seed| (true, seed))) {
        let bench = bench(LogConfig { segment_bytes: 300, index_interval_bytes: 0, ..config() });
        (1..4).for_each(|number| _ = bench.append(batch(&[number * 100])));
        let synced = bench.log.sync(bench.log.begin_flush(Offset(3)).unwrap()).unwrap();
        bench.append(batch(&[400]));
        assert_eq!(bench.log.segments()[1].base_offset(), Offset(3), "it was rolled where the flush ends");
        let flushed = bench.log.finish_flush(synced, Timestamp(0)).unwrap();
        assert_eq!((flushed, bench.log.recovery_point()), (Offset(3), Offset(2)), "the records are on disk");
        let point = bench.log.recovery_point().0;
        bench.disk.crash(if is_power { Crash::Power { seed } } else { Crash::Process });
        let (log, _) = open(&bench.disk, bench.config.clone(), false, point).unwrap();
        let found = log.offset_for_timestamp(Timestamp(150)).unwrap().map(|found| found.offset);
        assert_eq!(found, Some(Offset(1)), "seed {seed}");
        log.flush(Offset(4), Timestamp(0)).unwrap();
        assert_eq!(log.recovery_point(), log.log_end_offset());
    }
}

#[test]
fn a_record_goes_for_the_sake_of_a_flushed_one_only() {
    for at_call in 0..60 {
        let bench = bench(LogConfig { segment_bytes: 300, ..compaction::compacted() });
        bench.put(&[("key", Some("old"))]);
        bench.roll();
        bench.log.flush(Offset(1), Timestamp(0)).unwrap();
        for _ in 0..2 {
            bench
                .put(&[("key", Some("new")), ("other", Some("a value that fills its segment on the way to the next"))]);
            bench.roll();
        }
        let dirt = bench.dirt(0);
        bench.disk.crash_after(at_call);
        let _ = bench.log.clean(&dirt, compaction::LIMITS, Timestamp(0), &mut |_| true);
        bench.disk.crash(Crash::Power { seed: at_call });
        let (log, _) = open(&bench.disk, bench.config.clone(), false, 1).unwrap();
        let bench = Bench { log, ..bench };
        let keys: Vec<_> = bench.records().into_iter().map(|(_, key, _)| key).collect();
        assert!(keys.iter().any(|key| key == "key"), "call {at_call}: {keys:?}");
    }
}

#[test]
fn a_first_segment_that_a_start_makes_is_in_the_checkpoint_until_it_is_on_disk() {
    let bench = bench(config());
    let options = OpenLog { log_start_offset: Some(Offset(4)), ..options(&bench.disk, bench.config.clone(), false, 0) };
    bench.disk.remove_file(Path::new("/logs/t-0/00000000000000000000.log")).unwrap();
    let (log, _) = Log::open(options).unwrap();
    assert_eq!((log.log_start_offset(), log.log_start_to_checkpoint()), (Offset(4), Some(Offset(4))));
    log.append_as_leader(&[batch(&[1])], at(0, 0, Origin::Client)).unwrap();
    log.flush(Offset(5), Timestamp(0)).unwrap();
    assert_eq!(log.log_start_to_checkpoint(), None);
}

#[test]
fn a_topic_id_that_could_not_be_read_is_replaced_by_what_is_on_disk() {
    for seed in 0..20 {
        let bench = bench(config());
        let path = Path::new("/logs/t-0/partition.metadata");
        let topic_id = model::TopicId::from_random([3; 16]);
        crate::write_partition_metadata(&bench.disk, path, topic_id, true).unwrap();
        bench.disk.crash(Crash::Process);
        let (log, _) = open(&bench.disk, bench.config.clone(), false, 0).unwrap();
        log.restore_topic_id(topic_id).unwrap();
        bench.disk.crash(Crash::Power { seed });
        assert_eq!(crate::read_partition_metadata(&bench.disk, path).unwrap(), Some(topic_id), "seed {seed}");
    }
}

#[test]
fn a_clean_stop_syncs_the_segment_before_a_gap_too() {
    for seed in 0..20 {
        let bench = bench(config());
        let how = FollowerAppend { now: Timestamp(0) };
        let sent = |base: i64| {
            let mut builder = BatchBuilder::new(Offset(base));
            builder.append(Timestamp(base + 5), None, Some(&[7; 600]));
            builder.finish().unwrap()
        };
        bench.log.append_as_follower(&sent(0), how).unwrap();
        bench.log.flush(Offset(1), Timestamp(0)).unwrap();
        refuse(&bench.disk, Operation::Write, "00000000000000000009.log");
        assert!(bench.log.append_as_follower(&sent(9), how).is_err());
        assert_eq!(bench.log.segments().last().unwrap().base_offset(), Offset(9));
        bench.log.close(Timestamp(0)).unwrap();
        bench.disk.crash(Crash::Power { seed });
        let (log, recovery) = open(&bench.disk, bench.config.clone(), true, 1).unwrap();
        assert_eq!((log.log_end_offset(), recovery.segments_checked), (Offset(9), 0), "seed {seed}");
    }
}

#[test]
fn a_flushed_segment_whose_indexes_have_no_room_is_not_rolled() {
    let bench = bench(LogConfig { segment_bytes: 300, index_interval_bytes: 1000, ..config() });
    bench.append(batch(&[1, 2]));
    bench.log.flush(Offset(2), Timestamp(0)).unwrap();
    bench.disk.inject(Fault {
        operation: Operation::Write,
        path_contains: ".timeindex".to_owned(),
        after: 0,
        times: 9,
        error: ErrorKind::StorageFull,
        written_bytes: 0,
    });
    let refused = bench.log.append_as_leader(&[batch(&[900; 6])], at(0, 0, Origin::Client));
    assert!(refused.is_err_and(|error| error.is_refusal()));
    assert_eq!((bench.log.segments().len(), bench.log.recovery_point()), (1, Offset(2)));
    bench.disk.heal();
    bench.append(batch(&[900; 6]));
    let (bench, _) = bench.reopen(false);
    let found = bench.log.offset_for_timestamp(Timestamp(2)).unwrap().map(|found| found.offset);
    assert_eq!(found, Some(Offset(1)));
}
