//! Fetch: limits, isolation, sessions (KIP-227), epochs, and every way to ask for something that
//! does not exist.

use super::{NO_TOPIC, append, some, topic};
use crate::batches::Batch;
use crate::run::Run;
use crate::side::Side;
use protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic, ForgottenTopic};
use std::ops::RangeInclusive;

const VERSIONS: RangeInclusive<i16> = 4..=18;
/// One version of each form: names and no sessions, sessions, leader epochs, the last with names,
/// the first with ids, the last.
const SOME: [i16; 6] = [4, 7, 9, 12, 13, 18];

fn partition(index: i32, offset: i64) -> FetchPartition {
    FetchPartition { partition: index, fetch_offset: offset, partition_max_bytes: 1_000_000, ..Default::default() }
}

fn of(side: &Side, topic: &str, partitions: Vec<FetchPartition>) -> FetchRequest {
    FetchRequest {
        max_wait_ms: 0,
        min_bytes: 0,
        max_bytes: 10_000_000,
        topics: vec![FetchTopic { topic: topic.into(), topic_id: side.id(topic), partitions, ..Default::default() }],
        ..Default::default()
    }
}

pub fn rows(run: &mut Run) {
    topic(run, "f", 3, &[]);
    topic(run, "f-b", 1, &[]);
    for step in 0..4i16 {
        append(run, "f", 0, |side| Batch { attributes: step, ..some(side, 5) });
    }
    append(run, "f", 1, |side| some(side, 5));
    append(run, "f-b", 0, |side| some(side, 2));
    plain(run);
    limits(run);
    wrong(run);
    epochs(run);
    sessions(run);
    session_faults(run);
}

fn plain(run: &mut Run) {
    for (name, offset) in
        [("the start", 0), ("a batch", 5), ("within a batch", 7), ("the last record", 19), ("the end", 20)]
    {
        run.row(&format!("from {name}"), VERSIONS, |side, _| of(side, "f", vec![partition(0, offset)]));
    }
    run.row("committed only", VERSIONS, |side, _| FetchRequest {
        isolation_level: 1,
        ..of(side, "f", vec![partition(0, 5)])
    });
    run.row("an unknown isolation", SOME, |side, _| FetchRequest {
        isolation_level: 5,
        ..of(side, "f", vec![partition(0, 5)])
    });
    run.row("an empty partition", VERSIONS, |side, _| of(side, "f", vec![partition(2, 0)]));
    run.row("three partitions", VERSIONS, |side, _| {
        of(side, "f", vec![partition(1, 0), partition(0, 15), partition(2, 0)])
    });
    run.row("two topics", VERSIONS, |side, _| {
        let mut request = of(side, "f", vec![partition(0, 15)]);
        request.topics.extend(of(side, "f-b", vec![partition(0, 0)]).topics);
        request
    });
    run.row("waits for more than there is", SOME, |side, _| FetchRequest {
        min_bytes: 1,
        max_wait_ms: 50,
        ..of(side, "f", vec![partition(0, 20)])
    });
    run.row("a rack", 11..=18, |side, _| FetchRequest { rack_id: "r".into(), ..of(side, "f", vec![partition(0, 15)]) });
    run.row("nothing", VERSIONS, |_, _| FetchRequest { max_bytes: 1000, ..Default::default() });
}

fn limits(run: &mut Run) {
    for bytes in [0, 1, 100, 200, 300, -1, i32::MIN] {
        run.row(&format!("a partition's limit of {bytes}"), SOME, |side, _| {
            of(side, "f", vec![FetchPartition { partition_max_bytes: bytes, ..partition(0, 0) }])
        });
        run.row(&format!("a limit of {bytes}"), SOME, |side, _| FetchRequest {
            max_bytes: bytes,
            ..of(side, "f", vec![partition(0, 0), partition(1, 0)])
        });
    }
    run.row("a negative wait", SOME, |side, _| FetchRequest {
        max_wait_ms: -1,
        ..of(side, "f", vec![partition(0, 0)])
    });
    run.row("a negative minimum", SOME, |side, _| FetchRequest {
        min_bytes: -1,
        ..of(side, "f", vec![partition(0, 0)])
    });
}

