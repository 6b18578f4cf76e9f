//! What a cluster does with wrong nodes and wrong requests: one clear line or Kafka's error, and
//! nothing is changed.

use crate::client::{Client, until};
use crate::http::get;
use crate::node::{Home, Node};
use crate::roles::{Apart, BROKERS, CONTROLLERS};
use gregor::net::free_loopback_port;
use model::ErrorCode;
use protocol::messages::alter_partition_reassignments_request::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use protocol::messages::alter_partition_reassignments_response::AlterPartitionReassignmentsResponse;
use protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use protocol::messages::create_topics_response::CreateTopicsResponse;
use protocol::messages::list_partition_reassignments_request::ListPartitionReassignmentsRequest;
use protocol::messages::list_partition_reassignments_response::ListPartitionReassignmentsResponse;
use protocol::messages::update_features_request::{FeatureUpdateKey, UpdateFeaturesRequest};
use protocol::messages::update_features_response::UpdateFeaturesResponse;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// How long a line of a log may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// A run of the binary, of which the log is read.
pub struct Logged {
    child: Child,
    lines: Receiver<String>,
}

impl Logged {
    fn start(home: &Home, overrides: &[String]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gregor"));
        command.arg("start").arg(home.properties()).env_remove("RUST_LOG");
        command.args(overrides.iter().flat_map(|text| ["--override", text]));
        Self::of(command)
    }

    pub fn of(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let (read, lines) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        // The send fails if nobody reads any more.
        std::thread::spawn(move || stderr.lines().for_each(|line| drop(read.send(line.unwrap()))));
        Self { child, lines }
    }

