//! Three nodes with one quorum: any of them may be asked, and any of them may go.

use crate::client::{Client, batch, texts, until};
use crate::node::{CLUSTER_ID, Home, Node};
use bytes::Bytes;
use gregor::net::free_loopback_port;
use model::{BrokerId, ErrorCode};
use protocol::messages::api_versions_request::ApiVersionsRequest;
use protocol::messages::api_versions_response::ApiVersionsResponse;
use protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use protocol::messages::create_topics_response::CreateTopicsResponse;
use protocol::messages::describe_quorum_request::{DescribeQuorumRequest, PartitionData, TopicData};
use protocol::messages::describe_quorum_response::{DescribeQuorumResponse, ReplicaState};
use protocol::messages::envelope_request::EnvelopeRequest;
use protocol::messages::envelope_response::EnvelopeResponse;
use protocol::messages::metadata_response::MetadataResponsePartition;
use protocol::messages::produce_response::ProduceResponse;
use protocol::messages::update_features_request::{FeatureUpdateKey, UpdateFeaturesRequest};
use protocol::messages::update_features_response::UpdateFeaturesResponse;
use protocol::messages::vote_request::{self, VoteRequest};
use protocol::messages::vote_response::VoteResponse;

const NODES: i32 = 3;

/// The nodes' folders and ports.
pub struct Cluster {
    pub homes: Vec<Home>,
    pub overrides: Vec<Vec<String>>,
    pub nodes: Vec<Option<Node>>,
}

impl Cluster {
    /// Creates the folders, and starts no node yet.
    pub fn new() -> Self {
        let ports: Vec<u16> = (0..2 * NODES).map(|_| free_loopback_port().unwrap()).collect();
        let (clients, controllers) = ports.split_at(NODES as usize);
        let voter = |(id, port): (i32, &u16)| format!("{id}@127.0.0.1:{port}");
        let voters: Vec<String> = (1..).zip(controllers).map(voter).collect();
        let overrides = (1..).zip(clients).zip(controllers).map(|((id, client), controller)| {
            vec![
                format!("node.id={id}"),
                format!("controller.quorum.voters={}", voters.join(",")),
                // A node that is left alone notices it soon.
                "controller.quorum.fetch.timeout.ms=500".into(),
                "controller.quorum.election.timeout.ms=300".into(),
                "controller.quorum.request.timeout.ms=500".into(),
                "broker.session.timeout.ms=1000".into(),
                "broker.heartbeat.interval.ms=200".into(),
                format!("listeners=PLAINTEXT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}"),
            ]
        });
        Self {
            homes: (1..=NODES).map(Home::of_voter).collect(),
            overrides: overrides.collect(),
            nodes: (0..NODES).map(|_| None).collect(),
        }
    }

    pub async fn start(&mut self, index: usize) {
        let overrides: Vec<&str> = self.overrides[index].iter().map(String::as_str).collect();
        self.nodes[index] = Some(self.homes[index].start(&overrides).await.unwrap());
    }

    pub async fn stop(&mut self, index: usize) {
        self.nodes[index].take().unwrap().stop().await;
    }

    fn running(&self) -> impl Iterator<Item = (usize, &Node)> {
        self.nodes.iter().enumerate().filter_map(|(index, node)| Some((index, node.as_ref()?)))
    }

    /// Waits until every running node serves clients. Returns the place of the leader, on which all
    /// agree.
    pub async fn is_ready(&self) -> usize {
        until("a quorum with a leader", async || {
            // Each round sends a request, so this is not a busy loop.
            let (index, _) = self.running().next()?;
            let address = self.nodes[index].as_ref()?.running.addresses[1].1;
            let request = ApiVersionsRequest::default();
            let _: ApiVersionsResponse = Client::connect(address).await.call(&request, 2).await;
            let mut leaders = self.running().map(|(_, node)| {
                let broker = &node.running.broker;
                broker.not_ready_because().is_none().then(|| broker.controller.leader()).flatten()
            });
            let first = leaders.next()??;
            let is_running = |id: BrokerId| self.running().any(|(index, _)| index as i32 + 1 == id.0);
            (leaders.all(|leader| leader == Some(first)) && is_running(first)).then_some(first.0 as usize - 1)
        })
        .await
    }

