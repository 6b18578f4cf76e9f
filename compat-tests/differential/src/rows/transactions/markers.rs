//! WriteTxnMarkers, which a coordinator sends to the leaders of partitions.
//!
//! Kafka never answers a request that names a partition twice for one marker, or that has a marker
//! without a producer id for nothing or for partitions that do not exist after another marker.

use super::{Producer, data::shown_with};
use crate::batches::Batch;
use crate::rows::{append, coordinator, some, topic};
use crate::run::Run;
use protocol::messages::write_txn_markers_request::{
    WritableTxnMarker, WritableTxnMarkerTopic, WriteTxnMarkersRequest,
};

pub fn rows(run: &mut Run, level: &str) {
    let name = format!("tx-markers-{level}");
    topic(run, &name, 6, &[]);
    addressed(run, &name);
    epochs(run, &name, level);
    versions(run, &name, level);
    group_offsets(run, level);
}

pub fn marker(producer_id: i64, epoch: i16, coordinator: i32, topics: &[(&str, &[i32])]) -> WritableTxnMarker {
    let one = |(name, partitions): &(&str, &[i32])| WritableTxnMarkerTopic {
        name: (*name).into(),
        partition_indexes: partitions.to_vec(),
        ..Default::default()
    };
    WritableTxnMarker {
        producer_id,
        producer_epoch: epoch,
        coordinator_epoch: coordinator,
        topics: topics.iter().map(one).collect(),
        ..Default::default()
    }
}

pub fn request(markers: Vec<WritableTxnMarker>) -> WriteTxnMarkersRequest {
    WriteTxnMarkersRequest { markers, ..Default::default() }
}

/// Shows a partition, without the newest record: of two markers in one millisecond it is the first.
fn shown(run: &mut Run, topic: &str, partition: i32) {
    shown_with(run, topic, partition, &[-1, -2, -4]);
}

fn addressed(run: &mut Run, name: &str) {
    let all = 1..=2;
    run.row("no marker", all.clone(), |_, _| request(Vec::new()));
    run.row("no topic", all.clone(), |_, _| request(vec![marker(1, 0, 0, &[])]));
    run.row("no partition", all.clone(), |_, _| request(vec![marker(1, 0, 0, &[(name, &[])])]));
    run.row("an unknown topic", all.clone(), |_, _| request(vec![marker(1, 0, 0, &[("nothing", &[0])])]));
    run.row("an empty name", all.clone(), |_, _| request(vec![marker(1, 0, 0, &[("", &[0])])]));
    run.row("an unknown partition", all.clone(), |_, _| request(vec![marker(1, 0, 0, &[(name, &[99])])]));
    run.row("a negative partition", all.clone(), |_, _| request(vec![marker(1, 0, 0, &[(name, &[-1])])]));
    run.row("the metadata log", all.clone(), |_, _| request(vec![marker(1, 0, 0, &[("__cluster_metadata", &[0])])]));
    run.row("no producer id", all.clone(), |_, _| request(vec![marker(-1, 0, 0, &[(name, &[0])])]));
    run.row("no producer epoch", all.clone(), |_, _| request(vec![marker(70_000, -1, 0, &[(name, &[0])])]));
    run.row("a coordinator epoch below zero", all.clone(), |_, _| {
        request(vec![marker(70_001, 0, -1, &[(name, &[0])])])
    });
    for (case, bad) in [
        ("without a producer id", marker(-1, 0, 0, &[(name, &[0, 99]), ("nothing", &[0])])),
        ("with a negative producer id", marker(-7, 0, 0, &[(name, &[0])])),
        ("with a negative epoch", marker(70_002, -7, 0, &[(name, &[0])])),
    ] {
        run.row(&format!("{case}, after a good one"), all.clone(), |_, version| {
            request(vec![marker(70_070 + i64::from(version), 0, 0, &[(name, &[0])]), bad.clone()])
        });
        run.row(&format!("{case}, before a good one"), all.clone(), |_, version| {
            request(vec![bad.clone(), marker(70_080 + i64::from(version), 0, 0, &[(name, &[0])])])
        });
    }
    run.row("one known of several", all.clone(), |_, version| {
        let id = 70_010 + i64::from(version);
        request(vec![marker(id, 0, 0, &[(name, &[1, 99]), ("nothing", &[0])])])
    });
    run.row("two markers", all.clone(), |_, version| {
        let id = 70_020 + 2 * i64::from(version);
        request(vec![marker(id, 0, 0, &[(name, &[1])]), marker(id + 1, 0, 0, &[(name, &[1, 2])])])
    });
    run.row("two markers, one empty, one unknown", all.clone(), |_, version| {
        let id = 70_030 + 2 * i64::from(version);
        request(vec![marker(id, 0, 0, &[]), marker(id + 1, 0, 0, &[("nothing", &[1])])])
    });
    run.row("a topic twice", all.clone(), |_, version| {
        request(vec![marker(70_050 + i64::from(version), 0, 0, &[(name, &[2]), (name, &[3])])])
    });
    run.row("two markers of one producer", all, |_, version| {
        let id = 70_060 + i64::from(version);
        request(vec![marker(id, 0, 0, &[(name, &[2])]), marker(id, 0, 0, &[(name, &[3])])])
    });
    for partition in 0..4 {
        shown(run, name, partition);
    }
}

