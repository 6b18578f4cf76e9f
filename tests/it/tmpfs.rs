//! The binary on a real file system that fills up to its last byte: a small tmpfs in a separate
//! mount namespace. If the system does not allow the mount, the test prints this and checks
//! nothing.

use crate::client::{Client, batch, until};
use crate::disks::{KAFKA_STORAGE_ERROR, delete_records, produce_until};
use crate::kill::Process;
use model::Offset;
use protocol::messages::produce_response::ProduceResponse;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A file system that is unmounted on drop, at a path that only processes of its namespace see.
struct Tmpfs {
    holder: Child,
    at: PathBuf,
}

impl Tmpfs {
    fn mount(at: &Path, megabytes: u32) -> Option<Self> {
        let script =
            format!("mount -t tmpfs -o size={megabytes}m tmpfs '{}' && echo mounted && exec cat", at.display());
        let mut command = Command::new("unshare");
        command.args(["-rm", "sh", "-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut holder = command.spawn().ok()?;
        let mut line = String::new();
        BufReader::new(holder.stdout.take()?).read_line(&mut line).ok()?;
        let this = Self { holder, at: at.to_path_buf() };
        (line.trim() == "mounted").then_some(this)
    }

    fn start(&self) -> Process {
        let mut command = Command::new("nsenter");
        command.args(["-U", "-m", "--preserve-credentials", "-t", &self.holder.id().to_string()]);
        command.args([env!("CARGO_BIN_EXE_gregor"), "start", "--listen", "127.0.0.1:0", "--data-dir"]);
        command.arg(self.at.join("data"));
        for setting in [
            "gregor.log.dir.reserve.bytes=8000000",
            "log.segment.bytes=1048576",
            "log.retention.check.interval.ms=200",
            "log.retention.ms=-1",
            "log.segment.delete.delay.ms=0",
        ] {
            command.args(["--override", setting]);
        }
        Process::spawn(&mut command)
    }

    /// Returns the path as seen from outside the namespace.
    fn outside(&self, name: &str) -> PathBuf {
        let inside = self.at.join(name);
        PathBuf::from(format!("/proc/{}/root", self.holder.id())).join(inside.strip_prefix("/").unwrap())
    }

    /// Fills the remaining bytes.
    fn fill(&self) {
        let mut filler = File::create(self.outside("filler")).unwrap();
        let mut size = 1 << 20;
        while size > 0 {
            match filler.write(&vec![7; size]) {
                Ok(written) if written > 0 => {}
                _ => size /= 2,
            }
        }
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Writes batches of 100 KB until one is refused for lack of room. Returns the number of
/// acknowledged batches.
async fn fill_up(client: &mut Client, topic: &str) -> i64 {
    let value = "x".repeat(100_000);
    let request = Client::produce_request(topic, 0, batch(&[&value]));
    let mut count = 0;
    loop {
        let response: ProduceResponse = client.call(&request, 9).await;
        match response.responses[0].partition_responses[0].error_code {
            0 => count += 1,
            KAFKA_STORAGE_ERROR => return count,
            other => panic!("error {other}"),
        }
    }
}

async fn connected(process: &Process) -> Client {
    let mut client = Client::connect(process.address).await;
    until("the broker", async || (!client.metadata("t", false).await.brokers.is_empty()).then_some(())).await;
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_system_without_a_free_byte() {
    let home = tempfile::tempdir().unwrap();
    let Some(tmpfs) = Tmpfs::mount(home.path(), 48) else {
        eprintln!("no file system can be mounted here: nothing was looked at");
        return;
    };
    let process = tmpfs.start();
    let mut client = connected(&process).await;
    client.create_topic("t", 1, &[]).await;
    let count = fill_up(&mut client, "t").await;
    assert!((200..480).contains(&count), "{count} batches");
    assert_eq!(client.read("t", 0).await.len() as i64, count);
    tmpfs.fill();
    assert_eq!(client.produce("t", 0, &["x"]).await.error_code, KAFKA_STORAGE_ERROR);
    drop(process);
    // Killed and started on a full disk, twice: the first start must not use up the room that the
    // second needs.
    for _ in 0..2 {
        let process = tmpfs.start();
        let mut client = connected(&process).await;
        assert_eq!(client.read("t", 0).await.len() as i64, count);
        assert_eq!(client.produce("t", 0, &["x"]).await.error_code, KAFKA_STORAGE_ERROR);
        drop(process);
        tmpfs.fill();
    }
    let process = tmpfs.start();
    let mut client = connected(&process).await;
    client.await_leaders("t").await;
    fs::remove_file(tmpfs.outside("filler")).unwrap();
    assert_eq!(client.produce("t", 0, &["x"]).await.error_code, KAFKA_STORAGE_ERROR, "the reserve is still used up");
    // Deleting old records makes room, and the node recovers.
    assert_eq!(delete_records(&mut client, "t", count - 20).await, 0);
    produce_until(&mut client, "t", 0, 0).await;
    assert_eq!(client.read("t", 0).await[0].0, Offset(count - 20));
}
