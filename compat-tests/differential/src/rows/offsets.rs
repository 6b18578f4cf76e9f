//! ListOffsets and OffsetForLeaderEpoch.

use super::{append, some, topic};
use crate::batches::{Batch, Rec, rec};
use crate::run::Run;
use crate::side::Side;
use protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic};
use protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};

/// The age of the first records at the start of the run, in milliseconds.
const AGE_MS: i64 = 500_000;

pub fn rows(run: &mut Run) {
    topic(run, "times", 2, &[]);
    for step in 0..5i64 {
        append(run, "times", 0, |side| {
            let records = (0..10).map(|i| Rec { timestamp_delta: 100 * i, ..rec("k", "v") }).collect();
            Batch { attributes: (step % 5) as i16, ..Batch::new(side.now - AGE_MS + 10_000 * step, records) }
        });
    }
    // The newest record is in the middle.
    append(run, "times", 0, |side| {
        let newest = Rec { timestamp_delta: 90_000, ..rec("k", "newest") };
        Batch::new(side.now - AGE_MS, vec![rec("k", "a"), newest, rec("k", "b")])
    });
    append(run, "times", 0, |side| Batch::new(side.now - AGE_MS, vec![rec("k", "last")]));
    list(run);
    listed_wrong(run);
    leader_epochs(run);
}

fn list(run: &mut Run) {
    let of = |topic: &str, partition: i32, timestamp: i64, version: i16| ListOffsetsRequest {
        replica_id: -1,
        isolation_level: if version >= 2 { (version % 2) as i8 } else { 0 },
        topics: vec![ListOffsetsTopic {
            name: topic.into(),
            partitions: vec![ListOffsetsPartition { partition_index: partition, timestamp, ..Default::default() }],
            ..Default::default()
        }],
        timeout_ms: 1000,
        ..Default::default()
    };
    for (name, special) in [
        ("latest", -1),
        ("earliest", -2),
        ("the newest", -3),
        ("local", -4),
        ("tiered", -5),
        ("pending", -6),
        ("unknown", -7),
        ("lowest", i64::MIN),
    ] {
        run.row(name, 1..=11, |_, version| of("times", 0, special, version));
        run.row(&format!("{name} of nothing"), 1..=11, |_, version| of("times", 1, special, version));
    }
    for (name, shift) in [
        ("before all", -1),
        ("the first", 0),
        ("between two", 150),
        ("one in a batch", 10_300),
        ("between two batches", 5000),
        ("the last of a batch", 40_900),
        ("between the last", 41_000),
        ("the newest's", 90_000),
        ("after all", 90_001),
    ] {
        run.row(&format!("by time, {name}"), 1..=11, |side, version| {
            of("times", 0, side.now - AGE_MS + shift, version)
        });
    }
    run.row("by time, zero", 1..=11, |_, version| of("times", 0, 0, version));
    run.row("by time, the end of it", 1..=11, |_, version| of("times", 0, i64::MAX, version));
    let deletion = |_: &Side| DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic {
            name: "times".into(),
            partitions: vec![DeleteRecordsPartition { partition_index: 0, offset: 13, ..Default::default() }],
            ..Default::default()
        }],
        timeout_ms: 10_000,
        ..Default::default()
    };
    run.until("deleted records", 2, deletion, |answer| super::code(answer, "/topics/0/partitions/0/errorCode") == 0);
    for (name, special) in [("latest", -1), ("earliest", -2), ("the newest", -3), ("local", -4)] {
        run.row(&format!("{name} after a deletion"), 1..=11, |_, version| of("times", 0, special, version));
    }
    run.row("by time, what was deleted", 1..=11, |side, version| of("times", 0, side.now - AGE_MS, version));
}

