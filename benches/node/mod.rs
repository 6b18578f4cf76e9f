//! A node in this process for the benchmarks, and what a client sends to it.

use bytes::Bytes;
use gregor::config::{NewNode, NodeConfig, new_node_properties};
use gregor::env::Env;
use gregor::node::{Running, Start, start};
use gregor::runtime::format::{FirstVoters, Format};
use gregor::{net, peer};
use metadata::MetadataVersion;
use model::{BrokerId, TopicId};
use protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use protocol::messages::create_topics_response::CreateTopicsResponse;
use protocol::messages::request_header::RequestHeader;
use protocol::{ApiKey, Message, Reader, decode_from, write_request};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use storage::disk::{Disk, RealDisk};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Starts a node in an empty folder, and waits until it is ready.
pub async fn node(folder: &Path) -> Running {
    let log_dir = folder.join("logs");
    let properties = folder.join("server.properties");
    let new = NewNode {
        host: "127.0.0.1",
        port: 0,
        advertised_host: None,
        controller_port: 9093,
        log_dir: log_dir.to_str().expect("a path in UTF-8"),
    };
    std::fs::write(&properties, new_node_properties(&new)).expect("room");
    let endpoint = raft::Endpoint { listener: "CONTROLLER".into(), host: "127.0.0.1".into(), port: 9093 };
    let format = Format {
        log_dirs: vec![log_dir.clone()],
        metadata_log_dir: log_dir,
        node_id: BrokerId(1),
        cluster_id: "AAAAAAAAAAAAAAAAAAAAAQ".into(),
        voters: FirstVoters::Standalone(vec![endpoint]),
        version: MetadataVersion::LATEST,
        features: BTreeMap::new(),
        ignore_formatted: false,
    };
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    format.run(&disk, Env::default()).expect("a formatted folder");
    // On a busy machine, the load may hold up heartbeats for longer than the default of 9 s.
    let overrides = ["listeners=PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0", "broker.session.timeout.ms=600000"]
        .map(str::to_owned);
    let config = NodeConfig::read(&properties, &overrides).expect("a configuration");
    let (connection_threads, load) = (2, Arc::default());
    let start_of = Start {
        env: Env::default(),
        bind: net::tcp(),
        dial: peer::tcp(),
        config: Arc::new(config),
        filter: None,
        http: None,
        disk,
        connection_threads,
        load,
    };
    let node = start(start_of).await.expect("a node");
    while node.broker.not_ready_because().is_some() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    node
}

/// Creates a topic. Returns its id.
pub async fn create(address: SocketAddr, topic: &str, partitions: i32, flush_messages: Option<&str>) -> TopicId {
    let config = |value: &str| CreatableTopicConfig {
        name: "flush.messages".into(),
        value: Some(value.into()),
        ..Default::default()
    };
    let topic = CreatableTopic {
        name: topic.into(),
        num_partitions: partitions,
        replication_factor: 1,
        configs: flush_messages.map(config).into_iter().collect(),
        ..Default::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, ..Default::default() };
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(&frame(&request, 7)).await.expect("a request sent");
    let response: CreateTopicsResponse = receive(&mut stream, 7).await;
    assert_eq!(response.topics[0].error_code, 0);
    response.topics[0].topic_id
}

/// Returns a request as it is sent.
pub fn frame<M: Message>(request: &M, version: i16) -> Vec<u8> {
    let header = RequestHeader {
        request_api_key: M::KEY,
        request_api_version: version,
        correlation_id: 1,
        client_id: Some("bench".into()),
        ..Default::default()
    };
    write_request(&header, request).expect("a request").into_bytes().expect("a request").to_vec()
}

/// Receives one answer.
pub async fn receive<M: Message>(stream: &mut TcpStream, version: i16) -> M {
    let length = stream.read_u32().await.expect("an answer");
    let mut bytes = vec![0; length as usize];
    stream.read_exact(&mut bytes).await.expect("an answer");
    let mut reader = Reader::new(Bytes::from(bytes));
    reader.i32().expect("a correlation id");
    if ApiKey::from_code(M::KEY).expect("a key").response_header_version(version) == 1 {
        reader.unsigned_varint().expect("no tagged fields");
    }
    let rest = reader.raw(reader.remaining()).expect("a body");
    decode_from(rest, version).expect("an answer")
}
