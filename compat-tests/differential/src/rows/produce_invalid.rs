//! Invalid Produce requests: damaged, mislabelled, too large, sent to the wrong place.
//!
//! Two cases are left out because Kafka itself fails. It never answers a Produce with null instead
//! of records. It accepts a record in a compressed batch whose length differs from its content,
//! unless it rebuilds the batch; such a record then stops every consumer. Gregor always refuses
//! this record, as Kafka does when it rebuilds.

use super::produce::{VERSIONS, read_back};
use super::{NO_TOPIC, append, produce, some, topic};
use crate::batches::{Batch, Rec, keyless, old_message, rec};
use crate::run::Run;
use crate::side::Side;
use bytes::Bytes;
use protocol::messages::produce_request::ProduceRequest;

pub fn rows(run: &mut Run) {
    // The offsets topic exists from here on.
    super::warm(run);
    topic(run, "bad", 1, &[]);
    topic(run, "small", 1, &[("max.message.bytes", "200")]);
    append(run, "bad", 0, |side| some(side, 1));
    damaged(run);
    mislabelled(run);
    garbled(run);
    addressed(run);
    limited(run);
    run.row("nothing of it was kept", [12, 18], |side, _| read_back(side, "bad", 0));
}

fn case(run: &mut Run, name: &str, bytes: impl Fn(&Side) -> Bytes) {
    run.row(name, VERSIONS, |side, _| produce(side, "bad", 0, -1, Some(bytes(side))));
}

fn damaged(run: &mut Run) {
    case(run, "a wrong checksum", |side| Batch { crc_off: 1, ..some(side, 2) }.bytes());
    case(run, "a wrong checksum, compressed", |side| Batch { crc_off: 1, attributes: 1, ..some(side, 2) }.bytes());
    case(run, "cut in the records", |side| {
        let bytes = some(side, 2).bytes();
        bytes.slice(..bytes.len() - 3)
    });
    case(run, "cut in the head", |side| some(side, 2).bytes().slice(..40));
    case(run, "cut in the length", |side| some(side, 2).bytes().slice(..10));
    case(run, "one byte", |_| Bytes::from_static(&[0]));
    case(run, "no byte", |_| Bytes::new());
    case(run, "zeros", |_| Bytes::from(vec![0; 100]));
    case(run, "bytes after the batch", |side| [&some(side, 2).bytes()[..], &[1, 2, 3]].concat().into());
    case(run, "two batches", |side| [some(side, 2).bytes(), some(side, 2).bytes()].concat().into());
    case(run, "a length too long", |side| Batch { length_off: 10, ..some(side, 2) }.bytes());
    case(run, "a length too short", |side| Batch { length_off: -1, ..some(side, 2) }.bytes());
    case(run, "a length below a head", |side| Batch { length_off: -60, ..some(side, 1) }.bytes());
    case(run, "a negative length", |side| Batch { length_off: -10_000, ..some(side, 2) }.bytes());
}

