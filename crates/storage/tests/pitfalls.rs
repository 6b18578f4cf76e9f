//! Faults of other brokers on real machines that show in the process, not in the log.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use model::{LeaderEpoch, Offset, Timestamp, TopicPartition};
use records::{BatchBuilder, Validated};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::disk::RealDisk;
use storage::{Isolation, LeaderAppend, Log, LogConfig, LogRead, OpenFiles, OpenLog, Origin, Wait};

/// The limit on open files here.
const OPEN_FILES: usize = 24;
const SEGMENTS: i64 = 10 * OPEN_FILES as i64;

fn open(path: &Path, open_files: &Arc<OpenFiles>) -> Log {
    let options = OpenLog {
        disk: Arc::new(RealDisk),
        open_files: open_files.clone(),
        path: path.to_path_buf(),
        partition: TopicPartition::new("t", 0),
        config: LogConfig { segment_bytes: 100, index_interval_bytes: 1, retention_ms: None, ..LogConfig::default() },
        recovery_point: Offset(0),
        log_start_offset: None,
        is_clean: false,
        now: Timestamp(1),
        jitter_seed: 0,
        interrupted: Arc::default(),
    };
    Log::open(options).unwrap().0
}

fn append(log: &Log) {
    let mut builder = BatchBuilder::new(Offset(0));
    builder.append(Timestamp(1), Some(b"key"), Some(b"value"));
    let batch = Validated::trusted(&builder.finish().unwrap()).unwrap();
    let how = LeaderAppend {
        leader_epoch: LeaderEpoch(0),
        origin: Origin::Client,
        now: Timestamp(1),
        transaction_version: 0,
        guard: None,
    };
    log.append_as_leader(&[batch], how).unwrap();
}

/// Returns the files in a folder that this process has open.
fn descriptors(folder: &Path) -> usize {
    let links =
        std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    links.filter(|file: &PathBuf| file.starts_with(folder)).count()
}

/// Returns the files in a folder that this process has mapped.
fn mappings(folder: &Path) -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().filter(|line| line.contains(folder.to_str().unwrap())).count()
}

fn read_all(log: &Log, folder: &Path) {
    log.set_high_watermark(log.log_end_offset());
    for offset in 0..log.log_end_offset().0 {
        let read = LogRead {
            offset: Offset(offset),
            max_bytes: 1,
            at_least_one_batch: true,
            isolation: Isolation::HighWatermark,
            wait: Wait::Block,
        };
        assert!(log.read(read).unwrap().region.is_some_and(|region| !region.read().unwrap().is_empty()));
        assert!(descriptors(folder) <= OPEN_FILES, "at offset {offset}: {}", descriptors(folder));
    }
}

/// A broker with 305,784 index files exceeded the limit of 262,144 maps.
#[test]
fn cold_segments_are_not_mapped_and_hold_no_file_beyond_the_cache() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("t-0");
    std::fs::create_dir(&folder).unwrap();
    let open_files = OpenFiles::new(OPEN_FILES);
    let log = open(&folder, &open_files);
    for _ in 0..SEGMENTS {
        append(&log);
    }
    assert_eq!(log.segments().len() as i64, SEGMENTS);
    read_all(&log, &folder);
    assert_eq!(mappings(&folder), 0);
    log.close(Timestamp(1)).unwrap();
    drop(log);
    assert_eq!(descriptors(&folder), 0);
    // As after a kill: every segment is read and its indexes are rebuilt, within the same limit.
    let log = open(&folder, &open_files);
    assert_eq!(log.log_end_offset(), Offset(SEGMENTS));
    assert!(descriptors(&folder) <= OPEN_FILES);
    read_all(&log, &folder);
    assert!(log.offset_for_timestamp(Timestamp(1)).unwrap().is_some());
    assert_eq!(mappings(&folder), 0);
}