fn wrong(run: &mut Run) {
    for offset in [21, 1000, -1, -2, i64::MAX, i64::MIN] {
        run.row(&format!("offset {offset}"), VERSIONS, |side, _| of(side, "f", vec![partition(0, offset)]));
    }
    run.row("an unknown topic", VERSIONS, |side, _| of(side, "nothing", vec![partition(0, 0)]));
    run.row("an unknown id", 13..=18, |side, _| {
        let mut request = of(side, "f", vec![partition(0, 0)]);
        request.topics[0].topic_id = NO_TOPIC;
        request
    });
    run.row("an unknown id and a known", 13..=18, |side, _| {
        let mut request = of(side, "f", vec![partition(0, 15)]);
        request.topics.extend(of(side, "nothing", vec![partition(0, 0)]).topics);
        request.topics[1].topic_id = NO_TOPIC;
        request
    });
    run.row("an unknown partition", VERSIONS, |side, _| of(side, "f", vec![partition(7, 0)]));
    run.row("a negative partition", VERSIONS, |side, _| of(side, "f", vec![partition(-1, 0)]));
    run.row("a topic without partitions", SOME, |side, _| of(side, "f", Vec::new()));
    run.row("a topic twice", SOME, |side, _| {
        let mut request = of(side, "f", vec![partition(0, 15)]);
        request.topics.extend(of(side, "f-b", vec![partition(0, 0)]).topics);
        request.topics.extend(of(side, "f", vec![partition(1, 0)]).topics);
        request
    });
    run.row("an unknown one between two", SOME, |side, _| {
        let mut request = of(side, "f", vec![partition(0, 15), partition(7, 0), partition(1, 0)]);
        request.topics.extend(of(side, "nothing", vec![partition(0, 0)]).topics);
        // Kafka fails at the zero id unless it is the last one.
        request.topics[1].topic_id = NO_TOPIC;
        request.topics.extend(of(side, "f-b", vec![partition(0, 0)]).topics);
        request
    });
    run.row("an unknown isolation of two topics", SOME, |side, _| {
        let mut request = of(side, "nothing", vec![partition(0, 15), partition(0, 15)]);
        request.topics.extend(of(side, "f-b", vec![partition(0, 0)]).topics);
        FetchRequest { isolation_level: -1, ..request }
    });
    run.row("a negative limit at the end", SOME, |side, _| {
        of(side, "f", vec![FetchPartition { partition_max_bytes: -1, ..partition(0, 20) }])
    });
    run.row("a negative limit out of range", SOME, |side, _| {
        of(side, "f", vec![FetchPartition { partition_max_bytes: -1, ..partition(0, 21) }])
    });
    run.row("a partition twice", SOME, |side, _| of(side, "f", vec![partition(0, 15), partition(0, 10)]));
    run.row("an invalid name", 4..=12, |side, _| of(side, "a b", vec![partition(0, 0)]));
    run.row("an empty name", 4..=12, |side, _| of(side, "", vec![partition(0, 0)]));
    run.row("a follower that is none", 4..=14, |side, _| FetchRequest {
        replica_id: 5,
        ..of(side, "f", vec![partition(0, 0)])
    });
    run.row("a follower that is none and names the leader epoch", 9..=14, |side, _| FetchRequest {
        replica_id: 5,
        ..of(side, "f", vec![FetchPartition { current_leader_epoch: 0, ..partition(0, 0) }])
    });
    run.row("a debugging consumer", 4..=14, |side, _| FetchRequest {
        replica_id: -2,
        ..of(side, "f", vec![partition(0, 0)])
    });
}

fn epochs(run: &mut Run) {
    for epoch in [0, 1, 5, -2] {
        run.row(&format!("leader epoch {epoch}"), 9..=18, |side, _| {
            of(side, "f", vec![FetchPartition { current_leader_epoch: epoch, ..partition(0, 15) }])
        });
    }
    for epoch in [0, 5, -2] {
        run.row(&format!("last fetched epoch {epoch}"), 12..=18, |side, _| {
            of(side, "f", vec![FetchPartition { last_fetched_epoch: epoch, ..partition(0, 15) }])
        });
    }
    run.row("a log start offset", 5..=18, |side, _| {
        of(side, "f", vec![FetchPartition { log_start_offset: 3, ..partition(0, 15) }])
    });
}

