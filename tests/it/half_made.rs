//! Partition folders after a crash or a manual change, and checkpoints that name deleted
//! partitions. A start repairs them and loses no record.

use crate::client::{Client, texts};
use crate::node::Home;
use protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic};
use protocol::messages::delete_records_response::DeleteRecordsResponse;
use protocol::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use protocol::messages::delete_topics_response::DeleteTopicsResponse;
use std::fs;
use std::path::PathBuf;

/// Returns the folders that were set aside.
fn strays(home: &Home) -> Vec<PathBuf> {
    let entries = fs::read_dir(home.log_dir()).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.to_string_lossy().ends_with("-stray")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_whose_topic_id_is_lost_keeps_its_records_and_stops_no_other() {
    let home = Home::new();
    let node = home.ready(&[]).await;
    let mut client = node.client().await;
    client.create_topic("t", 2, &[]).await;
    assert_eq!(client.produce("t", 0, &["a", "b"]).await.error_code, 0);
    assert_eq!(client.produce("t", 1, &["c"]).await.error_code, 0);
    node.stop().await;
    let folder = home.log_dir().join("t-0");
    let identity = folder.join("partition.metadata");
    let whole = fs::read(&identity).unwrap();
    for damage in [None, Some(""), Some("garbage"), Some("version: 0\ntopic_id: "), Some("\0\0\0\0")] {
        for is_clean in [true, false] {
            match damage {
                Some(text) => fs::write(&identity, text).unwrap(),
                None => fs::remove_file(&identity).unwrap(),
            }
            if !is_clean {
                fs::remove_file(home.log_dir().join(".kafka_cleanshutdown")).unwrap();
            }
            let node = home.ready(&[]).await;
            let mut client = node.client().await;
            assert_eq!(texts(&client.read("t", 0).await), ["a", "b"], "{damage:?}");
            assert_eq!(texts(&client.read("t", 1).await), ["c"], "{damage:?}");
            assert_eq!(fs::read(&identity).unwrap(), whole, "{damage:?}");
            node.stop().await;
        }
    }
    assert!(strays(&home).is_empty());
    // Records with a later leader epoch than the topic ever had belong to another topic.
    fs::remove_file(&identity).unwrap();
    fs::write(folder.join("leader-epoch-checkpoint"), "0\n1\n1000 0\n").unwrap();
    let node = home.ready(&[]).await;
    assert!(node.client().await.read("t", 0).await.is_empty());
    assert_eq!((strays(&home).len(), fs::read(&identity).unwrap()), (1, whole));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_and_unfinished_folders_are_created_again() {
    let home = Home::new();
    let node = home.ready(&[]).await;
    node.client().await.create_topic("t", 3, &[]).await;
    let copy = home.copied();
    node.stop().await;
    fs::write(copy.log_dir().join("__cluster_metadata-0/partition.metadata"), "").unwrap();
    let folder = |number: i32| copy.log_dir().join(format!("t-{number}"));
    fs::remove_dir_all(folder(0)).unwrap();
    fs::remove_dir_all(folder(1)).unwrap();
    fs::create_dir(folder(1)).unwrap();
    for entry in fs::read_dir(folder(2)).unwrap() {
        fs::write(entry.unwrap().path(), "").unwrap();
    }
    let node = copy.ready(&[]).await;
    let mut client = node.client().await;
    for number in 0..3 {
        let produced = client.produce("t", number, &["a"]).await;
        assert_eq!((produced.error_code, produced.base_offset), (0, 0));
        assert!(folder(number).join("partition.metadata").metadata().unwrap().len() > 0);
    }
    node.stop().await;
    let node = copy.ready(&[]).await;
    for number in 0..3 {
        assert_eq!(texts(&node.client().await.read("t", number).await), ["a"]);
    }
    node.stop().await;
    assert!(strays(&copy).is_empty());
}

/// Creates a topic whose checkpoints say that it begins at 30 and ends at 40.
async fn begun_late(client: &mut Client) {
    client.create_topic("t", 1, &[]).await;
    for number in 0..40 {
        assert_eq!(client.produce("t", 0, &[&number.to_string()]).await.error_code, 0);
    }
    let partitions = vec![DeleteRecordsPartition { partition_index: 0, offset: 30, ..Default::default() }];
    let topics = vec![DeleteRecordsTopic { name: "t".into(), partitions, ..Default::default() }];
    let request = DeleteRecordsRequest { topics, timeout_ms: 10_000, ..Default::default() };
    let deleted: DeleteRecordsResponse = client.call(&request, 2).await;
    assert_eq!(deleted.topics[0].partitions[0].error_code, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_topic_does_not_begin_where_a_deleted_one_of_its_name_ended() {
    let home = Home::new();
    let node = home.ready(&[]).await;
    begun_late(&mut node.client().await).await;
    node.stop().await;
    let checkpoint = |home: &Home| fs::read_to_string(home.log_dir().join("log-start-offset-checkpoint")).unwrap();
    assert!(checkpoint(&home).contains("t 0 30"));
    // The folder disappears in two ways: by a deletion while the node runs, and before a start.
    let without = home.copied();
    fs::remove_dir_all(without.log_dir().join("t-0")).unwrap();
    let node = home.ready(&[]).await;
    let mut client = node.client().await;
    let topics = vec![DeleteTopicState { name: Some("t".into()), ..Default::default() }];
    let request = DeleteTopicsRequest { topics, timeout_ms: 10_000, ..Default::default() };
    let deleted: DeleteTopicsResponse = client.call(&request, 6).await;
    assert_eq!(deleted.responses[0].error_code, 0);
    client.create_topic("t", 1, &[]).await;
    let other = without.ready(&[]).await;
    for (home, node) in [(&home, node), (&without, other)] {
        assert_eq!(node.client().await.produce("t", 0, &["a", "b"]).await.base_offset, 0);
        assert!(!checkpoint(home).contains("t 0"));
        let killed = home.copied();
        node.stop().await;
        let node = killed.ready(&[]).await;
        assert_eq!(texts(&node.client().await.read("t", 0).await), ["a", "b"]);
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_files_and_folders_are_left_alone() {
    let home = Home::new();
    let node = home.ready(&[]).await;
    node.client().await.create_topic("t", 1, &[]).await;
    node.stop().await;
    let unique = "0123456789abcdef0123456789abcdef";
    let left = [
        "notes.txt".to_owned(),
        "lost+found/inode".to_owned(),
        "t-0/notes.txt".to_owned(),
        "t-0/00000000000000000000.notes".to_owned(),
        format!("t-0.{unique}-stray/00000000000000000000.log"),
        "__cluster_metadata-0/notes.txt".to_owned(),
    ];
    let doomed = format!("gone-0.{unique}-delete/00000000000000000000.log");
    for name in left.iter().chain([&doomed]) {
        let path = home.log_dir().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    }
    for is_clean in [true, false] {
        if !is_clean {
            fs::remove_file(home.log_dir().join(".kafka_cleanshutdown")).unwrap();
        }
        let node = home.ready(&[]).await;
        assert_eq!(node.client().await.produce("t", 0, &["a"]).await.error_code, 0);
        node.stop().await;
        for name in &left {
            assert_eq!(fs::read_to_string(home.log_dir().join(name)).unwrap(), *name);
        }
        assert!(!home.log_dir().join(&doomed).exists());
    }
}
