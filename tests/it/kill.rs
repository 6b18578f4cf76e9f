//! The binary is killed while clients write. After a restart, all acknowledged records are there.

use crate::client::{Client, batch, is_fine, until};
use model::Offset;
use protocol::messages::produce_response::ProduceResponse;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

const PARTITIONS: i32 = 3;
/// Connections that write at the same time, several to each partition.
const WRITERS: usize = 6;
/// The process is killed after this many acknowledged records in a round.
const ACKNOWLEDGED: usize = 400;
const ROUNDS: usize = 3;

/// The binary in a separate process.
pub struct Process {
    pub child: Child,
    pub address: SocketAddr,
}

impl Process {
    /// Starts the binary on its own folder and waits until it prints its address.
    pub fn start(folder: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gregor"));
        command.args(["start", "--listen", "127.0.0.1:0", "--data-dir"]).arg(folder);
        Self::spawn(&mut command)
    }

    /// Starts the binary with a command.
    pub fn spawn(command: &mut Command) -> Self {
        let mut child = command.env_remove("RUST_LOG").stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = loop {
            let line = lines.next().unwrap_or_else(|| panic!("it ended before it listened")).unwrap();
            if let Some((_, rest)) = line.split_once("PLAINTEXT://") {
                break rest.split([',', '"']).next().unwrap().parse().unwrap();
            }
        };
        // Reads the log of the process to the end, so that the process never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // This is SIGKILL. The process may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes until the connection breaks. Returns the acknowledged records with their offsets.
async fn write(
    address: SocketAddr,
    round: usize,
    writer: usize,
    count: Arc<AtomicUsize>,
    enough: Arc<Notify>,
) -> Vec<(Offset, String)> {
    let mut client = Client::connect(address).await;
    let mut acknowledged = Vec::new();
    for number in 0.. {
        let value = format!("{round}-{writer}-{number}");
        let partition = writer as i32 % PARTITIONS;
        let request = Client::produce_request("t", partition, batch(&[&value]));
        let Ok(response) = client.try_call::<_, ProduceResponse>(&request, 9).await else { break };
        let partition = &response.responses[0].partition_responses[0];
        assert!(is_fine(partition.error_code), "error {}", partition.error_code);
        if partition.error_code != 0 {
            continue;
        }
        acknowledged.push((Offset(partition.base_offset), value));
        if count.fetch_add(1, Ordering::SeqCst) + 1 == ACKNOWLEDGED {
            enough.notify_one();
        }
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_records_survive_a_kill() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("data");
    let mut written: Vec<Vec<(Offset, String)>> = vec![Vec::new(); PARTITIONS as usize];
    for round in 0..=ROUNDS {
        let process = Process::start(&folder);
        let mut client = Client::connect(process.address).await;
        if round == 0 {
            until("the broker", async || (!client.metadata("t", false).await.brokers.is_empty()).then_some(())).await;
            client.create_topic("t", PARTITIONS, &[("segment.bytes", "1048576")]).await;
        }
        client.await_leaders("t").await;
        for (partition, expected) in (0..).zip(&written) {
            let read: Vec<(Offset, String)> = client.read("t", partition).await;
            for record in expected {
                assert!(
                    read.binary_search_by_key(&record.0, |(offset, _)| *offset).is_ok_and(|at| read[at] == *record),
                    "{record:?} was lost"
                );
            }
        }
        if round == ROUNDS {
            break;
        }
        let (count, enough) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| tokio::spawn(write(process.address, round, writer, count.clone(), enough.clone())))
            .collect();
        enough.notified().await;
        drop(process);
        for (writer, task) in writers.into_iter().enumerate() {
            written[writer % PARTITIONS as usize].extend(task.await.unwrap());
        }
    }
    let total: usize = written.iter().map(Vec::len).sum();
    assert!(total >= ROUNDS * ACKNOWLEDGED, "{total}");
}
