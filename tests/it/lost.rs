//! Processes of a cluster are killed. The others lead what they led long before the session ends.

use crate::client::{Client, texts, until};
use crate::kill::Process;
use crate::node::Home;
use gregor::net::free_loopback_port;
use protocol::messages::create_topics_request::{CreatableReplicaAssignment, CreatableTopic, CreateTopicsRequest};
use protocol::messages::create_topics_response::CreateTopicsResponse;
use protocol::messages::describe_quorum_request::{DescribeQuorumRequest, PartitionData, TopicData};
use protocol::messages::describe_quorum_response::DescribeQuorumResponse;
use protocol::messages::metadata_response::MetadataResponsePartition;
use std::process::Command;
use tokio::net::TcpStream;

/// Three processes, and the folders and ports that they keep.
struct Processes {
    homes: Vec<Home>,
    overrides: Vec<Vec<String>>,
    running: Vec<Option<Process>>,
}

impl Processes {
    fn start() -> Self {
        let ports: Vec<u16> = (0..6).map(|_| free_loopback_port().unwrap()).collect();
        let voters = format!("1@127.0.0.1:{},2@127.0.0.1:{},3@127.0.0.1:{}", ports[3], ports[4], ports[5]);
        let overrides = (0..3).map(|index| {
            vec![
                format!("node.id={}", index + 1),
                format!("controller.quorum.voters={voters}"),
                format!("listeners=PLAINTEXT://127.0.0.1:{},CONTROLLER://127.0.0.1:{}", ports[index], ports[index + 3]),
                // No test waits for so long: only what is known to be lost is fenced.
                "broker.session.timeout.ms=600000".into(),
            ]
        });
        let mut this = Self {
            homes: (1..=3).map(Home::of_voter).collect(),
            overrides: overrides.collect(),
            running: (0..3).map(|_| None).collect(),
        };
        (0..3).for_each(|index| this.restart(index));
        this
    }

    fn restart(&mut self, index: usize) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gregor"));
        command.arg("start").arg(self.homes[index].properties());
        for text in &self.overrides[index] {
            command.args(["--override", text]);
        }
        self.running[index] = Some(Process::spawn(&mut command));
    }

    fn kill(&mut self, index: usize) {
        self.running[index] = None;
    }

    /// A broker that waits for its registration refuses clients.
    async fn client(&self, index: usize) -> Client {
        let address = self.running[index].as_ref().unwrap().address;
        until("a broker that accepts", async || TcpStream::connect(address).await.ok()).await;
        Client::connect(address).await
    }

    /// The place of the node whose controller is active.
    async fn active(&self, through: usize) -> usize {
        until("an active controller", async || {
            let topic = TopicData {
                topic_name: "__cluster_metadata".into(),
                partitions: vec![PartitionData::default()],
                ..Default::default()
            };
            let request = DescribeQuorumRequest { topics: vec![topic], ..Default::default() };
            let response: DescribeQuorumResponse = self.client(through).await.call(&request, 2).await;
            let leader = response.topics.first()?.partitions.first()?.leader_id;
            usize::try_from(leader - 1).ok()
        })
        .await
    }

    /// A partition as a node shows it, once `is_shown` holds.
    async fn partition_when(
        &self,
        through: usize,
        index: usize,
        is_shown: impl Fn(&MetadataResponsePartition) -> bool,
    ) -> MetadataResponsePartition {
        until("the partition's state", async || {
            let mut known = self.client(through).await.metadata("t", false).await;
            let mut partitions = known.topics.remove(0).partitions;
            partitions.sort_by_key(|it| it.partition_index);
            partitions.into_iter().nth(index).filter(|it| is_shown(it))
        })
        .await
    }
}

/// Starts three processes with a topic of three partitions. Each node leads the partition of its
/// place.
async fn with_a_topic() -> Processes {
    let cluster = Processes::start();
    until("three brokers", async || {
        let known = cluster.client(0).await.metadata("t", false).await;
        (known.brokers.len() == 3).then_some(())
    })
    .await;
    let assignments = [[1, 2, 3], [2, 3, 1], [3, 1, 2]];
    let topic = CreatableTopic {
        name: "t".into(),
        num_partitions: -1,
        replication_factor: -1,
        assignments: (0..)
            .zip(assignments)
            .map(|(partition_index, ids)| CreatableReplicaAssignment {
                partition_index,
                broker_ids: ids.to_vec(),
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 10_000, ..Default::default() };
    let response: CreateTopicsResponse = cluster.client(0).await.call(&request, 7).await;
    assert_eq!(response.topics[0].error_code, 0, "{response:?}");
    cluster
}

/// A process that starts again before it is missed waits for no session either, whether it is the
/// active controller or not.
#[tokio::test]
async fn a_process_that_was_killed_and_starts_again_at_once_is_registered_before_its_session_ends() {
    let mut cluster = with_a_topic().await;
    for round in ["broker", "controller"] {
        let active = cluster.active(0).await;
        let victim = if round == "controller" { active } else { (active + 1) % 3 };
        let other = (victim + 1) % 3;
        let before = cluster.partition_when(other, victim, |it| it.isr_nodes.len() == 3).await;
        cluster.kill(victim);
        cluster.restart(victim);
        // It was fenced, and so an ISR has changed, and has all of them again.
        cluster
            .partition_when(other, victim, |it| it.isr_nodes.len() == 3 && it.leader_epoch > before.leader_epoch)
            .await;
    }
}

#[tokio::test]
async fn what_a_killed_process_led_is_led_by_others_before_its_session_ends() {
    let mut cluster = with_a_topic().await;
    // First a node that is only a broker to the controller, then the controller itself.
    for round in ["broker", "controller"] {
        let active = cluster.active(0).await;
        let victim = if round == "controller" { active } else { (active + 1) % 3 };
        let next = (victim + 1) % 3;
        cluster.partition_when(next, victim, |it| it.isr_nodes.len() == 3).await;
        let leads = cluster.partition_when(next, victim, |it| it.leader_id >= 0).await.leader_id as usize - 1;
        let mut client = cluster.client(leads).await;
        client.await_leaders("t").await;
        assert_eq!(client.produce("t", victim as i32, &["before"]).await.error_code, 0);
        cluster.kill(victim);
        let elsewhere = |it: &MetadataResponsePartition| it.leader_id >= 0 && it.leader_id != victim as i32 + 1;
        let leader = cluster.partition_when(next, victim, elsewhere).await.leader_id as usize - 1;
        // The new leader shows the record once the other replica has told it that it has it too.
        until("the record", async || {
            let read = cluster.client(leader).await.read("t", victim as i32).await;
            (texts(&read) == ["before"]).then_some(())
        })
        .await;
        // It was fenced: its next process need not wait for the end of the session.
        cluster.restart(victim);
        cluster.partition_when(next, victim, |it| it.isr_nodes.len() == 3).await;
    }
}
