//! Controllers and brokers in processes of their own: three of each.

use crate::client::{Client, texts, until};
use crate::http::get;
use crate::node::{Home, Node};
use gregor::net::free_loopback_port;
use metadata::MetadataVersion;
use model::ErrorCode;
use protocol::messages::api_versions_request::ApiVersionsRequest;
use protocol::messages::api_versions_response::ApiVersionsResponse;
use protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use protocol::messages::create_topics_response::CreateTopicsResponse;
use protocol::messages::describe_cluster_request::DescribeClusterRequest;
use protocol::messages::describe_cluster_response::DescribeClusterResponse;
use protocol::messages::describe_configs_request::{DescribeConfigsRequest, DescribeConfigsResource};
use protocol::messages::describe_configs_response::DescribeConfigsResponse;
use protocol::messages::describe_quorum_request::{self as quorum, DescribeQuorumRequest};
use protocol::messages::describe_quorum_response::DescribeQuorumResponse;
use protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use protocol::messages::incremental_alter_configs_response::IncrementalAlterConfigsResponse;
use socket2::{Domain, Socket, Type};
use std::io::ErrorKind;
use std::path::Path;
use tokio::net::TcpStream;

/// The ids of the controllers. The brokers have the ids from 1 on.
pub const CONTROLLERS: [i32; 3] = [101, 102, 103];
pub const BROKERS: [i32; 3] = [1, 2, 3];

/// A cluster whose controllers and brokers are apart.
pub struct Apart {
    nodes: Vec<ApartNode>,
}

struct ApartNode {
    id: i32,
    home: Home,
    overrides: Vec<String>,
    running: Option<Node>,
}

impl Apart {
    /// Creates the folders, and starts no node yet. `settings` override each node's.
    pub fn new(settings: &[&str]) -> Self {
        Self::at(MetadataVersion::LATEST, settings)
    }

    /// Creates the folders of a new cluster at a `metadata.version`.
    pub fn at(version: MetadataVersion, settings: &[&str]) -> Self {
        let ports = [(); 3].map(|()| free_loopback_port().unwrap());
        let voters: Vec<String> =
            CONTROLLERS.iter().zip(ports).map(|(id, port)| format!("{id}@127.0.0.1:{port}")).collect();
        let servers: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let of = |id: i32, roles: &str, listeners: String| {
            let own = [
                format!("process.roles={roles}"),
                format!("node.id={id}"),
                format!("controller.quorum.voters={}", voters.join(",")),
                format!("controller.quorum.bootstrap.servers={}", servers.join(",")),
                format!("listeners={listeners}"),
                "controller.quorum.fetch.timeout.ms=500".into(),
                "controller.quorum.election.timeout.ms=300".into(),
                "controller.quorum.request.timeout.ms=500".into(),
                "broker.session.timeout.ms=1000".into(),
                "broker.heartbeat.interval.ms=200".into(),
            ];
            let overrides = own.into_iter().chain(settings.iter().map(|text| (*text).to_owned())).collect();
            ApartNode { id, home: Home::of_voter_at(version, id), overrides, running: None }
        };
        let controllers = CONTROLLERS
            .iter()
            .zip(ports)
            .map(|(id, port)| of(*id, "controller", format!("CONTROLLER://127.0.0.1:{port}")));
        let brokers = BROKERS.iter().map(|id| of(*id, "broker", "PLAINTEXT://127.0.0.1:0".into()));
        Self { nodes: controllers.chain(brokers).collect() }
    }

    fn place(&self, id: i32) -> usize {
        self.nodes.iter().position(|node| node.id == id).unwrap()
    }

    pub async fn start(&mut self, ids: &[i32]) {
        for id in ids {
            let place = self.place(*id);
            let node = &mut self.nodes[place];
            let overrides: Vec<&str> = node.overrides.iter().map(String::as_str).collect();
            node.running = Some(node.home.start(&overrides).await.unwrap());
        }
    }

    pub async fn stop(&mut self, ids: &[i32]) {
        for id in ids {
            let place = self.place(*id);
            self.nodes[place].running.take().unwrap().stop().await;
        }
    }