    pub async fn client(&self, index: usize) -> Client {
        self.nodes[index].as_ref().unwrap().client().await
    }

    /// Creates a topic through one node, and waits until all running nodes know it.
    async fn create(&self, through: usize, name: &str) {
        self.create_replicated(through, name, (6, 1)).await;
    }

    pub async fn create_replicated(&self, through: usize, name: &str, (partitions, replicas): (i32, i16)) {
        let topic = CreatableTopic {
            name: name.into(),
            num_partitions: partitions,
            replication_factor: replicas,
            ..Default::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 10_000, ..Default::default() };
        let response: CreateTopicsResponse = self.client(through).await.call(&request, 7).await;
        assert_eq!(response.topics[0].error_code, 0, "{response:?}");
        for (index, _) in self.running() {
            self.client(index).await.await_leaders(name).await;
        }
    }
}

/// A partition as a running node of the cluster shows it, once `is_shown` holds.
pub async fn partition_when(
    cluster: &Cluster,
    through: usize,
    topic: &str,
    is_shown: impl Fn(&MetadataResponsePartition) -> bool,
) -> MetadataResponsePartition {
    until("the partition's state", async || {
        let mut known = cluster.client(through).await.metadata(topic, false).await;
        Some(known.topics.remove(0).partitions.remove(0)).filter(|partition| is_shown(partition))
    })
    .await
}

async fn describe(client: &mut Client) -> DescribeQuorumResponse {
    let topic = TopicData {
        topic_name: "__cluster_metadata".into(),
        partitions: vec![PartitionData::default()],
        ..Default::default()
    };
    client.call(&DescribeQuorumRequest { topics: vec![topic], ..Default::default() }, 2).await
}

#[tokio::test]
async fn three_nodes_elect_replicate_and_go_on_without_their_leader() {
    let mut cluster = Cluster::new();
    for index in 0..3 {
        cluster.start(index).await;
    }
    let leader = cluster.is_ready().await;
    for through in 0..3 {
        cluster.create(through, &format!("through-{through}")).await;
    }
    // A follower forwards the question too.
    let described = describe(&mut cluster.client((leader + 1) % 3).await).await;
    let partition = &described.topics[0].partitions[0];
    assert_eq!((partition.error_code, partition.leader_id), (0, leader as i32 + 1));
    assert_eq!(partition.current_voters.iter().map(|it| it.replica_id).collect::<Vec<_>>(), [1, 2, 3]);

    cluster.stop(leader).await;
    let next = cluster.is_ready().await;
    assert_ne!(next, leader);
    cluster.create((leader + 1) % 3, "without-the-first").await;
    cluster.create((leader + 2) % 3, "also-without-the-first").await;

    // What it missed reaches it, and its partitions are served again.
    cluster.start(leader).await;
    cluster.is_ready().await;
    for name in ["through-0", "without-the-first", "also-without-the-first"] {
        cluster.client(leader).await.await_leaders(name).await;
    }
    cluster.create(leader, "after-the-return").await;
    for index in 0..3 {
        cluster.stop(index).await;
    }
}