fn sessions(run: &mut Run) {
    for version in 7..=18 {
        let next = |side: &Side, epoch: i32, topics: Vec<FetchTopic>| FetchRequest {
            max_bytes: 10_000_000,
            session_id: side.int("session") as i32,
            session_epoch: epoch,
            topics,
            ..Default::default()
        };
        let one = |side: &Side, index: i32, offset: i64| of(side, "f", vec![partition(index, offset)]).topics;
        run.row("opens a session", [version], |side, _| FetchRequest {
            session_epoch: 0,
            ..of(side, "f", vec![partition(0, 15), partition(1, 0), partition(2, 0)])
        });
        run.keep("session", "/sessionId");
        run.row("in a session, nothing new", [version], |side, _| next(side, 1, Vec::new()));
        run.row("in a session, further on", [version], |side, _| next(side, 2, one(side, 0, 20)));
        run.row("in a session, the end again", [version], |side, _| next(side, 3, one(side, 1, 5)));
        run.row("in a session, nothing left", [version], |side, _| next(side, 4, Vec::new()));
        append(run, "f", 2, |side| some(side, 1));
        run.row("in a session, one more record", [version], |side, _| next(side, 5, Vec::new()));
        run.row("in a session, that record again", [version], |side, _| next(side, 6, Vec::new()));
        run.row("in a session, one forgotten", [version], |side, _| FetchRequest {
            forgotten_topics_data: vec![ForgottenTopic {
                topic: "f".into(),
                topic_id: side.id("f"),
                partitions: vec![2],
                ..Default::default()
            }],
            ..next(side, 7, Vec::new())
        });
        run.row("in a session, a partition added", [version], |side, _| {
            next(side, 8, of(side, "f-b", vec![partition(0, 0)]).topics)
        });
        run.row("in a session, an unknown partition", [version], |side, _| next(side, 9, one(side, 9, 0)));
        run.row("in a session, an offset out of range", [version], |side, _| next(side, 10, one(side, 0, 99)));
        run.row("in a session, the epoch of before", [version], |side, _| next(side, 10, Vec::new()));
        run.row("in a session, an epoch to come", [version], |side, _| next(side, 20, Vec::new()));
        run.row("closes a session", [version], |side, _| next(side, -1, Vec::new()));
        run.row("in a session that is closed", [version], |side, _| next(side, 11, Vec::new()));
    }
}

fn session_faults(run: &mut Run) {
    for (name, id, epoch) in [
        ("an unknown session", 12345, 1),
        ("a negative session", -5, 1),
        ("no session with an epoch", 0, 1),
        ("no session with a negative epoch", 0, -5),
        ("an unknown session from its start", 12345, 0),
        ("an unknown session to its end", 12345, -1),
    ] {
        run.row(name, 7..=18, |side, _| FetchRequest {
            session_id: id,
            session_epoch: epoch,
            ..of(side, "f", vec![partition(0, 15)])
        });
    }
    run.row("opens a session for an isolation", [12], |side, _| FetchRequest {
        session_epoch: 0,
        ..of(side, "f", vec![partition(0, 20)])
    });
    run.keep("isolated session", "/sessionId");
    for (name, epoch, isolation_level) in
        [("an unknown isolation in a session", 1, 3), ("after it, the same epoch", 1, 0), ("after it, the next", 2, 0)]
    {
        run.row(name, [12], |side, _| FetchRequest {
            session_id: side.int("isolated session") as i32,
            session_epoch: epoch,
            isolation_level,
            max_bytes: 1000,
            ..Default::default()
        });
    }
    // Kafka handles an id that becomes unknown differently from an unknown name.
    run.row("opens a session on an unknown topic", [12], |side, _| FetchRequest {
        session_epoch: 0,
        ..of(side, "nothing", vec![partition(0, 0)])
    });
    run.row("opens a session by name", [12], |side, _| FetchRequest {
        session_epoch: 0,
        ..of(side, "f", vec![partition(0, 20)])
    });
    run.keep("named session", "/sessionId");
    run.row("goes on by id in a session by name", [13], |side, _| FetchRequest {
        session_id: side.int("named session") as i32,
        session_epoch: 1,
        max_bytes: 1000,
        ..Default::default()
    });
    run.row("opens a session by id", [13], |side, _| FetchRequest {
        session_epoch: 0,
        ..of(side, "f", vec![partition(0, 20)])
    });
    run.keep("id session", "/sessionId");
    run.row("goes on by name in a session by id", [12], |side, _| FetchRequest {
        session_id: side.int("id session") as i32,
        session_epoch: 1,
        max_bytes: 1000,
        ..Default::default()
    });
}
