//! Starts that fail, each with one line that names the reason.

use crate::node::Home;
use std::fs;

async fn refusal(home: &Home, overrides: &[&str]) -> String {
    let Err(line) = home.start(overrides).await else { panic!("it started with {overrides:?}") };
    assert!(!line.contains('\n'), "{line}");
    line
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_is_not_formatted_is_left_alone() {
    let home = Home::unformatted();
    let line = refusal(&home, &[]).await;
    assert!(line.starts_with("No `meta.properties` found in") && line.contains("gregor format"), "{line}");
    assert!(!home.log_dir().exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_has_one_node_at_a_time_and_always_the_same() {
    let home = Home::new();
    let node = home.ready(&[]).await;
    assert!(refusal(&home, &[]).await.starts_with("Failed to acquire lock on file .lock in"));
    node.stop().await;
    assert!(refusal(&home, &["node.id=2"]).await.contains("belongs to node 1, but node.id is 2"));
    // A failed start releases the folder.
    home.ready(&[]).await.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_start_names_the_setting_that_is_not_served() {
    let home = Home::new();
    let cases = [
        ("metadata.log.dir=/elsewhere", "No `meta.properties` found in /elsewhere"),
        ("authorizer.class.name=io.example.OwnAuthorizer", "authorizer.class.name"),
        ("num.partitions=many", "num.partitions"),
        ("listeners=PLAINTEXT://192.0.2.1:9092,CONTROLLER://127.0.0.1:0", "PLAINTEXT://192.0.2.1:9092"),
    ];
    for (setting, named) in cases {
        let line = refusal(&home, &[setting]).await;
        assert!(line.contains(named), "{setting}: {line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_quorum_state_stops_the_start() {
    let home = Home::new();
    home.ready(&[]).await.stop().await;
    let quorum_state = home.log_dir().join("__cluster_metadata-0").join("quorum-state");
    fs::write(&quorum_state, "{}").unwrap();
    assert!(refusal(&home, &[]).await.contains("quorum-state"));
}

/// The synced log of a node, of which a byte has rotted meanwhile. Apache Kafka cuts such a log and
/// forgets the topic.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_metadata_log_that_lost_what_was_synced_stops_the_start_and_is_not_changed() {
    let home = Home::new();
    let node = home.ready(&[]).await;
    let mut client = node.client().await;
    client.metadata("t", true).await;
    client.await_leaders("t").await;
    drop(client);
    node.stop().await;
    let log = home.log_dir().join("__cluster_metadata-0/00000000000000000000.log");
    let whole = fs::read(&log).unwrap();
    let mut rotten = whole.clone();
    let name = rotten.windows(2).rposition(|bytes| bytes == [2, b't']).unwrap();
    rotten[name + 1] = b'u';
    fs::write(&log, &rotten).unwrap();
    for _ in 0..2 {
        let line = refusal(&home, &[]).await;
        assert!(line.contains("the disk lost or changed a part of it"), "{line}");
        assert!(line.contains("quorum-state"), "{line}");
        assert_eq!(fs::read(&log).unwrap(), rotten);
    }
    fs::write(&log, &whole).unwrap();
    let node = home.ready(&[]).await;
    assert_eq!(node.client().await.metadata("t", false).await.topics[0].error_code, 0);
    node.stop().await;
}
