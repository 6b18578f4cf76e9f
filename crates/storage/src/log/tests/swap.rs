//! A cleaned segment replaces others: while readers are active, and on a machine that stops at
//! every call.

use super::compaction::{LIMITS, compacted, record};
use super::*;
use crate::disk::{Fault, Operation};
use std::collections::BTreeMap;

#[test]
fn a_region_from_before_a_cleaning_reads_what_it_was_planned_for() {
    let bench = Bench::compacted();
    (0..40).for_each(|number| bench.put(&[(&format!("k{}", number % 3), Some("a value of some length"))]));
    bench.roll();
    let plans: Vec<_> = (0..40).map(|offset| bench.plan(offset, 1, true, Isolation::HighWatermark).unwrap()).collect();
    bench.clean(0);
    bench.log.remove_deleted_files(Timestamp(i64::MAX)).unwrap();
    for (offset, plan) in plans.iter().enumerate() {
        assert_eq!(offsets_in(plan), [(offset as i64, offset as i64)]);
        assert!(plan.region.as_ref().unwrap().is_intact());
    }
    // The high watermark is at the end of what was cleaned, and its place is determined again.
    assert_eq!(bench.read(0, u32::MAX).first(), Some(&(37, 37)));
    assert_eq!(bench.read(39, u32::MAX), [(39, 39)]);
    assert_eq!(bench.log.offset_for_timestamp(Timestamp(10)).unwrap().unwrap().offset, Offset(37));
    assert_eq!(bench.log.offset_of_max_timestamp().unwrap().unwrap().offset, Offset(37));
}

#[test]
fn files_of_what_was_replaced_go_after_the_delay() {
    let bench = Bench::compacted();
    (0..60).for_each(|number| bench.put(&[(&format!("k{}", number % 3), Some("a value of some length"))]));
    bench.roll();
    bench.clean(5);
    bench.roll();
    bench.clean(5);
    let count =
        |suffix: &str| bench.disk.files().iter().filter(|path| path.to_string_lossy().ends_with(suffix)).count();
    assert!(count(names::DELETED) > 10);
    bench.log.remove_deleted_files(Timestamp(5 + compacted().file_delete_delay_ms)).unwrap();
    assert_eq!((count(names::DELETED), count(names::SWAP), count(names::CLEANED)), (0, 0, 0));
    // The snapshots belong to the segments that exist.
    assert_eq!(count(names::LOG), bench.log.segments().len());
    assert!(count(names::SNAPSHOT) <= bench.log.segments().len());
}

/// What stays readable: the newest decided record of each key.
type Newest = BTreeMap<String, (i64, Option<String>)>;

fn newest(bench: &Bench) -> Newest {
    let mut newest = Newest::new();
    let mut seen = -1;
    for (header, records) in bench.all() {
        assert!(header.base_offset.0 > seen, "offsets rise");
        seen = header.last_offset().0;
        let is_aborted = header.is_transactional() && {
            let plan = bench.plan(header.base_offset.0, 1, true, Isolation::Committed).unwrap();
            let aborted = plan.aborted.unwrap();
            aborted.iter().any(|txn| {
                Some(txn.producer_id) == header.producer_id
                    && (txn.first_offset..=txn.last_offset).contains(&header.base_offset)
            })
        };
        if header.is_control() || is_aborted {
            continue;
        }
        for (offset, key, value) in records {
            newest.insert(key, (offset, value));
        }
    }
    newest.retain(|_, (_, value)| value.is_some());
    newest
}

const ROUNDS: i64 = 3;

fn crashed_config() -> LogConfig {
    LogConfig { segment_bytes: 400, delete_retention_ms: 1, ..compacted() }
}

/// Writes keys, tombstones and transactions, and cleans after each round; tombstones are removed
/// two rounds later. Calls `show` before each cleaning, when the round is completely flushed.
fn live(disk: &SimDisk, show: &mut dyn FnMut(&Bench)) -> Result<()> {
    let config = crashed_config();
    let (log, _) = open(disk, config.clone(), false, 0)?;
    let bench = Bench { disk: disk.clone(), log, config };
    for round in 0..ROUNDS {
        for number in 0..5 {
            let mut builder = BatchBuilder::new(Offset(0));
            let key = format!("k{}", (round + number) % 4);
            let value = format!("a value of some length {round} {number}");
            builder.append(Timestamp(round), Some(key.as_bytes()), (number != 4).then_some(value.as_bytes()));
            bench.log.append_as_leader(&[to_leader(&builder.finish().unwrap())], at(0, round, Origin::Client))?;
        }
        for (id, committed) in [(1, false), (2, true)] {
            let mut builder = BatchBuilder::new(Offset(0))
                .producer(ProducerId(id), ProducerEpoch(round as i16), Some(0))
                .transactional();
            builder.append(Timestamp(round), Some(format!("k{}", round % 4).as_bytes()), Some(b"of a transaction"));
            bench.log.append_as_leader(&[to_leader(&builder.finish().unwrap())], at(0, round, Origin::Client))?;
            let marker = marker(id, round as i16, committed);
            bench.log.append_as_leader(&[marker], at(0, round, Origin::Coordinator))?;
        }
        bench.log.advance_high_watermark(bench.log.log_end_offset());
        {
            let writer = &mut *bench.log.writer.lock();
            bench.log.roll(writer, bench.log.log_end_offset(), Timestamp(round))?;
        }
        bench.log.flush(bench.log.log_end_offset(), Timestamp(round))?;
        show(&bench);
        let now = Timestamp(round);
        bench.log.clean(&bench.log.dirt(now)?, LIMITS, now, &mut |_| true)?;
    }
    bench.log.remove_deleted_files(Timestamp(i64::MAX))?;
    bench.log.close(Timestamp(ROUNDS))
}