    pub fn node(&self, id: i32) -> &Node {
        self.nodes[self.place(id)].running.as_ref().unwrap()
    }

    pub async fn client(&self, id: i32) -> Client {
        self.node(id).client().await
    }

    pub fn home(&self, id: i32) -> &Home {
        &self.nodes[self.place(id)].home
    }

    pub fn overrides(&self, id: i32) -> Vec<String> {
        self.nodes[self.place(id)].overrides.clone()
    }

    /// Waits until a node knows a leader of the quorum that runs, and returns it.
    pub async fn leader(&self, of: i32) -> i32 {
        until("a leader", async || {
            get(self.node(of), "/readyz").await;
            let leader = self.node(of).running.broker.controller.leader()?.0;
            self.nodes[self.place(leader)].running.as_ref().map(|_| leader)
        })
        .await
    }

    /// Waits until these nodes are ready.
    pub async fn ready(&self, ids: &[i32]) {
        for id in ids {
            until("a node that is ready", async || (get(self.node(*id), "/readyz").await.0 == 200).then_some(())).await;
        }
    }

    /// Creates a topic with three replicas through a node, and waits until the brokers know it.
    pub async fn create(&self, through: i32, name: &str, brokers: &[i32]) {
        let topic =
            CreatableTopic { name: name.into(), num_partitions: 3, replication_factor: 3, ..Default::default() };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 10_000, ..Default::default() };
        until("a topic", async || {
            let response: CreateTopicsResponse = self.client(through).await.call(&request, 7).await;
            let code = response.topics[0].error_code;
            let is_later =
                code == ErrorCode::InvalidReplicationFactor.code() || code == ErrorCode::NotController.code();
            assert!(code == 0 || is_later, "{response:?}");
            (code == 0).then_some(())
        })
        .await;
        for id in brokers {
            self.client(*id).await.await_leaders(name).await;
        }
    }
}

pub async fn describe_quorum(client: &mut Client) -> DescribeQuorumResponse {
    let topic = quorum::TopicData {
        topic_name: "__cluster_metadata".into(),
        partitions: vec![quorum::PartitionData::default()],
        ..Default::default()
    };
    client.call(&DescribeQuorumRequest { topics: vec![topic], ..Default::default() }, 2).await
}

/// The ids of the voters and of the observers, and the leader.
async fn replicas(client: &mut Client) -> (Vec<i32>, Vec<i32>, i32) {
    let described = describe_quorum(client).await;
    let partition = &described.topics[0].partitions[0];
    assert_eq!(partition.error_code, 0, "{described:?}");
    let mut observers: Vec<i32> = partition.observers.iter().map(|it| it.replica_id).collect();
    observers.sort_unstable();
    (partition.current_voters.iter().map(|it| it.replica_id).collect(), observers, partition.leader_id)
}

/// Produces to partition 0 of a topic through its leader. Returns the leader.
async fn produce(cluster: &Apart, brokers: &[i32], topic: &str, value: &str) -> i32 {
    let is_running = |id: &i32| brokers.contains(id);
    let leader = until("a leader", async || {
        let known = cluster.client(brokers[0]).await.metadata(topic, false).await;
        let partition = known.topics[0].partitions.iter().find(|it| it.partition_index == 0)?;
        Some(partition.leader_id).filter(is_running)
    })
    .await;
    assert_eq!(cluster.client(leader).await.produce(topic, 0, &[value]).await.error_code, 0);
    leader
}

