//! CreateTopics, CreatePartitions, DeleteTopics, DeleteRecords.

use super::{NO_TOPIC, append, some, topic};
use crate::run::Run;
use protocol::Str;
use protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsRequest, CreatePartitionsTopic,
};
use protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic};
use protocol::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};

pub fn rows(run: &mut Run) {
    create(run);
    create_names(run);
    create_wrong(run);
    create_assigned(run);
    partitions(run);
    delete_records(run);
    delete(run);
}

fn new(name: &str, partitions: i32, factor: i16) -> CreatableTopic {
    CreatableTopic { name: name.into(), num_partitions: partitions, replication_factor: factor, ..Default::default() }
}

fn creation(topics: Vec<CreatableTopic>) -> CreateTopicsRequest {
    CreateTopicsRequest { topics, timeout_ms: 10_000, ..Default::default() }
}

fn config(name: &str, value: Option<&str>) -> CreatableTopicConfig {
    CreatableTopicConfig { name: name.into(), value: value.map(Str::from), ..Default::default() }
}

/// Partitions and the brokers of each one.
type Replicas<'a> = &'a [(i32, &'a [i32])];

fn assigned(name: &str, replicas: Replicas) -> CreatableTopic {
    let assignments = replicas
        .iter()
        .map(|(index, brokers)| CreatableReplicaAssignment {
            partition_index: *index,
            broker_ids: brokers.to_vec(),
            ..Default::default()
        })
        .collect();
    CreatableTopic { assignments, ..new(name, -1, -1) }
}

fn create(run: &mut Run) {
    run.row("good", 2..=7, |_, version| creation(vec![new(&format!("create-{version}"), 3, 1)]));
    run.row("that exists", 2..=7, |_, version| creation(vec![new(&format!("create-{version}"), 3, 1)]));
    run.row("only validated", 2..=7, |_, version| CreateTopicsRequest {
        validate_only: true,
        ..creation(vec![new(&format!("validated-{version}"), 2, 1)])
    });
    run.row("that exists, only validated", 2..=7, |_, version| CreateTopicsRequest {
        validate_only: true,
        ..creation(vec![new(&format!("create-{version}"), 2, 1)])
    });
    run.row("configs", 2..=7, |_, version| {
        creation(vec![CreatableTopic {
            configs: vec![config("retention.ms", Some("1000")), config("cleanup.policy", Some("compact,delete"))],
            ..new(&format!("configs-{version}"), 1, 1)
        }])
    });
    run.row("defaults", 4..=7, |_, version| creation(vec![new(&format!("defaults-{version}"), -1, -1)]));
    run.row("defaults, too old for them", 2..=3, |_, version| creation(vec![new(&format!("old-{version}"), -1, -1)]));
    run.row("two, one wrong", 2..=7, |_, version| {
        creation(vec![new(&format!("two-{version}"), 1, 1), new(&format!("two-{version}-wrong"), 0, 1)])
    });
    run.row("two of one name", 2..=7, |_, version| {
        creation(vec![
            new(&format!("twice-{version}"), 1, 1),
            new(&format!("twice-{version}"), 2, 1),
            new("third", 0, 1),
        ])
    });
    run.row("a timeout of zero", 2..=7, |_, _| CreateTopicsRequest { timeout_ms: 0, ..creation(vec![new("", 1, 1)]) });
    run.row("none", 2..=7, |_, _| creation(Vec::new()));
}

fn create_names(run: &mut Run) {
    let long = "x".repeat(250);
    for name in
        ["", ".", "..", "a b", "ä", "a/b", "a\u{0}b", long.as_str(), "create_7", "create.7", "__cluster_metadata"]
    {
        let shown: String = name.chars().take(20).collect();
        run.row(&format!("named {shown:?}"), 2..=7, |_, _| creation(vec![new(name, 1, 1)]));
    }
    let longest = "y".repeat(249);
    run.row("the longest name", [7], |_, _| creation(vec![new(&longest, 1, 1)]));
    // Kafka's coordinators count as many partitions as the configuration says.
    run.row("an internal name", [7], |_, _| creation(vec![new("__transaction_state", 50, 1)]));
}

fn create_wrong(run: &mut Run) {
    for (partitions, factor) in [(0, 1), (-2, 1), (1, 0), (1, -2), (1, 2), (1, i16::MAX), (i32::MIN, 1)] {
        run.row(&format!("{partitions} partitions of {factor}"), 2..=7, |_, _| {
            creation(vec![new("wrong", partitions, factor)])
        });
    }
    for (name, value) in [
        ("no.such.config", Some("1")),
        ("retention.ms", Some("often")),
        ("retention.ms", Some("-2")),
        ("retention.ms", None),
        ("cleanup.policy", Some("shred")),
        ("segment.bytes", Some("1")),
        ("min.insync.replicas", Some("0")),
        ("compression.type", Some("rar")),
        ("", Some("1")),
        ("remote.storage.enable", Some("true")),
        ("message.format.version", Some("3.0")),
        ("max.message.bytes", Some("-1")),
        ("preallocate", Some("perhaps")),
    ] {
        run.row(&format!("config {name}={value:?}"), 2..=7, |_, _| {
            creation(vec![CreatableTopic { configs: vec![config(name, value)], ..new("wrong", 1, 1) }])
        });
    }
    run.row("a config twice", 2..=7, |_, version| {
        creation(vec![CreatableTopic {
            configs: vec![config("retention.ms", Some("1")), config("retention.ms", Some("2"))],
            ..new(&format!("config-twice-{version}"), 1, 1)
        }])
    });
}

fn create_assigned(run: &mut Run) {
    run.row("assigned", 2..=7, |_, version| {
        creation(vec![assigned(&format!("assigned-{version}"), &[(0, &[1]), (1, &[1])])])
    });
    let cases: &[(&str, Replicas)] = &[
        ("to an unknown broker", &[(0, &[7])]),
        ("to a negative broker", &[(0, &[-1])]),
        ("to one broker twice", &[(0, &[1, 1])]),
        ("to nobody", &[(0, &[])]),
        ("with a gap", &[(0, &[1]), (2, &[1])]),
        ("from one on", &[(1, &[1])]),
        ("a negative partition", &[(-1, &[1])]),
        ("a partition twice", &[(0, &[1]), (0, &[1])]),
        ("of different sizes", &[(0, &[1]), (1, &[1, 2])]),
    ];
    for (case, replicas) in cases {
        run.row(&format!("assigned {case}"), 2..=7, |_, _| creation(vec![assigned("wrong", replicas)]));
    }
    run.row("assigned with a count", 2..=7, |_, _| {
        creation(vec![CreatableTopic { num_partitions: 2, ..assigned("wrong", &[(0, &[1])]) }])
    });
    run.row("assigned with a factor", 2..=7, |_, _| {
        creation(vec![CreatableTopic { replication_factor: 1, ..assigned("wrong", &[(0, &[1])]) }])
    });
}

fn more(name: &str, count: i32, assignments: Option<&[&[i32]]>) -> CreatePartitionsTopic {
    CreatePartitionsTopic {
        name: name.into(),
        count,
        assignments: assignments.map(|list| {
            let one =
                |brokers: &&[i32]| CreatePartitionsAssignment { broker_ids: brokers.to_vec(), ..Default::default() };
            list.iter().map(one).collect()
        }),
        ..Default::default()
    }
}

fn partitions(run: &mut Run) {
    topic(run, "grow", 1, &[]);
    let of = |topics: Vec<CreatePartitionsTopic>, validate_only: bool| CreatePartitionsRequest {
        topics,
        timeout_ms: 10_000,
        validate_only,
        ..Default::default()
    };
    run.row("good", 0..=3, |_, version| of(vec![more("grow", 2 + i32::from(version), None)], false));
    run.row("only validated", 0..=3, |_, _| of(vec![more("grow", 9, None)], true));
    run.row("assigned", 0..=3, |_, version| of(vec![more("grow", 6 + i32::from(version), Some(&[&[1]]))], false));
    for (case, one) in [
        ("an unknown topic", more("nothing", 3, None)),
        ("an empty name", more("", 3, None)),
        ("fewer", more("grow", 1, None)),
        ("as many", more("grow", 9, None)),
        ("none", more("grow", 0, None)),
        ("a negative count", more("grow", -1, None)),
        ("an unknown broker", more("grow", 10, Some(&[&[7]]))),
        ("a broker twice", more("grow", 10, Some(&[&[1, 1]]))),
        ("too few assigned", more("grow", 12, Some(&[&[1]]))),
        ("too many assigned", more("grow", 10, Some(&[&[1], &[1]]))),
        ("nobody assigned", more("grow", 10, Some(&[&[]]))),
        ("an internal topic", more("__cluster_metadata", 2, None)),
    ] {
        run.row(case, 0..=3, |_, _| of(vec![one.clone()], false));
        run.row(&format!("{case}, only validated"), [3], |_, _| of(vec![one.clone()], true));
    }
    run.row("a topic twice", 0..=3, |_, _| of(vec![more("grow", 20, None), more("grow", 21, None)], false));
    run.row("two, one wrong", 0..=3, |_, _| of(vec![more("nothing", 2, None), more("grow", 3, None)], false));
}

fn delete_records(run: &mut Run) {
    topic(run, "erase", 2, &[]);
    topic(run, "erase-compacted", 1, &[("cleanup.policy", "compact")]);
    for _ in 0..3 {
        append(run, "erase", 0, |side| some(side, 10));
        append(run, "erase-compacted", 0, |side| some(side, 10));
    }
    let of = |name: &str, partition: i32, offset: i64| DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic {
            name: name.into(),
            partitions: vec![DeleteRecordsPartition { partition_index: partition, offset, ..Default::default() }],
            ..Default::default()
        }],
        timeout_ms: 10_000,
        ..Default::default()
    };
    run.row("good", 0..=2, |_, version| of("erase", 0, 3 + 5 * i64::from(version)));
    run.row("below the start", 0..=2, |_, _| of("erase", 0, 1));
    run.row("past the end", 0..=2, |_, _| of("erase", 0, 1000));
    run.row("a negative offset", 0..=2, |_, _| of("erase", 0, -2));
    run.row("an empty partition", 0..=2, |_, _| of("erase", 1, 0));
    run.row("an unknown partition", 0..=2, |_, _| of("erase", 7, 0));
    run.row("a negative partition", 0..=2, |_, _| of("erase", -1, 0));
    run.row("an unknown topic", 0..=2, |_, _| of("nothing", 0, 0));
    run.row("a compacted topic", 0..=2, |_, _| of("erase-compacted", 0, 5));
    run.row("an internal topic", 0..=2, |_, _| of("__consumer_offsets", 0, 0));
    run.row("to the end", 0..=2, |_, _| of("erase", 0, -1));
}

