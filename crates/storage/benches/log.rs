//! The cost of an append and of planning a read, on the real file system.

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use model::{LeaderEpoch, Offset, Timestamp, TopicPartition};
use records::{BatchBuilder, Validated};
use std::sync::Arc;
use storage::{Isolation, LeaderAppend, Log, LogConfig, LogDir, LogRead, OpenFiles, Origin, Wait};

fn batch(bytes: usize) -> Validated {
    let mut builder = BatchBuilder::new(Offset(0));
    builder.append(Timestamp(1), None, Some(&vec![7; bytes]));
    let bytes: Bytes = builder.finish().expect("a batch");
    Validated::trusted(&bytes).expect("a batch")
}

fn log(dir: &LogDir, name: &str) -> Log {
    let config = LogConfig {
        segment_bytes: 64 << 20,
        retention_bytes: Some(0),
        file_delete_delay_ms: 0,
        ..LogConfig::default()
    };
    dir.create(&TopicPartition::new(name, 0), None, config, Timestamp(0)).expect("a log")
}

fn append(log: &Log, batch: &Validated) {
    let how = LeaderAppend {
        leader_epoch: LeaderEpoch(0),
        origin: Origin::Client,
        now: Timestamp(1),
        transaction_version: 0,
        guard: None,
    };
    let appended = log.append_as_leader(std::slice::from_ref(batch), how).expect("an append");
    log.advance_high_watermark(appended.last_offset.plus(1));
    if appended.rolled_at.is_some() {
        // Deletes old segments at once, so that the benchmark does not fill the disk.
        log.delete_old_segments(Timestamp(1)).expect("retention");
        log.remove_deleted_files(Timestamp(1)).expect("retention");
    }
}

fn benches(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = Arc::new(storage::disk::RealDisk);
    let dir = LogDir::open(disk, OpenFiles::new(100), folder.path().to_path_buf(), 1).expect("a log dir");
    let mut group = criterion.benchmark_group("append");
    for (name, size) in [("1 KB", 1 << 10), ("16 KB", 16 << 10), ("1 MB", 1 << 20)] {
        let (log, batch) = (log(&dir, &format!("append-{size}")), batch(size));
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(name, |bencher| {
            bencher.iter_batched(|| (), |()| append(&log, &batch), BatchSize::NumIterations(1000));
        });
    }
    group.finish();
    let filled = log(&dir, "read");
    (0..50_000).for_each(|_| append(&filled, &batch(1 << 10)));
    let plan = |offset: Offset| {
        let read = LogRead {
            offset,
            max_bytes: 1 << 20,
            at_least_one_batch: true,
            isolation: Isolation::HighWatermark,
            wait: Wait::Try,
        };
        match filled.read(read) {
            Err(storage::Error::WouldBlock) => filled.read(LogRead { wait: Wait::Block, ..read }),
            plan => plan,
        }
        .expect("a plan")
    };
    let (start, end) = (filled.log_start_offset().0, filled.log_end_offset().0);
    let mut group = criterion.benchmark_group("read plan");
    group.bench_function("at the end", |bencher| bencher.iter(|| plan(Offset(end - 1))));
    let mut offset = start;
    group.bench_function("anywhere", |bencher| {
        bencher.iter(|| {
            offset = start + (offset - start + 7919) % (end - start);
            plan(Offset(offset))
        });
    });
    group.finish();
}

criterion_group!(log_benches, benches);
criterion_main!(log_benches);
