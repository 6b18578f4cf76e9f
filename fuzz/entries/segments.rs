//! A log dir whose files hold the fuzzer's bytes: segments, their indexes, producer snapshots,
//! leader epochs, checkpoints, topic ids. It is opened as after a clean or an unclean stop, read,
//! written to, closed, opened again, compacted and truncated.
//!
//! Nothing may panic. After a recovery, the log serves everything that it recovered, with sound
//! checksums. Appended batches can be read back. A clean stop and a start change nothing.
//!
//! Used by the fuzz target, which only cargo-fuzz builds, and by the tests of `storage`, which pass
//! damaged files of a real Kafka.

use model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp, TopicPartition};
use records::{BatchBuilder, Batches, Validated};
use std::io::IoSlice;
use std::path::Path;
use std::sync::Arc;
use storage::disk::{Disk, OpenMode, SimDisk};
use storage::{
    CleanerLimits, CleanupPolicy, Error, Isolation, LeaderAppend, Log, LogConfig, LogDir, LogRead, OpenFiles, Origin,
    Recovery, Wait, names,
};

const ROOT: &str = "/data";
const FOLDER: &str = "/data/t-0";
const NOW: Timestamp = Timestamp(1_700_000_500_000);
/// The limit of reads for one log, because a hostile log may have an offset for every number.
const READS_MAX: usize = 300;

/// The base offsets from which a file's second byte chooses. They include those of Kafka's golden
/// files.
pub const OFFSETS: [i64; 12] = [0, 40, 370, 410, 493, 1068, 1500, 1, 0x7fff_ffff, 1 << 40, i64::MAX - 1, i64::MAX];

/// The files from which a file's first byte chooses: a suffix, or a whole name without an offset.
pub const FILES: [(&str, bool); 20] = [
    (names::LOG, true),
    (names::INDEX, true),
    (names::TIME_INDEX, true),
    (names::TXN_INDEX, true),
    (names::SNAPSHOT, true),
    (names::LEADER_EPOCH_CHECKPOINT, false),
    (names::PARTITION_METADATA, false),
    (".log.swap", true),
    (".index.swap", true),
    (".timeindex.swap", true),
    (".log.cleaned", true),
    (".log.deleted", true),
    ("leader-epoch-checkpoint.tmp", false),
    ("../recovery-point-offset-checkpoint", false),
    ("../replication-offset-checkpoint", false),
    ("../log-start-offset-checkpoint", false),
    ("../cleaner-offset-checkpoint", false),
    ("../meta.properties", false),
    ("../.kafka_cleanshutdown", false),
    ("../.kafka_cleanshutdown", false),
];

/// Opens the log as after a clean stop, whatever markers exist.
pub const CLEAN: u8 = 1;
/// Corrects the checksums of batches in `.log` files, so that the code behind the check is reached.
pub const SOUND: u8 = 2;

/// Compacts the log once it is open.
pub const COMPACT: u8 = 4;
/// A cleaner that needs several passes.
const CLEANER: CleanerLimits =
    CleanerLimits { dedupe_buffer_bytes: 24 * 40, load_factor: 0.9, io_buffer_bytes: 1000, seed: [1, 2] };

/// One file of an input.
#[allow(dead_code, reason = "the fuzzer chooses its inputs itself")]
pub fn file(input: &mut Vec<u8>, kind: u8, offset: u8, bytes: &[u8]) {
    input.extend([kind, offset]);
    input.extend(u32::try_from(bytes.len()).unwrap_or(0).to_be_bytes());
    input.extend(bytes);
}