fn mislabelled(run: &mut Run) {
    for magic in [0, 1, 3, -1, 127] {
        case(run, &format!("format {magic} in a batch of format 2"), |side| Batch { magic, ..some(side, 1) }.bytes());
    }
    case(run, "a message of format 0", |_| old_message(0, 0, Some(b"k"), Some(b"v")));
    case(run, "a message of format 1", |side| old_message(1, side.now, Some(b"k"), Some(b"v")));
    for (name, count) in
        [("too many", 5), ("too few", 1), ("none", 0), ("a negative number of", -1), ("far too many", i32::MAX)]
    {
        case(run, &format!("{name} records counted"), |side| Batch { count: Some(count), ..some(side, 2) }.bytes());
        case(run, &format!("{name} records counted, compressed"), |side| {
            Batch { count: Some(count), attributes: 1, ..some(side, 2) }.bytes()
        });
    }
    case(run, "no record at all", |side| Batch::new(side.now, Vec::new()).bytes());
    case(run, "no record, with a last offset delta of zero", |side| {
        Batch { last_offset_delta: Some(0), ..Batch::new(side.now, Vec::new()) }.bytes()
    });
    for delta in [0, 5, -1, i32::MAX] {
        case(run, &format!("a last offset delta of {delta}"), |side| {
            Batch { last_offset_delta: Some(delta), ..some(side, 2) }.bytes()
        });
    }
    case(run, "offset deltas with a gap", |side| {
        let records = vec![rec("a", "1"), Rec { offset_delta: Some(3), ..rec("b", "2") }];
        Batch { last_offset_delta: Some(3), ..Batch::new(side.now, records) }.bytes()
    });
    case(run, "offset deltas backwards, compressed", |side| {
        let records =
            vec![Rec { offset_delta: Some(1), ..rec("a", "1") }, Rec { offset_delta: Some(0), ..rec("b", "2") }];
        Batch { attributes: 1, ..Batch::new(side.now, records) }.bytes()
    });
    for (name, bits) in [
        ("an unknown codec 5", 5),
        ("an unknown codec 7", 7),
        ("a control batch", 0x20),
        ("a transactional batch", 0x10),
        ("a transactional control batch", 0x30),
        ("timestamps of the broker's", 0x08),
    ] {
        case(run, name, |side| Batch { attributes: bits, ..some(side, 1) }.bytes());
    }
    case(run, "a highest timestamp that is not", |side| Batch { max_timestamp: Some(5), ..some(side, 2) }.bytes());
    case(run, "a highest timestamp that is not, compressed", |side| {
        Batch { max_timestamp: Some(side.now + 9), attributes: 1, ..some(side, 2) }.bytes()
    });
    case(run, "a negative base offset", |side| Batch { base_offset: -7, ..some(side, 1) }.bytes());
}

fn garbled(run: &mut Run) {
    topic(run, "rebuilt", 1, &[("compression.type", "gzip")]);
    for (codec, name) in crate::batches::CODECS {
        case(run, &format!("{name} of nonsense"), |side| {
            Batch { attributes: codec, body: Some(vec![0xfe; 30]), ..some(side, 2) }.bytes()
        });
        case(run, &format!("{name} of nothing"), |side| {
            Batch { attributes: codec, body: Some(Vec::new()), ..some(side, 2) }.bytes()
        });
        case(run, &format!("{name} of records cut short"), |side| {
            Batch { attributes: codec, garble: Some(|records| records.truncate(records.len() - 2)), ..some(side, 2) }
                .bytes()
        });
        case(run, &format!("{name} of records and more"), |side| {
            Batch { attributes: codec, garble: Some(|records| records.extend([2, 0])), ..some(side, 2) }.bytes()
        });
        let negative =
            |side: &Side| Batch { attributes: codec, garble: Some(|records| records[0] = 1), ..some(side, 2) }.bytes();
        if codec == 0 {
            case(run, "a record of a negative length", negative);
        }
        if name == "gzip" {
            continue;
        }
        run.row(&format!("{name} of a record of a negative length, rebuilt"), VERSIONS, |side, _| {
            produce(side, "rebuilt", 0, -1, Some(negative(side)))
        });
        run.row(&format!("{name} of records cut short, rebuilt"), VERSIONS, |side, _| {
            let garble: fn(&mut Vec<u8>) = |records| records.truncate(records.len() - 2);
            let batch = Batch { attributes: codec, garble: Some(garble), ..some(side, 2) };
            produce(side, "rebuilt", 0, -1, Some(batch.bytes()))
        });
    }
}

