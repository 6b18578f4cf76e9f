//! Batches that count only once they are flushed: when they are answered and seen, and how many
//! flushes they cost. `gregor::replica::partition` tests the single steps on a simulated disk.

use crate::client::{Client, batch, texts, until};
use crate::groups::{await_coordinator, commit, committed, join_alone};
use crate::held::HeldDisk;
use crate::http::get;
use crate::node::{Home, Node};
use futures_util::FutureExt as _;
use model::{ErrorCode, Offset};
use protocol::messages::produce_request::ProduceRequest;
use protocol::messages::produce_response::{PartitionProduceResponse, ProduceResponse};
use std::sync::Arc;

/// Returns the value of a metric.
async fn metric(node: &Node, name: &str) -> f64 {
    let (_, text) = get(node, "/metrics").await;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("{name} is not in\n{text}")).parse().unwrap()
}

fn request(topic: &str, partition: i32, number: i64, acks: i16) -> ProduceRequest {
    ProduceRequest { acks, ..Client::produce_request(topic, partition, batch(&[&number.to_string()])) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_in_flight_and_connections_share_flushes() {
    let home = Home::new();
    let node = home.ready(&[]).await;
    let mut clients = [node.client().await, node.client().await];
    clients[0].create_topic("t", 2, &[("flush.messages", "1")]).await;
    clients[0].create_topic("other", 1, &[]).await;
    assert_eq!(clients[0].produce("other", 0, &["not flushed"]).await.error_code, 0);
    assert_eq!(metric(&node, "gregor_log_flush_seconds_count").await, 0.0);
    for number in 0..60 {
        for client in &mut clients {
            // Alternates between acks=1 and acks=all.
            let acks = if number % 2 == 0 { 1 } else { -1 };
            client.send(&request("t", (number % 4 / 2) as i32, number, acks), 9).await.unwrap();
        }
    }
    let mut base_offsets = [Vec::new(), Vec::new()];
    for number in 0..60 {
        for client in &mut clients {
            let mut response: ProduceResponse = client.receive(9).await.unwrap();
            let answer = response.responses.remove(0).partition_responses.remove(0);
            assert_eq!((answer.error_code, i64::from(answer.index)), (0, number % 4 / 2));
            base_offsets[answer.index as usize].push(answer.base_offset);
        }
    }
    for (partition, mut offsets) in base_offsets.into_iter().enumerate() {
        offsets.sort_unstable();
        assert_eq!(offsets, (0..60).collect::<Vec<_>>());
        assert_eq!(clients[0].offset("t", partition as i32, -1).await, Offset(60));
    }
    // This request has no answer; the next one comes after it.
    clients[0].send(&request("t", 0, 60, 0), 9).await.unwrap();
    assert_eq!(clients[0].produce("t", 0, &["last"]).await.base_offset, 61);
    assert_eq!(texts(&clients[1].read("t", 0).await).len(), 62);
    // The metric counts them after the waiters are answered.
    let batches = until("all batches", async || {
        let batches = metric(&node, "gregor_log_flush_batches_sum").await;
        (batches >= 122.0).then_some(batches)
    })
    .await;
    let flushes = metric(&node, "gregor_log_flush_seconds_count").await;
    assert_eq!(batches, 122.0);
    assert!(flushes <= batches, "{flushes} flushes");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn coordinators_reply_once_their_records_are_flushed() {
    let home = Home::new();
    let durable = ["offsets.topic.num.partitions=2", "log.flush.interval.messages=1"];
    let node = home.ready(&durable).await;
    let mut client = node.client().await;
    client.create_topic("t", 1, &[]).await;
    await_coordinator(&mut client, "g").await;
    let (member_id, generation) = join_alone(&mut client, "g").await;
    for offset in 0..20 {
        assert_eq!(commit(&mut client, "g", (&member_id, generation), "t", offset).await, 0);
    }
    assert_eq!(committed(&mut client, "g").await.unwrap(), [("t".into(), 0, 19, "note".into())]);
    // Each reply waited for its own flush, because there were no other requests.
    assert!(metric(&node, "gregor_log_flush_seconds_count").await >= 20.0);
    node.stop().await;
    let node = home.ready(&durable).await;
    let mut client = node.client().await;
    await_coordinator(&mut client, "g").await;
    assert_eq!(committed(&mut client, "g").await.unwrap(), [("t".into(), 0, 19, "note".into())]);
    node.stop().await;
}

/// Starts a node that holds the syncs of a topic's records, with one flushed record in the topic.
/// Returns two clients. The first client has sent two more records, one with acks=1 and one with
/// acks=all. Both are in the log and not flushed.
async fn held(home: &Home) -> (Node, HeldDisk, Client, Client) {
    let disk = HeldDisk::syncs("/t-0/");
    let node = home.start_on(Arc::new(disk.clone()), &[]).await.unwrap();
    let (mut writer, mut reader) = (node.client().await, node.client().await);
    writer.create_topic("t", 1, &[("flush.messages", "1")]).await;
    assert_eq!(writer.produce("t", 0, &["flushed"]).await.error_code, 0);
    disk.hold();
    writer.send(&request("t", 0, 1, 1), 9).await.unwrap();
    writer.send(&request("t", 0, 2, -1), 9).await.unwrap();
    let partition = node.running.broker.replicas.all().into_iter().find(|it| it.topic() == "t").unwrap();
    until("both records", async || {
        let high_watermark = reader.fetch("t", 0, Offset(0)).await.high_watermark;
        assert_eq!(high_watermark, 1);
        (partition.log_end_offset() == Offset(3)).then_some(())
    })
    .await;
    (node, disk, writer, reader)
}

async fn answer(client: &mut Client) -> PartitionProduceResponse {
    let mut response: ProduceResponse = client.receive(9).await.unwrap();
    response.responses.remove(0).partition_responses.remove(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_answered_or_read_before_it_is_flushed() {
    let home = Home::new();
    let (node, disk, mut writer, mut reader) = held(&home).await;
    assert_eq!(texts(&reader.read("t", 0).await), ["flushed"]);
    assert_eq!(reader.offset("t", 0, -1).await, Offset(1));
    assert!(answer(&mut writer).now_or_never().is_none());
    disk.let_go();
    for base_offset in [1, 2] {
        let answer = answer(&mut writer).await;
        assert_eq!((answer.error_code, answer.base_offset), (0, base_offset));
    }
    assert_eq!(texts(&reader.read("t", 0).await), ["flushed", "1", "2"]);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_flush_is_a_storage_error_for_all_waiting_requests() {
    let home = Home::new();
    let (node, disk, mut writer, _reader) = held(&home).await;
    disk.fail();
    for _ in 0..2 {
        let answer = answer(&mut writer).await;
        assert_eq!((answer.error_code, answer.base_offset), (ErrorCode::KafkaStorageError.code(), -1));
    }
    // The first record is committed, and no reader saw the refused ones.
    let partition = node.running.broker.replicas.all().into_iter().find(|it| it.topic() == "t").unwrap();
    assert_eq!(partition.high_watermark(), Offset(1));
    node.stop().await;
}
