//! Metadata and DescribeTopicPartitions.

use super::{NO_TOPIC, code, metadata_of, topic};
use crate::run::Run;
use crate::side::Side;
use model::Uuid;
use protocol::Str;
use protocol::messages::describe_topic_partitions_request::{Cursor, DescribeTopicPartitionsRequest, TopicRequest};
use protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};

/// What a version can express: auto-creation came with version 4, authorized operations with 8.
fn named(version: i16, names: &[&str]) -> MetadataRequest {
    MetadataRequest { allow_auto_topic_creation: version < 4, ..metadata_of(names) }
}

pub fn rows(run: &mut Run) {
    topic(run, "meta", 3, &[]);
    run.row("one topic", 0..=13, |_, version| named(version, &["meta"]));
    run.row("an unknown topic", 4..=13, |_, version| named(version, &["nothing"]));
    run.row("two, one unknown", 4..=13, |_, version| named(version, &["meta", "nothing"]));
    run.row("one topic twice", 0..=13, |_, version| named(version, &["meta", "meta"]));
    for name in ["", "a b", "..", "ä"] {
        run.row(&format!("named {name:?}"), 0..=13, |_, version| named(version, &[name]));
    }
    let long = "z".repeat(250);
    run.row("a name too long", 0..=13, |_, version| named(version, &[&long]));
    run.row("no topic", 1..=13, |_, version| named(version, &[]));
    run.row("all topics", 0..=13, |_, version| MetadataRequest {
        topics: (version == 0).then(Vec::new),
        ..Default::default()
    });
    run.row("an internal topic", 4..=13, |_, version| named(version, &["__consumer_offsets"]));
    run.row("authorized operations", 8..=13, |_, version| MetadataRequest {
        include_cluster_authorized_operations: version <= 10,
        include_topic_authorized_operations: true,
        ..named(version, &["meta", "nothing"])
    });
    for name in ["", "a b", "__consumer_offsets"] {
        run.row(&format!("authorized operations on {name:?}"), 8..=13, |_, version| MetadataRequest {
            include_topic_authorized_operations: true,
            ..named(version, &["meta", name])
        });
    }
    by_id(run);
    created(run);
    partitions(run);
}

fn by_id(run: &mut Run) {
    let of = |id: Uuid, name: Option<&str>| MetadataRequest {
        topics: Some(vec![MetadataRequestTopic { topic_id: id, name: name.map(Str::from), ..Default::default() }]),
        allow_auto_topic_creation: false,
        ..Default::default()
    };
    run.row("by id", 12..=13, |side, _| of(side.id("meta"), None));
    run.row("an unknown id", 12..=13, |_, _| of(NO_TOPIC, None));
    run.row("neither id nor name", 10..=13, |_, _| of(Uuid::ZERO, None));
    run.row("both id and name", 10..=13, |side, _| of(side.id("meta"), Some("meta")));
    run.row("an unknown id with authorized operations", 12..=13, |side, _| MetadataRequest {
        include_topic_authorized_operations: true,
        topics: Some(
            [side.id("meta"), NO_TOPIC]
                .map(|topic_id| MetadataRequestTopic { topic_id, name: None, ..Default::default() })
                .to_vec(),
        ),
        ..of(NO_TOPIC, None)
    });
    run.row("one by id, one by name", 12..=13, |side, _| MetadataRequest {
        topics: Some(vec![
            MetadataRequestTopic { topic_id: side.id("meta"), name: None, ..Default::default() },
            MetadataRequestTopic { name: Some("meta".into()), ..Default::default() },
        ]),
        ..of(NO_TOPIC, None)
    });
    run.row("an id, too old for it", 10..=11, |side, _| of(side.id("meta"), None));
}

/// A topic that a metadata request creates.
fn created(run: &mut Run) {
    let of = |version: i16| MetadataRequest {
        topics: Some(vec![MetadataRequestTopic { name: Some(format!("auto-{version}").into()), ..Default::default() }]),
        allow_auto_topic_creation: true,
        ..Default::default()
    };
    run.row("creates", 0..=13, |_, version| of(version));
    for version in 0..=13 {
        run.until("auto-creation", 12, |_: &Side| of(version), |answer| code(answer, "/topics/0/errorCode") == 0);
    }
    run.row("created", 0..=13, |_, version| of(version));
    run.row("creates an invalid name", 4..=13, |_, _| MetadataRequest {
        topics: Some(vec![MetadataRequestTopic { name: Some("a b".into()), ..Default::default() }]),
        allow_auto_topic_creation: true,
        ..Default::default()
    });
}

fn partitions(run: &mut Run) {
    topic(run, "meta-b", 2, &[]);
    let of = |names: &[&str], limit: i32, cursor: Option<(&str, i32)>| DescribeTopicPartitionsRequest {
        topics: names.iter().map(|name| TopicRequest { name: (*name).into(), ..Default::default() }).collect(),
        response_partition_limit: limit,
        cursor: cursor.map(|(name, index)| Cursor {
            topic_name: name.into(),
            partition_index: index,
            ..Default::default()
        }),
        ..Default::default()
    };
    run.row("good", [0], |_, _| of(&["meta", "meta-b"], 2000, None));
    run.row("an unknown topic", [0], |_, _| of(&["nothing", "meta"], 2000, None));
    run.row("an invalid name", [0], |_, _| of(&["a b"], 2000, None));
    run.row("an empty name", [0], |_, _| of(&[""], 2000, None));
    run.row("an empty name beside another", [0], |_, _| of(&["meta", ""], 2000, None));
    run.row("an empty name before the cursor", [0], |_, _| of(&["meta", ""], 2000, Some(("meta", 0))));
    run.row("all, from a topic that is not", [0], |_, _| of(&[], 3, Some(("meta-a", 1))));
    run.row("all, from no partition", [0], |_, _| of(&[], 3, Some(("meta-a", -1))));
    run.row("an unknown topic past the limit", [0], |_, _| of(&["meta", "nothing", "zzz"], 3, None));
    run.row("an unknown topic before the limit", [0], |_, _| of(&["a", "meta", "zzz"], 3, None));
    run.row("a limit at the end of a topic", [0], |_, _| of(&["meta", "meta-b", "zzz"], 3, None));
    for limit in [1, 2, 3, 4, 5, 0, -1, i32::MAX] {
        run.row(&format!("a limit of {limit}"), [0], |_, _| of(&["meta", "meta-b"], limit, None));
    }
    for (name, index) in [
        ("meta", 1),
        ("meta", 2),
        ("meta", 3),
        ("meta", -1),
        ("meta-b", 0),
        ("meta-a", 0),
        ("zzz", 0),
        ("", 0),
        ("nothing", 1),
    ] {
        run.row(&format!("from {name}-{index}"), [0], |_, _| of(&["meta", "meta-b"], 2000, Some((name, index))));
    }
    run.row("one topic twice", [0], |_, _| of(&["meta-b", "meta-b"], 2000, None));
    run.row("out of order", [0], |_, _| of(&["meta-b", "meta"], 2000, None));
    run.row("an internal topic", [0], |_, _| of(&["__consumer_offsets"], 3, None));
}