fn addressed(run: &mut Run) {
    let good = |side: &Side| Some(some(side, 1).bytes());
    run.row("an unknown topic", VERSIONS, |side, _| produce(side, "nothing", 0, -1, good(side)));
    run.row("an unknown id", [13], |side, _| {
        let mut request = produce(side, "nothing", 0, -1, good(side));
        request.topic_data[0].topic_id = NO_TOPIC;
        request
    });
    run.row("an unknown partition", VERSIONS, |side, _| produce(side, "bad", 7, -1, good(side)));
    run.row("a negative partition", VERSIONS, |side, _| produce(side, "bad", -1, -1, good(side)));
    for name in ["", "a b", "__consumer_offsets", "__cluster_metadata", "__transaction_state"] {
        run.row(&format!("to {name:?}"), VERSIONS, |side, _| produce(side, name, 0, -1, good(side)));
    }
    for acks in [2, -2, i16::MAX, i16::MIN] {
        run.row(&format!("acks {acks}"), VERSIONS, |side, _| produce(side, "bad", 0, acks, good(side)));
    }
    for version in VERSIONS {
        run.unanswered("acks 0 to an unknown topic", version, |side| produce(side, "nothing", 0, 0, good(side)));
        run.unanswered("acks 0 with a wrong checksum", version, |side| {
            produce(side, "bad", 0, 0, Some(Batch { crc_off: 1, ..some(side, 1) }.bytes()))
        });
    }
    run.row("a good partition twice", VERSIONS, |side, _| {
        let mut request = produce(side, "bad", 0, -1, Some(some(side, 3).bytes()));
        let again = produce(side, "bad", 0, -1, good(side)).topic_data.remove(0).partition_data;
        request.topic_data[0].partition_data.extend(again);
        request
    });
    run.row("a good topic twice", VERSIONS, |side, _| {
        let mut request = produce(side, "bad", 0, -1, Some(some(side, 3).bytes()));
        request.topic_data.extend(produce(side, "bad", 0, -1, good(side)).topic_data);
        request
    });
    for (name, faults) in [("a fault, then good", [true, false]), ("good, then a fault", [false, true])] {
        run.row(&format!("a partition twice, {name}"), VERSIONS, |side, _| {
            let once = |is_fault: bool| {
                let records = if is_fault { Bytes::new() } else { some(side, 1).bytes() };
                produce(side, "bad", 0, -1, Some(records)).topic_data.remove(0).partition_data
            };
            let mut request = produce(side, "bad", 0, -1, None);
            request.topic_data[0].partition_data = faults.into_iter().flat_map(once).collect();
            request
        });
    }
    run.row("a topic without partitions", VERSIONS, |side, _| {
        let mut request = produce(side, "bad", 0, -1, good(side));
        request.topic_data[0].partition_data.clear();
        request
    });
    run.row("acks 2 and no batch", VERSIONS, |side, _| produce(side, "bad", 0, 2, Some(Bytes::new())));
    run.row("acks 2 to an unknown topic", VERSIONS, |side, _| produce(side, "nothing", 0, 2, good(side)));
    whole(run);
    run.row("a partition twice", VERSIONS, |side, _| {
        let mut request = produce(side, "bad", 7, -1, good(side));
        let again = request.topic_data[0].partition_data.clone();
        request.topic_data[0].partition_data.extend(again);
        request
    });
    run.row("a topic twice", VERSIONS, |side, _| {
        let mut request = produce(side, "nothing", 0, -1, good(side));
        request.topic_data.extend(request.topic_data.clone());
        request
    });
    run.row("a transactional id without a transaction", VERSIONS, |side, _| ProduceRequest {
        transactional_id: Some("t".into()),
        ..produce(side, "bad", 0, -1, Some(Batch { crc_off: 1, ..some(side, 1) }.bytes()))
    });
}