#[tokio::test]
async fn acknowledged_records_outlive_each_leader_of_their_partition() {
    let mut cluster = Cluster::new();
    for index in 0..3 {
        cluster.start(index).await;
    }
    cluster.is_ready().await;
    cluster.create_replicated(0, "t", (1, 3)).await;
    let mut expected = Vec::new();
    for round in 0..3 {
        let all = |partition: &MetadataResponsePartition| partition.isr_nodes.len() == 3;
        let leader = partition_when(&cluster, 0, "t", all).await.leader_id as usize - 1;
        let value = format!("before {round}");
        cluster.client(leader).await.produce("t", 0, &[&value]).await;
        expected.push(value);
        cluster.stop(leader).await;

        let left = (leader + 1) % 3;
        let another = |partition: &MetadataResponsePartition| {
            partition.leader_id >= 0 && partition.leader_id != leader as i32 + 1
        };
        let next = partition_when(&cluster, left, "t", another).await.leader_id as usize - 1;
        let value = format!("after {round}");
        cluster.client(next).await.produce("t", 0, &[&value]).await;
        expected.push(value);
        assert_eq!(texts(&cluster.client(next).await.read("t", 0).await), expected, "round {round}");
        cluster.start(leader).await;
        cluster.is_ready().await;
    }
    for index in 0..3 {
        cluster.stop(index).await;
    }
}

#[tokio::test]
async fn a_stopping_broker_answers_until_its_clients_know_who_leads_next() {
    let mut cluster = Cluster::new();
    for index in 0..3 {
        cluster.start(index).await;
    }
    cluster.is_ready().await;
    cluster.create_replicated(0, "t", (1, 3)).await;
    let all = |partition: &MetadataResponsePartition| partition.isr_nodes.len() == 3;
    let leader = partition_when(&cluster, 0, "t", all).await.leader_id;
    let mut client = cluster.client(leader as usize - 1).await;
    let writing = async {
        let mut told = None;
        let request = Client::produce_request("t", 0, batch(&["x"]));
        while let Ok(response) = client.try_call::<_, ProduceResponse>(&request, 10).await {
            let answer = &response.responses[0].partition_responses[0];
            match ErrorCode::from_code(answer.error_code) {
                Some(ErrorCode::None) => assert_eq!(told, None, "it leads no more"),
                Some(ErrorCode::NotLeaderOrFollower) => told = Some(answer.current_leader.leader_id),
                code => panic!("{code:?}"),
            }
        }
        told
    };
    let node = cluster.nodes[leader as usize - 1].take().unwrap();
    let ((), told) = tokio::join!(node.stop(), writing);
    assert!(told.is_some_and(|next| (1..=3).contains(&next) && next != leader), "{told:?}");
    for index in 0..3 {
        if index != leader as usize - 1 {
            cluster.stop(index).await;
        }
    }
}

#[tokio::test]
async fn a_quorum_of_configured_voters_gets_them_into_its_log() {
    let mut cluster = Cluster::new();
    for index in 0..3 {
        cluster.start(index).await;
    }
    let leader = cluster.is_ready().await;
    let voters = async |through: usize| {
        let mut described = describe(&mut cluster.client(through).await).await;
        described.topics.remove(0).partitions.remove(0).current_voters
    };
    let has_directory = |voter: &ReplicaState| voter.replica_directory_id != model::Uuid::default();
    assert!(!voters(leader).await.iter().any(has_directory));
    let update = FeatureUpdateKey {
        feature: "kraft.version".into(),
        max_version_level: 1,
        upgrade_type: 1,
        ..Default::default()
    };
    let request = UpdateFeaturesRequest { timeout_ms: 10_000, feature_updates: vec![update], ..Default::default() };
    // A follower forwards it. It is refused until every voter has told its directory.
    until("the upgrade", async || {
        let response: UpdateFeaturesResponse = cluster.client((leader + 1) % 3).await.call(&request, 2).await;
        (response.error_code == 0).then_some(())
    })
    .await;
    let upgraded = voters(leader).await;
    assert_eq!(upgraded.len(), 3);
    assert!(upgraded.iter().all(has_directory), "{upgraded:?}");
    // Again, it changes nothing.
    let response: UpdateFeaturesResponse = cluster.client(leader).await.call(&request, 2).await;
    assert_eq!(response.error_code, 0, "{response:?}");
    for index in 0..3 {
        cluster.stop(index).await;
    }
    for index in 0..3 {
        cluster.start(index).await;
    }
    let leader = cluster.is_ready().await;
    let described = describe(&mut cluster.client(leader).await).await;
    assert!(described.topics[0].partitions[0].current_voters.iter().all(has_directory));
    for index in 0..3 {
        cluster.stop(index).await;
    }
}

