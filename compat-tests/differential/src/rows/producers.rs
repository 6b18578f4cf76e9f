//! Idempotent producers: InitProducerId, sequences and epochs in Produce, DescribeProducers.

use super::{append, produce, topic};
use crate::batches::{Batch, rec};
use crate::run::Run;
use crate::side::Side;
use protocol::Str;
use protocol::messages::describe_producers_request::{DescribeProducersRequest, TopicRequest};
use protocol::messages::init_producer_id_request::InitProducerIdRequest;

/// One version for each form of the answer.
const VERSIONS: [i16; 4] = [3, 7, 8, 13];

pub fn rows(run: &mut Run) {
    super::warm(run);
    init(run);
    sequences(run);
    described(run);
}

fn init(run: &mut Run) {
    let of = |id: Option<&str>, timeout: i32, producer: i64, epoch: i16| InitProducerIdRequest {
        transactional_id: id.map(Str::from),
        transaction_timeout_ms: timeout,
        producer_id: producer,
        producer_epoch: epoch,
        ..Default::default()
    };
    run.row("good", 0..=5, |_, _| of(None, 60_000, -1, -1));
    run.row("a timeout of zero", 0..=5, |_, _| of(None, 0, -1, -1));
    run.row("a negative timeout", 0..=5, |_, _| of(None, -1, -1, -1));
    run.row("a known id", 3..=5, |_, _| of(None, 60_000, 5, 0));
    run.row("an id without an epoch", 3..=5, |_, _| of(None, 60_000, 5, -1));
    run.row("an epoch without an id", 3..=5, |_, _| of(None, 60_000, -1, 5));
    run.row("an empty transactional id", 0..=5, |_, _| of(Some(""), 60_000, -1, -1));
}

fn sequences(run: &mut Run) {
    topic(run, "seq", 2, &[]);
    for (name, sequence, epoch, count) in [
        ("the first", 0, 0, 2),
        ("the first, again", 0, 0, 2),
        ("the second", 2, 0, 3),
        ("the second, again", 2, 0, 3),
        ("the first, once more", 0, 0, 2),
        ("part of the second", 2, 0, 1),
        ("a gap", 9, 0, 1),
        ("back into the second", 4, 0, 1),
        ("the third", 5, 0, 1),
        ("a higher epoch, not from zero", 6, 1, 1),
        ("a higher epoch", 0, 1, 1),
        ("a lower epoch", 6, 0, 1),
        ("no sequence", -1, 1, 1),
        ("a negative sequence", -2, 1, 1),
        ("no epoch", 1, -1, 1),
        ("after all that", 1, 1, 1),
    ] {
        // The first version may append the batch. For the others it is a duplicate.
        run.row(name, VERSIONS, |side, _| {
            let records = (0..count).map(|i| rec("k", &format!("{i}"))).collect();
            produce(side, "seq", 0, -1, Some(Batch::idempotent(side.now, 4000, epoch, sequence, records).bytes()))
        });
    }
    run.row("an unknown producer, not from zero", VERSIONS, |side, version| {
        let batch = Batch::idempotent(side.now, 5000 + i64::from(version), 0, 7, vec![rec("k", "v")]);
        produce(side, "seq", 0, -1, Some(batch.bytes()))
    });
    run.row("a producer's id without the rest", VERSIONS, |side, _| {
        let batch = Batch { producer_id: 6000, ..Batch::new(side.now, vec![rec("k", "v")]) };
        produce(side, "seq", 0, -1, Some(batch.bytes()))
    });
    run.row("a negative producer id", VERSIONS, |side, _| {
        let batch = Batch::idempotent(side.now, -2, 0, 0, vec![rec("k", "v")]);
        produce(side, "seq", 0, -1, Some(batch.bytes()))
    });
    run.row("a sequence that wraps", VERSIONS, |side, version| {
        let records = vec![rec("k", "1"), rec("k", "2"), rec("k", "3")];
        let batch = Batch::idempotent(side.now, 7000 + i64::from(version), 0, i32::MAX - 1, records);
        produce(side, "seq", 0, -1, Some(batch.bytes()))
    });
    run.row("after the wrap", VERSIONS, |side, version| {
        let batch = Batch::idempotent(side.now, 7000 + i64::from(version), 0, 1, vec![rec("k", "4")]);
        produce(side, "seq", 0, -1, Some(batch.bytes()))
    });
    for sequence in 0..7 {
        append(run, "seq", 1, |side| Batch::idempotent(side.now, 8000, 0, sequence, vec![rec("k", "v")]));
    }
    for sequence in 0..8 {
        run.row(&format!("the batch of sequence {sequence} of seven, again"), [13], |side, _| {
            let batch = Batch::idempotent(side.now, 8000, 0, sequence, vec![rec("k", "v")]);
            produce(side, "seq", 1, -1, Some(batch.bytes()))
        });
    }
    for version in VERSIONS {
        run.unanswered("acks 0 out of order", version, |side: &Side| {
            let batch = Batch::idempotent(side.now, 4000, 1, 99, vec![rec("k", "v")]);
            produce(side, "seq", 0, 0, Some(batch.bytes()))
        });
    }
}

fn described(run: &mut Run) {
    let of = |topics: &[(&str, &[i32])]| DescribeProducersRequest {
        topics: topics
            .iter()
            .map(|(name, partitions)| TopicRequest {
                name: (*name).into(),
                partition_indexes: partitions.to_vec(),
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    };
    run.row("good", [0], |_, _| of(&[("seq", &[0, 1])]));
    run.row("no producer", [0], |_, _| of(&[("p", &[0])]));
    run.row("an unknown topic", [0], |_, _| of(&[("nothing", &[0])]));
    run.row("an unknown partition", [0], |_, _| of(&[("seq", &[7])]));
    run.row("a negative partition", [0], |_, _| of(&[("seq", &[-1])]));
    run.row("an invalid name", [0], |_, _| of(&[("a b", &[0])]));
    run.row("an internal topic", [0], |_, _| of(&[("__consumer_offsets", &[0])]));
    run.row("a name too long", [0], |_, _| of(&[(&"x".repeat(250), &[0])]));
    run.row("an empty name", [0], |_, _| of(&[("", &[0])]));
    run.row("a partition twice", [0], |_, _| of(&[("seq", &[1, 1])]));
    run.row("a topic twice", [0], |_, _| of(&[("seq", &[1]), ("seq", &[1])]));
    run.row("a topic without partitions", [0], |_, _| of(&[("nothing", &[])]));
    run.row("no partition", [0], |_, _| of(&[("seq", &[])]));
}