/// Markers of other producer epochs and of other coordinator epochs.
fn epochs(run: &mut Run, name: &str, level: &str) {
    let producer = Producer::new(run, &format!("tx-markers-{level}"));
    run.row("the next epoch", [5], |_, _| super::init(&producer.id, 600_000, -1, -1));
    producer.keep(run);
    let send = |run: &mut Run, case: &str, shift: i16, coordinator: i32, committed: bool| {
        run.row(case, 1..=2, |side, _| {
            let (id, epoch) = (producer.producer_id(side), producer.epoch(side) + shift);
            let marker = marker(id, epoch, coordinator, &[(name, &[4])]);
            request(vec![WritableTxnMarker { transaction_result: committed, ..marker }])
        });
    };
    producer.write(run, 11, name, 4, 0);
    send(run, "no epoch", -2, 0, true);
    send(run, "an epoch before it", -1, 0, true);
    send(run, "of an old coordinator", 0, -1, true);
    shown(run, name, 4);
    send(run, "an abort", 0, 3, false);
    shown(run, name, 4);
    send(run, "without a transaction", 0, 3, true);
    send(run, "of the coordinator before", 0, 2, true);
    send(run, "of a coordinator to come", 0, 9, true);
    send(run, "of the epoch after it", 1, 9, false);
    send(run, "of an epoch to come", 20, 9, true);
    send(run, "of the epoch it had", 0, 9, true);
    shown(run, name, 4);
    run.row("a batch of the epoch it had", [11], |side, _| producer.produce(side, name, 4, &producer.batch(side, 1)));
    run.row("of it all", [4], |side, _| producer.end(side, true));
    run.row("of it all", [0], |_, _| super::describe(&[&producer.id]));
    // The transaction stays prepared, because every coordinator epoch of its markers is old.
    shown(run, name, 4);
}

/// The transaction version of a marker (KIP-1228).
fn versions(run: &mut Run, name: &str, level: &str) {
    let base = 80_000 + 1000 * level.bytes().map(i64::from).sum::<i64>();
    for (number, version) in (0..).zip([-1i8, 0, 1, 2, 3, 127]) {
        let id = base + number;
        append(run, name, 5, |side| Batch::idempotent(side.now, id, 5, 0, some(side, 1).records));
        // Kafka looks at an invalid version only if the epoch is no older one.
        let epochs: &[i16] = if version < 0 { &[5, 6] } else { &[4, 5, 6, 6, 7] };
        for &epoch in epochs {
            run.row(&format!("epoch {epoch} of transaction version {version}"), [2], |_, _| {
                request(vec![WritableTxnMarker {
                    transaction_version: version,
                    ..marker(id, epoch, 0, &[(name, &[5])])
                }])
            });
        }
    }
    shown(run, name, 5);
}

/// Markers in `__consumer_offsets`, which the group coordinator carries out.
fn group_offsets(run: &mut Run, level: &str) {
    coordinator(run, "tx-markers");
    let base = 90_000 + 1000 * level.bytes().map(i64::from).sum::<i64>();
    for (case, epoch, coordinator_epoch) in [
        ("of nobody", 0, 0),
        ("of an old coordinator", 0, -1),
        ("of a coordinator to come", 0, 7),
        ("of the coordinator before", 0, 2),
        ("of the next epoch", 1, 7),
        ("of the epoch before", 0, 7),
    ] {
        run.row(&format!("{case}, of offsets"), 1..=2, |_, _| {
            request(vec![marker(base, epoch, coordinator_epoch, &[("__consumer_offsets", &[3])])])
        });
    }
    run.row("offsets and data", 1..=2, |_, version| {
        let id = base + 10 + i64::from(version);
        request(vec![marker(id, 0, 0, &[("__consumer_offsets", &[3, 99]), ("tx-end", &[2])])])
    });
    for version in [0, 1, 2, 3] {
        for epoch in [0, 0, 1] {
            run.row(&format!("offsets, epoch {epoch} of transaction version {version}"), [2], |_, _| {
                request(vec![WritableTxnMarker {
                    transaction_version: version,
                    ..marker(base + 20 + i64::from(version), epoch, 0, &[("__consumer_offsets", &[4])])
                }])
            });
        }
    }
    for (producer, epoch) in [(-1, 0), (base + 40, -1), (base + 41, -7)] {
        run.row(&format!("offsets of producer {producer}, epoch {epoch}"), 1..=2, |_, _| {
            request(vec![marker(producer, epoch, 0, &[("__consumer_offsets", &[4]), ("tx-end", &[2])])])
        });
    }
    run.row("markers in __transaction_state", 1..=2, |_, version| {
        request(vec![marker(base + 30 + i64::from(version), 0, 0, &[("__transaction_state", &[49])])])
    });
}