fn entries(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_controllers_and_three_brokers_apart() {
    let mut cluster = Apart::new(&[]);
    cluster.start(&CONTROLLERS).await;
    cluster.start(&BROKERS).await;
    cluster.ready(&CONTROLLERS).await;
    cluster.ready(&BROKERS).await;
    cluster.create(2, "t", &BROKERS).await;
    let leader = produce(&cluster, &BROKERS, "t", "a").await;

    // A broker forwards the question, a controller answers it.
    let (voters, observers, first) = replicas(&mut cluster.client(1).await).await;
    assert_eq!((voters.as_slice(), observers.as_slice()), (&CONTROLLERS[..], &BROKERS[..]));
    assert!(CONTROLLERS.contains(&first));
    assert_eq!(replicas(&mut cluster.client(first).await).await.0, CONTROLLERS);

    // Another controller leads, and the brokers find it.
    cluster.stop(&[first]).await;
    let left: Vec<i32> = CONTROLLERS.into_iter().filter(|id| *id != first).collect();
    cluster.ready(&left).await;
    cluster.create(1, "without-a-controller", &BROKERS).await;
    cluster.start(&[first]).await;
    cluster.ready(&[first]).await;

    // A broker goes and comes back.
    cluster.stop(&[leader]).await;
    let others: Vec<i32> = BROKERS.into_iter().filter(|id| *id != leader).collect();
    produce(&cluster, &others, "t", "b").await;
    cluster.start(&[leader]).await;
    cluster.ready(&[leader]).await;
    let next = produce(&cluster, &BROKERS, "t", "c").await;
    assert_eq!(texts(&cluster.client(next).await.read("t", 0).await), ["a", "b", "c"]);

    cluster.stop(&BROKERS).await;
    cluster.stop(&CONTROLLERS).await;
    // As Apache Kafka leaves them: a controller has only the metadata log, and no marker of a clean
    // stop.
    let mut of_controller = entries(&cluster.home(101).log_dir());
    // The room that a leader keeps for a full disk is Gregor's own.
    of_controller.retain(|name| name != ".gregor-spare-room");
    assert_eq!(of_controller, ["__cluster_metadata-0", "bootstrap.checkpoint", "meta.properties"]);
    let of_broker = entries(&cluster.home(1).log_dir());
    for name in ["__cluster_metadata-0", ".kafka_cleanshutdown", "t-0", "replication-offset-checkpoint"] {
        assert!(of_broker.iter().any(|it| it == name), "{name}: {of_broker:?}");
    }
}

/// AlterPartition goes to the controller's listener also where controllers are isolated.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_asks_an_isolated_controller_for_changes_of_isrs() {
    const ALTER_PARTITION: i16 = 56;
    let mut cluster = Apart::new(&[]);
    cluster.start(&CONTROLLERS).await;
    cluster.start(&BROKERS).await;
    cluster.ready(&CONTROLLERS).await;
    cluster.ready(&BROKERS).await;
    cluster.create(1, "t", &BROKERS).await;
    for (id, is_served) in [(1, false), (101, true)] {
        let versions: ApiVersionsResponse = cluster.client(id).await.call(&ApiVersionsRequest::default(), 2).await;
        assert_eq!(versions.api_keys.iter().any(|it| it.api_key == ALTER_PARTITION), is_served, "{id}");
    }
    let in_sync = async |cluster: &Apart, count: usize| {
        until("the ISR", async || {
            let known = cluster.client(1).await.metadata("t", false).await;
            known.topics[0].partitions.iter().all(|it| it.isr_nodes.len() == count).then_some(())
        })
        .await;
    };
    in_sync(&cluster, 3).await;
    cluster.stop(&[3]).await;
    in_sync(&cluster, 2).await;
    cluster.start(&[3]).await;
    // Only a leader adds a replica to an ISR, and only by AlterPartition.
    in_sync(&cluster, 3).await;
    cluster.stop(&BROKERS).await;
    cluster.stop(&CONTROLLERS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_starts_before_any_controller_waits() {
    let mut cluster = Apart::new(&[]);
    cluster.start(&[1, 2]).await;
    let (status, reason) = get(cluster.node(1), "/readyz").await;
    assert_eq!((status, reason.as_str()), (503, "no controller is known to be active\n"));
    // As Kafka's, it refuses clients: they ask another broker.
    let refused = TcpStream::connect(cluster.node(1).address()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    // One that is stopped while it waits stops cleanly.
    cluster.stop(&[2]).await;
    // One of three controllers is no quorum.
    cluster.start(&[101]).await;
    let (status, reason) = get(cluster.node(101), "/readyz").await;
    assert_eq!((status, reason.as_str()), (503, "no leader of the quorum is known\n"));
    cluster.start(&[102]).await;
    cluster.ready(&[101, 102, 1]).await;
    cluster.start(&[2, 3]).await;
    cluster.ready(&[2, 3]).await;
    cluster.create(1, "t", &BROKERS).await;
    cluster.stop(&BROKERS).await;
    cluster.stop(&[101, 102]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_whose_port_is_taken_while_it_waits_ends_with_one_line() {
    let mut cluster = Apart::new(&[]);
    cluster.start(&[1]).await;
    let address = cluster.node(1).address();
    let other = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    other.set_reuse_address(true).unwrap();
    other.bind(&address.into()).unwrap();
    other.listen(1).unwrap();
    cluster.start(&CONTROLLERS).await;
    let place = cluster.place(1);
    let mut node = cluster.nodes[place].running.take().unwrap();
    let fault = node.running.failed().await.to_string();
    assert!(fault.starts_with(&format!("{address} cannot be listened at")) && !fault.contains('\n'), "{fault}");
    node.stop().await;
    cluster.stop(&CONTROLLERS).await;
}

#[tokio::test]
async fn a_broker_that_finds_no_controller_ends_with_one_line() {
    let mut cluster = Apart::new(&["initial.broker.registration.timeout.ms=1"]);
    cluster.start(&[1]).await;
    let place = cluster.place(1);
    let mut node = cluster.nodes[place].running.take().unwrap();
    let fault = node.running.failed().await.to_string();
    assert!(
        fault.starts_with("Shutting down because we were unable to register with the controller quorum")
            && fault.contains("initial.broker.registration.timeout.ms=1;")
            && !fault.contains('\n'),
        "{fault}"
    );
    node.stop().await;
}

async fn retention_of_all(client: &mut Client) -> Option<String> {
    let resource = DescribeConfigsResource { resource_type: 4, resource_name: "101".into(), ..Default::default() };
    let request = DescribeConfigsRequest { resources: vec![resource], ..Default::default() };
    let response: DescribeConfigsResponse = client.call(&request, 4).await;
    assert_eq!(response.results[0].error_code, 0, "{response:?}");
    let entry = response.results[0].configs.iter().find(|config| config.name == "log.retention.ms")?;
    entry.value.as_ref().map(ToString::to_string)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn controllers_without_brokers_keep_the_metadata_over_a_restart() {
    let mut cluster = Apart::new(&[]);
    cluster.start(&CONTROLLERS).await;
    cluster.ready(&CONTROLLERS).await;
    let mut client = cluster.client(cluster.leader(101).await).await;
    let config = AlterableConfig { name: "log.retention.ms".into(), value: Some("77".into()), ..Default::default() };
    let resource = AlterConfigsResource { resource_type: 4, configs: vec![config], ..Default::default() };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() };
    let response: IncrementalAlterConfigsResponse = client.call(&request, 1).await;
    assert_eq!(response.responses[0].error_code, 0, "{response:?}");
    drop(client);

    cluster.stop(&CONTROLLERS).await;
    cluster.start(&CONTROLLERS).await;
    cluster.ready(&CONTROLLERS).await;
    until("the config", async || {
        (retention_of_all(&mut cluster.client(101).await).await.as_deref() == Some("77")).then_some(())
    })
    .await;

    // What tools with --bootstrap-controller ask for.
    let request = DescribeClusterRequest { endpoint_type: 2, ..Default::default() };
    let controllers = until("the registrations", async || {
        let response: DescribeClusterResponse = cluster.client(102).await.call(&request, 2).await;
        let ids: Vec<i32> = response.brokers.iter().map(|node| node.broker_id).collect();
        (ids.len() == 3 && response.controller_id >= 0).then_some(ids)
    })
    .await;
    assert_eq!(controllers, CONTROLLERS);
    let versions: ApiVersionsResponse = cluster.client(103).await.call(&ApiVersionsRequest::default(), 2).await;
    let serves = |key: i16| versions.api_keys.iter().any(|it| it.api_key == key);
    // Fetch, Vote and CreateTopics; neither Produce nor Metadata.
    assert_eq!([1, 52, 19, 0, 3].map(serves), [true, true, true, false, false]);
    cluster.stop(&CONTROLLERS).await;
}
