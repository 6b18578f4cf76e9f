//! What is read of snapshots.

use super::*;
use raft::VoterSet;
use storage::disk::RealDisk;

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
