//! Replication as clients of three brokers see it.

use crate::client::{Client, batch, texts, until};
use crate::quorum::{Cluster, partition_when};
use model::{ErrorCode, Offset};
use protocol::Records;
use protocol::messages::alter_partition_reassignments_request::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use protocol::messages::alter_partition_reassignments_response::AlterPartitionReassignmentsResponse;
use protocol::messages::fetch_request::FetchRequest;
use protocol::messages::fetch_response::{FetchResponse, PartitionData};
use protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use protocol::messages::incremental_alter_configs_response::IncrementalAlterConfigsResponse;
use protocol::messages::metadata_response::MetadataResponsePartition;
use protocol::messages::produce_response::ProduceResponse;

/// Starts three brokers, each in its rack `rack-1` to `rack-3`, with more properties.
async fn cluster(properties: &[&str]) -> Cluster {
    let mut cluster = Cluster::new();
    for (index, overrides) in cluster.overrides.iter_mut().enumerate() {
        overrides.push(format!("broker.rack=rack-{}", index + 1));
        overrides.extend(properties.iter().map(|text| (*text).to_owned()));
    }
    for index in 0..3 {
        cluster.start(index).await;
    }
    cluster.is_ready().await;
    cluster
}

async fn stop(mut cluster: Cluster) {
    for index in 0..3 {
        cluster.stop(index).await;
    }
}

/// Sets a dynamic config of a resource, or deletes it.
async fn set_config(client: &mut Client, (kind, name): (i8, &str), (key, value): (&str, Option<&str>)) {
    let (set, delete) = (0, 1);
    let config = AlterableConfig {
        name: key.into(),
        config_operation: if value.is_some() { set } else { delete },
        value: value.map(Into::into),
        ..Default::default()
    };
    let resource = AlterConfigsResource {
        resource_type: kind,
        resource_name: name.into(),
        configs: vec![config],
        ..Default::default()
    };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() };
    let response: IncrementalAlterConfigsResponse = client.call(&request, 1).await;
    assert_eq!(response.responses[0].error_code, 0, "{response:?}");
}

/// Returns the place of a partition's leader once all replicas are in sync.
async fn leader_of(cluster: &Cluster, topic: &str, replicas: usize) -> usize {
    let all = |partition: &MetadataResponsePartition| partition.isr_nodes.len() == replicas && partition.leader_id > 0;
    partition_when(cluster, 0, topic, all).await.leader_id as usize - 1
}

/// Fetches from the start of a partition, as a consumer in a rack.
async fn fetch_in(client: &mut Client, rack: &str) -> PartitionData {
    let request = FetchRequest { rack_id: rack.into(), ..Client::fetch_request("t", 0, Offset(0), 0) };
    let mut response: FetchResponse = client.call(&request, 12).await;
    response.responses.remove(0).partitions.remove(0)
}

fn has_records(data: &PartitionData) -> bool {
    data.records.as_ref().and_then(Records::bytes).is_some_and(|bytes| !bytes.is_empty())
}

#[tokio::test]
async fn a_consumer_is_sent_to_the_follower_in_its_rack_and_reads_there() {
    let selector = "replica.selector.class=org.apache.kafka.common.replica.RackAwareReplicaSelector";
    let cluster = cluster(&[selector]).await;
    cluster.create_replicated(0, "t", (1, 3)).await;
    let leader = leader_of(&cluster, "t", 3).await;
    let mut client = cluster.client(leader).await;
    client.produce("t", 0, &["one"]).await;
    for rack in 1..=3 {
        let data = fetch_in(&mut client, &format!("rack-{rack}")).await;
        let is_leaders = rack as usize == leader + 1;
        let preferred = if is_leaders { -1 } else { rack };
        assert_eq!((data.error_code, data.preferred_read_replica, has_records(&data)), (0, preferred, is_leaders));
        // The follower answers once it knows that the record is committed, and names nobody.
        let mut there = cluster.client(rack as usize - 1).await;
        let data = until("the record on the follower", async || {
            let data = fetch_in(&mut there, &format!("rack-{rack}")).await;
            assert_eq!((data.error_code, data.preferred_read_replica), (0, -1));
            has_records(&data).then_some(data)
        })
        .await;
        assert_eq!(data.high_watermark, 1);
    }
    for rack in ["", "rack-9"] {
        let data = fetch_in(&mut client, rack).await;
        assert_eq!((data.preferred_read_replica, has_records(&data)), (-1, true), "{rack}");
    }
    stop(cluster).await;
}

