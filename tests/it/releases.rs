//! Other releases of Apache Kafka: folders that an older one may take back, clients that are newer.

use crate::client::name;
use crate::groups::{await_coordinator, commit};
use crate::node::{CLUSTER_ID, Home, Node};
use gregor::env::Env;
use gregor::runtime::format::{FirstVoters, Format};
use metadata::MetadataVersion;
use model::BrokerId;
use protocol::messages::update_features_request::{FeatureUpdateKey, UpdateFeaturesRequest};
use protocol::messages::update_features_response::UpdateFeaturesResponse;
use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use storage::disk::{Disk, RealDisk};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A folder as a release formats it whose voters are in the configuration.
fn of_release(release: &str) -> Home {
    let home = Home::unformatted();
    let properties = fs::read_to_string(home.properties()).unwrap();
    let with_voters = properties.lines().map(|line| match line.split_once('=') {
        Some(("controller.quorum.bootstrap.servers", _)) => "controller.quorum.voters=1@127.0.0.1:9093\n".to_owned(),
        _ => format!("{line}\n"),
    });
    fs::write(home.properties(), with_voters.collect::<String>()).unwrap();
    let format = Format {
        log_dirs: vec![home.log_dir()],
        metadata_log_dir: home.log_dir(),
        node_id: BrokerId(1),
        cluster_id: CLUSTER_ID.into(),
        voters: FirstVoters::Configured,
        version: MetadataVersion::from_name(release).unwrap(),
        features: BTreeMap::new(),
        ignore_formatted: false,
    };
    format.run(&(Arc::new(RealDisk) as Arc<dyn Disk>), Env::default()).unwrap();
    home
}

/// Whether a record of a committed offset in this version is in the only partition of
/// `__consumer_offsets`.
fn has_offset(home: &Home, version: i16, offset: i64) -> bool {
    let log = fs::read(home.log_dir().join("__consumer_offsets-0/00000000000000000000.log")).unwrap();
    let start = [&version.to_be_bytes()[..], &offset.to_be_bytes()].concat();
    log.windows(start.len()).any(|bytes| bytes == start)
}

async fn upgrade(node: &Node, release: &str) {
    let update = FeatureUpdateKey {
        feature: name("metadata.version"),
        max_version_level: MetadataVersion::from_name(release).unwrap().level(),
        upgrade_type: 1,
        ..Default::default()
    };
    let request = UpdateFeaturesRequest { timeout_ms: 60_000, feature_updates: vec![update], ..Default::default() };
    let response: UpdateFeaturesResponse = node.client().await.call(&request, 2).await;
    assert_eq!(response.error_code, 0, "{response:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_are_written_for_the_oldest_release_that_may_come_back() {
    let home = of_release("3.3");
    let one = ["offsets.topic.num.partitions=1"];
    let node = home.ready(&one).await;
    let mut client = node.client().await;
    client.create_topic("t", 1, &[]).await;
    await_coordinator(&mut client, "g").await;
    assert_eq!(commit(&mut client, "g", ("", -1), "t", 7001).await, 0);
    assert!(has_offset(&home, 3, 7001) && !has_offset(&home, 4, 7001));
    upgrade(&node, "3.4").await;
    assert_eq!(commit(&mut client, "g", ("", -1), "t", 7002).await, 0);
    assert!(has_offset(&home, 3, 7002));
    upgrade(&node, "4.3").await;
    assert_eq!(commit(&mut client, "g", ("", -1), "t", 7003).await, 0);
    assert!(has_offset(&home, 4, 7003) && !has_offset(&home, 3, 7003));
    node.stop().await;
    let node = home.ready(&one).await;
    let mut client = node.client().await;
    await_coordinator(&mut client, "g").await;
    assert_eq!(commit(&mut client, "g", ("", -1), "t", 7004).await, 0);
    assert!(has_offset(&home, 4, 7004));
    node.stop().await;
}

/// Apache Kafka 4.3.1 answers these requests with these bytes: version 5 is not known, versions 0
/// to 4 are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_request_of_a_client_of_release_4_4_is_answered_as_kafka_does() {
    let home = Home::new();
    let node = home.ready(&[]).await;
    let mut stream = TcpStream::connect(node.address()).await.unwrap();
    for (cluster_id, node_id) in [(None, -1), (Some(CLUSTER_ID), 1), (Some("BBBBBBBBBBBBBBBBBBBBBQ"), 9i32)] {
        // ApiVersions version 5, correlation id 7, client id "d", no tags; then the body, with
        // compact strings.
        let mut frame = b"\x00\x12\x00\x05\x00\x00\x00\x07\x00\x01d\x00\x12apache-kafka-java\x064.4.0".to_vec();
        match cluster_id {
            Some(id) => frame.extend([&[1 + id.len() as u8], id.as_bytes()].concat()),
            None => frame.push(0),
        }
        frame.extend(node_id.to_be_bytes());
        frame.push(0);
        stream.write_all(&(frame.len() as u32).to_be_bytes()).await.unwrap();
        stream.write_all(&frame).await.unwrap();
        let mut answer = [0; 20];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, *b"\x00\x00\x00\x10\x00\x00\x00\x07\x00\x23\x00\x00\x00\x01\x00\x12\x00\x00\x00\x04");
    }
    node.stop().await;
}
