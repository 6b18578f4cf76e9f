//! Requests of brokers while something is held up: the publisher, which creates a topic's logs on a
//! slow disk, or the main thread.

use crate::client::{Client, DEADLINE, until};
use crate::held::HeldDisk;
use crate::node::Home;
use protocol::messages::assign_replicas_to_dirs_request::AssignReplicasToDirsRequest;
use protocol::messages::assign_replicas_to_dirs_response::AssignReplicasToDirsResponse;
use std::cell::Cell;
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_are_assigned_to_dirs_while_the_publisher_is_held() {
    let home = Home::new();
    let disk = HeldDisk::new("/held-0/");
    let node = home.ready_on(Arc::new(disk.clone()), &[]).await;
    let (mut client, mut controller) = (node.client().await, Client::connect(node.running.addresses[1].1).await);
    let is_created = Cell::new(false);
    let creates = async {
        client.create_topic("held", 1, &[]).await;
        is_created.set(true);
    };
    let assigns = async {
        let image = until("a publisher that creates the topic's log", async || {
            Some(node.running.broker.image()).filter(|image| image.topics.by_name("held").is_some())
        })
        .await;
        let broker = node.running.broker.node.id;
        let epoch = image.cluster.brokers[&broker].epoch;
        let request = AssignReplicasToDirsRequest { broker_id: broker.0, broker_epoch: epoch.0, ..Default::default() };
        let answered = controller.call::<_, AssignReplicasToDirsResponse>(&request, 0);
        // Without an answer the test would hang.
        let answered = tokio::time::timeout(DEADLINE, answered).await;
        let was_created = is_created.get();
        disk.let_go();
        assert_eq!((answered.map(|answer| answer.error_code), was_created), (Ok(0), false));
    };
    tokio::join!(creates, assigns);
    node.stop().await;
}

/// The broker registers and sends heartbeats while its only worker does something else.
#[tokio::test]
async fn a_broker_is_unfenced_although_the_main_thread_is_busy() {
    let home = Home::new();
    let node = home.start(&[]).await.unwrap();
    let began = std::time::Instant::now();
    let id = node.running.broker.node.id;
    let is_fenced = || node.running.broker.image().cluster.brokers.get(&id).is_none_or(|broker| broker.fenced);
    while is_fenced() {
        assert!(began.elapsed() < DEADLINE);
        std::thread::yield_now();
    }
    node.stop().await;
}
