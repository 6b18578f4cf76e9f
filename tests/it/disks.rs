//! Brokers on full or failed disks. The disks are simulated and fail as a test says.

use crate::client::{Client, texts, until};
use crate::groups::{await_coordinator, commit};
use crate::http::get;
use crate::moves::{alter, arrived};
use crate::node::{Home, Node};
use crate::quorum::Cluster;
use model::Offset;
use protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic};
use protocol::messages::delete_records_response::DeleteRecordsResponse;
use protocol::messages::describe_log_dirs_request::DescribeLogDirsRequest;
use protocol::messages::describe_log_dirs_response::{DescribeLogDirsResponse, DescribeLogDirsResult};
use protocol::messages::describe_topic_partitions_request::{DescribeTopicPartitionsRequest, TopicRequest};
use protocol::messages::describe_topic_partitions_response::DescribeTopicPartitionsResponse;
use protocol::messages::fetch_request::FetchRequest;
use protocol::messages::fetch_response::FetchResponse;
use protocol::messages::metadata_response::MetadataResponseTopic;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::disk::{Crash, Disk, Fault, Operation, SimDisk};

/// `ErrorCode::KafkaStorageError`
pub const KAFKA_STORAGE_ERROR: i16 = 56;
const RESERVE: &str = "gregor.log.dir.reserve.bytes=10000000";

fn simulated() -> (SimDisk, Arc<dyn Disk>, Home) {
    let sim = SimDisk::new();
    sim.set_capacity(Some(1 << 40));
    let disk: Arc<dyn Disk> = Arc::new(sim.clone());
    let home = Home::on(&disk);
    (sim, disk, home)
}

/// Leaves this number of bytes of the disk free.
fn leave_free(sim: &SimDisk, bytes: u64) {
    let space = sim.space(Path::new("/")).unwrap();
    sim.set_capacity(Some(space.total_bytes - space.usable_bytes + bytes));
}

/// Writes until the answer has this error code.
pub async fn produce_until(client: &mut Client, topic: &str, partition: i32, code: i16) {
    until("an answer to a producer", async || {
        (client.produce(topic, partition, &["more"]).await.error_code == code).then_some(())
    })
    .await;
}

