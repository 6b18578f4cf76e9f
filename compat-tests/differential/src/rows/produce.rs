//! Valid Produce requests: every version, codec, acks value and timestamp type, and the records
//! read back.

use super::{append, produce, some, topic};
use crate::batches::{Batch, CODECS, Rec, keyless, old_message, rec};
use crate::run::Run;
use crate::side::Side;
use protocol::Records;
use protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use protocol::messages::produce_request::{PartitionProduceData, ProduceRequest};

/// All versions, without those that are advertised but not served.
pub const VERSIONS: std::ops::RangeInclusive<i16> = 3..=13;

/// Returns a fetch of one partition from an offset on, in the form of version 12.
pub fn read_back(side: &Side, topic: &str, offset: i64) -> FetchRequest {
    FetchRequest {
        max_wait_ms: 0,
        max_bytes: 10_000_000,
        topics: vec![FetchTopic {
            topic: topic.into(),
            topic_id: side.id(topic),
            partitions: vec![FetchPartition {
                fetch_offset: offset,
                partition_max_bytes: 10_000_000,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

pub fn rows(run: &mut Run) {
    topic(run, "p", 2, &[]);
    run.row("good", VERSIONS, |side, _| produce(side, "p", 0, -1, Some(some(side, 3).bytes())));
    run.row("acks 1", VERSIONS, |side, _| produce(side, "p", 0, 1, Some(some(side, 3).bytes())));
    for version in VERSIONS {
        run.unanswered("acks 0", version, |side| produce(side, "p", 0, 0, Some(some(side, 3).bytes())));
    }
    for (codec, name) in CODECS {
        run.row(name, VERSIONS, |side, _| {
            let batch = Batch { attributes: codec, ..some(side, 20) };
            produce(side, "p", 0, -1, Some(batch.bytes()))
        });
    }
    shapes(run);
    run.row("all of it read back", [12, 13, 16, 18], |side, _| read_back(side, "p", 0));
    recompressed(run);
    stamped(run);
    unserved(run);
}

fn shapes(run: &mut Run) {
    let one = |records: Vec<Rec>| {
        move |side: &Side, _: i16| produce(side, "p", 0, -1, Some(Batch::new(side.now - 5000, records.clone()).bytes()))
    };
    run.row("no key", VERSIONS, one(vec![keyless("v")]));
    run.row("no value", VERSIONS, one(vec![Rec { value: None, ..rec("k", "") }]));
    run.row("neither", VERSIONS, one(vec![Rec { value: None, ..keyless("") }]));
    run.row("empty ones", VERSIONS, one(vec![rec("", "")]));
    let headers =
        vec![("h".to_string(), Some(b"1".to_vec())), ("h".to_string(), None), (String::new(), Some(Vec::new()))];
    run.row("headers", VERSIONS, one(vec![Rec { headers, ..rec("k", "v") }]));
    run.row("a leader epoch and a base offset of the producer's", [9, 13], |side, _| {
        let batch = Batch { base_offset: 77, leader_epoch: 5, ..some(side, 2) };
        produce(side, "p", 0, -1, Some(batch.bytes()))
    });
    run.row("the delete horizon set", [9, 13], |side, _| {
        let batch = Batch { attributes: 0x40, ..some(side, 2) };
        produce(side, "p", 0, -1, Some(batch.bytes()))
    });
    run.row("unused attributes set", [9, 13], |side, _| {
        let batch = Batch { attributes: 0x100, ..some(side, 2) };
        produce(side, "p", 0, -1, Some(batch.bytes()))
    });
    run.row("two partitions", VERSIONS, |side, _| {
        let mut request = produce(side, "p", 0, -1, Some(some(side, 2).bytes()));
        let second = produce(side, "p", 1, -1, Some(some(side, 1).bytes()));
        let more: Vec<_> = second.topic_data.into_iter().flat_map(|topic| topic.partition_data).collect();
        request.topic_data[0].partition_data.extend(more);
        request
    });
    run.row("two, one unknown", VERSIONS, |side, _| {
        let mut request = produce(side, "p", 0, -1, Some(some(side, 2).bytes()));
        request.topic_data[0].partition_data.push(PartitionProduceData {
            index: 9,
            records: Some(Records::Bytes(some(side, 1).bytes())),
            ..Default::default()
        });
        request
    });
    run.row("nothing", VERSIONS, |_, _| ProduceRequest { acks: -1, ..Default::default() });
    run.row("a timeout of zero", VERSIONS, |side, _| ProduceRequest {
        timeout_ms: 0,
        ..produce(side, "p", 0, -1, Some(some(side, 1).bytes()))
    });
    run.row("a negative timeout", VERSIONS, |side, _| ProduceRequest {
        timeout_ms: -1,
        ..produce(side, "p", 0, -1, Some(some(side, 1).bytes()))
    });
}

/// Topics whose codec differs from the producer's.
fn recompressed(run: &mut Run) {
    for (target, name) in CODECS {
        let topic_name = format!("to-{name}");
        topic(run, &topic_name, 1, &[("compression.type", name)]);
        for (codec, from) in CODECS {
            run.row(&format!("{from} to {name}"), [9, 13], |side, _| {
                let batch = Batch { attributes: codec, ..some(side, 5) };
                produce(side, &topic_name, 0, -1, Some(batch.bytes()))
            });
        }
        let _ = target;
        run.row(&format!("read back as {name}"), [12, 18], |side, _| read_back(side, &topic_name, 0));
    }
}

fn stamped(run: &mut Run) {
    topic(run, "late", 1, &[("message.timestamp.before.max.ms", "10000"), ("message.timestamp.after.max.ms", "10000")]);
    for (case, shift) in
        [("now", 0), ("too old", -60_000), ("too new", 60_000), ("none", i64::MIN), ("negative", i64::MIN + 1)]
    {
        run.row(&format!("a timestamp, {case}"), VERSIONS, |side, _| {
            let at = match shift {
                i64::MIN => -1,
                shift if shift < -1_000_000 => -5,
                shift => now_or(side, shift),
            };
            produce(side, "late", 0, -1, Some(Batch::new(at, vec![rec("k", "v"), rec("k", "w")]).bytes()))
        });
    }
    run.row("one of two too old", VERSIONS, |side, _| {
        let old = Rec { timestamp_delta: -60_000, ..rec("k", "old") };
        let batch = Batch::new(now_or(side, 0), vec![rec("k", "v"), old]);
        produce(side, "late", 0, -1, Some(batch.bytes()))
    });
    topic(run, "appended", 1, &[("message.timestamp.type", "LogAppendTime")]);
    run.row("stamped by the broker", VERSIONS, |side, _| produce(side, "appended", 0, -1, Some(some(side, 2).bytes())));
    run.row("stamped by the broker, compressed", VERSIONS, |side, _| {
        let batch = Batch { attributes: 4, ..some(side, 2) };
        produce(side, "appended", 0, if side.now > 0 { 1 } else { -1 }, Some(batch.bytes()))
    });
}

/// Returns the time at which the row is sent, because a run may take longer than the limits above.
fn now_or(_: &Side, shift: i64) -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(0) + shift
}

/// Versions 0 to 2, which are advertised for old librdkafka but not served (KAFKA-18659), and the
/// record formats of these versions.
fn unserved(run: &mut Run) {
    append(run, "p", 1, |side| some(side, 1));
    for version in 0..=2i16 {
        for magic in [0, 1] {
            let records = old_message(magic, run.now(), Some(b"k"), Some(b"v"));
            let mut frame = vec![0, 0];
            frame.extend(version.to_be_bytes());
            frame.extend([0, 0, 0, 7, 0, 1, b'd']);
            frame.extend([0xff, 0xff, 0, 0, 0x13, 0x88]);
            frame.extend([0, 0, 0, 1, 0, 1, b'p', 0, 0, 0, 1, 0, 0, 0, 0]);
            frame.extend(i32::try_from(records.len()).unwrap_or(0).to_be_bytes());
            frame.extend(records);
            run.raw(&format!("format {magic}"), 0, version, 7, &frame);
        }
    }
}
