//! Classic groups: membership, and offsets that survive a restart.

use crate::client::{Client, name, until};
use crate::http::get;
use crate::log_dirs::described;
use crate::node::{Home, Node};
use model::{ErrorCode, Offset, Timestamp};
use protocol::messages::describe_topic_partitions_request::{DescribeTopicPartitionsRequest, TopicRequest};
use protocol::messages::describe_topic_partitions_response::DescribeTopicPartitionsResponse;
use protocol::messages::find_coordinator_request::FindCoordinatorRequest;
use protocol::messages::find_coordinator_response::FindCoordinatorResponse;
use protocol::messages::heartbeat_request::HeartbeatRequest;
use protocol::messages::heartbeat_response::HeartbeatResponse;
use protocol::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use protocol::messages::join_group_response::JoinGroupResponse;
use protocol::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use protocol::messages::offset_commit_response::OffsetCommitResponse;
use protocol::messages::offset_fetch_request::{OffsetFetchRequest, OffsetFetchRequestGroup};
use protocol::messages::offset_fetch_response::OffsetFetchResponse;
use protocol::messages::produce_response::ProduceResponse;
use protocol::messages::sync_group_request::{SyncGroupRequest, SyncGroupRequestAssignment};
use protocol::messages::sync_group_response::SyncGroupResponse;
use records::BatchBuilder;

/// Waits for the coordinator of a group. The first request creates its topic.
pub async fn await_coordinator(client: &mut Client, group: &str) {
    until("the coordinator", async || {
        let request = FindCoordinatorRequest { coordinator_keys: vec![name(group)], ..Default::default() };
        let found: FindCoordinatorResponse = client.call(&request, 4).await;
        let fetched = committed(client, group).await;
        (found.coordinators[0].error_code == 0 && fetched.is_ok()).then_some(())
    })
    .await;
}

pub fn join_request(group: &str, member_id: &str) -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: name(group),
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: 300_000,
        member_id: name(member_id),
        protocol_type: name("consumer"),
        protocols: vec![JoinGroupRequestProtocol { name: name("range"), ..Default::default() }],
        ..Default::default()
    }
}

/// Returns the id of a new member. The member must get its id before it joins (KIP-394).
pub async fn new_member(client: &mut Client, group: &str) -> String {
    let response: JoinGroupResponse = client.call(&join_request(group, ""), 7).await;
    assert_eq!(response.error_code, ErrorCode::MemberIdRequired.code());
    response.member_id.to_string()
}

/// Joins as the only member, with an assignment. Returns the member's id and the generation.
pub async fn join_alone(client: &mut Client, group: &str) -> (String, i32) {
    let member_id = new_member(client, group).await;
    let joined: JoinGroupResponse = client.call(&join_request(group, &member_id), 7).await;
    assert_eq!((joined.error_code, joined.leader.as_str()), (0, member_id.as_str()));
    let assignment = SyncGroupRequestAssignment {
        member_id: name(&member_id),
        assignment: bytes::Bytes::from_static(b"all of it"),
        ..Default::default()
    };
    let request = SyncGroupRequest {
        group_id: name(group),
        generation_id: joined.generation_id,
        member_id: name(&member_id),
        protocol_type: Some(name("consumer")),
        protocol_name: Some(name("range")),
        assignments: vec![assignment],
        ..Default::default()
    };
    let synced: SyncGroupResponse = client.call(&request, 5).await;
    assert_eq!((synced.error_code, &synced.assignment[..]), (0, &b"all of it"[..]));
    (member_id, joined.generation_id)
}

/// Commits an offset for partition 0 of a topic. Returns the error code.
pub async fn commit(client: &mut Client, group: &str, member: (&str, i32), topic: &str, offset: i64) -> i16 {
    let partition = OffsetCommitRequestPartition {
        partition_index: 0,
        committed_offset: offset,
        committed_metadata: Some(name("note")),
        ..Default::default()
    };
    let topic = OffsetCommitRequestTopic { name: name(topic), partitions: vec![partition], ..Default::default() };
    let request = OffsetCommitRequest {
        group_id: name(group),
        member_id: name(member.0),
        generation_id_or_member_epoch: member.1,
        topics: vec![topic],
        ..Default::default()
    };
    let response: OffsetCommitResponse = client.call(&request, 8).await;
    response.topics[0].partitions[0].error_code
}