/// Faults that fail a whole request, and faults that do not.
fn whole(run: &mut Run) {
    let two = |side: &Side, first: Bytes, second: Bytes| {
        let mut request = produce(side, "bad", 0, -1, Some(first));
        request.topic_data.extend(produce(side, "nothing", 0, -1, Some(second)).topic_data);
        request
    };
    let good = |side: &Side| some(side, 1).bytes();
    let transactional = |side: &Side| Batch { attributes: 0x10, ..some(side, 1) }.bytes();
    let zeros = || Bytes::from(vec![0; 100]);
    run.row("good, and zeros", VERSIONS, |side, _| two(side, good(side), zeros()));
    // With a transactional id: from one producer, Kafka asks its coordinator; from two, it refuses.
    let of_producer = |side: &Side, producer_id| {
        let batch = Batch { attributes: 0x10, producer_id, producer_epoch: 0, base_sequence: 0, ..some(side, 1) };
        batch.bytes()
    };
    run.row("transactional batches of two producers", VERSIONS, |side, _| {
        let mut request = produce(side, "bad", 0, -1, Some(of_producer(side, 77_001)));
        request.topic_data.extend(produce(side, "small", 0, -1, Some(of_producer(side, 77_002))).topic_data);
        ProduceRequest { transactional_id: Some("t".into()), ..request }
    });
    run.row("a transactional batch without a producer", VERSIONS, |side, _| ProduceRequest {
        transactional_id: Some("t".into()),
        ..produce(side, "bad", 0, -1, Some(transactional(side)))
    });
    run.row("good, and a transactional batch", VERSIONS, |side, _| two(side, good(side), transactional(side)));
    run.row("a transactional batch, and zeros", VERSIONS, |side, _| two(side, transactional(side), zeros()));
    run.row("zeros, and a transactional batch", VERSIONS, |side, _| two(side, zeros(), transactional(side)));
    case(run, "a batch, then zeros", |side| [&some(side, 1).bytes()[..], &[0; 100]].concat().into());
    case(run, "a batch, then a transactional one", |side| [good(side), transactional(side)].concat().into());
    case(run, "a length at the end of its type", |side| {
        let length = some(side, 1).bytes().len() as i32 - 12;
        Batch { length_off: i32::MAX - length, ..some(side, 1) }.bytes()
    });
    run.row("good, and an unknown codec", VERSIONS, |side, _| {
        let mut request = produce(side, "bad", 0, -1, Some(good(side)));
        let records = Batch { attributes: 6, ..some(side, 1) }.bytes();
        request.topic_data.extend(produce(side, "small", 0, -1, Some(records)).topic_data);
        request
    });
    run.row("an unknown codec to an unknown topic", VERSIONS, |side, _| {
        produce(side, "nothing", 0, -1, Some(Batch { attributes: 6, ..some(side, 1) }.bytes()))
    });
    case(run, "a batch, then a length at the end of its type", |side| {
        let length = some(side, 1).bytes().len() as i32 - 12;
        let second = Batch { length_off: i32::MAX - length, ..some(side, 1) }.bytes();
        [good(side), second].concat().into()
    });
    for version in VERSIONS {
        run.unanswered("acks 0 with a transactional batch", version, |side| {
            produce(side, "bad", 0, 0, Some(transactional(side)))
        });
        run.unanswered("acks 0 with zeros", version, |side| produce(side, "bad", 0, 0, Some(zeros())));
        run.unanswered("acks 0 with good and bad", version, |side| ProduceRequest {
            acks: 0,
            ..two(side, good(side), good(side))
        });
    }
}

fn limited(run: &mut Run) {
    let long = "x".repeat(300);
    run.row("too large", VERSIONS, |side, _| {
        produce(side, "small", 0, -1, Some(Batch::new(side.now, vec![keyless(&long)]).bytes()))
    });
    run.row("too large, but not compressed", VERSIONS, |side, _| {
        let batch = Batch { attributes: 1, ..Batch::new(side.now, vec![keyless(&long)]) };
        produce(side, "small", 0, -1, Some(batch.bytes()))
    });
    topic(run, "unsegmented", 1, &[("segment.bytes", "1048576"), ("max.message.bytes", "3000000")]);
    let longer = "x".repeat(1_500_000);
    run.row("above a segment", [3, 7, 8, 9, 13], |side, _| {
        produce(side, "unsegmented", 0, -1, Some(Batch::new(side.now, vec![keyless(&longer)]).bytes()))
    });
    topic(run, "keyed", 1, &[("cleanup.policy", "compact")]);
    run.row("no key on a compacted topic", VERSIONS, |side, _| {
        produce(
            side,
            "keyed",
            0,
            -1,
            Some(Batch::new(side.now, vec![rec("k", "v"), keyless("v"), keyless("w")]).bytes()),
        )
    });
    run.row("no key on a compacted topic, compressed", VERSIONS, |side, _| {
        let batch = Batch { attributes: 4, ..Batch::new(side.now, vec![keyless("v")]) };
        produce(side, "keyed", 0, -1, Some(batch.bytes()))
    });
    topic(run, "insync", 1, &[("min.insync.replicas", "2")]);
    for acks in [-1, 1] {
        run.row(&format!("too few replicas in sync, acks {acks}"), VERSIONS, |side, _| {
            produce(side, "insync", 0, acks, Some(some(side, 1).bytes()))
        });
    }
}
