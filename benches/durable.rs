//! Measures the cost of flushing every batch before its acknowledgement. Puts the same load on a
//! topic with `flush.messages=1` and on one without, alternately, on a node in this process.
//! Clients and node share the machine. Each line also shows the number of flushes. The limit of the
//! disk comes first.

mod node;

use gregor::node::Running;
use model::{ErrorCode, Offset, Timestamp};
use node::{create, frame, node, receive};
use protocol::Records;
use protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use protocol::messages::produce_response::ProduceResponse;
use records::BatchBuilder;
use std::collections::VecDeque;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

const ROUNDS: usize = 3;
const SPAN: Duration = Duration::from_secs(2);
/// `max.in.flight.requests.per.connection` of most clients.
const IN_FLIGHT: usize = 5;

struct Load {
    batch_bytes: usize,
    connections: i32,
    partitions: i32,
    in_flight: usize,
}

const LOADS: [Load; 9] = [
    Load { batch_bytes: 1 << 10, connections: 1, partitions: 1, in_flight: 1 },
    Load { batch_bytes: 1 << 10, connections: 1, partitions: 1, in_flight: IN_FLIGHT },
    Load { batch_bytes: 1 << 10, connections: 64, partitions: 1, in_flight: IN_FLIGHT },
    Load { batch_bytes: 1 << 10, connections: 64, partitions: 64, in_flight: IN_FLIGHT },
    Load { batch_bytes: 1 << 10, connections: 64, partitions: 1, in_flight: 4 * IN_FLIGHT },
    Load { batch_bytes: 1 << 10, connections: 64, partitions: 64, in_flight: 4 * IN_FLIGHT },
    Load { batch_bytes: 16 << 10, connections: 64, partitions: 64, in_flight: IN_FLIGHT },
    Load { batch_bytes: 16 << 10, connections: 16, partitions: 8, in_flight: IN_FLIGHT },
    Load { batch_bytes: 64 << 10, connections: 8, partitions: 8, in_flight: IN_FLIGHT },
];

/// The results of one span of a load.
#[derive(Clone, Copy, Default)]
struct Figures {
    batches_per_second: f64,
    median_ms: f64,
    p99_ms: f64,
    flushes_per_second: f64,
}

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    print_disk(folder.path());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let clients =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let node = runtime.block_on(node(folder.path()));
    let address = node.addresses[0].1;
    for (number, load) in LOADS.iter().enumerate() {
        let topics =
            [("buffered", None), ("durable", Some("1"))].map(|(way, flush)| (format!("{way}-{number}"), flush));
        for (topic, flush) in &topics {
            clients.block_on(create(address, topic, load.partitions, *flush));
        }
        let mut figures = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            for (way, (topic, _)) in topics.iter().enumerate() {
                let before = flushes(&node);
                let mut found = clients.block_on(run(address, topic, load));
                found.flushes_per_second = (flushes(&node) - before) / SPAN.as_secs_f64();
                figures[way].push(found);
            }
        }
        print(load, figures.map(median));
    }
    runtime.block_on(node.stop());
}

fn print_disk(folder: &Path) {
    let mut file = std::fs::File::create(folder.join("own")).expect("a file");
    let (begun, mut count) = (Instant::now(), 0);
    while begun.elapsed() < SPAN {
        file.write_all(&[7; 1024]).expect("room");
        file.sync_data().expect("a sync");
        count += 1;
    }
    println!(
        "the disk: {:.0} fdatasync a second of one growing file",
        f64::from(count) / begun.elapsed().as_secs_f64()
    );
}

fn print(load: &Load, [buffered, durable]: [Figures; 2]) {
    println!(
        "{} KB, {} connections with {} in flight, {} partitions",
        load.batch_bytes >> 10,
        load.connections,
        load.in_flight,
        load.partitions
    );
    for (way, it) in [("buffered", buffered), ("durable", durable)] {
        println!(
            "  {way:8} {:8.0} batches/s {:6.1} MB/s  answered in {:6.2} ms, p99 {:7.2} ms  {:6.0} flushes/s, {:5.1} batches each",
            it.batches_per_second,
            it.batches_per_second * load.batch_bytes as f64 / 1e6,
            it.median_ms,
            it.p99_ms,
            it.flushes_per_second,
            if it.flushes_per_second > 0.0 { it.batches_per_second / it.flushes_per_second } else { 0.0 },
        );
    }
    println!("  buffered is {:.2}x", buffered.batches_per_second / durable.batches_per_second);
}

fn median(mut figures: Vec<Figures>) -> Figures {
    figures.sort_by(|a, b| a.batches_per_second.total_cmp(&b.batches_per_second));
    figures[figures.len() / 2]
}

/// Returns how often the node flushed a log for waiting appends.
fn flushes(node: &Running) -> f64 {
    let text = node.broker.metrics.text(gregor::telemetry::Exposition::Classic).expect("metrics");
    let value = text.lines().find_map(|line| line.strip_prefix("gregor_log_flush_seconds_count "));
    value.and_then(|value| value.parse().ok()).expect("a count of flushes")
}

async fn run(address: SocketAddr, topic: &str, load: &Load) -> Figures {
    let mut value = vec![7; load.batch_bytes - 80];
    value.iter_mut().enumerate().for_each(|(index, byte)| *byte = index as u8);
    let mut builder = BatchBuilder::new(Offset(0));
    builder.append(Timestamp(1), None, Some(&value));
    let batch = builder.finish().expect("a batch");
    let begun = Instant::now();
    let tasks: Vec<_> = (0..load.connections)
        .map(|number| {
            let data = PartitionProduceData {
                index: number % load.partitions,
                records: Some(Records::Bytes(batch.clone())),
                ..Default::default()
            };
            let topic = TopicProduceData { name: topic.into(), partition_data: vec![data], ..Default::default() };
            let request = ProduceRequest { acks: 1, timeout_ms: 30_000, topic_data: vec![topic], ..Default::default() };
            tokio::spawn(pipelined(address, frame(&request, 9), load.in_flight, begun))
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await.expect("a connection"));
    }
    let took = begun.elapsed().as_secs_f64();
    times.sort_by(f64::total_cmp);
    Figures {
        batches_per_second: times.len() as f64 / took,
        median_ms: times[times.len() / 2],
        p99_ms: times[times.len() * 99 / 100],
        flushes_per_second: 0.0,
    }
}

/// Keeps `in_flight` requests in flight for a span. Returns the time to each answer in
/// milliseconds.
async fn pipelined(address: SocketAddr, frame: Vec<u8>, in_flight: usize, begun: Instant) -> Vec<f64> {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.set_nodelay(true).expect("a connection");
    let (mut times, mut sent) = (Vec::new(), VecDeque::new());
    loop {
        while sent.len() < in_flight && begun.elapsed() < SPAN {
            stream.write_all(&frame).await.expect("a request sent");
            sent.push_back(Instant::now());
        }
        let Some(at) = sent.pop_front() else { return times };
        let response: ProduceResponse = receive(&mut stream, 9).await;
        let code = response.responses[0].partition_responses[0].error_code;
        // A topic gets its leader shortly after its creation.
        if code != ErrorCode::NotLeaderOrFollower.code() {
            assert_eq!(code, 0);
            times.push(at.elapsed().as_secs_f64() * 1e3);
        }
    }
}
