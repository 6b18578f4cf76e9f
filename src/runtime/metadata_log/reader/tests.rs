//! Folders with whole and torn batches, and what is read of snapshots.

use super::*;
use metadata::version::METADATA_VERSION;
use protocol::messages::feature_level_record::FeatureLevelRecord;
use raft::snapshot::SnapshotWriter;
use raft::{LeaderChange, VoterSet};
use std::io::IoSlice;
use storage::disk::{RealDisk, SimDisk};

const DIR: &str = "/data";
const FOLDER: &str = "/data/__cluster_metadata-0";
const LOG: &str = "00000000000000000000.log";

fn disk(files: &[(&str, &[u8])]) -> SimDisk {
    let disk = SimDisk::new();
    disk.create_dir(Path::new(FOLDER)).unwrap();
    for (name, bytes) in files {
        let file = disk.open(&Path::new(FOLDER).join(name), OpenMode::Create).unwrap();
        file.write_at(0, &[IoSlice::new(bytes)]).unwrap();
    }
    disk
}

fn contents(disk: &SimDisk) -> FolderContents {
    MetadataFolder::new(disk, Path::new(DIR)).contents().unwrap()
}

fn voters(disk: &SimDisk) -> Vec<i32> {
    contents(disk).voters.iter().map(|id| id.0).collect()
}

/// A batch that finalizes `metadata.version`.
fn version(base: i64, feature_level: i16) -> Vec<u8> {
    let record = FeatureLevelRecord { name: METADATA_VERSION.into(), feature_level, ..Default::default() };
    let values = [MetadataRecord::FeatureLevel(record).encode(0).unwrap()];
    raft::batch::data_batch(Offset(base), LeaderEpoch(1), Timestamp(0), &values).unwrap().to_vec()
}

fn leader(base: i64, voters: &[i32]) -> Vec<u8> {
    let change = LeaderChange {
        leader: BrokerId(1),
        voters: voters.iter().map(|id| BrokerId(*id)).collect(),
        granting_voters: vec![BrokerId(1)],
    };
    let records = [ControlRecord::LeaderChange(change)];
    raft::batch::control_batch(Offset(base), LeaderEpoch(1), Timestamp(0), &records).unwrap().to_vec()
}

#[test]
fn a_folder_without_a_log_is_empty() {
    for disk in [SimDisk::new(), disk(&[])] {
        let nothing = contents(&disk);
        assert!(nothing.voters.is_empty() && nothing.image.topics.iter().next().is_none());
    }
}

#[test]
fn voters_are_those_of_quorum_state_and_of_the_last_leader() {
    let state = |ids: &str| {
        format!(
            r#"{{"clusterId":"","leaderId":1,"leaderEpoch":1,"votedId":-1,"appliedOffset":0,"currentVoters":[{ids}],"data_version":0}}"#
        )
    };
    let (alone, three) = (state(r#"{"voterId":1}"#), state(r#"{"voterId":1},{"voterId":2},{"voterId":3}"#));
    assert_eq!(voters(&disk(&[(QUORUM_STATE_FILE, alone.as_bytes())])), [1]);
    assert_eq!(voters(&disk(&[(QUORUM_STATE_FILE, three.as_bytes())])), [1, 2, 3]);
    // The record of the last leader is enough, and a torn end of the log hides nothing.
    let mut log = leader(0, &[1]);
    log.extend(leader(1, &[1, 4]));
    log.extend(&leader(2, &[1])[..40]);
    assert_eq!(voters(&disk(&[(LOG, &log)])), [1, 4]);
}

#[test]
fn nothing_is_read_after_a_torn_batch() {
    let next = names::segment_file(Offset(2), names::LOG);
    let read =
        |first: &[u8]| contents(&disk(&[(LOG, first), (&next, &version(2, 9))])).image.features.version().level();
    let mut whole = version(0, 7);
    whole.extend(version(1, 8));
    assert_eq!(read(&whole), 9);
    assert_eq!(read(&whole[..whole.len() - 1]), 7);
    *whole.last_mut().unwrap() ^= 1;
    assert_eq!(read(&whole), 7);
}

#[test]
fn only_the_first_batch_of_a_snapshot_is_read_for_its_age() {
    let dir = tempfile::tempdir().unwrap();
    let id = SnapshotId { end: Offset(7), epoch: LeaderEpoch(1) };
    let voters = VoterSet::default();
    let quorum = (raft::KRaftVersion::V0, &voters);
    let (_, first) = SnapshotWriter::begin(id, Timestamp(42), quorum, Timestamp(50)).unwrap();
    let path = dir.path().join(id.file_name());
    let file = RealDisk.open(&path, OpenMode::Create).unwrap();
    file.write_at(0, &[IoSlice::new(&first)]).unwrap();
    // So large that nothing could read all of it.
    file.truncate(1 << 40).unwrap();
    assert_eq!(snapshot_facts(&RealDisk, &path).unwrap(), (1 << 40, Timestamp(42)));
    file.truncate(first.len() as u64 - 1).unwrap();
    assert!(snapshot_facts(&RealDisk, &path).unwrap_err().to_string().contains("it is cut off"));
}
