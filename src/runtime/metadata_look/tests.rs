//! Folders as other clusters and other releases leave them.

use super::*;
use model::{LeaderEpoch, Timestamp, TopicId};
use protocol::MetadataRecord;
use protocol::messages::feature_level_record::FeatureLevelRecord;
use protocol::messages::partition_record::PartitionRecord;
use protocol::messages::topic_record::TopicRecord;
use raft::LeaderChange;
use std::io::IoSlice;
use storage::disk::SimDisk;

const DIR: &str = "/data";
const FOLDER: &str = "/data/__cluster_metadata-0";

fn disk(files: &[(&str, &[u8])]) -> SimDisk {
    let disk = SimDisk::new();
    disk.create_dir(Path::new(FOLDER)).unwrap();
    for (name, bytes) in files {
        let file = disk.open(&Path::new(FOLDER).join(name), OpenMode::Create).unwrap();
        file.write_at(0, &[IoSlice::new(bytes)]).unwrap();
    }
    disk
}

fn look(disk: &SimDisk) -> Look {
    Look::at(disk, Path::new(DIR)).unwrap()
}

fn feature(name: &'static str, feature_level: i16) -> MetadataRecord {
    MetadataRecord::FeatureLevel(FeatureLevelRecord { name: name.into(), feature_level, ..Default::default() })
}

fn batch(base: i64, records: &[MetadataRecord]) -> Vec<u8> {
    let values: Vec<Bytes> = records.iter().map(|record| record.encode(0).unwrap()).collect();
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
fn a_folder_without_a_log_says_nothing() {
    let nothing = Look::at(&SimDisk::new(), Path::new(DIR)).unwrap();
    assert!(nothing.voters.is_empty() && nothing.refusal(BrokerId(1)).is_none());
    assert!(look(&disk(&[])).refusal(BrokerId(1)).is_none());
}

#[test]
fn controllers_elsewhere_are_named() {
    let state = |ids: &str| {
        format!(
            r#"{{"clusterId":"","leaderId":1,"leaderEpoch":1,"votedId":-1,"appliedOffset":0,"currentVoters":[{ids}],"data_version":0}}"#
        )
    };
    let (alone, three) = (state(r#"{"voterId":1}"#), state(r#"{"voterId":1},{"voterId":2},{"voterId":3}"#));
    assert!(look(&disk(&[(QUORUM_STATE_FILE, alone.as_bytes())])).refusal(BrokerId(1)).is_none());
    let reason = look(&disk(&[(QUORUM_STATE_FILE, three.as_bytes())])).refusal(BrokerId(1)).unwrap();
    assert!(reason.starts_with("it is of a cluster with the controllers 1, 2, 3;"), "{reason}");
    // The last leader's word is enough, and a torn end of the log hides nothing.
    let mut log = leader(0, &[1]);
    log.extend(leader(1, &[1, 4]));
    log.extend(&leader(2, &[1])[..40]);
    let found = look(&disk(&[("00000000000000000000.log", &log)]));
    assert!(found.refusal(BrokerId(1)).unwrap().contains("controllers 1, 4;"));
    let found = look(&disk(&[("00000000000000000000.log", &leader(0, &[1]))]));
    assert!(found.refusal(BrokerId(1)).is_none());
    assert!(found.refusal(BrokerId(2)).is_some());
}

#[test]
fn brokers_elsewhere_are_named() {
    let topic_id = TopicId::from_random([1; 16]);
    let topic = MetadataRecord::Topic(TopicRecord { name: "t".into(), topic_id, ..Default::default() });
    let partition = MetadataRecord::Partition(PartitionRecord {
        topic_id,
        replicas: vec![1, 2],
        isr: vec![1],
        leader: 1,
        ..Default::default()
    });
    let log = batch(0, &[feature("metadata.version", 7), topic, partition]);
    let reason = look(&disk(&[("00000000000000000000.log", &log)])).refusal(BrokerId(1)).unwrap();
    assert!(reason.starts_with("it is of a cluster in which the brokers 2 hold partitions too;"), "{reason}");
}

#[test]
fn features_of_a_newer_release_are_named() {
    let refusal = |record| {
        let log = batch(0, &[feature("metadata.version", 7), record]);
        Look::at(&disk(&[("00000000000000000000.log", &log)]), Path::new(DIR)).map(|found| found.refusal(BrokerId(1)))
    };
    assert_eq!(refusal(feature("group.version", 1)).unwrap(), None);
    let reason = refusal(feature("group.version", 99)).unwrap().unwrap();
    assert!(reason.starts_with("it is at level 99 of group.version, and this release knows 0 to"), "{reason}");
    let reason = refusal(feature("flux.version", 1)).unwrap().unwrap();
    assert!(reason.contains("flux.version, which this release does not know"), "{reason}");
    assert!(refusal(feature("metadata.version", 99)).unwrap_err().to_string().contains("99"));
}