pub async fn delete_records(client: &mut Client, topic: &str, before: i64) -> i16 {
    let partitions = vec![DeleteRecordsPartition { partition_index: 0, offset: before, ..Default::default() }];
    let topics = vec![DeleteRecordsTopic { name: topic.into(), partitions, ..Default::default() }];
    let request = DeleteRecordsRequest { topics, timeout_ms: 10_000, ..Default::default() };
    let response: DeleteRecordsResponse = client.call(&request, 2).await;
    response.topics[0].partitions[0].error_code
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_only_producers_and_recovers_without_a_restart() {
    let (sim, disk, home) = simulated();
    let node = home.ready_on(disk, &[RESERVE, "offsets.topic.num.partitions=1"]).await;
    let mut client = node.client().await;
    client.create_topic("t", 1, &[]).await;
    await_coordinator(&mut client, "g").await;
    assert_eq!(client.produce("t", 0, &["a", "b", "c"]).await.error_code, 0);
    leave_free(&sim, 9_000_000);
    produce_until(&mut client, "t", 0, KAFKA_STORAGE_ERROR).await;
    let (status, metrics) = get(&node, "/metrics").await;
    assert!(status == 200 && metrics.contains("\ngregor_full_log_dirs 1\n"), "{metrics}");
    // Reads, group offsets, metadata and DeleteRecords go on.
    assert_eq!(texts(&client.read("t", 0).await)[..3], ["a", "b", "c"]);
    assert_eq!(commit(&mut client, "g", ("", -1), "t", 1).await, 0);
    client.create_topic("u", 1, &[]).await;
    assert_eq!(delete_records(&mut client, "t", 2).await, 0);
    assert_eq!(client.read("t", 0).await[0], (Offset(2), "c".into()));
    assert_eq!(client.produce("u", 0, &["x"]).await.error_code, KAFKA_STORAGE_ERROR);
    // Now without a free byte.
    leave_free(&sim, 0);
    assert_eq!(client.read("t", 0).await[0], (Offset(2), "c".into()));
    assert_eq!(delete_records(&mut client, "t", 3).await, 0);
    leave_free(&sim, 1 << 30);
    produce_until(&mut client, "t", 0, 0).await;
    produce_until(&mut client, "u", 0, 0).await;
    assert_eq!(commit(&mut client, "g", ("", -1), "t", 2).await, 0);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_on_a_full_disk_serves_existing_records() {
    for is_killed in [false, true] {
        let (sim, disk, home) = simulated();
        let node = home.ready_on(disk.clone(), &[RESERVE]).await;
        let mut client = node.client().await;
        client.create_topic("t", 2, &[]).await;
        for partition in 0..2 {
            assert_eq!(client.produce("t", partition, &["a", "b"]).await.error_code, 0);
        }
        match is_killed {
            true => {
                sim.crash(Crash::Process);
                node.stop().await;
            }
            false => node.stop().await,
        }
        leave_free(&sim, 0);
        // Starts twice: the first start leaves nothing that blocks the second.
        for _ in 0..2 {
            let node = home.ready_on(disk.clone(), &[RESERVE]).await;
            let mut client = node.client().await;
            for partition in 0..2 {
                assert_eq!(texts(&client.read("t", partition).await), ["a", "b"], "killed: {is_killed}");
                assert_eq!(client.produce("t", partition, &["c"]).await.error_code, KAFKA_STORAGE_ERROR);
            }
            node.stop().await;
        }
        let node = home.ready_on(disk.clone(), &[RESERVE]).await;
        leave_free(&sim, 1 << 30);
        produce_until(&mut node.client().await, "t", 0, 0).await;
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_without_room_for_the_metadata_log_waits_for_room() {
    let (sim, disk, home) = simulated();
    leave_free(&sim, 0);
    let node = home.start_on(disk, &[]).await.unwrap();
    until("a look at the health", async || {
        let (status, body) = get(&node, "/readyz").await;
        (status == 503 && !body.is_empty()).then_some(())
    })
    .await;
    leave_free(&sim, 1 << 30);
    until("a broker that serves", async || (get(&node, "/readyz").await.0 == 200).then_some(())).await;
    node.stop().await;
}

/// The others elect without it, and lead what it led. It comes back by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_three_without_room_for_the_metadata_log_holds_the_others_up_in_nothing() {
    let sim = SimDisk::new();
    let disk: Arc<dyn Disk> = Arc::new(sim.clone());
    let mut cluster = Cluster::new();
    cluster.homes[0] = Home::of_voter_on(&disk, 1);
    let overrides: Vec<&str> = cluster.overrides[0].iter().map(String::as_str).collect();
    cluster.nodes[0] = Some(cluster.homes[0].start_on(disk, &overrides).await.unwrap());
    for index in [1, 2] {
        cluster.start(index).await;
    }
    cluster.is_ready().await;
    cluster.create_replicated(1, "t", (3, 3)).await;
    sim.refuse(0, u64::MAX, ErrorKind::StorageFull, 0);
    let leads = |topic: &MetadataResponseTopic| topic.partitions.iter().any(|it| it.leader_id == 1);
    until("other leaders", async || {
        let known = cluster.client(1).await.metadata("t", false).await;
        let is_led = known.topics[0].partitions.iter().all(|it| it.leader_id > 0);
        (is_led && !leads(&known.topics[0])).then_some(())
    })
    .await;
    // It answers what is wrong, and the others change the metadata.
    let node = cluster.nodes[0].as_ref().unwrap();
    assert_eq!(get(node, "/readyz").await, (503, "the disk of the metadata log is full\n".to_owned()));
    cluster.client(1).await.create_topic("u", 1, &[]).await;

    sim.heal();
    cluster.is_ready().await;
    until("a member of all ISRs", async || {
        let known = cluster.client(0).await.metadata("t", false).await;
        known.topics[0].partitions.iter().all(|it| it.isr_nodes.len() == 3).then_some(())
    })
    .await;
    cluster.client(0).await.await_leaders("u").await;
    for index in 0..3 {
        cluster.stop(index).await;
    }
}

/// Starts a node with two log dirs and a record in a partition of each. Returns also the second dir
/// and its partition.
async fn with_two_dirs() -> (SimDisk, Arc<dyn Disk>, Home, Node, (PathBuf, i32)) {
    let (sim, disk, home) = simulated();
    let second = home.log_dir().with_file_name("second");
    let node = home.ready_on(disk.clone(), &[&two(&home)]).await;
    let mut client = node.client().await;
    client.create_topic("t", 2, &[]).await;
    for partition in 0..2 {
        assert_eq!(client.produce("t", partition, &["a"]).await.error_code, 0);
    }
    let of = described(&node).await.into_iter().find(|dir| *dir.log_dir == *second.to_str().unwrap()).unwrap();
    let partition = of.topics[0].partitions[0].partition_index;
    (sim, disk, home, node, (second, partition))
}

fn two(home: &Home) -> String {
    format!("log.dirs={},{}", home.log_dir().display(), home.log_dir().with_file_name("second").display())
}

async fn described(node: &Node) -> Vec<DescribeLogDirsResult> {
    let request = DescribeLogDirsRequest { topics: None, ..Default::default() };
    let response: DescribeLogDirsResponse = node.client().await.call(&request, 5).await;
    response.results
}

fn fetch_of(partition: i32) -> FetchRequest {
    Client::fetch_request("t", partition, Offset(0), 0)
}

fn broken(operation: Operation, path: &Path) -> Fault {
    let path_contains = path.to_str().unwrap().to_owned();
    Fault { operation, path_contains, after: 0, times: u64::MAX, error: ErrorKind::Other, written_bytes: 0 }
}

/// Checks that the partition of the failed dir is offline and that the other one is served.
async fn is_half(node: &Node, (second, lost): (&Path, i32)) {
    let mut client = node.client().await;
    produce_until(&mut client, "t", lost, KAFKA_STORAGE_ERROR).await;
    until("an offline partition", async || {
        // If a fetch was running when the disk failed, its connection may be closed.
        let response: FetchResponse = node.client().await.try_call(&fetch_of(lost), 12).await.ok()?;
        (response.responses[0].partitions[0].error_code == KAFKA_STORAGE_ERROR).then_some(())
    })
    .await;
    assert_eq!(client.produce("t", 1 - lost, &["b"]).await.error_code, 0);
    assert_eq!(texts(&client.read("t", 1 - lost).await)[0], "a");
    let dirs = described(node).await;
    let codes: Vec<i16> = dirs.iter().map(|dir| dir.error_code).collect();
    assert_eq!(codes, [0, KAFKA_STORAGE_ERROR]);
    assert_eq!(&*dirs[1].log_dir, second.to_str().unwrap());
    // The partition cannot move, and no partition can move to the failed dir.
    assert_eq!(alter(&mut client, "t", lost, Path::new(&*dirs[0].log_dir)).await, KAFKA_STORAGE_ERROR);
    assert_eq!(alter(&mut client, "t", 1 - lost, second).await, KAFKA_STORAGE_ERROR);
    assert!(dirs[1].topics.is_empty() && (dirs[1].total_bytes, dirs[1].usable_bytes) == (-1, -1));
    let (_, metrics) = get(node, "/metrics").await;
    assert!(metrics.contains("\ngregor_offline_log_dirs 1\n"), "{metrics}");
    assert!(metrics.contains("\ngregor_offline_replicas 1\n"), "{metrics}");
    let topics = vec![TopicRequest { name: "t".into(), ..Default::default() }];
    let request = DescribeTopicPartitionsRequest { topics, ..Default::default() };
    let described: DescribeTopicPartitionsResponse = client.call(&request, 0).await;
    let offline = described.topics[0].partitions.iter().map(|it| it.offline_replicas.len()).collect::<Vec<_>>();
    assert_eq!((offline[lost as usize], offline[1 - lost as usize]), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_dir_that_fails_takes_its_partitions_offline_and_a_start_finds_them() {
    for operation in [Operation::Write, Operation::Read, Operation::List] {
        let (sim, disk, home, node, (second, lost)) = with_two_dirs().await;
        if operation == Operation::List {
            // The folder itself disappears.
            sim.rename(&second, &second.with_file_name("elsewhere")).unwrap();
            sim.create_dir(&second.with_file_name("other")).unwrap();
        } else {
            sim.inject(broken(operation, &second.join(format!("t-{lost}"))));
            // If the broker cannot read bytes that it announced, it closes the connection.
            let _ = node.client().await.try_call::<_, FetchResponse>(&fetch_of(lost), 12).await;
        }
        is_half(&node, (&second, lost)).await;
        // A metadata change does not bring the partition back without its records. A new topic is
        // served.
        let mut client = node.client().await;
        client.create_topic("u", 2, &[]).await;
        for partition in 0..2 {
            assert_eq!(client.produce("u", partition, &["x"]).await.error_code, 0);
        }
        node.stop().await;
        sim.heal();
        if operation == Operation::List {
            sim.rename(&second.with_file_name("elsewhere"), &second).unwrap();
        }
        let node = home.ready_on(disk, &[&two(&home)]).await;
        let mut client = node.client().await;
        assert_eq!(texts(&client.read("t", lost).await)[0], "a", "{operation:?}");
        assert_eq!(texts(&client.read("t", 1 - lost).await)[..2], ["a", "b"], "{operation:?}");
        assert_eq!(client.produce("t", lost, &["c"]).await.error_code, 0);
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_goes_on_without_a_log_dir_that_cannot_be_read() {
    for operation in [Operation::Lock, Operation::Read, Operation::List] {
        let (sim, disk, home, node, (second, lost)) = with_two_dirs().await;
        node.stop().await;
        sim.inject(broken(operation, &second));
        let node = home.ready_on(disk.clone(), &[&two(&home)]).await;
        is_half(&node, (&second, lost)).await;
        node.stop().await;
        sim.heal();
        let node = home.ready_on(disk, &[&two(&home)]).await;
        let mut client = node.client().await;
        for partition in 0..2 {
            assert_eq!(texts(&client.read("t", partition).await)[0], "a", "{operation:?}");
        }
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_log_dir_ends_a_move_and_the_next_start_continues_it() {
    for is_to in [true, false] {
        let (sim, disk, home, node, (second, there)) = with_two_dirs().await;
        let (moved, from, to) = match is_to {
            true => (1 - there, home.log_dir(), second.clone()),
            false => (there, second.clone(), home.log_dir()),
        };
        let mut client = node.client().await;
        for _ in 0..20 {
            assert_eq!(client.produce("t", moved, &[&"x".repeat(100_000)]).await.error_code, 0);
        }
        let (operation, path) = match is_to {
            true => (Operation::Write, PathBuf::from("-future/0000")),
            false => (Operation::Read, second.join(format!("t-{moved}"))),
        };
        sim.inject(broken(operation, &path));
        assert_eq!(alter(&mut client, "t", moved, &to).await, 0);
        until("a log dir that is offline", async || {
            (described(&node).await[1].error_code == KAFKA_STORAGE_ERROR).then_some(())
        })
        .await;
        let expected = if is_to { 0 } else { KAFKA_STORAGE_ERROR };
        produce_until(&mut client, "t", moved, expected).await;
        until("an end of the move", async || {
            let dirs = described(&node).await;
            let mut partitions = dirs[0].topics.iter().flat_map(|topic| &topic.partitions);
            partitions.all(|it| !it.is_future_key).then_some(())
        })
        .await;
        node.stop().await;
        sim.heal();
        let node = home.ready_on(disk, &[&two(&home)]).await;
        arrived(&node, "t", moved, &to).await;
        let found = node.client().await.read("t", moved).await;
        assert_eq!(found.len(), if is_to { 22 } else { 21 }, "from {from:?}");
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_to_a_full_disk_ends_and_the_partition_stays_where_it_is() {
    let (sim, disk, home) = simulated();
    let second = home.log_dir().with_file_name("second");
    let node = home.ready_on(disk, &[&two(&home), RESERVE]).await;
    let mut client = node.client().await;
    client.create_topic("t", 1, &[]).await;
    assert_eq!(client.produce("t", 0, &["a"]).await.error_code, 0);
    leave_free(&sim, 9_000_000);
    produce_until(&mut client, "t", 0, KAFKA_STORAGE_ERROR).await;
    assert_eq!(alter(&mut client, "t", 0, &second).await, 0);
    until("an end of the move", async || {
        let dirs = described(&node).await;
        let codes = dirs.iter().all(|dir| dir.error_code == 0);
        (codes && dirs[0].topics.len() == 1 && dirs[1].topics.is_empty()).then_some(())
    })
    .await;
    assert_eq!(texts(&client.read("t", 0).await)[0], "a");
    leave_free(&sim, 1 << 30);
    produce_until(&mut client, "t", 0, 0).await;
    assert_eq!(alter(&mut client, "t", 0, &second).await, 0);
    arrived(&node, "t", 0, &second).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_metadata_log_dir_ends_the_node_and_so_does_the_last_log_dir() {
    for operation in [Operation::Sync, Operation::Write] {
        let (sim, disk, home) = simulated();
        let mut node = home.ready_on(disk.clone(), &[]).await;
        let mut client = node.client().await;
        client.create_topic("t", 1, &[]).await;
        assert_eq!(client.produce("t", 0, &["a"]).await.error_code, 0);
        sim.inject(broken(operation, &home.log_dir()));
        let fault = tokio::time::timeout(crate::client::DEADLINE, node.running.failed()).await.unwrap().to_string();
        assert!(fault.contains("and with it this node: ") && !fault.contains('\n'), "{fault}");
        node.stop().await;
        sim.heal();
        let node = home.ready_on(disk, &[]).await;
        assert_eq!(texts(&node.client().await.read("t", 0).await), ["a"]);
        node.stop().await;
    }
    let (sim, disk, home) = simulated();
    let data = home.log_dir().with_file_name("data");
    let settings = [format!("log.dirs={}", data.display()), format!("metadata.log.dir={}", home.log_dir().display())];
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let mut node = home.ready_on(disk, &settings).await;
    node.client().await.create_topic("t", 1, &[]).await;
    sim.inject(broken(Operation::Write, &data));
    let _ = node.client().await.produce("t", 0, &["a"]).await;
    let fault = tokio::time::timeout(crate::client::DEADLINE, node.running.failed()).await.unwrap().to_string();
    assert!(fault.starts_with("every log dir has failed, and with them this node; the last is "), "{fault}");
    node.stop().await;
}
