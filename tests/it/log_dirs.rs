//! Several log dirs, and a separate dir for the metadata log.

use crate::client::{Client, until};
use crate::node::{Home, Node};
use model::{BrokerId, ErrorCode, PartitionIndex};
use protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use protocol::messages::create_topics_response::CreateTopicsResponse;
use protocol::messages::describe_log_dirs_request::DescribeLogDirsRequest;
use protocol::messages::describe_log_dirs_response::{DescribeLogDirsResponse, DescribeLogDirsResult};
use std::path::{Path, PathBuf};

pub async fn described(node: &Node) -> Vec<DescribeLogDirsResult> {
    let request = DescribeLogDirsRequest { topics: None, ..Default::default() };
    let response: DescribeLogDirsResponse = node.client().await.call(&request, 5).await;
    response.results
}

/// Returns the number of partitions in each log dir.
pub fn counts(results: &[DescribeLogDirsResult]) -> Vec<usize> {
    results.iter().map(|dir| dir.topics.iter().map(|topic| topic.partitions.len()).sum()).collect()
}

pub fn partitions_in(dir: &Path) -> usize {
    let names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("t-") || name.starts_with("u-")).count()
}

pub fn second(home: &Home) -> (PathBuf, String) {
    let second = home.log_dir().with_file_name("second");
    let setting = format!("log.dirs={},{}", home.log_dir().display(), second.display());
    (second, setting)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_partitions_go_to_the_log_dir_with_the_fewest_and_are_found_again() {
    let home = Home::new();
    let (second, two) = second(&home);
    let node = home.ready(&[&two]).await;
    let mut client = node.client().await;
    client.create_topic("t", 3, &[]).await;
    client.create_topic("u", 3, &[]).await;
    for topic in ["t", "u"] {
        for index in 0..3 {
            assert_eq!(client.produce(topic, index, &["a"]).await.error_code, 0);
        }
    }
    assert_eq!(counts(&described(&node).await), [3, 3]);
    assert_eq!((partitions_in(&home.log_dir()), partitions_in(&second)), (3, 3));
    node.stop().await;
    let meta = std::fs::read_to_string(second.join("meta.properties")).unwrap();
    assert!(meta.contains("directory.id=") && meta.contains(crate::node::CLUSTER_ID), "{meta}");
    assert!(second.join(".kafka_cleanshutdown").exists() && !second.join(".lock").exists());
    let node = home.ready(&[&two]).await;
    let mut client = node.client().await;
    for topic in ["t", "u"] {
        for index in 0..3 {
            assert_eq!(client.produce(topic, index, &["b"]).await.base_offset, 1, "{topic}-{index}");
            assert_eq!(client.read(topic, index).await.len(), 2);
        }
    }
    assert_eq!(counts(&described(&node).await), [3, 3]);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_metadata_log_may_have_its_own_folder() {
    let home = Home::new();
    let data = home.log_dir().with_file_name("data");
    let settings = [format!("log.dirs={}", data.display()), format!("metadata.log.dir={}", home.log_dir().display())];
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    for base_offset in 0..2 {
        let node = home.ready(&settings).await;
        let mut client = node.client().await;
        if base_offset == 0 {
            client.create_topic("t", 1, &[]).await;
        }
        assert_eq!(client.produce("t", 0, &["a"]).await.base_offset, base_offset);
        node.stop().await;
    }
    assert_eq!((partitions_in(&home.log_dir()), partitions_in(&data)), (0, 1));
    assert!(!home.log_dir().join(".lock").exists());
}

/// Waits until the controller knows the log dir of every partition of a topic.
pub async fn assigned(node: &Node, topic: &str) {
    until("directories that the controller knows", async || {
        // Each round sends a request, so this is not a busy loop.
        let results = described(node).await;
        let image = node.running.broker.image();
        let topic = image.topics.by_name(topic)?;
        let replicas = &node.running.broker.replicas;
        let is_known = |dir: &DescribeLogDirsResult| {
            let of_topic = dir.topics.iter().filter(|found| found.name == topic.name);
            let id = replicas.dirs().iter().find(|it| it.path() == Path::new(dir.log_dir.as_str()))?.id();
            let mut indexes = of_topic.flat_map(|topic| &topic.partitions).map(|it| PartitionIndex(it.partition_index));
            Some(indexes.all(|index| topic.partition(index).and_then(|it| it.directory(BrokerId(1))) == Some(id)))
        };
        results.iter().all(|dir| is_known(dir) == Some(true)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_controller_learns_where_replicas_are_even_after_a_manual_move() {
    let home = Home::new();
    let (second, two) = second(&home);
    let node = home.ready(&[&two]).await;
    let mut client = node.client().await;
    client.create_topic("t", 4, &[]).await;
    assigned(&node, "t").await;
    assert_eq!(client.produce("t", 0, &["a"]).await.error_code, 0);
    let image = node.running.broker.image();
    let partition = image.topics.by_name("t").unwrap().partition(PartitionIndex(0)).unwrap();
    // The assignment changed neither the leader nor an epoch.
    assert_eq!((partition.leader_epoch.0, partition.partition_epoch.0), (0, 1));
    node.stop().await;
    let (from, to) = match home.log_dir().join("t-0").exists() {
        true => (home.log_dir(), second),
        false => (second, home.log_dir()),
    };
    std::fs::rename(from.join("t-0"), to.join("t-0")).unwrap();
    let node = home.ready(&[&two]).await;
    assigned(&node, "t").await;
    assert_eq!(node.client().await.read("t", 0).await.len(), 1);
    node.stop().await;
}

fn cordoned(results: &[DescribeLogDirsResult]) -> Vec<bool> {
    results.iter().map(|dir| dir.is_cordoned).collect()
}

pub async fn cordon(client: &mut Client, value: &str) {
    let set = crate::configs::set(client, crate::configs::BROKER, "1", "cordoned.log.dirs", value).await;
    assert_eq!(set, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cordoned_log_dirs_take_no_new_partitions() {
    let home = Home::new();
    let (second, two) = second(&home);
    let node = home.ready(&[&two]).await;
    let mut client = node.client().await;
    cordon(&mut client, second.to_str().unwrap()).await;
    assert_eq!(cordoned(&described(&node).await), [false, true]);
    client.create_topic("t", 3, &[]).await;
    assert_eq!((partitions_in(&home.log_dir()), partitions_in(&second)), (3, 0));
    cordon(&mut client, "*").await;
    assert_eq!(cordoned(&described(&node).await), [true, true]);
    let topic = CreatableTopic { name: "u".into(), num_partitions: 1, replication_factor: 1, ..Default::default() };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 10_000, ..Default::default() };
    let refused = until("a controller that knows", async || {
        let mut response: CreateTopicsResponse = client.call(&request, 7).await;
        let answer = response.topics.remove(0);
        // The topic was created because the heartbeat had not arrived yet.
        if answer.error_code == 0 {
            client.delete_topic("u").await;
        }
        (answer.error_code != 0).then_some(answer)
    })
    .await;
    assert_eq!(refused.error_code, ErrorCode::InvalidReplicationFactor.code());
    let message = refused.error_message.unwrap();
    assert!(message.ends_with("or have all their log directories cordoned."), "{message}");
    cordon(&mut client, "").await;
    assert_eq!(cordoned(&described(&node).await), [false, false]);
    until("a controller that knows", async || {
        let response: CreateTopicsResponse = client.call(&request, 7).await;
        (response.topics[0].error_code == 0).then_some(())
    })
    .await;
    node.stop().await;
    let home = Home::new();
    let node = home.ready(&[&self::second(&home).1, "cordoned.log.dirs=*"]).await;
    assert_eq!(cordoned(&described(&node).await), [true, true]);
    node.stop().await;
}