    /// Reads the log up to a line with this text.
    pub fn line(&self, text: &str) -> String {
        let mut all = Vec::new();
        loop {
            match self.lines.recv_timeout(DEADLINE) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => all.push(line),
                Err(_) => panic!("no line with {text:?}:\n{}", all.join("\n")),
            }
        }
    }

    /// Asks the process to stop. Returns the rest of the log with the exit status.
    pub fn stop(self) -> (String, Option<i32>) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.end()
    }

    /// Reads the rest of the log. Returns it with the exit status.
    pub fn end(mut self) -> (String, Option<i32>) {
        let mut rest = Vec::new();
        loop {
            match self.lines.recv_timeout(DEADLINE) {
                Ok(line) => rest.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end:\n{}", rest.join("\n")),
            }
        }
        (rest.join("\n"), self.child.wait().unwrap().code())
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A broker that ends soon if no controller registers it.
fn impatient(cluster: &Apart, id: i32) -> Vec<String> {
    let mut overrides = cluster.overrides(id);
    overrides.push("initial.broker.registration.timeout.ms=3000".into());
    overrides
}

async fn brokers(client: &mut Client) -> Vec<i32> {
    let mut ids: Vec<i32> = client.metadata("none", false).await.brokers.iter().map(|it| it.node_id).collect();
    ids.sort_unstable();
    ids
}

/// Three controllers and the first two brokers, which are ready.
async fn running() -> Apart {
    let mut cluster = Apart::new(&[]);
    cluster.start(&CONTROLLERS).await;
    cluster.start(&[1, 2]).await;
    cluster.ready(&[1, 2]).await;
    cluster
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_of_another_cluster_is_not_registered_and_says_so() {
    let mut cluster = running().await;
    let home = cluster.home(3);
    let meta = home.log_dir().join("meta.properties");
    let text = fs::read_to_string(&meta).unwrap();
    fs::write(&meta, text.replace(crate::node::CLUSTER_ID, "BBBBBBBBBBBBBBBBBBBBBQ")).unwrap();
    let stranger = Logged::start(home, &impatient(&cluster, 3));
    let line = stranger.line("INCONSISTENT_CLUSTER_ID");
    assert!(line.contains("it belongs to another cluster"), "{line}");
    let (rest, code) = tokio::task::spawn_blocking(move || stranger.end()).await.unwrap();
    assert!(rest.contains("unable to register with the controller quorum"), "{rest}");
    // It is said once for each controller, and not for each request.
    assert!(rest.matches("INCONSISTENT_CLUSTER_ID").count() <= 2, "{rest}");
    assert_eq!(code, Some(1));
    assert_eq!(brokers(&mut cluster.client(1).await).await, [1, 2]);
    cluster.stop(&[1, 2]).await;
    cluster.stop(&CONTROLLERS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_broker_with_the_same_id_is_refused_and_the_first_goes_on() {
    let mut cluster = running().await;
    let second = Home::of_voter(1);
    let second = Logged::start(&second, &impatient(&cluster, 1));
    let line = second.line("DUPLICATE_BROKER_REGISTRATION");
    assert!(line.contains("this broker is not registered yet"), "{line}");
    let (rest, code) = tokio::task::spawn_blocking(move || second.end()).await.unwrap();
    // The last attempt may have had no answer in time.
    assert!(rest.contains("unable to register with the controller quorum"), "{rest}");
    assert_eq!(code, Some(1));
    assert_eq!(get(cluster.node(1), "/readyz").await.0, 200);
    assert_eq!(brokers(&mut cluster.client(1).await).await, [1, 2]);
    cluster.stop(&[1, 2]).await;
    cluster.stop(&CONTROLLERS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_with_the_id_of_the_leader_is_told_so() {
    let home = Home::new();
    let port = free_loopback_port().unwrap();
    let bootstrap = format!("controller.quorum.bootstrap.servers=127.0.0.1:{port}");
    let listeners = format!("listeners=PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:{port}");
    let node = home.ready(&[&bootstrap, &listeners]).await;
    let second = Home::of_voter(1);
    let own =
        ["process.roles=broker", "listeners=PLAINTEXT://127.0.0.1:0", "initial.broker.registration.timeout.ms=6000"];
    let overrides: Vec<String> = own.iter().map(|text| (*text).to_owned()).chain([bootstrap]).collect();
    let second = Logged::start(&second, &overrides);
    let line = second.line("refuses this node");
    assert!(line.contains("it has the same node.id"), "{line}");
    let (_, code) = tokio::task::spawn_blocking(move || second.end()).await.unwrap();
    assert_eq!(code, Some(1));
    assert_eq!(brokers(&mut node.client().await).await, [1]);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreachable_bootstrap_controllers_are_named_once() {
    let home = Home::of_voter(1);
    let ports = [(); 2].map(|()| free_loopback_port().unwrap());
    let servers = ports.map(|port| format!("127.0.0.1:{port}"));
    let overrides = [
        "process.roles=broker".into(),
        "listeners=PLAINTEXT://127.0.0.1:0".into(),
        format!("controller.quorum.bootstrap.servers={}", servers.join(",")),
        "initial.broker.registration.timeout.ms=1500".into(),
    ];
    let logged = Logged::start(&home, &overrides);
    let (all, code) = tokio::task::spawn_blocking(move || logged.end()).await.unwrap();
    for server in servers {
        let named = all.lines().filter(|line| line.contains("does not answer") && line.contains(&server)).count();
        assert_eq!(named, 1, "{server}: {all}");
    }
    let last = all.lines().find(|line| line.contains("unable to register")).unwrap();
    assert!(last.contains("no controller is known to be active"), "{last}");
    assert_eq!(code, Some(1));
}

/// The voters of node 3 are others than those of nodes 1 and 2, which know nothing of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_controller_whose_voters_disagree_changes_no_leader_and_no_epoch() {
    let ports = [(); 3].map(|()| free_loopback_port().unwrap());
    let voters = |ids: &[i32]| {
        let of = |id: &i32| format!("{id}@127.0.0.1:{}", ports[*id as usize - 1]);
        format!("controller.quorum.voters={}", ids.iter().map(of).collect::<Vec<_>>().join(","))
    };
    let start = async |home: &Home, id: i32, voters: String| -> Node {
        let port = ports[id as usize - 1];
        let own = [
            "process.roles=controller".into(),
            format!("node.id={id}"),
            format!("listeners=CONTROLLER://127.0.0.1:{port}"),
            format!("controller.quorum.bootstrap.servers=127.0.0.1:{},127.0.0.1:{}", ports[0], ports[1]),
            voters,
        ];
        home.start(&own.each_ref().map(String::as_str)).await.unwrap()
    };
    let homes = [1, 2, 3].map(Home::of_voter);
    let first = start(&homes[0], 1, voters(&[1, 2])).await;
    let second = start(&homes[1], 2, voters(&[1, 2])).await;
    let leader = async |node: &Node| {
        until("a leader", async || {
            get(node, "/readyz").await;
            let facts = node.running.broker.controller.quorum_facts();
            facts.leader.map(|leader| (leader, facts.epoch))
        })
        .await
    };
    let before = leader(&first).await;
    assert_eq!(leader(&second).await, before);
    let third = start(&homes[2], 3, voters(&[1, 2, 3])).await;
    // It follows the leader that the others elected.
    assert_eq!(leader(&third).await, before);
    assert_eq!((leader(&first).await, leader(&second).await), (before, before));
    third.stop().await;
    assert_eq!((leader(&first).await, leader(&second).await), (before, before));
    second.stop().await;
    first.stop().await;
    // With the folder of the quorum, a node does not start with other voters.
    let others = voters(&[1, 3]);
    let own = ["process.roles=controller", "node.id=1", "listeners=CONTROLLER://127.0.0.1:0", &others];
    let line = homes[0].start(&own).await.err().unwrap();
    assert!(line.contains("controllers 1, 2") && line.contains("names 1, 3") && !line.contains('\n'), "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_whose_folder_is_ahead_of_the_quorum_changes_nothing() {
    // A quorum that has seen elections.
    let mut cluster = Apart::new(&[]);
    cluster.start(&CONTROLLERS).await;
    cluster.start(&BROKERS).await;
    cluster.ready(&BROKERS).await;
    cluster.create(1, "kept", &BROKERS).await;
    // More elections than a new quorum needs for its first leader.
    let last = loop {
        let leader = cluster.leader(1).await;
        let epoch = cluster.node(1).running.broker.controller.quorum_facts().epoch;
        if epoch.0 >= 10 {
            break epoch;
        }
        cluster.stop(&[leader]).await;
        cluster.start(&[leader]).await;
        cluster.ready(&[1]).await;
    };
    cluster.stop(&BROKERS).await;
    cluster.stop(&CONTROLLERS).await;
    let ahead = cluster.home(1).copied();
    let before = metadata_files(&ahead);

    // Another quorum of the same cluster id begins again.
    let mut new = Apart::new(&[]);
    new.start(&CONTROLLERS).await;
    new.ready(&CONTROLLERS).await;
    assert!(new.node(101).running.broker.controller.quorum_facts().epoch < last);
    let logged = Logged::start(&ahead, &impatient(&new, 1));
    let line = logged.line("refuses this node");
    assert!(line.contains("earlier epoch than this node's metadata log"), "{line}");
    let (_, code) = tokio::task::spawn_blocking(move || logged.end()).await.unwrap();
    assert_eq!(code, Some(1));
    assert_eq!(metadata_files(&ahead), before);
    assert!(new.node(101).running.broker.image().cluster.brokers.is_empty());
    new.stop(&CONTROLLERS).await;
}

/// The files of the metadata log with their sizes, and the partitions.
fn metadata_files(home: &Home) -> Vec<(String, u64)> {
    let mut files = Vec::new();
    for dir in [home.log_dir(), home.log_dir().join("__cluster_metadata-0")] {
        for entry in fs::read_dir(&dir).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            if name.ends_with(".log") || name.ends_with(".checkpoint") || name.starts_with("kept") {
                let is_dir = entry.path().is_dir();
                files.push((name, if is_dir { 0 } else { entry.metadata().unwrap().len() }));
            }
        }
    }
    files.sort_unstable();
    files
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_no_cluster_can_follow_change_nothing() {
    let mut cluster = Apart::new(&[]);
    cluster.start(&CONTROLLERS).await;
    cluster.start(&BROKERS).await;
    cluster.ready(&BROKERS).await;
    cluster.create(1, "t", &BROKERS).await;
    let end = async || cluster.node(1).running.broker.image().provenance.last_offset;

    // A reassignment to brokers that are not registered.
    let before = partitions(&mut cluster.client(1).await).await;
    let partition = ReassignablePartition { partition_index: 0, replicas: Some(vec![1, 77]), ..Default::default() };
    let topic = ReassignableTopic { name: "t".into(), partitions: vec![partition], ..Default::default() };
    let request = AlterPartitionReassignmentsRequest { topics: vec![topic], timeout_ms: 10_000, ..Default::default() };
    let response: AlterPartitionReassignmentsResponse = cluster.client(1).await.call(&request, 1).await;
    let answer = &response.responses[0].partitions[0];
    assert_eq!(answer.error_code, ErrorCode::InvalidReplicaAssignment.code(), "{response:?}");
    let said = answer.error_message.as_deref().unwrap();
    assert_eq!(said, "The manual partition assignment includes broker 77, but no such broker is registered.");
    let listed: ListPartitionReassignmentsResponse = cluster
        .client(1)
        .await
        .call(&ListPartitionReassignmentsRequest { timeout_ms: 10_000, ..Default::default() }, 0)
        .await;
    assert!(listed.error_code == 0 && listed.topics.is_empty(), "{listed:?}");
    assert_eq!(partitions(&mut cluster.client(1).await).await, before);

    // A feature level that no node has.
    for (name, level) in [("metadata.version", 99), ("group.version", 9), ("nothing", 1)] {
        let update =
            FeatureUpdateKey { feature: name.into(), max_version_level: level, upgrade_type: 1, ..Default::default() };
        let request = UpdateFeaturesRequest { feature_updates: vec![update], timeout_ms: 10_000, ..Default::default() };
        let features = cluster.node(1).running.broker.image().features.clone();
        let response: UpdateFeaturesResponse = cluster.client(1).await.call(&request, 1).await;
        assert_eq!(
            response.results.first().map_or(response.error_code, |it| it.error_code),
            95,
            "{name}: {response:?}"
        );
        assert!(end().await.is_some());
        let now = cluster.node(1).running.broker.image().features.clone();
        assert_eq!(format!("{now:?}"), format!("{features:?}"));
    }
    cluster.stop(&BROKERS).await;
    cluster.stop(&CONTROLLERS).await;
}

/// Leader, replicas and ISR of each partition of the topic.
async fn partitions(client: &mut Client) -> Vec<(i32, Vec<i32>, usize)> {
    let known = client.metadata("t", false).await;
    let partitions = known.topics[0].partitions.iter();
    partitions.map(|it| (it.partition_index, it.replica_nodes.clone(), it.isr_nodes.len())).collect()
}

fn create(name: &str) -> CreateTopicsRequest {
    let topic = CreatableTopic { name: name.into(), num_partitions: 1, replication_factor: 1, ..Default::default() };
    CreateTopicsRequest { topics: vec![topic], timeout_ms: 2_000, ..Default::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_minority_acknowledges_no_change_of_the_metadata() {
    let mut cluster = Apart::new(&[]);
    cluster.start(&CONTROLLERS).await;
    cluster.start(&[1]).await;
    cluster.ready(&[1]).await;
    let leader = cluster.leader(1).await;
    let others: Vec<i32> = CONTROLLERS.into_iter().filter(|id| *id != leader).collect();
    cluster.stop(&others).await;
    // The last one may still believe that it leads.
    let response: CreateTopicsResponse = cluster.client(leader).await.call(&create("lost"), 7).await;
    assert_ne!(response.topics[0].error_code, 0, "{response:?}");
    // It has noticed that it is alone: it resigned.
    until("a controller that resigned", async || {
        get(cluster.node(leader), "/readyz").await;
        (!cluster.node(leader).running.broker.controller.quorum_facts().is_active).then_some(())
    })
    .await;
    let response: CreateTopicsResponse = cluster.client(leader).await.call(&create("lost"), 7).await;
    assert_eq!(response.topics[0].error_code, ErrorCode::NotController.code());
    assert!(cluster.node(leader).running.broker.image().topics.by_name("lost").is_none());
    // The majority goes on without what the minority wrote.
    cluster.stop(&[leader]).await;
    cluster.start(&others).await;
    cluster.ready(&others).await;
    until("a topic", async || {
        let response: CreateTopicsResponse = cluster.client(1).await.call(&create("t"), 7).await;
        (response.topics[0].error_code == 0).then_some(())
    })
    .await;
    cluster.start(&[leader]).await;
    cluster.ready(&[leader]).await;
    for id in CONTROLLERS {
        until("the same topics everywhere", async || {
            get(cluster.node(id), "/readyz").await;
            cluster.node(id).running.broker.image().topics.by_name("t").map(drop)
        })
        .await;
        assert!(cluster.node(id).running.broker.image().topics.by_name("lost").is_none(), "controller {id}");
    }
    cluster.stop(&[1]).await;
    cluster.stop(&CONTROLLERS).await;
}
