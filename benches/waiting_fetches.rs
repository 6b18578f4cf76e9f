//! Measures what one append costs while 1,000 consumers wait for records of 1,000 partitions each.
//! All watch the same partitions, each through its fetch session. Clients and node share this
//! process; the CPU time is that of the process, without what it uses when nothing happens.
//!
//! - A wake: the record is too little for `fetch.min.bytes`, so every fetch is woken and goes on
//!   waiting. This is the cost of the wakes alone.
//! - A delivery: every fetch is answered with the record, and its consumer fetches again.

mod node;

use gregor::env::clock::Clock;
use gregor::node::Running;
use model::{Offset, TopicId};
use node::{create, frame, node, receive};
use protocol::Records;
use protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use protocol::messages::fetch_response::FetchResponse;
use protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use protocol::messages::produce_response::ProduceResponse;
use records::BatchBuilder;
use rustix::time::{ClockId, clock_gettime};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

const CONSUMERS: usize = 1000;
const PARTITIONS: i32 = 1000;
/// The appends of each kind. Each is to another partition.
const APPENDS: i32 = 10;
const RECORD_BYTES: usize = 1000;
/// More than all records of this benchmark.
const MIN_BYTES_OF_WAKES: i32 = 50_000_000;
const MAX_WAIT_MS: i32 = 1_800_000;
const FETCH_VERSION: i16 = 16;
const PRODUCE_VERSION: i16 = 9;

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let clients =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let node = runtime.block_on(node(folder.path()));
    clients.block_on(measure(&node));
    // The consumers end first: a node that stops closes their connections.
    drop(clients);
    runtime.block_on(node.stop());
}

async fn measure(node: &Running) {
    let address = node.addresses[0].1;
    let topic = create(address, "t", PARTITIONS, None).await;
    let mut producer = TcpStream::connect(address).await.expect("a connection");
    let (answered, mut answers) = mpsc::unbounded_channel();
    for _ in 0..CONSUMERS {
        let consumer = Consumer::new(address, topic).await;
        tokio::spawn(consumer.run(answered.clone()));
    }
    let idle = idle_cpu().await;
    println!("{CONSUMERS} consumers of {PARTITIONS} partitions; idle, {:.1} % of a core", idle * 100.0);
    let (mut deliveries, mut last_answers) = (Vec::new(), Vec::new());
    for partition in 0..APPENDS {
        let begun = Span::new();
        append(&mut producer, partition).await;
        for _ in 0..CONSUMERS {
            answers.recv().await.expect("an answer");
        }
        last_answers.push(begun.at.elapsed().as_secs_f64() * 1e3);
        deliveries.push(begun.cpu_ms(idle).await);
    }
    let mut wakes = Vec::new();
    for partition in APPENDS..2 * APPENDS {
        let begun = Span::new();
        append(&mut producer, partition).await;
        wakes.push(begun.cpu_ms(idle).await);
    }
    assert!(answers.try_recv().is_err(), "a wake is no answer");
    print("a wake: CPU", wakes);
    print("a delivery: CPU", deliveries);
    print("a delivery: until the last answer", last_answers);
}

/// Prints the median of some milliseconds, the least and the most.
fn print(name: &str, mut times: Vec<f64>) {
    times.sort_by(f64::total_cmp);
    let (least, median, most) = (times[0], times[times.len() / 2], times[times.len() - 1]);
    println!("  {name:33} {median:8.1} ms ({least:.1} to {most:.1})");
}

/// Appends one record.
async fn append(producer: &mut TcpStream, partition: i32) {
    let mut builder = BatchBuilder::new(Offset(0));
    // With an old timestamp, the record would be removed after `retention.ms`.
    builder.append(Clock::default().now(), None, Some(&[7; RECORD_BYTES]));
    let records = Some(Records::Bytes(builder.finish().expect("a batch")));
    let data = PartitionProduceData { index: partition, records, ..Default::default() };
    let topic = TopicProduceData { name: "t".into(), partition_data: vec![data], ..Default::default() };
    let request = ProduceRequest { acks: 1, timeout_ms: 30_000, topic_data: vec![topic], ..Default::default() };
    producer.write_all(&frame(&request, PRODUCE_VERSION)).await.expect("a request sent");
    let response: ProduceResponse = receive(producer, PRODUCE_VERSION).await;
    assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
}