/// Returns the committed offsets of a group: topic, partition, offset, metadata. Fails with the
/// error code of the group.
pub async fn committed(client: &mut Client, group: &str) -> Result<Vec<(String, i32, i64, String)>, i16> {
    let group = OffsetFetchRequestGroup { group_id: name(group), topics: None, ..Default::default() };
    let request = OffsetFetchRequest { groups: vec![group], ..Default::default() };
    let response: OffsetFetchResponse = client.call(&request, 8).await;
    let group = &response.groups[0];
    if group.error_code != 0 {
        return Err(group.error_code);
    }
    let mut offsets = Vec::new();
    for topic in &group.topics {
        for it in &topic.partitions {
            let note = it.metadata.as_deref().unwrap_or_default().to_owned();
            offsets.push((topic.name.to_string(), it.partition_index, it.committed_offset, note));
        }
    }
    Ok(offsets)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_and_their_offsets_survive_a_restart() {
    let home = Home::new();
    let few = ["offsets.topic.num.partitions=4"];
    let node = home.ready(&few).await;
    let mut client = node.client().await;
    client.create_topic("t", 1, &[]).await;
    await_coordinator(&mut client, "g").await;
    await_coordinator(&mut client, "simple").await;
    let (member_id, generation) = join_alone(&mut client, "g").await;
    assert_eq!(commit(&mut client, "g", (&member_id, generation), "t", 7).await, 0);
    let stale = commit(&mut client, "g", (&member_id, generation + 1), "t", 9).await;
    assert_eq!(stale, ErrorCode::IllegalGeneration.code());
    assert_eq!(commit(&mut client, "simple", ("", -1), "t", 3).await, 0);
    let copy = home.copied();
    node.stop().await;
    for home in [home, copy] {
        let node = home.ready(&few).await;
        let mut client = node.client().await;
        await_coordinator(&mut client, "g").await;
        await_coordinator(&mut client, "simple").await;
        assert_eq!(committed(&mut client, "g").await.unwrap(), [("t".into(), 0, 7, "note".into())]);
        assert_eq!(committed(&mut client, "simple").await.unwrap(), [("t".into(), 0, 3, "note".into())]);
        // The new broker knows the member too, which continues in its generation.
        let request = HeartbeatRequest {
            group_id: name("g"),
            generation_id: generation,
            member_id: name(&member_id),
            ..Default::default()
        };
        let alive: HeartbeatResponse = client.call(&request, 4).await;
        assert_eq!(alive.error_code, 0);
        node.stop().await;
    }
}

/// Kafka lets the client id `__admin_client` write to internal topics: so does this.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_that_cannot_be_loaded_are_not_coordinator_here() {
    let home = Home::new();
    let few = ["offsets.topic.num.partitions=1"];
    let node = home.ready(&few).await;
    let mut client = node.client().await.named("__admin_client");
    client.create_topic("t", 1, &[]).await;
    await_coordinator(&mut client, "g").await;
    assert_eq!(commit(&mut client, "g", ("", -1), "t", 3).await, 0);
    let mut batch = BatchBuilder::new(Offset(0));
    batch.append(Timestamp(1_700_000_000_000), Some(&[0]), Some(b"this is no record of a group"));
    let request = Client::produce_request("__consumer_offsets", 0, batch.finish().unwrap());
    let produced: ProduceResponse = client.call(&request, 9).await;
    assert_eq!(produced.responses[0].partition_responses[0].error_code, 0);
    node.stop().await;
    let node = home.ready(&few).await;
    let mut client = node.client().await;
    let not_here = ErrorCode::NotCoordinator.code();
    until("the end of the load", async || (committed(&mut client, "g").await == Err(not_here)).then_some(())).await;
    assert_eq!(commit(&mut client, "g", ("", -1), "t", 4).await, not_here);
    let request = FindCoordinatorRequest { coordinator_keys: vec![name("g")], ..Default::default() };
    let found: FindCoordinatorResponse = client.call(&request, 4).await;
    assert_eq!(found.coordinators[0].error_code, ErrorCode::CoordinatorNotAvailable.code());
    let fetched = client.fetch("__consumer_offsets", 0, Offset(0)).await;
    assert_eq!(fetched.error_code, ErrorCode::KafkaStorageError.code());
    assert_eq!(client.produce("t", 0, &["others are served"]).await.error_code, 0);
    shown_as_offline(&node, &mut client).await;
    node.stop().await;
}

/// The partition of the groups is shown as Apache Kafka shows a replica that is offline.
async fn shown_as_offline(node: &Node, client: &mut Client) {
    for (topic, offline) in [("__consumer_offsets", vec![1]), ("t", vec![])] {
        let leader = if offline.is_empty() { 1 } else { -1 };
        let metadata = client.metadata(topic, false).await;
        let partition = &metadata.topics[0].partitions[0];
        assert_eq!((partition.leader_id, &partition.offline_replicas), (leader, &offline), "{topic}");
        let topics = vec![TopicRequest { name: name(topic), ..Default::default() }];
        let request = DescribeTopicPartitionsRequest { topics, ..Default::default() };
        let described: DescribeTopicPartitionsResponse = client.call(&request, 0).await;
        let partition = &described.topics[0].partitions[0];
        assert_eq!((partition.leader_id, &partition.offline_replicas), (leader, &offline), "{topic}");
    }
    let [dir] = described(node).await.try_into().unwrap();
    assert_eq!(dir.error_code, 0);
    for topic in &dir.topics {
        let lag = if &*topic.name == "t" { 0 } else { -1 };
        assert_eq!(topic.partitions[0].offset_lag, lag, "{}", topic.name);
        assert!(topic.partitions[0].partition_size > 0);
    }
    let (_, metrics) = get(node, "/metrics").await;
    assert!(metrics.contains("\ngregor_offline_replicas 1\n"), "{metrics}");
}