/// Opens the state after a crash and checks it, then cleans and checks again. `expected` is the
/// state when all up to `point` was flushed.
fn check(disk: &SimDisk, point: i64, expected: &Newest, case: &str) {
    let config = crashed_config();
    let (log, _) = open(disk, config.clone(), false, point).unwrap_or_else(|error| panic!("{case}: {error}"));
    log.set_high_watermark(log.log_end_offset());
    let bench = Bench { disk: disk.clone(), log, config };
    assert!(bench.log.log_end_offset().0 >= point, "{case}");
    let is_leftover = |path: &PathBuf| {
        [names::CLEANED, names::SWAP, names::DELETED].iter().any(|it| path.to_string_lossy().ends_with(it))
    };
    assert!(!bench.disk.files().iter().any(is_leftover), "{case}");
    for _ in 0..2 {
        if bench.log.log_end_offset().0 == point {
            assert_eq!(&newest(&bench), expected, "{case}");
        }
        bench.log.clean(&bench.dirt(9), LIMITS, Timestamp(9), &mut |_| true).unwrap();
    }
}

#[test]
fn a_crash_at_every_call_of_a_cleaning_loses_no_newest_record_and_brings_none_back() {
    let whole = SimDisk::new();
    let mut rounds = Vec::new();
    live(&whole, &mut |bench| rounds.push((bench.log.recovery_point().0, newest(bench)))).unwrap();
    assert!(rounds.iter().all(|(_, newest)| newest.len() >= 3), "{rounds:?}");
    let mut at_call = 0;
    loop {
        let mut is_over = false;
        for seed in 0..3 {
            let disk = SimDisk::new();
            disk.create_dir(Path::new("/logs/t-0")).unwrap();
            disk.sync_dir(Path::new("/logs")).unwrap();
            disk.sync_dir(Path::new("/")).unwrap();
            disk.crash_after(at_call);
            let mut reached = 0;
            is_over = live(&disk, &mut |_| reached += 1).is_ok();
            disk.crash(if seed == 0 { Crash::Process } else { Crash::Power { seed: seed * 1000 + at_call } });
            if let Some((point, expected)) = rounds[..reached].last() {
                check(&disk, *point, expected, &format!("call {at_call}, seed {seed}, round {reached}"));
            }
        }
        if is_over {
            break;
        }
        at_call += 1;
    }
    assert!(at_call > 300, "{at_call} calls");
}

#[test]
fn a_full_disk_stops_a_cleaning_and_nothing_else() {
    for operation in [Operation::Open, Operation::Write, Operation::Sync, Operation::Rename] {
        let mut refused = 0;
        for after in 0.. {
            let bench = Bench::compacted();
            (0..20).for_each(|number| bench.put(&[("a", Some(&format!("a value of some length {number}")))]));
            bench.roll();
            let error = std::io::ErrorKind::StorageFull;
            let path_contains = names::CLEANED.to_owned();
            bench.disk.inject(Fault { operation, path_contains, after, times: 1, error, written_bytes: 1 });
            let cleaned = bench.log.clean(&bench.dirt(0), LIMITS, Timestamp(0), &mut |_| true);
            if cleaned.is_ok() {
                break;
            }
            assert!(cleaned.as_ref().is_err_and(Error::is_disk_full), "{operation:?} {after}: {cleaned:?}");
            refused += 1;
            assert_eq!(bench.log.fault(), None);
            bench.disk.heal();
            let is_live = |path: &PathBuf| !path.to_string_lossy().ends_with(names::DELETED);
            let stray = [names::CLEANED, names::SWAP].map(str::to_owned);
            let files: Vec<_> = bench.disk.files().into_iter().filter(is_live).collect();
            assert!(!files.iter().any(|path| stray.iter().any(|it| path.to_string_lossy().ends_with(it))), "{files:?}");
            bench.clean(0);
            assert_eq!(bench.records(), [record(19, "a", Some("a value of some length 19"))]);
        }
        assert!(refused > 1, "{operation:?}");
    }
}

#[test]
fn a_fault_in_the_middle_of_a_swap_takes_the_log_offline_and_opening_it_finishes_the_swap() {
    let bench = Bench::compacted();
    (0..20).for_each(|number| bench.put(&[("a", Some(&format!("a value of some length {number}")))]));
    bench.roll();
    let (operation, path_contains) = (Operation::Rename, names::SWAP.to_owned());
    let error = std::io::ErrorKind::Other;
    bench.disk.inject(Fault { operation, path_contains, after: 1, times: 1, error, written_bytes: 0 });
    assert!(bench.log.clean(&bench.dirt(0), LIMITS, Timestamp(0), &mut |_| true).is_err());
    assert!(bench.log.fault().is_some());
    let (log, _) = open(&bench.disk, bench.config.clone(), false, 20).unwrap();
    log.set_high_watermark(Offset(20));
    let bench = Bench { log, ..bench };
    assert_eq!(bench.records().last(), Some(&record(19, "a", Some("a value of some length 19"))));
    bench.clean(0);
    assert_eq!(bench.records().len(), 1);
}
