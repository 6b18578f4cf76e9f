//! The log on a machine that stops: at every call, and with every kind of loss.

use super::*;
use crate::disk::{Fault, OpenMode, Operation, read_all};
use std::io::IoSlice;

/// Appends, flushes sometimes, rolls, and truncates, until the machine stops. Returns how far all
/// was flushed, and how far acknowledged.
fn live(disk: &SimDisk, config: &LogConfig) -> (i64, i64) {
    let (mut flushed, mut acknowledged) = (0, 0);
    let mut run = || -> Result<()> {
        let (log, _) = open(disk, config.clone(), false, 0)?;
        for number in 0..24 {
            log.append_as_leader(&[produced(1, 0, number * 2, 2, false)], at(number / 6, 0, Origin::Client))?;
            acknowledged = i64::from(number) * 2 + 2;
            log.advance_high_watermark(log.log_end_offset());
            if number % 4 == 3 {
                log.flush(log.log_end_offset(), Timestamp(0))?;
                flushed = log.recovery_point().0;
            }
        }
        (flushed, acknowledged) = (42, 42);
        log.truncate_to(Offset(42), Timestamp(0))?;
        log.close(Timestamp(0))
    };
    let _ = run();
    (flushed, acknowledged)
}

#[test]
fn a_crash_at_every_call_keeps_what_was_acknowledged_and_serves_nothing_torn() {
    let config = LogConfig { segment_bytes: 400, ..config() };
    let all = SimDisk::new();
    live(&all, &config);
    let calls = all.calls();
    assert!(calls > 100);
    for at_call in 0..calls {
        for seed in 0..6 {
            let disk = SimDisk::new();
            disk.create_dir(Path::new("/logs/t-0")).unwrap();
            disk.sync_dir(Path::new("/logs")).unwrap();
            disk.sync_dir(Path::new("/")).unwrap();
            disk.crash_after(at_call);
            let (flushed, acknowledged) = live(&disk, &config);
            let (crash, kept) = match seed {
                // The page cache survives a kill.
                0 => (Crash::Process, acknowledged),
                _ => (Crash::Power { seed: seed * 1000 + at_call }, flushed),
            };
            disk.crash(crash);
            check(&disk, &config, (flushed, kept), &format!("call {at_call}, seed {seed}"));
        }
    }
}

#[test]
fn a_crash_after_every_byte_of_the_last_batch_keeps_all_before_it() {
    let config = LogConfig { segment_bytes: 1000, ..config() };
    let size = produced(1, 0, 0, 2, false).header().size_bytes();
    for written_bytes in 0..=size {
        for seed in 0..4 {
            let disk = SimDisk::new();
            disk.create_dir(Path::new("/logs/t-0")).unwrap();
            disk.sync_dir(Path::new("/logs")).unwrap();
            disk.sync_dir(Path::new("/")).unwrap();
            let (log, _) = open(&disk, config.clone(), false, 0).unwrap();
            let append = |number: i32| {
                let how = at(number / 6, 0, Origin::Client);
                log.append_as_leader(&[produced(1, 0, number * 2, 2, false)], how)
            };
            (0..20).for_each(|number| _ = append(number).unwrap());
            log.flush(Offset(if seed % 2 == 0 { 40 } else { 36 }), Timestamp(0)).unwrap();
            let (path_contains, error) = (".log".to_owned(), std::io::ErrorKind::Other);
            disk.inject(Fault { operation: Operation::Write, path_contains, after: 0, times: 1, error, written_bytes });
            append(20).unwrap_err();
            let flushed = log.recovery_point().0;
            drop(log);
            disk.heal();
            let (crash, kept) = if seed < 2 {
                (Crash::Process, 40)
            } else {
                (Crash::Power { seed: seed + written_bytes as u64 }, flushed)
            };
            disk.crash(crash);
            check(&disk, &config, (flushed, kept), &format!("byte {written_bytes}, seed {seed}"));
        }
    }
}

