//! DescribeQuorum (key 55), versions 0-2: describes the metadata quorum (KIP-595).
//!
//! - 1: says when each replica last fetched and last caught up (KIP-836).
//! - 2: adds error messages, the directory ids of the replicas, and the listeners of the voters
//!   (KIP-853).

use super::Context;
use super::authorization::Operation;
use super::context::{METADATA_TOPIC, is_metadata_log};
use model::{ErrorCode, Offset, Timestamp};
use protocol::messages::describe_quorum_request::DescribeQuorumRequest;
use protocol::messages::describe_quorum_response::{
    DescribeQuorumResponse, Listener, Node, PartitionData, ReplicaState, TopicData,
};
use raft::{QuorumDescription, ReplicaDescription};

/// Describes the quorum of the metadata log. There is no other quorum.
pub(super) async fn handle(context: Context, request: DescribeQuorumRequest) -> DescribeQuorumResponse {
    if let Err(code) = context.need_of_cluster(Operation::Describe) {
        return DescribeQuorumResponse {
            error_code: code.code(),
            error_message: Some(code.message().into()),
            ..Default::default()
        };
    }
    let has_directories = context.version >= 2;
    let Some(quorum) = context.broker.controller.describe().await else {
        return DescribeQuorumResponse { error_code: ErrorCode::NotLeaderOrFollower.code(), ..Default::default() };
    };
    let is_metadata = is_metadata_log(
        &request.topics,
        |topic| topic.topic_name == METADATA_TOPIC,
        |topic| topic.partitions.iter().map(|one| one.partition_index).eq([0]),
    );
    if !is_metadata {
        let topics = request.topics.into_iter().map(|topic| {
            let unknown = topic.partitions.into_iter().map(|one| PartitionData {
                partition_index: one.partition_index,
                error_code: ErrorCode::UnknownTopicOrPartition.code(),
                error_message: Some(ErrorCode::UnknownTopicOrPartition.message().into()),
                ..Default::default()
            });
            TopicData { topic_name: topic.topic_name, partitions: unknown.collect(), ..Default::default() }
        });
        return DescribeQuorumResponse { topics: topics.collect(), ..Default::default() };
    }
    let partition = describe(&quorum, has_directories);
    DescribeQuorumResponse {
        topics: vec![TopicData {
            topic_name: METADATA_TOPIC.into(),
            partitions: vec![partition],
            ..Default::default()
        }],
        nodes: if has_directories { nodes(&quorum) } else { Vec::new() },
        ..Default::default()
    }
}

fn describe(quorum: &QuorumDescription, has_directories: bool) -> PartitionData {
    let replica = |it: &ReplicaDescription| ReplicaState {
        replica_id: it.key.id.0,
        replica_directory_id: if has_directories { it.key.wire_directory_id() } else { Default::default() },
        log_end_offset: Offset::to_wire(it.log_end),
        last_fetch_timestamp: Timestamp::to_wire(it.last_fetch),
        last_caught_up_timestamp: Timestamp::to_wire(it.last_caught_up),
        ..Default::default()
    };
    PartitionData {
        partition_index: 0,
        leader_id: quorum.leader.0,
        leader_epoch: quorum.epoch.0,
        high_watermark: Offset::to_wire(quorum.high_watermark),
        current_voters: quorum.voters.iter().map(replica).collect(),
        observers: quorum.observers.iter().map(replica).collect(),
        ..Default::default()
    }
}

/// The voters with their addresses.
fn nodes(quorum: &QuorumDescription) -> Vec<Node> {
    let nodes = quorum.nodes.iter().map(|voter| Node {
        node_id: voter.key.id.0,
        listeners: voter
            .endpoints
            .iter()
            .map(|it| Listener {
                name: (&*it.listener).into(),
                host: (&*it.host).into(),
                port: it.port,
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    });
    nodes.collect()
}