/// The first byte says how the log is opened. Then the files follow, each with its kind, its
/// offset, its length in four bytes, and its bytes.
pub fn run(input: &[u8]) {
    let Some((choice, mut rest)) = input.split_first() else { return };
    let disk = SimDisk::new();
    if disk.create_dir(Path::new(FOLDER)).is_err() {
        return;
    }
    while let Some(([kind, offset, length @ ..], bytes)) = rest.split_first_chunk::<6>() {
        let (bytes, after) = bytes.split_at((u32::from_be_bytes(*length) as usize).min(bytes.len()));
        rest = after;
        let (name, has_offset) = FILES[usize::from(*kind) % FILES.len()];
        let base = Offset(OFFSETS[usize::from(*offset) % OFFSETS.len()]);
        let name = if has_offset { names::segment_file(base, name) } else { name.to_owned() };
        let mut bytes = bytes.to_vec();
        if choice & SOUND != 0 && name.contains(".log") {
            put_checksums_right(&mut bytes);
        }
        put(&disk, &name, &bytes);
    }
    open(&disk, choice & CLEAN != 0, choice & COMPACT != 0);
}

fn put(disk: &SimDisk, name: &str, bytes: &[u8]) {
    let path = match name.strip_prefix("../") {
        Some(name) => Path::new(ROOT).join(name),
        None => Path::new(FOLDER).join(name),
    };
    let file = disk.open(&path, OpenMode::Truncate).expect("a new file");
    file.write_at(0, &[IoSlice::new(bytes)]).expect("the simulated disk has room");
}

/// Corrects the checksums of batches of format v2, one after the other, as far as their lengths
/// lead.
fn put_checksums_right(bytes: &mut [u8]) {
    let mut position = 0;
    while let Some(rest) = bytes.get_mut(position..).filter(|rest| rest.len() > 61) {
        let length = u32::from_be_bytes([rest[8], rest[9], rest[10], rest[11]]) as usize;
        let end = length.saturating_add(12);
        if end < 61 || end > rest.len() {
            return;
        }
        if rest[16] == 2 {
            let crc = crc32c(&rest[21..end]).to_be_bytes();
            rest[17..21].copy_from_slice(&crc);
        }
        position += end;
    }
}

fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

fn open(disk: &SimDisk, is_clean: bool, compact: bool) {
    let open_files = OpenFiles::new(8);
    let Ok(dir) = LogDir::open(Arc::new(disk.clone()), open_files, Path::new(ROOT).to_path_buf(), 1) else { return };
    let _ = (dir.meta_properties(), dir.clean_shutdown(), dir.read_offsets());
    let Ok(found) = dir.partitions() else { return };
    assert_eq!(found.len(), 1);
    let Ok(offsets) = dir.read_offsets() else { return };
    let partition = TopicPartition::new("t", 0);
    let trusted = is_clean || offsets.recovery_points.get(&partition).is_some_and(|point| *point > Offset(0));
    let cleanup_policy = CleanupPolicy { delete: !compact, compact };
    let config =
        LogConfig { segment_bytes: 100_000, index_interval_bytes: 300, cleanup_policy, ..LogConfig::default() };
    let path = Path::new(FOLDER).to_path_buf();
    let reopen = |is_clean| dir.open_log(&partition, path.clone(), config.clone(), &offsets, is_clean, NOW);
    // If the open fails with a fault of a file, one partition is offline and nothing else happened.
    let Ok((log, _)) = reopen(is_clean) else { return };
    look(&log, !trusted);
    let end = log.log_end_offset();
    append(&log);
    let log = again(log, &reopen);
    let Some(log) = log else { return };
    assert!(log.log_end_offset() >= end, "records are gone after a clean stop");
    look(&log, !trusted);
    if compact {
        clean(&log);
        look(&log, !trusted);
    }
    let middle = Offset(log.log_start_offset().0.midpoint(log.log_end_offset().0));
    if log.truncate_to(middle, NOW).is_ok() {
        assert!(trusted || log.log_end_offset() <= middle.max(log.log_start_offset()));
        look(&log, false);
    }
    let _ = (log.delete_old_segments(NOW), log.remove_deleted_files(Timestamp(i64::MAX)), log.close(NOW));
}