/// Checks a log after a crash: everything below `kept` is complete, and the log continues from its
/// end.
fn check(disk: &SimDisk, config: &LogConfig, (flushed, kept): (i64, i64), case: &str) {
    let (log, _) = open(disk, config.clone(), false, flushed).unwrap_or_else(|error| panic!("{case}: {error}"));
    let end = log.log_end_offset();
    assert!(end.0 >= kept, "{case}: ends at {end}, and all below {kept} was to be kept");
    log.set_high_watermark(end);
    let bench = Bench { disk: disk.clone(), log, config: config.clone() };
    let mut next = 0;
    while next < end.0 {
        let batches = bench.read(next, u32::MAX);
        assert!(!batches.is_empty(), "{case}: nothing at {next} of {end}");
        for (base, last) in batches {
            assert_eq!(base, next, "{case}");
            next = last + 1;
        }
    }
    if end.0 > 0 {
        let epochs = bench.log.leader_epochs();
        assert_eq!(epochs.epoch_of(Offset(end.0 - 1)).map(|epoch| epoch.0), Some((end.0 - 1) as i32 / 12), "{case}");
    }
    let starts_below_end = |(_, start): &(LeaderEpoch, Offset)| *start < end;
    assert!(bench.log.leader_epochs().entries().iter().all(starts_below_end), "{case}");
    // Sequences continue where the log ends, so the producers match the log.
    let appended = bench.log.append_as_leader(&[produced(1, 0, end.0 as i32, 2, false)], at(9, 0, Origin::Client));
    assert_eq!(appended.unwrap_or_else(|error| panic!("{case}: {error}")).base_offset, end, "{case}");
    bench.log.close(Timestamp(0)).unwrap();
    let (log, recovery) = open(disk, config.clone(), true, end.0 + 2).unwrap();
    assert_eq!((log.log_end_offset(), recovery), (end.plus(2), Recovery::default()), "{case}");
}

#[test]
fn a_batch_cut_or_changed_at_any_byte_is_gone_and_the_ones_before_it_are_not() {
    let bench = Bench::new(LogConfig { segment_bytes: 100_000, ..config() });
    (0..10).for_each(|number| {
        bench.append(batch(&[number, number]));
    });
    let whole = bench.log.segments()[0].size();
    bench.append(batch(&[1, 2, 3]));
    let size = bench.log.segments()[0].size();
    let path = Path::new("/logs/t-0/00000000000000000000.log");
    let bytes = read_all(&bench.disk, path).unwrap();
    for at_byte in whole..size {
        for is_cut in [true, false] {
            // The checksum does not cover the base offset and the epoch: changed values may be
            // valid.
            if !is_cut && ((whole..whole + 8).contains(&at_byte) || (whole + 12..whole + 16).contains(&at_byte)) {
                continue;
            }
            let mut torn = bytes.clone();
            match is_cut {
                true => torn.truncate(at_byte as usize),
                false => torn[at_byte as usize] ^= 0x55,
            }
            let file = bench.disk.open(path, OpenMode::Truncate).unwrap();
            file.write_at(0, &[IoSlice::new(&torn)]).unwrap();
            let (log, recovery) = open(&bench.disk, bench.config.clone(), false, 0).unwrap();
            assert_eq!(log.log_end_offset(), Offset(20), "{at_byte} {is_cut}");
            assert_eq!(log.segments()[0].size(), whole);
            assert_eq!(recovery.bytes_cut, torn.len() as u64 - u64::from(whole));
        }
    }
}

#[test]
fn a_clean_marker_does_not_vouch_for_a_torn_batch_at_the_end() {
    let bench = Bench::new(LogConfig { segment_bytes: 100_000, ..config() });
    (0..10).for_each(|number| {
        bench.append(batch(&[number, number]));
    });
    bench.log.close(Timestamp(0)).unwrap();
    let size = bench.log.segments()[0].size();
    let file = bench.disk.open(Path::new("/logs/t-0/00000000000000000000.log"), OpenMode::Write).unwrap();
    for cut_bytes in 1..70 {
        file.truncate(u64::from(size - cut_bytes)).unwrap();
        // Opened as after a clean stop, and appended to: the new batch follows a complete one, so
        // it is found again.
        let (log, recovery) = open(&bench.disk, bench.config.clone(), true, 0).unwrap();
        assert_eq!((log.log_end_offset(), recovery.segments_checked), (Offset(18), 1), "{cut_bytes}");
        let bench = Bench { disk: bench.disk.clone(), log, config: bench.config.clone() };
        bench.append(batch(&[9, 9]));
        let (bench, recovery) = bench.reopen(true);
        assert_eq!((bench.log.log_end_offset(), recovery), (Offset(20), Recovery::default()));
        assert_eq!(bench.log.segments()[0].size(), size);
    }
}

