//! Several log dirs, and a metadata log of its own.

use crate::client::{Client, texts, until};
use crate::node::{Home, Node};
use model::{BrokerId, ErrorCode, PartitionIndex};
use protocol::messages::alter_replica_log_dirs_request::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic, AlterReplicaLogDirsRequest,
};
use protocol::messages::alter_replica_log_dirs_response::AlterReplicaLogDirsResponse;
use protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use protocol::messages::create_topics_response::CreateTopicsResponse;
use protocol::messages::describe_log_dirs_request::DescribeLogDirsRequest;
use protocol::messages::describe_log_dirs_response::{DescribeLogDirsResponse, DescribeLogDirsResult};
use std::cell::Cell;
use std::path::{Path, PathBuf};

async fn described(node: &Node) -> Vec<DescribeLogDirsResult> {
    let request = DescribeLogDirsRequest { topics: None, ..Default::default() };
    let response: DescribeLogDirsResponse = node.client().await.call(&request, 5).await;
    response.results
}

/// How many partitions each log dir has.
fn counts(results: &[DescribeLogDirsResult]) -> Vec<usize> {
    results.iter().map(|dir| dir.topics.iter().map(|topic| topic.partitions.len()).sum()).collect()
}

fn partitions_in(dir: &Path) -> usize {
    let names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("t-") || name.starts_with("u-")).count()
}

