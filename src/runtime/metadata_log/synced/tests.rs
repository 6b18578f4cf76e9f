//! What a start says about logs that lost a part, and what it says about logs that did not.

use super::*;
use crate::env::Env;
use crate::runtime::metadata_log::{MetadataFolder, MetadataLog, SnapshotLimits};
use bytes::Bytes;
use model::Timestamp;
use raft::{ElectionState, KRaftVersion, VoterSet};
use storage::disk::{Crash, SimDisk};
use storage::{LogConfig, OpenFiles};

const DIR: &str = "/data";
const FOLDER: &str = "/data/__cluster_metadata-0";
const LOG: &str = "/data/__cluster_metadata-0/00000000000000000000.log";
const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn open(disk: &SimDisk) -> Result<MetadataLog, LogFault> {
    MetadataFolder::new(disk, Path::new(DIR)).check_synced()?;
    let limits = SnapshotLimits { max_bytes: 1 << 20, max_interval_ms: 0 };
    let disk = Arc::new(disk.clone());
    let opened =
        MetadataLog::open(disk, OpenFiles::new(8), Path::new(DIR), LogConfig::default(), limits, Env::default())?;
    Ok(opened.log)
}

fn new_disk() -> SimDisk {
    let disk = SimDisk::new();
    disk.create_dir(Path::new(DIR)).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk
}

fn elect(log: &MetadataLog, epoch: i32) -> Result<(), LogFault> {
    let state = ElectionState { epoch: LeaderEpoch(epoch), leader: None, voted: None };
    log.write_quorum_state(&state.encode(KRaftVersion::V1, &VoterSet::default()))
}

fn append(log: &MetadataLog, base: i64, epoch: i32) -> Result<(), LogFault> {
    let value = Bytes::from_static(b"\x01\x0c\x00\x06abcde\x00\x01\x00");
    let batch = raft::batch::data_batch(Offset(base), LeaderEpoch(epoch), NOW, &[value]);
    log.append(&batch.unwrap(), NOW)
}

/// Three batches of epoch 1, two of them synced.
fn two_synced_of_three(disk: &SimDisk) -> MetadataLog {
    let log = open(disk).unwrap();
    elect(&log, 1).unwrap();
    append(&log, 0, 1).unwrap();
    append(&log, 1, 1).unwrap();
    log.flush(NOW).unwrap();
    append(&log, 2, 1).unwrap();
    log
}

fn length(disk: &SimDisk, path: &str) -> u64 {
    disk.open(Path::new(path), OpenMode::Read).unwrap().length().unwrap()
}

fn flip(disk: &SimDisk, path: &str, position: u64) {
    let file = disk.open(Path::new(path), OpenMode::Write).unwrap();
    let mut byte = [0];
    file.read_at(position, &mut byte).unwrap();
    file.write_at(position, &[IoSlice::new(&[byte[0] ^ 1])]).unwrap();
}

fn end(disk: &SimDisk) -> Result<i64, String> {
    open(disk).map(|log| log.log.log_end_offset().0).map_err(|fault| match fault {
        LogFault::Rotten { end, synced, .. } => format!("{end} of {synced}"),
        fault => panic!("{fault}"),
    })
}

#[test]
fn every_rotten_byte_of_what_was_synced_stops_the_start_and_changes_nothing() {
    let disk = new_disk();
    drop(two_synced_of_three(&disk));
    let bytes = length(&disk, LOG);
    let batch = bytes / 3;
    for position in 0..bytes {
        // A checksum covers neither the base offset nor the leader epoch.
        let within = position % batch;
        if within < 8 || (12..16).contains(&within) {
            continue;
        }
        let disk = new_disk();
        drop(two_synced_of_three(&disk));
        flip(&disk, LOG, position);
        let at = position / batch;
        let expected = if at < 2 { Err(format!("{at} of 2")) } else { Ok(2) };
        assert_eq!(end(&disk), expected, "byte {position}");
        if at < 2 {
            assert_eq!(length(&disk, LOG), bytes, "byte {position}");
            assert_eq!(end(&disk), expected, "byte {position}, at the next start");
        }
    }
}

#[test]
fn whoever_accepts_the_loss_removes_the_file() {
    let disk = new_disk();
    drop(two_synced_of_three(&disk));
    flip(&disk, LOG, 20);
    let fault = MetadataFolder::new(&disk, Path::new(DIR)).check_synced().unwrap_err().to_string();
    assert!(fault.contains("synced up to offset 2, and only what is before offset 0"), "{fault}");
    disk.remove_file(&Path::new(FOLDER).join(FILE)).unwrap();
    assert_eq!(end(&disk), Ok(0));
}

#[test]
fn a_damaged_file_and_the_file_of_an_earlier_epoch_say_nothing() {
    for position in 0..BYTES as u64 {
        let disk = new_disk();
        drop(two_synced_of_three(&disk));
        flip(&disk, &format!("{FOLDER}/{FILE}"), position);
        flip(&disk, LOG, 20);
        assert_eq!(end(&disk), Ok(0), "byte {position}");
    }
    // Another broker that does not know the file has had the folder in a later epoch.
    let disk = new_disk();
    let log = two_synced_of_three(&disk);
    elect(&log, 2).unwrap();
    log.flush(NOW).unwrap();
    drop(log);
    flip(&disk, LOG, 20);
    assert_eq!(end(&disk), Ok(0));
}

/// Writes, truncates and writes again, until the disk stops.
fn course(disk: &SimDisk) -> Result<(), LogFault> {
    let log = open(disk)?;
    elect(&log, 1)?;
    for base in 0..4 {
        append(&log, base, 1)?;
        log.flush(NOW)?;
    }
    elect(&log, 2)?;
    log.truncate(Offset(1), NOW)?;
    append(&log, 1, 2)?;
    log.flush(NOW)?;
    elect(&log, 3)?;
    append(&log, 2, 3)?;
    append(&log, 3, 3)?;
    log.flush(NOW)?;
    log.truncate(Offset(3), NOW)?;
    log.close(NOW)
}

/// However a power cut ends the course, the next start does not take it for rot.
#[test]
fn no_crash_is_taken_for_rot() {
    let whole = new_disk();
    course(&whole).unwrap();
    assert_eq!(end(&whole), Ok(3));
    let calls = whole.calls();
    for at in 0..calls {
        for crash in [Crash::Process, Crash::Power { seed: 1 }, Crash::Power { seed: 2 }, Crash::Power { seed: at }] {
            let disk = new_disk();
            disk.crash_after(at);
            let stopped = course(&disk).is_err();
            disk.crash(crash);
            assert!(end(&disk).is_ok(), "call {at}, {crash:?}: {:?}; stopped {stopped}", end(&disk));
        }
    }
}
