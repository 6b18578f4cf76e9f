//! `gregor dev`: a local cluster with one command.

use crate::client::{Client, texts, until};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// How long a line may take.
const DEADLINE: Duration = Duration::from_secs(60);
const NODES: u16 = 3;

struct Dev {
    child: Child,
    lines: Receiver<String>,
}

impl Dev {
    fn start(data_dir: &Path, port: u16) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gregor"));
        command.args(["dev", "--port", &port.to_string(), "--data-dir"]).arg(data_dir);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let (read, lines) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        // The send fails if nobody reads any more.
        std::thread::spawn(move || stderr.lines().for_each(|line| drop(read.send(line.unwrap()))));
        Self { child, lines }
    }

    fn line(&self, text: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(DEADLINE).unwrap_or_else(|_| panic!("no line with {text:?}"));
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Reads the process id of each node, once all are ready.
    fn ready(&self) -> Vec<u32> {
        let pid = |line: String| line.split_whitespace().nth(4).unwrap().parse().unwrap();
        let pids = (1..=NODES).map(|node| pid(self.line(&format!("node {node}  127.0.0.1:")))).collect();
        self.line("The cluster is ready");
        pids
    }

    fn stop(mut self) -> Option<i32> {
        kill("-TERM", self.child.id());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // The process may have ended already. Its nodes end with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn kill(signal: &str, pid: u32) {
    assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
}

fn runs(pid: u32) -> bool {
    Command::new("kill").args(["-0", &pid.to_string()]).stderr(Stdio::null()).status().unwrap().success()
}

/// A port that is free with the five after it.
fn free_ports() -> u16 {
    let is_free = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
    let mut from = 21_000 + u16::try_from(std::process::id() % 8_000).unwrap();
    while !(from..from + 2 * NODES).all(is_free) {
        from += 2 * NODES;
    }
    from
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_local_cluster_starts_with_one_command_and_goes_on_without_a_node() {
    let home = tempfile::tempdir().unwrap();
    let data_dir = home.path().join("cluster");
    let port = free_ports();
    let dev = Dev::start(&data_dir, port);
    let pids = dev.ready();
    let address = |node: u16| SocketAddr::from(([127, 0, 0, 1], port + node - 1));
    let leader = async |through: u16, but: i32| {
        until("a leader", async || {
            let known = Client::connect(address(through)).await.metadata("t", true).await;
            let leader = known.topics[0].partitions.first().map(|partition| partition.leader_id);
            leader.filter(|leader| *leader > 0 && *leader != but)
        })
        .await
    };
    let first = leader(1, 0).await;
    let node = |id: i32| u16::try_from(id).unwrap();
    // The leader itself may learn of the topic a little later.
    let mut client = Client::connect(address(node(first))).await;
    client.await_leaders("t").await;
    assert_eq!(client.produce("t", 0, &["a"]).await.error_code, 0);
    drop(client);
    kill("-KILL", pids[usize::from(node(first)) - 1]);
    dev.line(&format!("node {first} has ended"));
    let next = leader(node(first) % NODES + 1, first).await;
    let mut client = Client::connect(address(node(next))).await;
    assert_eq!(client.produce("t", 0, &["b"]).await.error_code, 0);
    assert_eq!(texts(&client.read("t", 0).await), ["a", "b"]);
    drop(client);
    assert_eq!(dev.stop(), Some(0));
    assert!(!pids.iter().any(|pid| runs(*pid)));

    // It goes on where it was. The nodes stop with the command, also when that is killed.
    let dev = Dev::start(&data_dir, port);
    let pids = dev.ready();
    // A leader shows a record once it knows again that the replicas in sync have it.
    until("both records", async || {
        let last = leader(1, 0).await;
        let records = Client::connect(address(node(last))).await.read("t", 0).await;
        (texts(&records) == ["a", "b"]).then_some(())
    })
    .await;
    drop(dev);
    until("nodes that have ended", async || {
        // Each round asks a node, so this is not a busy loop.
        let _ = tokio::net::TcpStream::connect(address(1)).await;
        (!pids.iter().any(|pid| runs(*pid))).then_some(())
    })
    .await;
}
