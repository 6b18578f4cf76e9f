//! The HTTP endpoints for operators.

use crate::client::{Client, until};
use crate::groups::{await_coordinator, commit, new_member};
use crate::node::{Home, Node};
use protocol::messages::delete_topics_request::DeleteTopicsRequest;
use protocol::messages::delete_topics_response::DeleteTopicsResponse;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Returns the status and the body of a GET.
pub async fn get(node: &Node, path: &str) -> (u16, String) {
    let (head, body) = ask(node, path, "").await;
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body)
}

/// Head and body of the answer to a GET with more headers, each with its end of line.
async fn ask(node: &Node, path: &str, headers: &str) -> (String, String) {
    let mut stream = TcpStream::connect(node.running.http.unwrap()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: it\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
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
    // The other partition of the offsets may take longer.
    client.await_leaders("__consumer_offsets").await;
    client.produce("t", 0, &["a", "b", "c"]).await;
    assert_eq!(commit(&mut client, "g", ("", -1), "t", 1).await, 0);
    let (status, text) = get(&node, "/metrics").await;
    assert_eq!(status, 200);
    for line in [
        r#"gregor_group_lag_records{group="g",topic="t",partition="0"} 2"#,
        r#"gregor_log_end_offset{topic="t",partition="0"} 3"#,
        "gregor_groups 1",
        "gregor_group_offsets 1",
        "gregor_group_lags_left_out 0",
        "gregor_partitions 3",
        "gregor_records_in_total 3",
        r#"gregor_request_seconds_count{request="Produce"} 1"#,
    ] {
        assert!(text.lines().any(|it| it == line), "{line} is not in\n{text}");
    }
    assert!(text.contains("# TYPE gregor_records_in_total counter") && !text.contains("# EOF"), "{text}");
    // A request that never came has no series.
    assert!(!text.contains("ShareFetch"), "{text}");
    for path in ["/", "/nothing"] {
        let (status, text) = get(&node, path).await;
        assert_eq!(status, if path == "/" { 200 } else { 404 });
        assert!(["/livez", "/readyz", "/metrics"].iter().all(|path| text.contains(path)), "{text}");
    }
    let (head, open_metrics) = ask(&node, "/metrics", "Accept: application/openmetrics-text\r\n").await;
    assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0"), "{head}");
    assert!(open_metrics.contains("# TYPE gregor_records_in counter") && open_metrics.ends_with("# EOF\n"));
    let (head, _) = ask(&node, "/metrics", "Accept: */*\r\n").await;
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    lag_follows_the_log(&node, &mut client).await;
    // An incomplete request does not delay the stop.
    let mut half = TcpStream::connect(node.running.http.unwrap()).await.unwrap();
    half.write_all(b"GET /metr").await.unwrap();
    node.stop().await;
}

/// The lag of groups is read from their coordinators and the logs on each request, and never more
/// than a given limit of offsets.
async fn lag_follows_the_log(node: &Node, client: &mut Client) {
    let lags = async || -> Vec<String> {
        let (_, text) = get(node, "/metrics").await;
        text.lines().filter(|line| line.starts_with("gregor_group_lag_records{")).map(str::to_owned).collect()
    };
    client.create_topic("gone", 1, &[]).await;
    assert_eq!(commit(client, "g", ("", -1), "gone", 7).await, 0);
    client.produce("t", 0, &["d"]).await;
    let mut now = lags().await;
    now.sort();
    // A committed offset behind the log end is no lag.
    let gone = r#"gregor_group_lag_records{group="g",topic="gone",partition="0"} 0"#;
    let behind = r#"gregor_group_lag_records{group="g",topic="t",partition="0"} 3"#;
    assert_eq!(now, [gone, behind]);
    let survey = node.running.broker.groups.survey(1);
    assert_eq!((survey.group_count, survey.offset_count, survey.offsets.len()), (1, 2, 1));
    let deletion = DeleteTopicsRequest { topic_names: vec!["gone".into()], timeout_ms: 5_000, ..Default::default() };
    let _: DeleteTopicsResponse = client.call(&deletion, 5).await;
    until("the offsets of a topic that is gone are gone", async || (lags().await == [behind]).then_some(())).await;
    // A group counts from its first member on, even if the log has no record of it yet.
    new_member(client, "forming").await;
    assert_eq!(node.running.broker.groups.survey(0).group_count, 2);
}
