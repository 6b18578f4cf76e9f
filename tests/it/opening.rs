//! A start during which one log takes long to open: the port is open, and everything else is
//! served.

use crate::client::{Client, batch, until};
use crate::held::HeldDisk;
use crate::node::{Home, Node};
use model::{ErrorCode, Offset};
use protocol::messages::produce_response::ProduceResponse;
use std::sync::Arc;

/// Creates two topics, and starts the node again so that it cannot open the log of one. Returns the
/// disk that holds the log.
async fn opening(home: &Home) -> (Node, HeldDisk) {
    let node = home.ready(&[]).await;
    let mut client = node.client().await;
    for topic in ["slow", "quick"] {
        client.create_topic(topic, 1, &[]).await;
        assert_eq!(client.produce(topic, 0, &["before"]).await.error_code, 0);
    }
    node.stop().await;
    let disk = HeldDisk::new("slow-0/leader-epoch-checkpoint");
    let node = home.start_on(Arc::new(disk.clone()), &[]).await.unwrap();
    (node, disk)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restart_after_a_kill_opens_the_port_early_and_serves_each_partition_when_it_is_ready() {
    let home = Home::new();
    let (node, disk) = opening(&home).await;
    let mut client = node.client().await;
    assert_eq!(client.produce("quick", 0, &["x"]).await.error_code, 0);
    let not_yet = ErrorCode::NotLeaderOrFollower.code();
    let metadata = client.metadata("slow", false).await;
    let partition = &metadata.topics[0].partitions[0];
    assert_eq!((partition.error_code, partition.leader_id), (ErrorCode::LeaderNotAvailable.code(), -1));
    let refused: ProduceResponse = client.call(&Client::produce_request("slow", 0, batch(&["x"])), 9).await;
    assert_eq!(refused.responses[0].partition_responses[0].error_code, not_yet);
    assert_eq!(client.fetch("slow", 0, Offset(0)).await.error_code, not_yet);
    assert_eq!(client.offset_error("slow", 0, -1).await, not_yet);
    let reason = node.running.broker.not_ready_because().unwrap();
    assert!(reason.starts_with("opening partitions: 1 of 2 open"), "{reason}");
    disk.let_go();
    assert_eq!(client.produce("slow", 0, &["after"]).await.error_code, 0);
    let values: Vec<String> = client.read("slow", 0).await.into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, ["before", "after"]);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_whose_log_is_not_open_yet_is_deleted_and_created_again() {
    let home = Home::new();
    let (node, disk) = opening(&home).await;
    let mut client = node.client().await;
    assert_eq!(client.produce("quick", 0, &["x"]).await.error_code, 0);
    let mut other = node.client().await;
    let deleted = tokio::spawn(async move { other.delete_topic("slow").await });
    disk.let_go();
    assert_eq!(deleted.await.unwrap(), 0);
    client.create_topic("slow", 1, &[]).await;
    assert_eq!(client.produce("slow", 0, &["new"]).await.base_offset, 0);
    assert_eq!(client.read("slow", 0).await.len(), 1);
    until("a broker that is ready", async || {
        client.metadata("quick", false).await;
        node.running.broker.not_ready_because().is_none().then_some(())
    })
    .await;
    node.stop().await;
    let node = home.ready(&[]).await;
    assert_eq!(node.client().await.read("slow", 0).await.len(), 1);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_while_logs_are_opened_waits_only_for_the_current_log() {
    let home = Home::new();
    let (node, disk) = opening(&home).await;
    let mut client = node.client().await;
    assert_eq!(client.produce("quick", 0, &["x"]).await.error_code, 0);
    let stopping = node.running.broker.stopping.clone();
    let stopped = tokio::spawn(node.stop());
    stopping.cancelled().await;
    disk.let_go();
    stopped.await.unwrap();
    let node = home.ready(&[]).await;
    let mut client = node.client().await;
    assert_eq!((client.read("slow", 0).await.len(), client.read("quick", 0).await.len()), (1, 2));
    node.stop().await;
}
