//! What operators ask over HTTP.

use crate::client::until;
use crate::groups::{await_coordinator, commit};
use crate::node::{Home, Node};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Status and body of a GET.
async fn get(node: &Node, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(node.running.http.unwrap()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: it\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_and_metrics() {
    let home = Home::new();
    let node = home.ready(&["offsets.topic.num.partitions=2"]).await;
    assert_eq!(get(&node, "/livez").await.0, 200);
    until("/readyz", async || (get(&node, "/readyz").await.0 == 200).then_some(())).await;
    assert_eq!(get(&node, "/nothing").await.0, 404);
    let mut client = node.client().await;
    client.create_topic("t", 1, &[]).await;
    await_coordinator(&mut client, "g").await;
    client.produce("t", 0, &["a", "b", "c"]).await;
    assert_eq!(commit(&mut client, "g", ("", -1), "t", 1).await, 0);
    let (status, text) = get(&node, "/metrics").await;
    assert_eq!(status, 200);
    for line in [
        r#"gregor_group_lag_records{group="g",topic="t",partition="0"} 2"#,
        r#"gregor_log_end_offset{topic="t",partition="0"} 3"#,
        "gregor_groups 1",
        "gregor_partitions 3",
        "gregor_records_in_total 3",
        r#"gregor_request_seconds_count{request="Produce"} 1"#,
    ] {
        assert!(text.lines().any(|it| it == line), "{line} is not in\n{text}");
    }
    // Half a request does not hold up the stop.
    let mut half = TcpStream::connect(node.running.http.unwrap()).await.unwrap();
    half.write_all(b"GET /metr").await.unwrap();
    node.stop().await;
}