struct Consumer {
    stream: TcpStream,
    topic: TopicId,
    session_id: i32,
    session_epoch: i32,
}

impl Consumer {
    /// Opens a session for all partitions.
    async fn new(address: SocketAddr, topic: TopicId) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        stream.set_nodelay(true).expect("a connection");
        let mut consumer = Consumer { stream, topic, session_id: 0, session_epoch: 0 };
        let all: Vec<_> = (0..PARTITIONS).map(|partition| (partition, 0)).collect();
        consumer.send(&all, 1, 0).await;
        let partitions = consumer.answer().await.responses.into_iter().flat_map(|topic| topic.partitions);
        assert_eq!(partitions.filter(|one| one.error_code == 0).count(), all.len());
        consumer
    }

    /// Receives every delivery, then waits for more bytes than there will be.
    async fn run(mut self, answered: mpsc::UnboundedSender<()>) {
        self.send(&[], 1, MAX_WAIT_MS).await;
        for number in 1..=APPENDS {
            let response = self.answer().await;
            let partitions = &response.responses[0].partitions;
            let partition = &partitions[0];
            let found = (partitions.len(), partition.error_code, partition.high_watermark);
            assert_eq!(found, (1, 0, 1), "one partition has a record");
            let next = (partition.partition_index, partition.high_watermark);
            let _ = answered.send(());
            self.send(&[next], if number < APPENDS { 1 } else { MIN_BYTES_OF_WAKES }, MAX_WAIT_MS).await;
        }
        self.answer().await;
        let _ = answered.send(());
    }

    /// Sends a fetch that names the partitions whose offset changes.
    async fn send(&mut self, offsets: &[(i32, i64)], min_bytes: i32, max_wait_ms: i32) {
        let partition = |(partition, fetch_offset): &(i32, i64)| FetchPartition {
            partition: *partition,
            fetch_offset: *fetch_offset,
            partition_max_bytes: 1 << 20,
            ..Default::default()
        };
        let partitions: Vec<_> = offsets.iter().map(partition).collect();
        let topic = FetchTopic { topic_id: self.topic, partitions, ..Default::default() };
        let request = FetchRequest {
            max_wait_ms,
            min_bytes,
            max_bytes: MIN_BYTES_OF_WAKES,
            session_id: self.session_id,
            session_epoch: self.session_epoch,
            topics: if offsets.is_empty() { Vec::new() } else { vec![topic] },
            ..Default::default()
        };
        self.stream.write_all(&frame(&request, FETCH_VERSION)).await.expect("a request sent");
        self.session_epoch += 1;
    }

    async fn answer(&mut self) -> FetchResponse {
        let response: FetchResponse = receive(&mut self.stream, FETCH_VERSION).await;
        assert_eq!(response.error_code, 0);
        assert_ne!(response.session_id, 0, "a session");
        self.session_id = response.session_id;
        response
    }
}

/// The time and the CPU time since an instant.
struct Span {
    at: Instant,
    cpu_seconds: f64,
}

impl Span {
    fn new() -> Self {
        Span { at: Instant::now(), cpu_seconds: cpu_seconds() }
    }

    /// Waits until the process is idle. Returns its CPU time in milliseconds, without what it would
    /// have used without work.
    async fn cpu_ms(&self, idle: f64) -> f64 {
        until_idle().await;
        (cpu_seconds() - self.cpu_seconds - idle * self.at.elapsed().as_secs_f64()) * 1e3
    }
}

/// Returns the CPU time of each second in which nothing happens.
async fn idle_cpu() -> f64 {
    until_idle().await;
    let begun = Span::new();
    tokio::time::sleep(Duration::from_secs(5)).await;
    (cpu_seconds() - begun.cpu_seconds) / begun.at.elapsed().as_secs_f64()
}

/// Waits until the process has used less than 3 % of a core for a while.
async fn until_idle() {
    loop {
        let before = cpu_seconds();
        tokio::time::sleep(Duration::from_millis(200)).await;
        if cpu_seconds() - before < 0.006 {
            return;
        }
    }
}

fn cpu_seconds() -> f64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}
