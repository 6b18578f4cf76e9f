//! A log against a list: any sequence of appends, truncations, deletions, flushes and restarts
//! gives the same records.

use super::*;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Append(usize),
    Truncate(u8),
    DeleteRecords(u8),
    Retain,
    Flush,
    Reopen(bool),
    PowerCut(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (1usize..6).prop_map(Step::Append),
        1 => any::<u8>().prop_map(Step::Truncate),
        1 => any::<u8>().prop_map(Step::DeleteRecords),
        1 => Just(Step::Retain),
        1 => Just(Step::Flush),
        1 => any::<bool>().prop_map(Step::Reopen),
        1 => any::<u64>().prop_map(Step::PowerCut),
    ];
    proptest::collection::vec(step, 1..60)
}

/// The expected log: batches by base and last offset, its start, its end, and how far it is
/// flushed.
#[derive(Debug, Default)]
struct Model {
    batches: Vec<(i64, i64)>,
    start: i64,
    end: i64,
    flushed: i64,
}

fn read_all(bench: &Bench, start: i64) -> Vec<(i64, i64)> {
    let mut batches = Vec::new();
    let mut next = start;
    loop {
        let read = bench.read(next, u32::MAX);
        let Some((_, last)) = read.last() else { return batches };
        next = last + 1;
        batches.extend(read);
    }
}

fn check(bench: &Bench, model: &Model) {
    let LogOffsets { log_start_offset, log_end_offset, .. } = bench.log.offsets();
    assert_eq!((log_start_offset.0, log_end_offset.0), (model.start, model.end));
    let expected: Vec<_> = model.batches.iter().copied().filter(|(_, last)| *last >= model.start).collect();
    assert_eq!(read_all(bench, model.start), expected);
}

fn reopened(bench: &Bench, model: &Model, is_clean: bool) -> Log {
    let options = OpenLog {
        disk: Arc::new(bench.disk.clone()),
        open_files: OpenFiles::new(8),
        path: PathBuf::from("/logs/t-0"),
        partition: TopicPartition::new("t", 0),
        config: bench.config.clone(),
        recovery_point: Offset(model.flushed),
        log_start_offset: Some(Offset(model.start)),
        is_clean,
        now: Timestamp(0),
        jitter_seed: 1,
        interrupted: Arc::default(),
    };
    let (log, _) = Log::open(options).unwrap();
    log.set_high_watermark(log.log_end_offset());
    log
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_log_is_a_list(steps in steps()) {
        let mut bench = Bench::new(LogConfig { segment_bytes: 500, ..config() });
        bench.disk.sync_dir(Path::new("/logs")).unwrap();
        bench.disk.sync_dir(Path::new("/")).unwrap();
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Append(count) => {
                    let appended = bench.append(batch(&vec![5; count]));
                    prop_assert_eq!(appended.base_offset.0, model.end);
                    model.batches.push((appended.base_offset.0, appended.last_offset.0));
                    model.end = appended.last_offset.0 + 1;
                }
                Step::Truncate(at) => {
                    // Leaders' logs are compared by epochs, whose ends are ends of batches.
                    let kept = model.batches.len() * usize::from(at) / 256;
                    let end = model.batches.get(kept).map_or(model.end, |(base, _)| *base).max(model.start);
                    if model.batches.iter().all(|(base, last)| end <= *base || end > *last) {
                        bench.log.truncate_to(Offset(end), Timestamp(0)).unwrap();
                        model.batches.retain(|(_, last)| *last < end);
                        model.end = end;
                        model.flushed = model.flushed.min(end);
                    }
                }
                Step::DeleteRecords(at) => {
                    let to = model.start + (model.end - model.start) * i64::from(at) / 256;
                    bench.log.delete_records(Offset(to)).unwrap();
                    model.start = to;
                }
                Step::Retain => {
                    bench.log.delete_old_segments(Timestamp(0)).unwrap();
                    bench.log.remove_deleted_files(Timestamp(i64::MAX)).unwrap();
                }
                Step::Flush => {
                    bench.log.flush(bench.log.log_end_offset(), Timestamp(0)).unwrap();
                    model.flushed = bench.log.recovery_point().0;
                }
                Step::Reopen(is_clean) => {
                    if is_clean {
                        bench.log.close(Timestamp(0)).unwrap();
                        model.flushed = model.end;
                    }
                    bench.log = reopened(&bench, &model, is_clean);
                }
                Step::PowerCut(seed) => {
                    bench.disk.crash(Crash::Power { seed });
                    bench.log = reopened(&bench, &model, false);
                    // All that was flushed is there. Of the rest some may be there, with gaps where
                    // a segment lost its end.
                    let found = read_all(&bench, model.start);
                    let is_flushed = |batch: &&(i64, i64)| model.start <= batch.1 && batch.1 < model.flushed;
                    prop_assert!(model.batches.iter().filter(is_flushed).all(|batch| found.contains(batch)));
                    prop_assert!(found.iter().all(|batch| model.batches.contains(batch)));
                    model.batches = found;
                    model.end = bench.log.log_end_offset().0;
                    prop_assert!(model.end >= model.flushed);
                }
            }
            check(&bench, &model);
        }
    }
}