/// A consumer that reads from a follower (KIP-392) leaves it when the follower leaves the ISR or
/// follows another leader.
#[tokio::test]
async fn a_consumer_leaves_a_follower_that_left_the_isr_or_has_another_leader() {
    let selector = "replica.selector.class=org.apache.kafka.common.replica.RackAwareReplicaSelector";
    let mut cluster = cluster(&[selector]).await;
    cluster.create_replicated(0, "t", (1, 3)).await;
    let leader = leader_of(&cluster, "t", 3).await;
    let left = (leader + 1) % 3;
    let mut client = cluster.client(leader).await;
    client.produce("t", 0, &["one"]).await;
    let data = fetch_in(&mut client, &format!("rack-{}", left + 1)).await;
    assert_eq!((data.preferred_read_replica, has_records(&data)), (left as i32 + 1, false));

    // Stopped, it is out of the ISR: the leader answers its consumers itself.
    cluster.stop(left).await;
    let in_sync = |count: usize| move |partition: &MetadataResponsePartition| partition.isr_nodes.len() == count;
    partition_when(&cluster, leader, "t", in_sync(2)).await;
    until("the leader's answer", async || {
        let data = fetch_in(&mut client, &format!("rack-{}", left + 1)).await;
        (data.preferred_read_replica == -1 && has_records(&data)).then_some(())
    })
    .await;
    drop(client);
    cluster.start(left).await;
    cluster.is_ready().await;

    // Consumers know the leader's epoch. A follower of the next leader refuses the old one.
    let epoch = partition_when(&cluster, leader, "t", in_sync(3)).await.leader_epoch;
    let fetch_at = async |cluster: &Cluster, of: usize| {
        let mut request = Client::fetch_request("t", 0, Offset(0), 0);
        request.topics[0].partitions[0].current_leader_epoch = epoch;
        let mut response: FetchResponse = cluster.client(of).await.call(&request, 12).await;
        response.responses.remove(0).partitions.remove(0)
    };
    for follower in (0..3).filter(|index| *index != leader) {
        until("the record on the follower", async || {
            let data = fetch_at(&cluster, follower).await;
            assert_eq!(data.error_code, 0);
            has_records(&data).then_some(())
        })
        .await;
    }
    cluster.stop(leader).await;
    let another =
        |partition: &MetadataResponsePartition| partition.leader_id > 0 && partition.leader_id != leader as i32 + 1;
    let next = partition_when(&cluster, left, "t", another).await.leader_id as usize - 1;
    let follower = 3 - leader - next;
    until("the old epoch to be refused", async || {
        (fetch_at(&cluster, follower).await.error_code == ErrorCode::FencedLeaderEpoch.code()).then_some(())
    })
    .await;
    for index in [next, follower] {
        cluster.stop(index).await;
    }
}

/// KIP-73. The test asks as the followers of two other brokers, of which one is in sync.
#[tokio::test]
async fn a_follower_out_of_sync_gets_no_more_than_the_leaders_quota() {
    let mut cluster = cluster(&[]).await;
    cluster.create_replicated(0, "t", (1, 3)).await;
    let leader = leader_of(&cluster, "t", 3).await;
    let (out, member) = ((leader + 1) % 3, (leader + 2) % 3);
    cluster.stop(out).await;
    let two = |partition: &MetadataResponsePartition| partition.isr_nodes.len() == 2;
    partition_when(&cluster, leader, "t", two).await;
    let mut client = cluster.client(leader).await;
    client.produce("t", 0, &["one"]).await;
    let broker = (leader + 1).to_string();
    for (kind, name, key, value) in [
        (4, broker.as_str(), "leader.replication.throttled.rate", "1"),
        (2, "t", "leader.replication.throttled.replicas", "*"),
    ] {
        set_config(&mut client, (kind, name), (key, Some(value))).await;
    }
    let fetch_as = async |follower: usize| {
        let mut client = cluster.client(leader).await;
        let request = FetchRequest { replica_id: follower as i32 + 1, ..Client::fetch_request("t", 0, Offset(0), 0) };
        let mut response: FetchResponse = client.call(&request, 12).await;
        let data = response.responses.remove(0).partitions.remove(0);
        assert_eq!(data.error_code, 0);
        has_records(&data)
    };
    // A quota limits when the next bytes flow: a fetch that exceeds it ends them.
    until("the quota to be exceeded", async || {
        assert!(fetch_as(member).await, "one that is in sync is not limited");
        (!fetch_as(out).await).then_some(())
    })
    .await;
    set_config(&mut client, (4, &broker), ("leader.replication.throttled.rate", None)).await;
    until("the end of the quota", async || fetch_as(out).await.then_some(())).await;
    drop(client);
    for index in [leader, member] {
        cluster.stop(index).await;
    }
}