fn listed_wrong(run: &mut Run) {
    let of = |topic: &str, partition: i32, epoch: i32, replica: i32| ListOffsetsRequest {
        replica_id: replica,
        topics: vec![ListOffsetsTopic {
            name: topic.into(),
            partitions: vec![ListOffsetsPartition {
                partition_index: partition,
                timestamp: -1,
                current_leader_epoch: epoch,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    run.row("an unknown topic", 1..=11, |_, _| of("nothing", 0, -1, -1));
    run.row("an unknown partition", 1..=11, |_, _| of("times", 7, -1, -1));
    run.row("a negative partition", 1..=11, |_, _| of("times", -1, -1, -1));
    run.row("an invalid name", 1..=11, |_, _| of("a b", 0, -1, -1));
    run.row("an empty name", 1..=11, |_, _| of("", 0, -1, -1));
    run.row("the leader's epoch", 4..=11, |_, _| of("times", 0, 0, -1));
    run.row("an epoch to come", 4..=11, |_, _| of("times", 0, 5, -1));
    run.row("a negative epoch", 4..=11, |_, _| of("times", 0, -2, -1));
    run.row("a replica's", 1..=11, |_, _| of("times", 0, -1, 5));
    run.row("a debugging replica's", 1..=11, |_, _| of("times", 0, -1, -2));
    run.row("a partition twice", 1..=11, |_, _| {
        let mut request = of("times", 0, -1, -1);
        let again = request.topics[0].partitions.clone();
        request.topics[0].partitions.extend(again);
        request
    });
    run.row("two partitions, one of them twice", 1..=11, |_, _| {
        let mut request = of("times", 0, -1, -1);
        let again = request.topics[0].partitions.clone();
        request.topics[0].partitions.extend(of("times", 1, -1, -1).topics.remove(0).partitions);
        request.topics[0].partitions.extend(again);
        request
    });
    run.row("a topic twice", 1..=11, |_, _| {
        let mut request = of("times", 0, -1, -1);
        request.topics.extend(of("times", 1, -1, -1).topics);
        request
    });
    run.row("a topic without partitions", 1..=11, |_, _| {
        let mut request = of("times", 0, -1, -1);
        request.topics[0].partitions.clear();
        request
    });
    run.row("an unknown isolation of two topics", 2..=11, |_, _| {
        let mut request = of("nothing", 0, -1, -1);
        request.topics.extend(of("times", 1, -1, -1).topics);
        ListOffsetsRequest { isolation_level: 7, ..request }
    });
    for isolation_level in [1, 2, -1] {
        run.row(&format!("isolation {isolation_level}"), 2..=11, |_, _| ListOffsetsRequest {
            isolation_level,
            ..of("times", 0, -1, -1)
        });
    }
    run.row("nothing", 1..=11, |_, _| ListOffsetsRequest { replica_id: -1, ..Default::default() });
}

fn leader_epochs(run: &mut Run) {
    append(run, "times", 1, |side| some(side, 3));
    let of = |topic: &str, partition: i32, current: i32, epoch: i32| OffsetForLeaderEpochRequest {
        replica_id: -1,
        topics: vec![OffsetForLeaderTopic {
            topic: topic.into(),
            partitions: vec![OffsetForLeaderPartition {
                partition,
                current_leader_epoch: current,
                leader_epoch: epoch,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    run.row("good", 2..=4, |_, _| of("times", 0, -1, 0));
    run.row("the leader's epoch", 2..=4, |_, _| of("times", 0, 0, 0));
    run.row("an epoch to come", 2..=4, |_, _| of("times", 0, 5, 0));
    run.row("of an epoch to come", 2..=4, |_, _| of("times", 0, -1, 5));
    run.row("of no epoch", 2..=4, |_, _| of("times", 0, -1, -1));
    run.row("of a negative epoch", 2..=4, |_, _| of("times", 0, -1, -5));
    run.row("a negative epoch", 2..=4, |_, _| of("times", 0, -5, 0));
    run.row("an unknown topic", 2..=4, |_, _| of("nothing", 0, -1, 0));
    run.row("an unknown partition", 2..=4, |_, _| of("times", 9, -1, 0));
    run.row("a negative partition", 2..=4, |_, _| of("times", -1, -1, 0));
    run.row("an empty name", 2..=4, |_, _| of("", 0, -1, 0));
    run.row("a replica's", 3..=4, |_, _| OffsetForLeaderEpochRequest { replica_id: 5, ..of("times", 0, -1, 0) });
    run.row("another partition", 2..=4, |_, _| of("times", 1, 0, 0));
    run.row("a partition twice", 2..=4, |_, _| {
        let mut request = of("times", 0, -1, 0);
        let again = request.topics[0].partitions.clone();
        request.topics[0].partitions.extend(again);
        request
    });
    run.row("a topic twice", 2..=4, |_, _| {
        let mut request = of("times", 0, -1, 0);
        request.topics.extend(of("times", 1, -1, 0).topics);
        request
    });
    run.row("a topic without partitions", 2..=4, |_, _| {
        let mut request = of("times", 0, -1, 0);
        request.topics[0].partitions.clear();
        request
    });
    run.row("an unknown topic between", 2..=4, |_, _| {
        let mut request = of("times", 0, -1, 0);
        request.topics.extend(of("nothing", 0, -1, 0).topics);
        request.topics.extend(of("times", 1, -1, 0).topics);
        request
    });
    run.row("nothing", 2..=4, |_, _| OffsetForLeaderEpochRequest { replica_id: -1, ..Default::default() });
}
