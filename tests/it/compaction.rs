//! Compacted topics of a running node: what is cleaned, up to which offset, and what a start finds.

use crate::client::{Client, name, texts, until};
use crate::groups::{await_coordinator, commit, committed};
use crate::held::HeldDisk;
use crate::http::get;
use crate::log_dirs::second;
use crate::moves::{alter, arrived};
use crate::node::Home;
use bytes::Bytes;
use model::{Offset, Timestamp};
use protocol::messages::delete_groups_request::DeleteGroupsRequest;
use protocol::messages::delete_groups_response::DeleteGroupsResponse;
use protocol::messages::produce_response::ProduceResponse;
use records::BatchBuilder;
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

/// Makes the cleaner clean everything at once.
const SETTINGS: &[&str] =
    &["log.cleaner.backoff.ms=20", "log.cleaner.min.cleanable.ratio=0", "log.retention.check.interval.ms=20"];
const COMPACTED: &[(&str, &str)] = &[("cleanup.policy", "compact"), ("internal.segment.bytes", "1000")];

/// Returns the entry of a partition in the cleaner's checkpoint.
fn cleaned_up_to(log_dir: &Path, topic: &str, index: i32) -> Option<i64> {
    let text = fs::read_to_string(log_dir.join("cleaner-offset-checkpoint")).ok()?;
    text.lines().find_map(|line| line.strip_prefix(&format!("{topic} {index} "))?.parse().ok())
}

async fn await_cleaned(log_dir: &Path, topic: &str, index: i32, up_to: i64) {
    until("the cleaner", async || cleaned_up_to(log_dir, topic, index).filter(|offset| *offset >= up_to)).await;
}

fn keyed(key: &str, value: Option<&str>) -> Bytes {
    let mut batch = BatchBuilder::new(Offset(0));
    batch.append(Timestamp(1_700_000_000_000), Some(key.as_bytes()), value.map(str::as_bytes));
    batch.finish().unwrap()
}

