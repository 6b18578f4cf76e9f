//! Writing and reading records: round trips, topic creation on demand, deleted records.

use crate::client::{Client, batch, texts, until};
use crate::node::Home;
use model::{ErrorCode, Offset};
use protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic};
use protocol::messages::delete_records_response::DeleteRecordsResponse;
use protocol::messages::fetch_request::FetchRequest;
use protocol::messages::fetch_response::FetchResponse;
use protocol::messages::produce_response::ProduceResponse;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn written_records_are_read() {
    let home = Home::new();
    let node = home.ready(&[]).await;
    let mut client = node.client().await;
    client.create_topic("t", 2, &[]).await;
    assert_eq!(client.produce("t", 1, &["a", "b"]).await.base_offset, 0);
    assert_eq!(client.produce("t", 1, &["c"]).await.base_offset, 2);
    let read = client.read("t", 1).await;
    assert_eq!(texts(&read), ["a", "b", "c"]);
    assert_eq!(read[2].0, Offset(2));
    assert!(client.read("t", 0).await.is_empty());
    assert_eq!(client.offset("t", 1, -1).await, Offset(3));
    let outside = client.fetch("t", 1, Offset(4)).await;
    assert_eq!(outside.error_code, ErrorCode::OffsetOutOfRange.code());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_no_replica_may_not_fetch_as_one() {
    let home = Home::new();
    let node = home.ready(&[]).await;
    let mut client = node.client().await;
    client.create_topic("t", 1, &[]).await;
    client.produce("t", 0, &["a"]).await;
    // With the leader epoch, the sender may know a newer state of the partition (KIP-320).
    for (epoch, expected) in [(-1, ErrorCode::NotLeaderOrFollower), (0, ErrorCode::UnknownLeaderEpoch)] {
        let mut request = FetchRequest { replica_id: 5, ..Client::fetch_request("t", 0, Offset(0), 0) };
        request.topics[0].partitions[0].current_leader_epoch = epoch;
        let mut response: FetchResponse = client.call(&request, 12).await;
        let data = response.responses.remove(0).partitions.remove(0);
        assert_eq!((data.error_code, data.high_watermark), (expected.code(), -1), "epoch {epoch}");
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pipelined_produces_are_answered_in_their_order() {
    let home = Home::new();
    let node = home.ready(&[]).await;
    let mut client = node.client().await;
    client.create_topic("t", 1, &[]).await;
    for number in 0..50 {
        let request = Client::produce_request("t", 0, batch(&[&number.to_string()]));
        client.send(&request, 9).await.unwrap();
    }
    for number in 0..50 {
        let response: ProduceResponse = client.receive(9).await.unwrap();
        assert_eq!(response.responses[0].partition_responses[0].base_offset, number);
    }
    assert_eq!(client.read("t", 0).await.len(), 50);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_fetch_is_answered_by_the_next_record() {
    let home = Home::new();
    let node = home.ready(&[]).await;
    let (mut reader, mut writer) = (node.client().await, node.client().await);
    writer.create_topic("t", 1, &[]).await;
    reader.send(&Client::fetch_request("t", 0, Offset(0), 60_000), 12).await.unwrap();
    writer.produce("t", 0, &["news"]).await;
    let response: FetchResponse = reader.receive(12).await.unwrap();
    assert_eq!(response.responses[0].partitions[0].high_watermark, 1);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_metadata_request_creates_a_topic() {
    let home = Home::new();
    let node = home.ready(&["num.partitions=3"]).await;
    let mut client = node.client().await;
    let absent = client.metadata("made", false).await;
    assert_eq!(absent.topics[0].error_code, ErrorCode::UnknownTopicOrPartition.code());
    until("the topic", async || {
        let known = client.metadata("made", true).await;
        (known.topics[0].partitions.len() == 3).then_some(())
    })
    .await;
    client.await_leaders("made").await;
    assert_eq!(client.produce("made", 2, &["x"]).await.error_code, 0);
    node.stop().await;
    let node = home.ready(&["auto.create.topics.enable=false"]).await;
    let refused = node.client().await.metadata("other", true).await;
    assert_eq!(refused.topics[0].error_code, ErrorCode::UnknownTopicOrPartition.code());
    node.stop().await;
}

/// Sends DeleteRecords up to an offset. Returns the new log start offset.
async fn delete_records(client: &mut Client, topic: &str, offset: i64) -> i64 {
    let partition = DeleteRecordsPartition { partition_index: 0, offset, ..Default::default() };
    let topic = DeleteRecordsTopic { name: topic.into(), partitions: vec![partition], ..Default::default() };
    let request = DeleteRecordsRequest { topics: vec![topic], timeout_ms: 10_000, ..Default::default() };
    let response: DeleteRecordsResponse = client.call(&request, 2).await;
    let partition = &response.topics[0].partitions[0];
    assert_eq!(partition.error_code, 0);
    partition.low_watermark
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_records_stay_deleted() {
    let home = Home::new();
    let node = home.ready(&[]).await;
    let mut client = node.client().await;
    client.create_topic("t", 1, &[]).await;
    for value in ["a", "b", "c", "d"] {
        client.produce("t", 0, &[value]).await;
    }
    assert_eq!(delete_records(&mut client, "t", 2).await, 2);
    assert_eq!(texts(&client.read("t", 0).await), ["c", "d"]);
    node.stop().await;
    let node = home.ready(&[]).await;
    let mut client = node.client().await;
    assert_eq!(texts(&client.read("t", 0).await), ["c", "d"]);
    assert_eq!(delete_records(&mut client, "t", -1).await, 4);
    assert_eq!(client.produce("t", 0, &["e"]).await.base_offset, 4);
    node.stop().await;
    let node = home.ready(&[]).await;
    assert_eq!(texts(&node.client().await.read("t", 0).await), ["e"]);
    node.stop().await;
}
