//! The rows, one file for each group of APIs, and what they share: topics and records that both
//! sides get before the rows.

mod absent;
pub mod acls;
mod admin;
mod cluster;
mod config_values;
mod configs;
mod controller;
mod fetch;
mod group_offsets;
mod group_states;
mod groups;
mod members;
mod metadata;
mod offsets;
mod produce;
mod produce_invalid;
mod producers;
mod repeats;
mod security;
mod topics;
pub mod transactions;
mod wire;

use crate::batches::{Batch, Rec, rec};
use crate::run::Run;
use crate::side::Side;
use bytes::Bytes;
use model::Uuid;
use protocol::Records;
use protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use protocol::messages::find_coordinator_request::FindCoordinatorRequest;
use protocol::messages::init_producer_id_request::InitProducerIdRequest;
use protocol::messages::list_groups_request::ListGroupsRequest;
use protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use protocol::messages::offset_fetch_request::{OffsetFetchRequest, OffsetFetchRequestGroup};
use protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use serde_json::Value;

/// The function that runs the rows of a group.
type Rows = fn(&mut Run);

/// The groups in the order in which they run.
pub const GROUPS: &[(&str, Rows)] = &[
    ("wire", wire::rows),
    ("cluster", cluster::rows),
    // Runs before the transaction topic exists.
    ("absent", absent::rows),
    ("topics", topics::rows),
    ("metadata", metadata::rows),
    ("configs", configs::rows),
    ("config-values", config_values::rows),
    ("admin", admin::rows),
    ("produce", produce::rows),
    ("produce-invalid", produce_invalid::rows),
    ("producers", producers::rows),
    ("offsets", offsets::rows),
    ("fetch", fetch::rows),
    ("groups", groups::rows),
    ("members", members::rows),
    ("group-offsets", group_offsets::rows),
    ("group-states", group_states::rows),
    ("repeats", repeats::rows),
    ("security", security::rows),
    ("controller", controller::rows),
];

/// An id that no topic has.
const NO_TOPIC: Uuid = Uuid([9; 16]);

fn code(value: &Value, pointer: &str) -> i64 {
    value.pointer(pointer).and_then(Value::as_i64).unwrap_or(-2)
}

/// Creates a topic on both sides and waits until its partitions have leaders.
fn topic(run: &mut Run, name: &str, partitions: i32, configs: &[(&str, &str)]) {
    let build = |_: &Side| CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: name.into(),
            num_partitions: partitions,
            replication_factor: 1,
            configs: configs
                .iter()
                .map(|(name, value)| CreatableTopicConfig {
                    name: (*name).into(),
                    value: Some((*value).into()),
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        }],
        ..Default::default()
    };
    run.until(name, 7, build, |answer| matches!(code(answer, "/topics/0/errorCode"), 0 | 36));
    settled(run, name, partitions);
}

/// Waits until the partitions of a topic have leaders, and keeps its id.
fn settled(run: &mut Run, name: &str, partitions: i32) {
    run.until(
        name,
        12,
        |_| metadata_of(&[name]),
        |answer| {
            code(answer, "/topics/0/errorCode") == 0
                && answer.pointer("/topics/0/partitions").and_then(Value::as_array).is_some_and(|list| {
                    list.len() as i32 == partitions && list.iter().all(|one| code(one, "/errorCode") == 0)
                })
        },
    );
    run.keep(&format!("id of {name}"), "/topics/0/topicId");
    let ends = |_: &Side| ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic {
            name: name.into(),
            partitions: (0..partitions)
                .map(|index| ListOffsetsPartition { partition_index: index, timestamp: -1, ..Default::default() })
                .collect(),
            ..Default::default()
        }],
        ..Default::default()
    };
    run.until(name, 7, ends, |answer| {
        let list = answer.pointer("/topics/0/partitions").and_then(Value::as_array);
        list.is_some_and(|list| list.iter().all(|one| code(one, "/errorCode") == 0))
    });
}

fn metadata_of(names: &[&str]) -> MetadataRequest {
    let topics =
        names.iter().map(|name| MetadataRequestTopic { name: Some((*name).into()), ..Default::default() }).collect();
    MetadataRequest { topics: Some(topics), allow_auto_topic_creation: false, ..Default::default() }
}

/// Returns a Produce request for the bytes of one partition, with the topic's name and id.
fn produce(side: &Side, topic: &str, partition: i32, acks: i16, records: Option<Bytes>) -> ProduceRequest {
    ProduceRequest {
        acks,
        timeout_ms: 5000,
        topic_data: vec![TopicProduceData {
            name: topic.into(),
            topic_id: side.id(topic),
            partition_data: vec![PartitionProduceData {
                index: partition,
                records: records.map(Records::Bytes),
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// Returns a batch with this number of records, ten milliseconds apart.
fn some(side: &Side, count: usize) -> Batch {
    let records =
        (0..count).map(|i| Rec { timestamp_delta: 10 * i as i64, ..rec(&format!("k{i}"), &format!("value {i}")) });
    Batch::new(side.now - 1_000_000, records.collect())
}

/// Appends a batch on both sides. This is not a row.
fn append(run: &mut Run, topic: &str, partition: i32, batch: impl Fn(&Side) -> Batch) {
    run.until(
        topic,
        9,
        |side| produce(side, topic, partition, -1, Some(batch(side).bytes())),
        |answer| code(answer, "/responses/0/partitionResponses/0/errorCode") == 0,
    );
}

/// Waits until all metadata changes so far are published: makes one more change and waits for it.
fn published(run: &mut Run) {
    let value = (1_000_000 + run.rows()).to_string();
    topic(run, "published", 1, &[]);
    let change =
        |_: &Side| configs::incremental(configs::TOPIC, "published", &[("retention.ms", configs::SET, Some(&value))]);
    run.until("a change", 1, change, |answer| code(answer, "/responses/0/errorCode") == 0);
    let described = |_: &Side| configs::described(configs::TOPIC, "published", Some(&["retention.ms"]));
    run.until("a change", 4, described, |answer| {
        answer.pointer("/results/0/configs/0/value").and_then(Value::as_str) == Some(&value)
    });
}

/// Waits until the coordinator of every group serves, and until producer ids are available.
fn warm(run: &mut Run) {
    coordinator(run, "first");
    run.until("all coordinators", 4, |_| ListGroupsRequest::default(), |answer| code(answer, "/errorCode") == 0);
    // The first id waits until the controller allocates a block of ids.
    let id = |_: &Side| InitProducerIdRequest { transactional_id: None, ..Default::default() };
    run.until("producer ids", 4, id, |answer| code(answer, "/errorCode") == 0);
}

/// Waits until the coordinator of a group serves.
fn coordinator(run: &mut Run, group: &str) {
    let find = |_: &Side| FindCoordinatorRequest { coordinator_keys: vec![group.into()], ..Default::default() };
    run.until(group, 4, find, |answer| code(answer, "/coordinators/0/errorCode") == 0);
    let fetch = |_: &Side| OffsetFetchRequest {
        groups: vec![OffsetFetchRequestGroup { group_id: group.into(), topics: None, ..Default::default() }],
        ..Default::default()
    };
    run.until(group, 8, fetch, |answer| code(answer, "/groups/0/errorCode") == 0);
}
