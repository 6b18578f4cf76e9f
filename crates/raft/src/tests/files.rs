//! Files that Apache Kafka 4.3.1 wrote. They are read and written again, byte for byte.

use super::*;
use crate::batch::{batch_len, control_batch, data_batch, parse_batch};
use crate::snapshot::retention::{Deletion, DeletionReason, Limits, StoredSnapshot, deletion};
use crate::snapshot::{SnapshotPart, SnapshotReason, SnapshotSchedule, SnapshotWriter, read_snapshot};
use bytes::Bytes;
use model::Monotonic;

const STANDALONE: &[u8] = include_bytes!("../../testdata/standalone-bootstrap.checkpoint");
const KRAFT1: &[u8] = include_bytes!("../../testdata/kraft1-48-1.checkpoint");
const KRAFT0: &[u8] = include_bytes!("../../testdata/kraft0-37-2.checkpoint");
const BOOTSTRAP: &[u8] = include_bytes!("../../testdata/bootstrap.checkpoint");
const RECORDS: &[u8] = include_bytes!("../../testdata/bootstrap-records.batch");

#[test]
fn both_versions_of_quorum_state_equal_kafkas() {
    let voters = VoterSet::from_config("2@b:2,1@a:1,3@[::1]:3", "CONTROLLER").unwrap();
    let with_directory =
        ElectionState { voted: Some(ReplicaKey { id: BrokerId(3), ..key(3) }), ..election(7, None, None) };
    let cases = [
        (
            KRaftVersion::V0,
            election(0, None, None),
            r#"{"clusterId":"","leaderId":-1,"leaderEpoch":0,"votedId":-1,"appliedOffset":0,"currentVoters":[{"voterId":1},{"voterId":2},{"voterId":3}],"data_version":0}"#,
        ),
        (
            KRaftVersion::V0,
            election(5, Some(2), Some(ReplicaKey::new(3, Uuid::ZERO))),
            r#"{"clusterId":"","leaderId":2,"leaderEpoch":5,"votedId":3,"appliedOffset":0,"currentVoters":[{"voterId":1},{"voterId":2},{"voterId":3}],"data_version":0}"#,
        ),
        (
            KRaftVersion::V1,
            election(0, None, None),
            r#"{"leaderId":-1,"leaderEpoch":0,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}"#,
        ),
        (
            KRaftVersion::V1,
            election(5, Some(2), None),
            r#"{"leaderId":2,"leaderEpoch":5,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}"#,
        ),
        (
            KRaftVersion::V1,
            with_directory,
            r#"{"leaderId":-1,"leaderEpoch":7,"votedId":3,"votedDirectoryId":"mzH_hQWsRh-_CdVhJcqhYw","data_version":1}"#,
        ),
    ];
    for (version, election, text) in cases {
        assert_eq!(String::from_utf8(election.encode(version, &voters)).unwrap(), text);
        assert_eq!(ElectionState::decode(text.as_bytes()).unwrap(), election);
    }
    assert!(ElectionState::decode(b"").is_err());
    assert!(ElectionState::decode(br#"{"leaderId":1,"leaderEpoch":1,"votedId":-1,"data_version":2}"#).is_err());
    assert!(ElectionState::decode(br#"{"leaderEpoch":1,"votedId":-1,"data_version":1}"#).is_err());
}

#[test]
fn static_voters_are_read_or_refused() {
    assert_eq!(VoterSet::from_config("", "C").unwrap(), VoterSet::default());
    for wrong in ["1", "1@a", "x@a:1", "-1@a:1", "1@:1", "1@a:70000"] {
        assert_eq!(VoterSet::from_config(wrong, "C"), Err(VotersError::Entry(wrong.into())));
    }
    assert_eq!(VoterSet::from_config("1@a:1,1@b:1", "C"), Err(VotersError::Duplicate(BrokerId(1))));
}

#[test]
fn every_snapshot_of_kafka_is_written_again_byte_for_byte() {
    let cases = [
        (STANDALONE, SnapshotId::BOOTSTRAP, 0),
        (KRAFT1, SnapshotId::new(48, 1), 13),
        (KRAFT0, SnapshotId::new(37, 2), 9),
        (BOOTSTRAP, SnapshotId::BOOTSTRAP, 6),
    ];
    for (file, id, count) in cases {
        let file = Bytes::from_static(file);
        let parts = read_snapshot(file.clone()).unwrap();
        let mut quorum = QuorumHistory::default();
        let mut values = Vec::new();
        let mut header = None;
        for part in &parts {
            match part {
                SnapshotPart::Control(records) => {
                    for record in records {
                        quorum.apply(Offset::from_wire(id.end.0 - 1), record);
                        if let ControlRecord::SnapshotHeader { last_contained_log_timestamp } = record {
                            header = Some(*last_contained_log_timestamp);
                        }
                    }
                }
                SnapshotPart::Data(data) => values.extend(data.iter().cloned()),
            }
        }
        assert_eq!(values.len(), count);
        let times = batch_times(file.clone());
        let (mut writer, first) = SnapshotWriter::begin(id, header.unwrap(), quorum.at_end(id.end), times[0]).unwrap();
        let mut written = first.to_vec();
        for value in values {
            assert_eq!(writer.record(value, times[1]).unwrap(), None, "small records wait for a full batch");
        }
        written.extend(writer.finish_at(&times[1..]));
        assert_eq!(written, file, "{id}");
        for len in [file.len() - 1, file.len() - 75, 20, 5] {
            assert!(read_snapshot(file.slice(..len)).is_err(), "cut at {len}");
        }
    }
}

/// Returns the timestamp of each batch.
fn batch_times(mut file: Bytes) -> Vec<Timestamp> {
    let mut times = Vec::new();
    while let Some(len) = batch_len(&file) {
        times.push(parse_batch(file.split_to(len)).unwrap().max_timestamp);
    }
    times
}

impl SnapshotWriter {
    /// Ends a snapshot whose data batch and footer were written at different times.
    fn finish_at(mut self, times: &[Timestamp]) -> Vec<u8> {
        let mut bytes = Vec::new();
        if times.len() > 1 {
            bytes.extend(self.close_batch(times[0]).unwrap().unwrap());
        }
        bytes.extend(self.finish(*times.last().unwrap()).unwrap().concat());
        bytes
    }
}

#[test]
fn a_large_snapshot_has_several_batches() {
    let (mut writer, first) = SnapshotWriter::begin(
        SnapshotId::new(9, 2),
        Timestamp(5),
        (KRaftVersion::V0, &VoterSet::default()),
        Timestamp(6),
    )
    .unwrap();
    let mut file = first.to_vec();
    for _ in 0..30 {
        file.extend(writer.record(Bytes::from(vec![7; 100_000]), Timestamp(7)).unwrap().unwrap_or_default());
    }
    file.extend(writer.finish(Timestamp(8)).unwrap().concat());
    let parts = read_snapshot(Bytes::from(file)).unwrap();
    let counts: Vec<usize> = parts
        .iter()
        .map(|part| match part {
            SnapshotPart::Control(records) => records.len(),
            SnapshotPart::Data(values) => values.len(),
        })
        .collect();
    assert_eq!(counts, [1, 11, 11, 8, 1]);
}

#[test]
fn batches_equal_kafkas_and_damage_is_detected() {
    let bytes = Bytes::from_static(RECORDS);
    let batch = parse_batch(bytes.clone()).unwrap();
    assert_eq!((batch.base, batch.last, batch.epoch, batch.is_control), (offset(3), offset(11), LeaderEpoch(1), false));
    assert_eq!(data_batch(batch.base, batch.epoch, batch.max_timestamp, &batch.values()).unwrap(), bytes);
    for at in 0..bytes.len() {
        let mut damaged = bytes.to_vec();
        damaged[at] ^= 0x11;
        if let Ok(other) = parse_batch(Bytes::from(damaged)) {
            assert!(at < 17 && (other.base, other.epoch) != (batch.base, batch.epoch), "byte {at}");
        }
        assert!(parse_batch(bytes.slice(..at)).is_err());
    }
    let voters = ControlRecord::Voters(VoterSet::new([voter(1), voter(2)]));
    let bytes = control_batch(offset(5), LeaderEpoch(3), Timestamp(1), std::slice::from_ref(&voters)).unwrap();
    assert_eq!(parse_batch(bytes).unwrap().control_records().unwrap(), [(offset(5), voters)]);
    assert!(ControlRecord::decode(&[0, 0, 0, 5], Bytes::from_static(&[0, 0, 0, 9, 0])).is_err(), "kraft.version 9");
    assert!(ControlRecord::decode(&[0, 0, 0, 6], Bytes::from_static(&[0, 1, 1, 0])).is_err(), "VotersRecord version 1");
    assert!(ControlRecord::decode(&[0, 0], Bytes::new()).is_err());
}

#[test]
fn snapshot_names_are_exact() {
    let id = SnapshotId::new(48, 1);
    assert_eq!(id.file_name(), "00000000000000000048-0000000001.checkpoint");
    assert_eq!(SnapshotId::from_file_name(&id.file_name()), Some(id));
    let others = [
        "bootstrap.checkpoint",
        "00000000000000000048-0000000001.checkpoint.part",
        "48-1.checkpoint",
        "+0000000000000000048-0000000001.checkpoint",
    ];
    for other in others {
        assert_eq!(SnapshotId::from_file_name(other), None);
    }
}

#[test]
fn snapshots_are_due_by_bytes_and_by_time() {
    let mut schedule = SnapshotSchedule::new(3000, 1000, Monotonic(0));
    for _ in 0..41 {
        assert_eq!(schedule.applied(72, false, Monotonic(10)), None);
    }
    assert_eq!(schedule.applied(72, true, Monotonic(10)), None, "one is being written");
    assert_eq!(schedule.applied(72, false, Monotonic(10)), Some(SnapshotReason::MaxBytes(3000)));
    assert_eq!(schedule.applied(72, false, Monotonic(1009)), None);
    assert_eq!(schedule.applied(72, false, Monotonic(1010)), Some(SnapshotReason::MaxInterval(1000)));
    let mut without_time = SnapshotSchedule::new(3000, 0, Monotonic(0));
    assert_eq!(without_time.applied(72, false, Monotonic(u64::MAX)), None);
}

#[test]
fn old_snapshots_are_deleted_and_the_newest_is_kept() {
    let snapshot = |end, at| StoredSnapshot {
        id: SnapshotId::new(end, 1),
        bytes: 100,
        last_contained_log_timestamp: Timestamp(at),
    };
    let stored = [snapshot(0, 10), snapshot(48, 20), snapshot(90, 30)];
    let limits = |bytes, age| Limits { max_bytes: bytes, max_age_ms: age };
    let goes = |kept, reason| Some(Deletion { oldest_kept: SnapshotId::new(kept, 1), reason });
    assert_eq!(deletion(&stored, 700, limits(Some(1000), None), Timestamp(99)), None);
    assert_eq!(deletion(&stored, 701, limits(Some(1000), None), Timestamp(99)), goes(48, DeletionReason::Bytes));
    assert_eq!(deletion(&stored[2..], 9999, limits(Some(1), Some(1)), Timestamp(99)), None, "the newest stays");
    assert_eq!(deletion(&stored, 0, limits(None, Some(15)), Timestamp(30)), goes(48, DeletionReason::Age));
    assert_eq!(deletion(&stored, 0, limits(None, Some(15)), Timestamp(25)), None, "not older than the limit");
    assert_eq!(deletion(&stored, 0, limits(None, Some(0)), Timestamp(99)), goes(90, DeletionReason::Age));
    assert_eq!(deletion(&[], 0, limits(Some(0), Some(0)), Timestamp(99)), None);
}

#[test]
fn values_take_effect_by_offset() {
    let mut history = History::default();
    history.add(None, "bootstrap");
    history.add(Some(offset(2)), "two");
    history.add(Some(offset(9)), "nine");
    assert_eq!(history.at_end(offset(2)), Some(&"bootstrap"));
    assert_eq!(history.at_end(offset(3)), Some(&"two"));
    history.add(Some(offset(5)), "five");
    assert_eq!(history.last(), Some((Some(offset(5)), &"five")), "the log was written anew from there");
    history.forget_before(offset(4));
    assert_eq!(history.at_end(offset(2)), None);
    assert_eq!(history.at_end(offset(3)), Some(&"two"));
}