/// Writes long values under a few keys, one batch each. Returns the last value of each key.
async fn fill(client: &mut Client, topic: &str, round: &str) -> Vec<String> {
    let value = |number: usize| format!("{round} {number} {}", "x".repeat(100));
    for number in 0..60 {
        let request = Client::produce_request(topic, 0, keyed(&format!("k{}", number % 3), Some(&value(number))));
        let response: ProduceResponse = client.call(&request, 9).await;
        assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
    }
    (57..60).map(value).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compacted_topic_is_cleaned_and_stays_clean_after_a_start() {
    let home = Home::new();
    let log_dir = home.log_dir();
    let node = home.ready(SETTINGS).await;
    let mut client = node.client().await;
    client.create_topic("t", 1, COMPACTED).await;
    client.create_topic("other", 1, &[("internal.segment.bytes", "1000"), ("retention.ms", "-1")]).await;
    fill(&mut client, "other", "a").await;
    let newest = fill(&mut client, "t", "a").await;
    await_cleaned(&log_dir, "t", 0, 50).await;
    let newest: Vec<&str> = newest.iter().map(String::as_str).collect();
    let read = client.read("t", 0).await;
    assert!(read.len() < 15 && texts(&read).ends_with(&newest), "{read:?}");
    assert_eq!(client.read("other", 0).await.len(), 60);
    assert_eq!(cleaned_up_to(&log_dir, "other", 0), None);
    let (_, metrics) = get(&node, "/metrics").await;
    let cleanings = metrics.lines().find_map(|line| line.strip_prefix("gregor_cleaner_cleanings "));
    assert!(cleanings.unwrap().parse::<i64>().unwrap() > 0, "{metrics}");
    node.stop().await;
    let before = cleaned_up_to(&log_dir, "t", 0);
    let node = home.ready(&[SETTINGS, &["log.cleaner.enable=false"]].concat()).await;
    let mut client = node.client().await;
    // The cleaner may have cleaned more until the stop.
    let again = client.read("t", 0).await;
    assert!(texts(&again).ends_with(&newest) && again.iter().all(|record| read.contains(record)), "{again:?}");
    assert_eq!(cleaned_up_to(&log_dir, "t", 0), before);
    node.stop().await;
    let node = home.ready(SETTINGS).await;
    let mut client = node.client().await;
    fill(&mut client, "t", "b").await;
    await_cleaned(&log_dir, "t", 0, 110).await;
    assert!(client.read("t", 0).await.len() < 15);
    // A new topic of the same name must not use the cleaner position of the deleted one.
    client.delete_topic("t").await;
    until("the checkpoint", async || cleaned_up_to(&log_dir, "t", 0).is_none().then_some(())).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_cannot_be_cleaned_is_shown_and_left_alone() {
    let home = Home::new();
    let log_dir = home.log_dir();
    let node = home.ready(&[SETTINGS, &["log.cleaner.enable=false"]].concat()).await;
    let mut client = node.client().await;
    for topic in ["rotten", "sound"] {
        client.create_topic(topic, 1, COMPACTED).await;
        fill(&mut client, topic, "a").await;
    }
    node.stop().await;
    let segment = log_dir.join("rotten-0").join(format!("{:020}.log", 0));
    let file = fs::OpenOptions::new().write(true).open(&segment).unwrap();
    file.write_all_at(b"!", 150).unwrap();
    let before = fs::read(&segment).unwrap();
    let node = home.ready(SETTINGS).await;
    await_cleaned(&log_dir, "sound", 0, 50).await;
    until("the metric", async || {
        let (_, metrics) = get(&node, "/metrics").await;
        let mut lines = metrics.lines().filter(|line| line.starts_with("gregor_cleaner_uncleanable_partitions{"));
        lines.any(|line| line.ends_with(" 1")).then_some(())
    })
    .await;
    assert_eq!((cleaned_up_to(&log_dir, "rotten", 0), fs::read(&segment).unwrap()), (None, before));
    // Writes still work.
    let mut client = node.client().await;
    fill(&mut client, "rotten", "b").await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_offsets_topic_is_cleaned_and_the_offsets_stay() {
    let home = Home::new();
    let log_dir = home.log_dir();
    let settings = [SETTINGS, &["offsets.topic.num.partitions=1", "log.roll.ms=20"]].concat();
    let node = home.ready(&settings).await;
    let mut client = node.client().await;
    client.create_topic("t", 1, &[]).await;
    for group in ["kept", "gone"] {
        await_coordinator(&mut client, group).await;
    }
    for offset in 0..100 {
        for group in ["kept", "gone"] {
            assert_eq!(commit(&mut client, group, ("", -1), "t", offset).await, 0);
        }
    }
    let request = DeleteGroupsRequest { groups_names: vec![name("gone")], ..Default::default() };
    let deleted: DeleteGroupsResponse = client.call(&request, 2).await;
    assert_eq!(deleted.results[0].error_code, 0);
    // Commits until enough records are outside the newest segment.
    let last = until("the cleaner", async || {
        let offset = 100 + committed(&mut client, "kept").await.unwrap()[0].2;
        assert_eq!(commit(&mut client, "kept", ("", -1), "t", offset).await, 0);
        cleaned_up_to(&log_dir, "__consumer_offsets", 0).filter(|up_to| *up_to >= 202).map(|_| offset)
    })
    .await;
    // The first segment holds all that was cleaned, and two hundred commits are no longer in it.
    let first = log_dir.join("__consumer_offsets-0").join(format!("{:020}.log", 0));
    let bytes = until("the first segment", async || fs::metadata(&first).ok()).await.len();
    assert!(bytes < 5_000, "{bytes} bytes are left");
    node.stop().await;
    let node = home.ready(&settings).await;
    let mut client = node.client().await;
    await_coordinator(&mut client, "kept").await;
    let of = async |client: &mut Client, group| -> Vec<i64> {
        committed(client, group).await.unwrap().iter().map(|(_, _, offset, _)| *offset).collect()
    };
    assert_eq!((of(&mut client, "kept").await, of(&mut client, "gone").await), (vec![last], vec![]));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moving_log_is_not_cleaned_and_keeps_its_cleaner_position() {
    let home = Home::new();
    let (here, (there, two)) = (home.log_dir(), second(&home));
    let disk = HeldDisk::syncs("-future/0000");
    let settings = [SETTINGS, &[&two]].concat();
    let node = home.ready_on(Arc::new(disk.clone()), &settings).await;
    let mut client = node.client().await;
    client.create_topic("t", 1, COMPACTED).await;
    client.create_topic("other", 1, COMPACTED).await;
    assert!(here.join("t-0").exists() && there.join("other-0").exists());
    fill(&mut client, "t", "a").await;
    await_cleaned(&here, "t", 0, 50).await;
    disk.hold();
    assert_eq!(alter(&mut client, "t", 0, &there).await, 0);
    // A cleaning that was running when the move began may have finished.
    let before = client.read("t", 0).await.len();
    for round in 1..4 {
        fill(&mut client, "t", "b").await;
        fill(&mut client, "other", "b").await;
        await_cleaned(&there, "other", 0, 60 * round - 10).await;
    }
    assert_eq!(client.read("t", 0).await.len(), before + 180);
    disk.let_go();
    arrived(&node, "t", 0, &there).await;
    await_cleaned(&there, "t", 0, 230).await;
    assert_eq!(cleaned_up_to(&here, "t", 0), None);
    let newest = fill(&mut client, "t", "c").await;
    await_cleaned(&there, "t", 0, 290).await;
    let read = client.read("t", 0).await;
    let newest: Vec<&str> = newest.iter().map(String::as_str).collect();
    assert!(read.len() < 15 && texts(&read).ends_with(&newest), "{read:?}");
    node.stop().await;
}