fn second(home: &Home) -> (PathBuf, String) {
    let second = home.log_dir().with_file_name("second");
    let setting = format!("log.dirs={},{}", home.log_dir().display(), second.display());
    (second, setting)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_go_where_there_are_the_fewest_and_are_found_again() {
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
async fn the_metadata_log_may_be_in_a_folder_of_its_own() {
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

/// Waits until the controller has every partition of a topic where it is.
async fn assigned(node: &Node, topic: &str) {
    until("directories that the controller knows", async || {
        // Each round is a request, so that this does not only spin.
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
async fn the_controller_is_told_where_replicas_are_also_when_a_hand_has_moved_one() {
    let home = Home::new();
    let (second, two) = second(&home);
    let node = home.ready(&[&two]).await;
    let mut client = node.client().await;
    client.create_topic("t", 4, &[]).await;
    assigned(&node, "t").await;
    assert_eq!(client.produce("t", 0, &["a"]).await.error_code, 0);
    let image = node.running.broker.image();
    let partition = image.topics.by_name("t").unwrap().partition(PartitionIndex(0)).unwrap();
    // Neither a leader nor an epoch has changed with it.
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

async fn cordon(client: &mut Client, value: &str) {
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
        // Created, where the heartbeat had not come yet.
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

/// Asks for a partition to be moved; the answer's error code.
async fn alter(client: &mut Client, topic: &str, partition: i32, dir: &Path) -> i16 {
    let topics =
        vec![AlterReplicaLogDirTopic { name: topic.into(), partitions: vec![partition], ..Default::default() }];
    let path = dir.to_str().unwrap().into();
    let dirs = vec![AlterReplicaLogDir { path, topics, ..Default::default() }];
    let request = AlterReplicaLogDirsRequest { dirs, ..Default::default() };
    let response: AlterReplicaLogDirsResponse = client.call(&request, 2).await;
    response.results[0].partitions[0].error_code
}

/// Waits until a partition is in a log dir and on no way elsewhere.
async fn arrived(node: &Node, topic: &str, partition: i32, dir: &Path) {
    until("a partition that has arrived", async || {
        let results = described(node).await;
        let found = results.iter().flat_map(|it| {
            let of_topic = it.topics.iter().filter(|found| found.name == topic);
            let found = of_topic.flat_map(|found| &found.partitions).filter(|found| found.partition_index == partition);
            found.map(|found| (it.log_dir.as_str(), found.is_future_key))
        });
        (found.collect::<Vec<_>>() == [(dir.to_str().unwrap(), false)]).then_some(())
    })
    .await;
}

/// Where the one partition of a topic is, and where it is not.
fn here_and_there(home: &Home, second: &Path, folder: &str) -> (PathBuf, PathBuf) {
    match home.log_dir().join(folder).exists() {
        true => (home.log_dir(), second.to_path_buf()),
        false => (second.to_path_buf(), home.log_dir()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_moves_while_it_is_written_and_nothing_is_lost_or_repeated() {
    let home = Home::new();
    let (second, two) = second(&home);
    let node = home.ready(&[&two]).await;
    let mut client = node.client().await;
    client.create_topic("t", 1, &[("segment.bytes", "1048576")]).await;
    let value = |number: usize| format!("{number:0>4000}");
    for number in 0..1000 {
        assert_eq!(client.produce("t", 0, &[&value(number)]).await.error_code, 0);
    }
    let (mut other, is_done) = (node.client().await, Cell::new(false));
    let write = async {
        let mut number = 1000;
        while !is_done.get() {
            let answer = other.produce("t", 0, &[&value(number)]).await;
            assert_eq!((answer.error_code, answer.base_offset), (0, number as i64));
            number += 1;
        }
        number
    };
    let relocate = async {
        for _ in 0..3 {
            let (_, there) = here_and_there(&home, &second, "t-0");
            assert_eq!(alter(&mut client, "t", 0, &there).await, 0);
            arrived(&node, "t", 0, &there).await;
            assigned(&node, "t").await;
            assert!(there.join("t-0").exists());
        }
        is_done.set(true);
    };
    let (count, ()) = tokio::join!(write, relocate);
    let expected: Vec<String> = (0..count).map(value).collect();
    assert_eq!(texts(&client.read("t", 0).await), expected);
    node.stop().await;
    let node = home.ready(&[&two]).await;
    assert_eq!(node.client().await.read("t", 0).await.len(), count);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_that_cannot_be_is_refused_as_in_kafka() {
    let home = Home::new();
    let (second, two) = second(&home);
    let node = home.ready(&[&two]).await;
    let mut client = node.client().await;
    client.create_topic("t", 1, &[]).await;
    let (here, there) = here_and_there(&home, &second, "t-0");
    let refused = |code: ErrorCode| code.code();
    assert_eq!(alter(&mut client, "t", 0, Path::new("/nowhere")).await, refused(ErrorCode::LogDirNotFound));
    assert_eq!(alter(&mut client, "u", 0, &there).await, refused(ErrorCode::UnknownTopicOrPartition));
    assert_eq!(alter(&mut client, &"x".repeat(220), 0, &there).await, refused(ErrorCode::InvalidTopicException));
    cordon(&mut client, there.to_str().unwrap()).await;
    assert_eq!(alter(&mut client, "t", 0, &there).await, refused(ErrorCode::InvalidReplicaAssignment));
    assert_eq!(alter(&mut client, "t", 0, &here).await, 0);
    assert_eq!((partitions_in(&here), partitions_in(&there)), (1, 0));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_is_deleted_while_its_partitions_move_and_leaves_nothing() {
    let home = Home::new();
    let (second, two) = second(&home);
    let node = home.ready(&[&two]).await;
    let mut client = node.client().await;
    for _ in 0..5 {
        client.create_topic("t", 4, &[("file.delete.delay.ms", "0")]).await;
        for index in 0..4 {
            assert_eq!(client.produce("t", index, &["a"]).await.base_offset, 0);
            let (_, there) = here_and_there(&home, &second, &format!("t-{index}"));
            assert_eq!(alter(&mut client, "t", index, &there).await, 0);
        }
        assert_eq!(client.delete_topic("t").await, 0);
    }
    node.running.broker.replicas.remove_deleted();
    assert_eq!(counts(&described(&node).await), [0, 0]);
    assert_eq!((partitions_in(&home.log_dir()), partitions_in(&second)), (0, 0));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_a_crash_has_left_goes_on_and_one_without_its_log_is_the_log() {
    let home = Home::new();
    let (second, two) = second(&home);
    let node = home.ready(&[&two]).await;
    let mut client = node.client().await;
    client.create_topic("t", 1, &[]).await;
    for value in ["a", "b"] {
        assert_eq!(client.produce("t", 0, &[value]).await.error_code, 0);
    }
    assigned(&node, "t").await;
    node.stop().await;
    let (here, there) = here_and_there(&home, &second, "t-0");
    let copy = there.join("t-0.00000000000000000000000000000001-future");
    crate::node::copy_files(&here.join("t-0"), &copy);
    let node = home.ready(&[&two]).await;
    arrived(&node, "t", 0, &there).await;
    assigned(&node, "t").await;
    assert_eq!(node.client().await.produce("t", 0, &["c"]).await.base_offset, 2);
    node.stop().await;
    let copy = here.join("t-0.00000000000000000000000000000002-future");
    std::fs::rename(there.join("t-0"), &copy).unwrap();
    let node = home.ready(&[&two]).await;
    arrived(&node, "t", 0, &here).await;
    assigned(&node, "t").await;
    assert_eq!(texts(&node.client().await.read("t", 0).await), ["a", "b", "c"]);
    node.stop().await;
}
