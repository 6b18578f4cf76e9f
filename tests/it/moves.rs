//! Partitions that move from one log dir to another.

use crate::client::{Client, batch, texts, until};
use crate::held::HeldDisk;
use crate::log_dirs::{assigned, cordon, counts, described, partitions_in, second};
use crate::node::{Home, Node};
use futures_util::FutureExt as _;
use model::{ErrorCode, Offset};
use protocol::messages::alter_replica_log_dirs_request::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic, AlterReplicaLogDirsRequest,
};
use protocol::messages::alter_replica_log_dirs_response::AlterReplicaLogDirsResponse;
use protocol::messages::produce_request::ProduceRequest;
use protocol::messages::produce_response::ProduceResponse;
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Requests the move of a partition. Returns the error code.
pub async fn alter(client: &mut Client, topic: &str, partition: i32, dir: &Path) -> i16 {
    let topics =
        vec![AlterReplicaLogDirTopic { name: topic.into(), partitions: vec![partition], ..Default::default() }];
    let path = dir.to_str().unwrap().into();
    let dirs = vec![AlterReplicaLogDir { path, topics, ..Default::default() }];
    let request = AlterReplicaLogDirsRequest { dirs, ..Default::default() };
    let response: AlterReplicaLogDirsResponse = client.call(&request, 2).await;
    response.results[0].partitions[0].error_code
}

/// Waits until a partition is in a log dir and has no copy in another one.
pub async fn arrived(node: &Node, topic: &str, partition: i32, dir: &Path) {
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

/// Returns the log dir that holds a topic's only partition, then the other one.
fn here_and_there(home: &Home, second: &Path, folder: &str) -> (PathBuf, PathBuf) {
    match home.log_dir().join(folder).exists() {
        true => (home.log_dir(), second.to_path_buf()),
        false => (second.to_path_buf(), home.log_dir()),
    }
}

/// Moves a partition to the other log dir three times while clients write and read it. Returns the
/// number of records.
async fn move_live(node: &Node, home: &Home, is_durable: bool) -> usize {
    let second = home.log_dir().with_file_name("second");
    let value = |number: usize| format!("{number:0>4000}");
    let (mut client, mut writer, mut reader) = (node.client().await, node.client().await, node.client().await);
    let partition = node.running.broker.replicas.all().into_iter().find(|it| it.topic() == "t").unwrap();
    let is_done = Cell::new(false);
    let write = async {
        let mut number = 0;
        while number < 500 || !is_done.get() {
            let answer = writer.produce("t", 0, &[&value(number)]).await;
            assert_eq!((answer.error_code, answer.base_offset), (0, number as i64));
            assert!(!is_durable || partition.log().recovery_point().0 > answer.base_offset);
            number += 1;
        }
        number
    };
    let read = async {
        let mut next = 0;
        while !is_done.get() {
            for (offset, text) in reader.read_from("t", 0, Offset(next)).await {
                assert!(
                    offset == Offset(next) && text == value(next as usize),
                    "at {next}: {offset} {}",
                    &text[3990..]
                );
                next += 1;
            }
        }
    };
    let relocate = async {
        for _ in 0..3 {
            let (_, there) = here_and_there(home, &second, "t-0");
            assert_eq!(alter(&mut client, "t", 0, &there).await, 0);
            arrived(node, "t", 0, &there).await;
            assigned(node, "t").await;
            assert!(there.join("t-0").exists());
        }
        is_done.set(true);
    };
    let (count, (), ()) = tokio::join!(write, read, relocate);
    let expected: Vec<String> = (0..count).map(value).collect();
    assert_eq!(texts(&client.read("t", 0).await), expected);
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_moves_while_it_is_written_and_read_and_nothing_is_lost_or_repeated() {
    for flush_messages in ["1", "9223372036854775807"] {
        let home = Home::new();
        let (_, two) = second(&home);
        let node = home.ready(&[&two]).await;
        let configs = [("segment.bytes", "1048576"), ("flush.messages", flush_messages)];
        node.client().await.create_topic("t", 1, &configs).await;
        let count = move_live(&node, &home, flush_messages == "1").await;
        node.stop().await;
        let node = home.ready(&[&two]).await;
        assert_eq!(node.client().await.read("t", 0).await.len(), count);
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_has_moved_waits_for_the_flushes_of_its_new_log_dir() {
    let home = Home::new();
    let (second, two) = second(&home);
    let disk = HeldDisk::syncs("/second/t-0");
    let node = home.ready_on(Arc::new(disk.clone()), &[&two]).await;
    let (mut client, mut writer) = (node.client().await, node.client().await);
    client.create_topic("t", 1, &[("flush.messages", "1")]).await;
    assert_eq!(client.produce("t", 0, &["a"]).await.error_code, 0);
    assert!(home.log_dir().join("t-0").exists());
    assert_eq!(alter(&mut client, "t", 0, &second).await, 0);
    arrived(&node, "t", 0, &second).await;
    disk.hold();
    let request = ProduceRequest { acks: 1, ..Client::produce_request("t", 0, batch(&["b"])) };
    writer.send(&request, 9).await.unwrap();
    let partition = node.running.broker.replicas.all().into_iter().find(|it| it.topic() == "t").unwrap();
    until("the record", async || {
        assert_eq!(client.fetch("t", 0, Offset(0)).await.high_watermark, 1);
        (partition.log_end_offset() == Offset(2)).then_some(())
    })
    .await;
    assert!(writer.receive::<ProduceResponse>(9).now_or_never().is_none());
    disk.let_go();
    let answer: ProduceResponse = writer.receive(9).await.unwrap();
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
    assert_eq!(texts(&client.read("t", 0).await), ["a", "b"]);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_impossible_move_is_refused_as_in_kafka() {
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
async fn after_a_crash_a_copy_goes_on_and_a_copy_without_its_log_becomes_the_log() {
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