#[test]
fn no_record_has_the_last_offset_there_is() {
    let disk = SimDisk::new();
    let (log, _) = open(&disk, config(), true, 0).unwrap();
    log.truncate_fully_and_start_at(Offset(i64::MAX - 2), Timestamp(0)).unwrap();
    log.append_as_leader(&[batch(&[1, 1])], at(0, 0, Origin::Client)).unwrap();
    assert_eq!(log.log_end_offset(), Offset(i64::MAX));
    for count in 1..4 {
        let refused = log.append_as_leader(&[batch(&vec![1; count])], at(0, 0, Origin::Client));
        assert!(matches!(refused, Err(Error::InvalidBatch { .. })), "{refused:?}");
    }
}

#[test]
fn what_follows_a_bad_batch_is_gone_with_it() {
    let bench = Bench::new(config());
    (0..60).for_each(|number| {
        bench.append(batch(&[number, number]));
    });
    let segments = bench.log.segments();
    let bad = segments[2].base_offset();
    let path = PathBuf::from("/logs/t-0").join(names::segment_file(bad, names::LOG));
    bench.disk.open(&path, OpenMode::Write).unwrap().write_at(100, &[IoSlice::new(b"rot")]).unwrap();
    let (bench, recovery) = bench.reopen(false);
    assert_eq!(bench.log.log_end_offset(), bad);
    assert_eq!(recovery.segments_dropped, segments.len() - 3);
    assert_eq!(bench.append(batch(&[1])).base_offset, bad);
}

#[test]
fn indexes_are_disposable() {
    let bench = Bench::new(config());
    (0..60).for_each(|number| {
        bench.append(batch(&[number, number]));
    });
    let mut bench = bench.reopen(true).0;
    for damage in 0..4 {
        bench.log.close(Timestamp(0)).unwrap();
        let is_index = |path: &PathBuf| path.to_string_lossy().ends_with("index");
        let files: Vec<PathBuf> = bench.disk.files().into_iter().filter(is_index).collect();
        assert!(files.len() > 10);
        for path in &files {
            let file = bench.disk.open(path, OpenMode::Write).unwrap();
            match damage {
                0 => bench.disk.remove_file(path).unwrap(),
                1 => file.truncate(5).unwrap(),
                2 => file.truncate(0).unwrap(),
                _ => {
                    let garbage: Vec<u8> = (0..file.length().unwrap()).map(|byte| (byte / 4) as u8).collect();
                    file.write_at(0, &[IoSlice::new(&garbage)]).unwrap();
                }
            }
        }
        let (log, _) = open(&bench.disk, bench.config.clone(), true, 120).unwrap();
        log.set_high_watermark(Offset(120));
        assert_eq!(log.log_end_offset(), Offset(120), "damage {damage}");
        bench = Bench { log, ..bench };
        for offset in 0..120 {
            assert_eq!(bench.read(offset, 1)[0].0, offset / 2 * 2, "damage {damage}");
        }
    }
}

/// Returns every index with its bytes.
fn indexes(disk: &SimDisk) -> Vec<(PathBuf, Vec<u8>)> {
    let is_index = |path: &PathBuf| path.extension().is_some_and(|it| it == "index" || it == "timeindex");
    let read = |path: PathBuf| {
        let bytes = read_all(disk, &path).unwrap();
        (path, bytes)
    };
    disk.files().into_iter().filter(is_index).map(read).collect()
}

#[test]
fn a_kill_while_indexes_are_rebuilt_leaves_none_that_look_whole() {
    let bench = Bench::new(LogConfig { index_interval_bytes: 1, ..config() });
    (0..60).for_each(|number| {
        bench.append(batch(&[number, number]));
    });
    let bench = bench.reopen(true).0;
    bench.log.close(Timestamp(0)).unwrap();
    let (disk, whole) = (&bench.disk, indexes(&bench.disk));
    let mut at_call = 0;
    loop {
        whole.iter().for_each(|(path, _)| disk.remove_file(path).unwrap());
        disk.crash_after(at_call);
        let opened = open(disk, bench.config.clone(), true, 120).and_then(|(log, _)| log.close(Timestamp(0)));
        disk.crash(Crash::Process);
        open(disk, bench.config.clone(), true, 120).unwrap().0.close(Timestamp(0)).unwrap();
        assert!(indexes(disk) == whole, "killed at call {at_call}");
        if opened.is_ok() {
            break;
        }
        at_call += 1;
    }
    assert!(at_call > 100, "{at_call} calls");
}