/// KIP-951.
#[tokio::test]
async fn a_client_that_asks_another_broker_gets_the_leaders_address() {
    let cluster = cluster(&[]).await;
    cluster.create_replicated(0, "t", (1, 1)).await;
    let leader = leader_of(&cluster, "t", 1).await;
    let known = cluster.client(0).await.metadata("t", false).await;
    let node = known.brokers.iter().find(|node| node.node_id == leader as i32 + 1).unwrap().clone();
    let (topic_id, epoch) = (known.topics[0].topic_id, known.topics[0].partitions[0].leader_epoch);
    let mut other = cluster.client((leader + 1) % 3).await;

    let request = Client::produce_request("t", 0, batch(&["lost"]));
    let response: ProduceResponse = other.call(&request, 10).await;
    let answer = &response.responses[0].partition_responses[0];
    assert_eq!(answer.error_code, ErrorCode::NotLeaderOrFollower.code());
    assert_eq!((answer.current_leader.leader_id, answer.current_leader.leader_epoch), (node.node_id, epoch));
    let named = &response.node_endpoints[0];
    assert_eq!(
        (named.node_id, &named.host, named.port, &named.rack),
        (node.node_id, &node.host, node.port, &node.rack)
    );

    let mut request = Client::fetch_request("t", 0, Offset(0), 0);
    request.topics[0].topic_id = topic_id;
    request.topics[0].topic = Default::default();
    let response: FetchResponse = other.call(&request, 16).await;
    let answer = &response.responses[0].partitions[0];
    assert_eq!(answer.error_code, ErrorCode::NotLeaderOrFollower.code());
    assert_eq!((answer.current_leader.leader_id, answer.current_leader.leader_epoch), (node.node_id, epoch));
    let named = &response.node_endpoints[0];
    assert_eq!(
        (named.node_id, &named.host, named.port, &named.rack),
        (node.node_id, &node.host, node.port, &node.rack)
    );
    stop(cluster).await;
}

#[tokio::test]
async fn a_replica_moves_to_another_broker_and_its_old_log_is_removed() {
    let cluster = cluster(&["log.segment.delete.delay.ms=0"]).await;
    cluster.create_replicated(0, "t", (1, 1)).await;
    let from = leader_of(&cluster, "t", 1).await;
    cluster.client(from).await.produce("t", 0, &["moved"]).await;
    let to = (from + 1) % 3;
    let partition =
        ReassignablePartition { partition_index: 0, replicas: Some(vec![to as i32 + 1]), ..Default::default() };
    let topic = ReassignableTopic { name: "t".into(), partitions: vec![partition], ..Default::default() };
    let request = AlterPartitionReassignmentsRequest { timeout_ms: 10_000, topics: vec![topic], ..Default::default() };
    let response: AlterPartitionReassignmentsResponse = cluster.client(0).await.call(&request, 0).await;
    assert_eq!((response.error_code, response.responses[0].partitions[0].error_code), (0, 0));
    let moved = |partition: &MetadataResponsePartition| {
        partition.leader_id == to as i32 + 1 && partition.replica_nodes == [to as i32 + 1]
    };
    partition_when(&cluster, to, "t", moved).await;
    assert_eq!(texts(&cluster.client(to).await.read("t", 0).await), ["moved"]);
    let old = cluster.homes[from].log_dir().join("t-0");
    let mut client = cluster.client(from).await;
    until("the old log to go", async || {
        client.metadata("t", false).await;
        (!old.exists()).then_some(())
    })
    .await;
    stop(cluster).await;
}

#[tokio::test]
async fn a_batch_above_every_fetch_limit_is_replicated() {
    let limits =
        ["message.max.bytes=50000000", "replica.fetch.response.max.bytes=1000", "replica.fetch.max.bytes=1000"];
    let cluster = cluster(&[&limits[..], &["min.insync.replicas=3"]].concat()).await;
    cluster.create_replicated(0, "t", (1, 3)).await;
    let leader = leader_of(&cluster, "t", 3).await;
    let value = "x".repeat(34 << 20);
    let answer = cluster.client(leader).await.produce("t", 0, &[&value]).await;
    assert_eq!((answer.error_code, answer.base_offset), (0, 0));
    stop(cluster).await;
}