#[tokio::test]
async fn a_whole_cluster_starts_again_with_what_it_had() {
    let mut cluster = Cluster::new();
    for index in 0..3 {
        cluster.start(index).await;
    }
    cluster.is_ready().await;
    cluster.create(0, "kept").await;
    for index in 0..3 {
        cluster.stop(index).await;
    }
    // Two are a majority.
    for index in [1, 2] {
        cluster.start(index).await;
    }
    cluster.is_ready().await;
    let known = cluster.client(1).await.metadata("kept", false).await;
    assert_eq!(known.topics[0].error_code, 0);
    assert_eq!(known.topics[0].partitions.len(), 6);
    cluster.create(2, "more").await;
    for index in [1, 2] {
        cluster.stop(index).await;
    }
}

#[tokio::test]
async fn requests_of_strangers_change_nothing() {
    let home = Home::new();
    let node = home.ready(&[]).await;
    let address = node.running.addresses.iter().find(|(name, _)| name == "CONTROLLER").unwrap().1;
    let mut client = Client::connect(address).await;
    let vote = |cluster: Option<&str>, topic: &str, replica_id: i32, voter_id: i32| VoteRequest {
        cluster_id: cluster.map(Into::into),
        voter_id,
        topics: vec![vote_request::TopicData {
            topic_name: topic.into(),
            partitions: vec![vote_request::PartitionData {
                replica_epoch: 1_000,
                replica_id,
                voter_directory_id: model::Uuid([9; 16]),
                last_offset: 1 << 40,
                last_offset_epoch: 999,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let log = "__cluster_metadata";
    for (request, expected) in [
        (vote(Some("another"), log, 2, 1), ErrorCode::InconsistentClusterId),
        (vote(None, "t", 2, 1), ErrorCode::InvalidRequest),
        (VoteRequest::default(), ErrorCode::InvalidRequest),
    ] {
        let response: VoteResponse = client.call(&request, 1).await;
        assert_eq!(response.error_code, expected.code());
    }
    let response: VoteResponse = client.call(&vote(Some(CLUSTER_ID), log, -1, 1), 1).await;
    assert_eq!(response.topics[0].partitions[0].error_code, ErrorCode::InvalidRequest.code());
    // Nothing of these began an election.
    let described = describe(&mut node.client().await).await;
    let partition = &described.topics[0].partitions[0];
    assert_eq!((partition.error_code, partition.leader_id, partition.leader_epoch), (0, 1, 1));

    let principal = [0, 0, 5, b'U', b's', b'e', b'r', 2, b'a', 0, 0];
    let request = |data: &'static [u8], principal: &[u8], host: &'static [u8]| EnvelopeRequest {
        request_data: Bytes::from_static(data),
        request_principal: Some(Bytes::copy_from_slice(principal)),
        client_host_address: Bytes::from_static(host),
        ..Default::default()
    };
    // An ApiVersions request is not forwarded.
    let api_versions = &[0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff];
    for (request, expected) in [
        (request(&[], &[], &[]), ErrorCode::PrincipalDeserializationFailure),
        (request(&[1, 2], &principal, &[127, 0, 0, 1]), ErrorCode::InvalidRequest),
        (request(api_versions, &principal, &[127, 0, 0, 1]), ErrorCode::InvalidRequest),
        (request(api_versions, &principal, &[127]), ErrorCode::InvalidRequest),
        // The body of this CreateTopics ends too early.
        (request(&[0, 19, 0, 5, 0, 0, 0, 1, 0xff, 0xff, 0, 9], &principal, &[127, 0, 0, 1]), ErrorCode::InvalidRequest),
    ] {
        let response: EnvelopeResponse = client.call(&request, 0).await;
        assert_eq!((response.error_code, response.response_data), (expected.code(), None));
    }
    node.stop().await;
}
