//! Several log dirs, and a metadata log of its own.

use crate::node::{Home, Node};
use protocol::messages::describe_log_dirs_request::DescribeLogDirsRequest;
use protocol::messages::describe_log_dirs_response::{DescribeLogDirsResponse, DescribeLogDirsResult};
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
