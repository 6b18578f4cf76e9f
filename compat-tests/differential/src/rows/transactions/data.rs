//! Produce with transactional batches, and what Fetch, ListOffsets and DescribeProducers show of
//! them.

use super::{CONTROL, Producer, TRANSACTIONAL, describe};
use crate::batches::{Batch, rec};
use crate::rows::{append, produce, some, topic};
use crate::run::Run;
use crate::side::Side;
use protocol::Str;
use protocol::messages::describe_producers_request::{DescribeProducersRequest, TopicRequest};
use protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};

/// One version for each form of the answer, and those at which Kafka treats transactions
/// differently.
const PRODUCE: [i16; 7] = [3, 7, 8, 10, 11, 12, 13];

pub fn rows(run: &mut Run, level: &str) {
    let name = format!("tx-data-{level}");
    topic(run, &name, 3, &[]);
    readers(run, level, &name);
    mixed(run, level);
    refused(run, level);
    sequences(run, level);
    without_partition(run, level);
    superseded(run, level);
}

/// Returns a fetch of one partition in an isolation.
fn fetch(side: &Side, topic: &str, partition: i32, offset: i64, isolation_level: i8) -> FetchRequest {
    FetchRequest {
        max_wait_ms: 0,
        min_bytes: 0,
        max_bytes: 10_000_000,
        isolation_level,
        topics: vec![FetchTopic {
            topic: topic.into(),
            topic_id: side.id(topic),
            partitions: vec![FetchPartition {
                partition,
                fetch_offset: offset,
                partition_max_bytes: 1_000_000,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn list(topic: &str, partition: i32, timestamp: i64, isolation_level: i8) -> ListOffsetsRequest {
    ListOffsetsRequest {
        replica_id: -1,
        isolation_level,
        topics: vec![ListOffsetsTopic {
            name: topic.into(),
            partitions: vec![ListOffsetsPartition { partition_index: partition, timestamp, ..Default::default() }],
            ..Default::default()
        }],
        timeout_ms: 1000,
        ..Default::default()
    }
}

fn producers(topic: &str, partitions: &[i32]) -> DescribeProducersRequest {
    DescribeProducersRequest {
        topics: vec![TopicRequest { name: topic.into(), partition_indexes: partitions.to_vec(), ..Default::default() }],
        ..Default::default()
    }
}

/// Shows a partition to both kinds of readers.
fn shown(run: &mut Run, topic: &str, partition: i32) {
    shown_with(run, topic, partition, &[-1, -2, -3, -4]);
}

/// Shows a partition to both kinds of readers, with some of the special offsets.
pub fn shown_with(run: &mut Run, topic: &str, partition: i32, special: &[i64]) {
    for isolation in [0, 1] {
        run.row(&format!("all of {topic}-{partition}, isolation {isolation}"), [4, 5, 11, 18], |side, _| {
            fetch(side, topic, partition, 0, isolation)
        });
        for &timestamp in special {
            run.row(&format!("{timestamp} of {topic}-{partition}, isolation {isolation}"), [2, 7, 11], |_, _| {
                list(topic, partition, timestamp, isolation)
            });
        }
        for shift in [-1_000_001, 0, -1_000_000, 1, 100_000_000] {
            run.row(
                &format!("by time {shift} of {topic}-{partition}, isolation {isolation}"),
                [2, 5, 11],
                |side, _| list(topic, partition, side.now + shift, isolation),
            );
        }
    }
    run.row(&format!("of {topic}-{partition}"), [0], |_, _| producers(topic, &[partition]));
}

/// Transactions one after the other and overlapping, seen after each step.
fn readers(run: &mut Run, level: &str, name: &str) {
    let [one, two, three] = ["a", "b", "c"].map(|which| Producer::new(run, &format!("tx-data-{which}-{level}")));
    append(run, name, 0, |side| some(side, 2));
    one.write(run, 11, name, 0, 0);
    shown(run, name, 0);
    append(run, name, 0, |side| some(side, 1));
    two.write(run, 11, name, 0, 0);
    one.finish(run, 4, false);
    shown(run, name, 0);
    three.write(run, 13, name, 0, 0);
    two.finish(run, 4, true);
    shown(run, name, 0);
    three.finish(run, 5, false);
    shown(run, name, 0);
    for offset in 0..12 {
        run.row(&format!("from {offset}"), [4, 11, 12, 18], |side, _| fetch(side, name, 0, offset, 1));
    }
    for bytes in [1, 100, 200, 400] {
        run.row(&format!("the first {bytes} bytes"), [4, 11, 12, 18], |side, _| {
            let mut request = fetch(side, name, 0, 2, 1);
            request.topics[0].partitions[0].partition_max_bytes = bytes;
            request
        });
    }
}

/// Batches that mix transactional and plain ones.
fn mixed(run: &mut Run, level: &str) {
    let name = format!("tx-mixed-{level}");
    topic(run, &name, 2, &[]);
    let producer = Producer::new(run, &format!("tx-mixed-{level}"));
    run.row("both", [3], |side, v| producer.add(side, v, &[(&name, &[0, 1])]));
    let plain = |side: &Side, sequence: i32| Batch { attributes: 0, ..producer.batch(side, sequence) };
    run.row("a plain one with the transactional id", PRODUCE, |side, _| {
        producer.produce(side, &name, 0, &some(side, 1))
    });
    run.row("one without the transactional id", PRODUCE, |side, _| {
        produce(side, &name, 0, -1, Some(producer.batch(side, 0).bytes()))
    });
    run.row("an empty transactional id", PRODUCE, |side, _| {
        let mut request = producer.produce(side, &name, 0, &producer.batch(side, 0));
        request.transactional_id = Some(Str::default());
        request
    });
    run.row("another transactional id", PRODUCE, |side, _| {
        let mut request = producer.produce(side, &name, 0, &producer.batch(side, 0));
        request.transactional_id = Some("nobody".into());
        request
    });
    run.row("transactional and plain of two partitions", PRODUCE, |side, _| {
        let mut request = producer.produce(side, &name, 0, &producer.batch(side, 0));
        let second = producer.produce(side, &name, 1, &some(side, 1));
        let more: Vec<_> = second.topic_data.into_iter().flat_map(|topic| topic.partition_data).collect();
        request.topic_data[0].partition_data.extend(more);
        request
    });
    run.row("two producers in one request", PRODUCE, |side, _| {
        let mut request = producer.produce(side, &name, 0, &producer.batch(side, 0));
        let other = Batch { producer_id: 8_000_000, ..producer.batch(side, 0) };
        let second = producer.produce(side, &name, 1, &other);
        let more: Vec<_> = second.topic_data.into_iter().flat_map(|topic| topic.partition_data).collect();
        request.topic_data[0].partition_data.extend(more);
        request
    });
    run.row("a plain one of the producer within its transaction", PRODUCE, |side, _| {
        produce(side, &name, 1, -1, Some(plain(side, 0).bytes()))
    });
    run.row("described", [0], |_, _| describe(&[&producer.id]));
    shown(run, &name, 0);
    shown(run, &name, 1);
    producer.finish(run, 4, true);
    shown(run, &name, 0);
    shown(run, &name, 1);
}

/// Control batches of a client, and transactional batches without a producer.
fn refused(run: &mut Run, level: &str) {
    let name = format!("tx-refused-{level}");
    topic(run, &name, 1, &[]);
    let producer = Producer::new(run, &format!("tx-refused-{level}"));
    run.row("added", [3], |side, v| producer.add(side, v, &[(&name, &[0])]));
    for (case, attributes) in [("a control batch", 0x20), ("a control batch of the transaction", CONTROL)] {
        run.row(case, PRODUCE, |side, _| {
            producer.produce(side, &name, 0, &Batch { attributes, ..producer.batch(side, 0) })
        });
        run.row(&format!("{case}, a marker"), PRODUCE, |side, _| {
            let marker =
                crate::batches::Rec { key: Some(vec![0, 0, 0, 1]), value: Some(vec![0, 0, 0, 0, 0, 0]), ..rec("", "") };
            let batch = Batch { attributes, records: vec![marker], base_sequence: -1, ..producer.batch(side, 0) };
            producer.produce(side, &name, 0, &batch)
        });
    }
    run.row("without a producer id", PRODUCE, |side, _| {
        let batch = Batch { producer_id: -1, producer_epoch: -1, base_sequence: -1, ..producer.batch(side, 0) };
        producer.produce(side, &name, 0, &batch)
    });
    run.row("without a sequence", PRODUCE, |side, _| {
        producer.produce(side, &name, 0, &Batch { base_sequence: -1, ..producer.batch(side, 0) })
    });
    run.row("of an unknown topic", PRODUCE, |side, _| producer.produce(side, "nothing", 0, &producer.batch(side, 0)));
    run.row("of an unknown partition", PRODUCE, |side, _| producer.produce(side, &name, 9, &producer.batch(side, 0)));
    run.row("into __transaction_state", PRODUCE, |side, _| {
        producer.produce(side, "__transaction_state", 0, &producer.batch(side, 0))
    });
    for shift in [-1, 1, 7] {
        run.row(&format!("an epoch off by {shift}"), PRODUCE, |side, _| {
            let epoch = producer.epoch(side) + shift;
            producer.produce(side, &name, 0, &Batch { producer_epoch: epoch, ..producer.batch(side, 0) })
        });
    }
    run.row("another producer id", PRODUCE, |side, _| {
        producer.produce(side, &name, 0, &Batch { producer_id: 9_000_000, ..producer.batch(side, 0) })
    });
    run.row("described", [0], |_, _| describe(&[&producer.id]));
    shown(run, &name, 0);
    producer.finish(run, 4, true);
    shown(run, &name, 0);
}

/// Sequences within a transaction and across its end.
fn sequences(run: &mut Run, level: &str) {
    let name = format!("tx-seq-{level}");
    topic(run, &name, 2, &[]);
    for (partition, committed) in [(0, true), (1, false)] {
        let producer = Producer::new(run, &format!("tx-seq-{level}-{committed}"));
        let send = |run: &mut Run, case: &str, sequence: i32| {
            run.row(case, [3, 11], |side, _| producer.produce(side, &name, partition, &producer.batch(side, sequence)));
        };
        run.row("added", [3], |side, v| producer.add(side, v, &[(&name, &[partition])]));
        send(run, "not from zero", 5);
        send(run, "the first", 0);
        send(run, "the second", 1);
        send(run, "a gap", 5);
        send(run, "back", 0);
        producer.finish(run, 4, committed);
        run.row("added again", [3], |side, v| producer.add(side, v, &[(&name, &[partition])]));
        send(run, "a gap across the end", 7);
        send(run, "the last one again across the end", 1);
        send(run, "the next one across the end", 2);
        producer.finish(run, 4, committed);
        // The next epoch begins from zero.
        run.row("the next epoch", [5], |_, _| super::init(&producer.id, 60_000, -1, -1));
        producer.keep(run);
        run.row("added in the next epoch", [3], |side, v| producer.add(side, v, &[(&name, &[partition])]));
        send(run, "not from zero in the next epoch", 3);
        send(run, "the first in the next epoch", 0);
        producer.finish(run, 4, committed);
        shown(run, &name, partition);
    }
    let producer = Producer::new(run, &format!("tx-seq-{level}-own"));
    for round in 0..2 {
        for sequence in [3, 0, 1, 1, 7] {
            run.row(&format!("round {round}, sequence {sequence}, not added"), [13], |side, _| {
                producer.produce(side, &name, 0, &producer.batch(side, sequence))
            });
        }
        producer.finish(run, 5, true);
    }
    shown(run, &name, 0);
}

/// Batches for partitions that were never added to the transaction.
fn without_partition(run: &mut Run, level: &str) {
    let name = format!("tx-never-{level}");
    topic(run, &name, 8, &[]);
    for (partition, version) in (0..).zip(PRODUCE) {
        let producer = Producer::new(run, &format!("tx-never-{level}-{version}"));
        run.row("no partition was ever added", [version], |side, _| {
            producer.produce(side, &name, partition, &producer.batch(side, 0))
        });
        run.row("another partition", [3], |side, v| producer.add(side, v, &[(&name, &[7])]));
        run.row("another partition was added", [version], |side, _| {
            producer.produce(side, &name, partition, &producer.batch(side, 0))
        });
        run.row("described", [0], |_, _| describe(&[&producer.id]));
        producer.finish(run, 4, true);
        run.row("after the end", [version], |side, _| {
            producer.produce(side, &name, partition, &producer.batch(side, 1))
        });
        run.row("described", [0], |_, _| describe(&[&producer.id]));
        shown(run, &name, partition);
    }
}

/// Batches of a producer whose transactional id has gone to the next one.
fn superseded(run: &mut Run, level: &str) {
    let name = format!("tx-superseded-{level}");
    topic(run, &name, 1, &[]);
    let producer = Producer::new(run, &format!("tx-superseded-{level}"));
    producer.write(run, 11, &name, 0, 0);
    run.row("the next producer", [5], |_, _| super::init(&producer.id, 60_000, -1, -1));
    producer.settle(run);
    run.row("the next producer, again", [5], |_, _| super::init(&producer.id, 60_000, -1, -1));
    run.row("of the one before", PRODUCE, |side, _| producer.produce(side, &name, 0, &producer.batch(side, 1)));
    run.row("plain, of the one before", PRODUCE, |side, _| {
        let batch = Batch { attributes: 0, ..producer.batch(side, 1) };
        produce(side, &name, 0, -1, Some(batch.bytes()))
    });
    for attributes in [0, TRANSACTIONAL] {
        let shift = 1 + i16::from(attributes == 0);
        run.row(&format!("attributes {attributes}, of an epoch after it"), PRODUCE, |side, _| {
            let epoch = producer.epoch(side) + shift;
            producer.produce(side, &name, 0, &Batch { attributes, producer_epoch: epoch, ..producer.batch(side, 0) })
        });
    }
    shown(run, &name, 0);
}
