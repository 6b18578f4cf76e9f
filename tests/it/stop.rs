//! A stop answers the waiting requests.

use crate::client::{Client, DEADLINE};
use crate::groups::{await_coordinator, join_alone, join_request, new_member};
use crate::node::Home;
use model::{ErrorCode, Offset};
use protocol::messages::fetch_response::FetchResponse;
use protocol::messages::join_group_response::JoinGroupResponse;
use std::time::Instant;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_fetches_and_members_are_answered() {
    let home = Home::new();
    let node = home.ready(&["offsets.topic.num.partitions=1"]).await;
    let (mut reader, mut member, mut idle) = (node.client().await, node.client().await, node.client().await);
    reader.create_topic("t", 1, &[]).await;
    await_coordinator(&mut member, "g").await;
    join_alone(&mut member, "g").await;
    let second = new_member(&mut member, "g").await;
    // The answer waits until the first member joins again, for which it has five minutes.
    member.send(&join_request("g", &second), 7).await.unwrap();
    let mut request = Client::fetch_request("t", 0, Offset(0), 600_000);
    request.min_bytes = 1 << 20;
    reader.send(&request, 12).await.unwrap();
    idle.metadata("t", false).await;
    let began = Instant::now();
    node.stop().await;
    assert!(began.elapsed() < DEADLINE);
    // A fetch that was read before the stop gets an answer. One that was not yet read ends with the
    // connection.
    if let Ok(fetched) = reader.receive::<FetchResponse>(12).await {
        assert_eq!(fetched.error_code, 0);
    }
    if let Ok(joined) = member.receive::<JoinGroupResponse>(7).await {
        assert_eq!(joined.error_code, ErrorCode::NotCoordinator.code());
    }
    for client in [&mut reader, &mut member, &mut idle] {
        assert!(client.is_closed().await);
    }
    assert!(home.log_dir().join(".kafka_cleanshutdown").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_may_come_at_any_time() {
    let home = Home::new();
    let node = home.ready(&[]).await;
    let mut client = node.client().await;
    client.create_topic("t", 20, &[]).await;
    client.produce("t", 0, &["kept"]).await;
    node.stop().await;
    for _ in 0..5 {
        home.start(&[]).await.unwrap().stop().await;
    }
    let node = home.ready(&[]).await;
    assert_eq!(node.client().await.read("t", 0).await.len(), 1);
    node.stop().await;
}