#[test]
fn recovery_can_be_interrupted_and_begun_again() {
    let bench = Bench::new(config());
    (0..60).for_each(|number| {
        bench.append(batch(&[number, number]));
    });
    let options = options(&bench.disk, bench.config.clone(), false, 0);
    options.interrupted.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(matches!(Log::open(options), Err(Error::Interrupted)));
    let (bench, recovery) = bench.reopen(false);
    assert_eq!((bench.log.log_end_offset(), recovery.bytes_cut), (Offset(120), 0));
}

#[test]
fn the_recovery_point_bounds_what_is_read() {
    let bench = Bench::new(config());
    (0..60).for_each(|number| {
        bench.append(batch(&[number, number]));
    });
    bench.log.flush(Offset(100), Timestamp(0)).unwrap();
    assert_eq!(bench.log.recovery_point(), Offset(100));
    let above = bench.log.segments().iter().filter(|segment| segment.base_offset() > Offset(100)).count();
    let (bench, recovery) = bench.reopen(false);
    assert_eq!(recovery, Recovery { segments_checked: above + 1, ..Recovery::default() });
    assert_eq!(bench.log.log_end_offset(), Offset(120));
}

#[test]
fn a_failed_fsync_is_never_taken_back() {
    let bench = Bench::new(config());
    bench.append(batch(&[1]));
    bench.disk.inject(Fault {
        operation: Operation::Sync,
        path_contains: ".log".into(),
        after: 0,
        times: 1,
        error: std::io::ErrorKind::Other,
        written_bytes: 0,
    });
    assert!(bench.log.flush(Offset(1), Timestamp(0)).is_err());
    assert_eq!(bench.log.recovery_point(), Offset(0));
    assert!(matches!(bench.log.flush(Offset(1), Timestamp(0)), Err(Error::Offline { .. })));
    assert!(matches!(bench.log.append_as_leader(&[batch(&[1])], at(0, 0, Origin::Client)), Err(Error::Offline { .. })));
    assert_eq!(bench.read(0, 1000), [(0, 0)], "what is there can be read");
}

#[test]
fn a_partition_that_failed_to_open_can_be_opened_again() {
    let bench = Bench::new(config());
    bench.append(batch(&[1]));
    bench.disk.inject(Fault {
        operation: Operation::Read,
        path_contains: ".log".into(),
        after: 0,
        times: 1,
        error: std::io::ErrorKind::Other,
        written_bytes: 0,
    });
    assert!(open(&bench.disk, bench.config.clone(), false, 0).is_err());
    let (bench, _) = bench.reopen(false);
    assert_eq!(bench.append(batch(&[2])).base_offset, Offset(1));
}

#[test]
fn a_start_after_a_kill_changes_no_file_where_all_is_there() {
    use Operation::{Rename, Sync, SyncDir, Truncate, Write};
    let after_a_kill = |bench: Bench, case: &str| {
        let count = |disk: &SimDisk| [Write, Truncate, Rename, Sync, SyncDir].map(|operation| disk.count(operation));
        bench.disk.crash(Crash::Process);
        let (before, files) = (count(&bench.disk), bench.disk.files());
        let bench = bench.reopen(false).0;
        assert_eq!((count(&bench.disk), bench.disk.files()), (before, files), "{case}");
        bench.log.assign_epoch(LeaderEpoch(9)).unwrap();
        assert_eq!(count(&bench.disk), before, "led, {case}");
        let found = bench.log.offset_for_timestamp(Timestamp(7)).unwrap();
        assert_eq!(found.map(|found| found.offset), Some(Offset(14)), "{case}");
        bench
    };
    let bench = Bench::new(LogConfig { segment_bytes: 1 << 20, ..config() });
    (0..9).for_each(|number| _ = bench.append(batch(&[number, number])));
    (0..2).for_each(|number| _ = bench.append(produced(1, 0, number, 1, false)));
    let bench = after_a_kill(bench, "with the indexes in memory");
    let bench = after_a_kill(bench, "again");
    let bench = bench.reopen(true).0;
    after_a_kill(bench, "with the indexes in their files");
}