fn delete(run: &mut Run) {
    let by_name = |version: i16, names: &[&str]| DeleteTopicsRequest {
        topics: if version < 6 {
            Vec::new()
        } else {
            let one = |name: &&str| DeleteTopicState { name: Some((*name).into()), ..Default::default() };
            names.iter().map(one).collect()
        },
        topic_names: if version < 6 { names.iter().map(|name| Str::from(*name)).collect() } else { Vec::new() },
        timeout_ms: 10_000,
        ..Default::default()
    };
    let by_id = |id: model::Uuid, name: Option<&str>| DeleteTopicsRequest {
        topics: vec![DeleteTopicState { name: name.map(Str::from), topic_id: id, ..Default::default() }],
        timeout_ms: 10_000,
        ..Default::default()
    };
    for version in 1..=6 {
        topic(run, &format!("gone-{version}"), 1, &[]);
    }
    topic(run, "gone-id", 1, &[]);
    topic(run, "kept", 1, &[]);
    run.row("good", 1..=6, |_, version| by_name(version, &[&format!("gone-{version}")]));
    run.row("an unknown topic", 1..=6, |_, version| by_name(version, &["nothing"]));
    run.row("an empty name", 1..=6, |_, version| by_name(version, &[""]));
    run.row("an invalid name", 1..=6, |_, version| by_name(version, &["a b"]));
    run.row("none", 1..=6, |_, version| by_name(version, &[]));
    run.row("one name twice", 1..=6, |_, version| by_name(version, &["kept", "kept"]));
    run.row("an unknown id", [6], |_, _| by_id(NO_TOPIC, None));
    run.row("neither name nor id", [6], |_, _| by_id(model::Uuid::ZERO, None));
    run.row("both name and id", [6], |side, _| by_id(side.id("kept"), Some("kept")));
    run.row("by id", [6], |side, _| by_id(side.id("gone-id"), None));
    run.row("by id, again", [6], |side, _| by_id(side.id("gone-id"), None));
}