/// Reads everything that can be read. In a recovered log, every batch must be sound.
fn look(log: &Log, is_recovered: bool) {
    let _ = (log.producers(), log.leader_epochs(), log.size_bytes());
    log.set_high_watermark(log.log_end_offset());
    let (start, end) = (log.log_start_offset(), log.log_end_offset());
    let mut next = start;
    assert!(next <= end, "{next:?} {end:?}");
    let mut bytes_seen = 0;
    for _ in 0..READS_MAX {
        if next >= end {
            break;
        }
        let read = |isolation| {
            log.read(LogRead { offset: next, max_bytes: 4000, at_least_one_batch: true, isolation, wait: Wait::Block })
        };
        let _ = read(Isolation::Committed);
        let plan = match read(Isolation::LogEnd) {
            Ok(plan) => plan,
            Err(error) => {
                assert!(!is_recovered, "a recovered log cannot be read at {next:?}: {error}");
                break;
            }
        };
        let Some(bytes) = plan.region.and_then(|region| region.read().ok()) else {
            // The rest is a hole from lost segments.
            let is_seen_from_the_start = log.segments().first().is_some_and(|first| first.base_offset() == start);
            let is_all = bytes_seen == log.size_bytes();
            assert!(!is_recovered || !is_seen_from_the_start || is_all, "records from {next:?} on are not served");
            break;
        };
        let before = next;
        for batch in Batches::new(&bytes).map_while(Result::ok) {
            assert!(!is_recovered || batch.verify_crc().is_ok(), "an unsound batch is served at {next:?}");
            bytes_seen += batch.bytes().len() as u64;
            next = next.max(Offset(batch.header().last_offset().0.saturating_add(1)));
        }
        if next == before {
            // Messages older than format v2, or a log that was not recovered.
            break;
        }
    }
    let _ = log.offset_for_timestamp(Timestamp(1_700_000_000_000));
    let _ = log.offset_of_max_timestamp();
}

/// Appends a batch at the end. It is refused, or it can be read.
fn append(log: &Log) {
    let mut builder = BatchBuilder::new(Offset(0)).producer(ProducerId(1 << 50), ProducerEpoch(0), Some(0));
    builder.append(NOW, Some(b"key"), Some(b"value"));
    let Some(batch) = builder.finish().ok().and_then(|bytes| Validated::trusted(&bytes).ok()) else {
        return;
    };
    let how = LeaderAppend {
        leader_epoch: LeaderEpoch(i32::MAX),
        origin: Origin::Client,
        now: NOW,
        transaction_version: 0,
        guard: None,
    };
    let Ok(appended) = log.append_as_leader(&[batch], how) else { return };
    assert_eq!(log.log_end_offset(), Offset(appended.last_offset.0 + 1));
    let read = LogRead {
        offset: appended.base_offset,
        max_bytes: u32::MAX,
        at_least_one_batch: true,
        isolation: Isolation::LogEnd,
        wait: Wait::Block,
    };
    let bytes = log.read(read).ok().and_then(|plan| plan.region).and_then(|region| region.read().ok());
    let bytes = bytes.expect("what was appended is read");
    let batch = Batches::new(&bytes).next().and_then(Result::ok).expect("a batch");
    assert!(batch.verify_crc().is_ok() && batch.header().base_offset == appended.base_offset);
}

/// Compacts until nothing is left to compact. Readable records must stay readable.
fn clean(log: &Log) {
    log.set_high_watermark(log.log_end_offset());
    for _ in 0..20 {
        let before = log.cleaned_up_to();
        let cleaned = log.dirt(NOW).and_then(|dirt| log.clean(&dirt, CLEANER, NOW, &mut |_| true));
        if !matches!(cleaned, Ok(Some(_))) || log.cleaned_up_to() == before {
            return;
        }
    }
}

/// Stops cleanly and starts again.
fn again(log: Log, reopen: &dyn Fn(bool) -> Result<(Log, Recovery), Error>) -> Option<Log> {
    let before = (log.log_start_offset(), log.log_end_offset());
    log.close(NOW).ok()?;
    let (log, _) = reopen(true).expect("what was closed is opened");
    assert_eq!((log.log_start_offset(), log.log_end_offset()), before);
    Some(log)
}
