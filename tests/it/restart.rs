//! A node keeps its data after a clean stop, after a kill, and after the loss of its indexes.

use crate::client::{Client, texts};
use crate::node::{Home, Node};
use model::{ErrorCode, Offset, ProducerEpoch, ProducerId, Timestamp};
use records::BatchBuilder;
use std::fs;
use std::path::{Path, PathBuf};

/// Returns a running node with a topic of several segments.
async fn filled(home: &Home) -> (Node, Vec<String>) {
    let node = home.ready(&[]).await;
    let mut client = node.client().await;
    client.create_topic("t", 1, &[("segment.bytes", "1048576"), ("index.interval.bytes", "256")]).await;
    let values: Vec<String> = (0..40).map(|number| format!("{number:0>60000}")).collect();
    for value in &values {
        assert_eq!(client.produce("t", 0, &[value]).await.error_code, 0);
    }
    (node, values)
}

async fn assert_whole(client: &mut Client, values: &[String]) {
    let read = client.read("t", 0).await;
    assert!(texts(&read) == values, "{} of {} records", read.len(), values.len());
    // A lookup by time, which uses the time index.
    assert_eq!(client.offset("t", 0, 1_700_000_000_000).await, Offset(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clean_stop_keeps_everything() {
    let home = Home::new();
    let (node, values) = filled(&home).await;
    let marker = home.log_dir().join(".kafka_cleanshutdown");
    assert!(!marker.exists());
    node.stop().await;
    assert!(marker.exists() && !home.log_dir().join(".lock").exists());
    let node = home.ready(&[]).await;
    assert!(!marker.exists());
    let mut client = node.client().await;
    assert_whole(&mut client, &values).await;
    let appended = client.produce("t", 0, &["next"]).await;
    assert_eq!((appended.base_offset, appended.error_code), (40, 0));
    node.stop().await;
}

/// Of each producer a snapshot has the last batch only. A client that had several in flight when
/// the node stopped repeats them all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_of_a_batch_before_the_last_is_not_appended_again_after_a_restart() {
    let home = Home::new();
    let node = home.ready(&[]).await;
    // A snapshot's producers whose last batch is old are expired. This one's is in the future.
    node.client().await.create_topic("t", 1, &[("message.timestamp.after.max.ms", "9223372036854775807")]).await;
    let sent = |sequence: i32| {
        let mut batch = BatchBuilder::new(Offset(0)).producer(ProducerId(7), ProducerEpoch(0), Some(sequence));
        batch.append(Timestamp(4_000_000_000_000), None, Some(b"value"));
        batch.finish().unwrap()
    };
    let mut client = node.client().await;
    for sequence in 0..8 {
        assert_eq!(client.produce_batch("t", 0, sent(sequence)).await.base_offset, i64::from(sequence));
    }
    node.stop().await;
    let node = home.ready(&[]).await;
    let mut client = node.client().await;
    for sequence in 0..8 {
        let again = client.produce_batch("t", 0, sent(sequence)).await;
        assert_eq!((again.error_code, again.base_offset), (0, i64::from(sequence)));
    }
    let gap = client.produce_batch("t", 0, sent(9)).await;
    assert_eq!(gap.error_code, ErrorCode::OutOfOrderSequenceNumber.code());
    assert_eq!(client.produce_batch("t", 0, sent(8)).await.base_offset, 8);
    assert_eq!(client.read("t", 0).await.len(), 9);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_keeps_acknowledged_records() {
    let home = Home::new();
    let (node, values) = filled(&home).await;
    let copy = home.copied();
    // Starts once more, on the folder that the recovered node would leave after a kill.
    let recovered = copy.ready(&[]).await;
    assert_whole(&mut recovered.client().await, &values).await;
    recovered.client().await.produce("t", 0, &["more"]).await;
    let copy_of_copy = copy.copied();
    let again = copy_of_copy.ready(&[]).await;
    let mut client = again.client().await;
    assert_eq!(client.read("t", 0).await.len(), values.len() + 1);
    assert_eq!(client.produce("t", 0, &["next"]).await.base_offset, 41);
    for node in [node, recovered, again] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_write_is_cut_off() {
    let home = Home::new();
    let (node, values) = filled(&home).await;
    let copy = home.copied();
    node.stop().await;
    let logs = files(&copy.log_dir().join("t-0"), "log");
    assert!(logs.len() > 1);
    let last = logs.last().unwrap();
    let mut torn = fs::read(last).unwrap();
    let whole = torn.len();
    torn.extend_from_within(..whole.min(1000));
    fs::write(last, torn).unwrap();
    let node = copy.ready(&[]).await;
    let mut client = node.client().await;
    assert_whole(&mut client, &values).await;
    assert_eq!(client.produce("t", 0, &["next"]).await.base_offset, 40);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_indexes_are_rebuilt() {
    let home = Home::new();
    let (node, values) = filled(&home).await;
    node.stop().await;
    for damage in 0..3 {
        let folder = home.log_dir().join("t-0");
        for path in files(&folder, "index").into_iter().chain(files(&folder, "timeindex")) {
            match damage {
                0 => fs::remove_file(&path).unwrap(),
                1 => fs::write(&path, "").unwrap(),
                _ => fs::write(&path, "corrupt").unwrap(),
            }
        }
        let node = home.ready(&[]).await;
        assert_whole(&mut node.client().await, &values).await;
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_before_all_logs_are_open_loses_no_checkpoint() {
    let home = Home::new();
    let (node, _) = filled(&home).await;
    node.stop().await;
    let names = ["recovery-point-offset-checkpoint", "replication-offset-checkpoint"];
    let read = || names.map(|name| fs::read_to_string(home.log_dir().join(name)).unwrap());
    let before = read();
    // The node stops directly after its start: some logs are open and some are not.
    home.start(&[]).await.unwrap().stop().await;
    assert_eq!(read(), before);
    let node = home.ready(&[]).await;
    assert_eq!(node.client().await.read("t", 0).await.len(), 40);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_of_no_partition_is_set_aside() {
    let home = Home::new();
    let (node, _) = filled(&home).await;
    node.stop().await;
    let (folder, stray) = (home.log_dir().join("t-0"), home.log_dir().join("stray-0"));
    fs::create_dir(&stray).unwrap();
    fs::copy(folder.join("partition.metadata"), stray.join("partition.metadata")).unwrap();
    // The folder of an older topic with the same name.
    fs::write(folder.join("partition.metadata"), "version: 0\ntopic_id: q83vEjRWeJCrze8SNFZ4kA").unwrap();
    let node = home.ready(&[]).await;
    assert!(node.client().await.read("t", 0).await.is_empty());
    node.stop().await;
    let entries = fs::read_dir(home.log_dir()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut aside: Vec<String> =
        entries.filter_map(|name| Some(name.strip_suffix("-stray")?.split_once('.')?.0.to_owned())).collect();
    aside.sort();
    assert_eq!(aside, ["stray-0", "t-0"]);
    assert!(!stray.exists() && folder.exists());
}

/// Returns the files of a folder with an extension, sorted by name.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|it| it == extension));
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_connects_during_the_start_gets_this_broker() {
    let home = Home::new();
    for _ in 0..3 {
        let node = home.start(&[]).await.unwrap();
        // A client that gets no broker in the answer asks again only after a second.
        let metadata = node.client().await.metadata("nothing", false).await;
        assert_eq!(metadata.brokers.len(), 1);
        node.stop().await;
    }
}
