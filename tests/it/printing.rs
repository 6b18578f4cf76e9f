//! Prints and log lines that cannot be written: to a full disk, to a reader that is gone.

use crate::client::{Client, until};
use crate::node::Home;
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

const GREGOR: &str = env!("CARGO_BIN_EXE_gregor");

/// A file that every write to fails as on a full disk.
fn full() -> File {
    OpenOptions::new().write(true).open("/dev/full").unwrap()
}

/// The writing end of a pipe that nobody reads any more.
fn closed_pipe() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

fn start(folder: &Path, port: u16) -> Command {
    let mut command = Command::new(GREGOR);
    command
        .env("RUST_LOG", "debug")
        .args(["start", "--listen", &format!("127.0.0.1:{port}"), "--data-dir"])
        .arg(folder);
    command
}

async fn serves_and_stops(mut child: Child, port: u16) {
    let address: SocketAddr = ([127, 0, 0, 1], port).into();
    until("a node that listens", async || {
        assert_eq!(child.try_wait().unwrap(), None, "it ended");
        tokio::net::TcpStream::connect(address).await.ok()
    })
    .await;
    Client::connect(address).await.metadata("t", false).await;
    // Bytes that are no request have a line in the log.
    closed_after(port, b"GET / HTTP/1.1").await;
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn a_first_start_whose_log_cannot_be_written_runs() {
    for is_full in [true, false] {
        let home = tempfile::tempdir().unwrap();
        let port = free_port();
        let error = if is_full { full().into() } else { closed_pipe() };
        let child = start(&home.path().join("d"), port).stdout(full()).stderr(error).spawn().unwrap();
        serves_and_stops(child, port).await;
        assert!(home.path().join("d/logs/.kafka_cleanshutdown").exists());
    }
}

#[tokio::test]
async fn a_log_whose_reader_goes_away_does_not_end_the_node() {
    let home = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut child = start(home.path(), port).stderr(Stdio::piped()).spawn().unwrap();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut String::new()).unwrap();
    serves_and_stops(child, port).await;
}

/// The node goes on, and its stop too. The hints of a first start are among what is not read.
#[tokio::test]
async fn a_log_whose_reader_reads_no_more_does_not_hold_the_node() {
    let home = tempfile::tempdir().unwrap();
    let port = free_port();
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    let full = vec![b'.'; 64 << 10];
    writer.write_all(&full).unwrap();
    let child = start(home.path(), port).stderr(writer).spawn().unwrap();
    serves_and_stops(child, port).await;
    let mut left = Vec::new();
    reader.read_to_end(&mut left).unwrap();
    assert_eq!(left, full);
}

#[test]
fn no_subcommand_fails_since_its_reader_has_gone() {
    let home = tempfile::tempdir().unwrap();
    let node = Home::unformatted();
    let properties = node.properties();
    let config = properties.to_str().unwrap();
    let file = home.path().join("00000000000000000000.snapshot");
    std::fs::write(&file, "damaged").unwrap();
    let files = format!("{},{},", file.display(), home.path().join("x.unknown").display());
    let status = |words: &[&str], out: Stdio, err: Stdio| {
        Command::new(GREGOR).args(words).stdout(out).stderr(err).status().unwrap().code()
    };
    let cases: [(&[&str], i32); 8] = [
        (&["random-uuid"], 0),
        (&["format", "--config", config, "--standalone", "-t", "AAAAAAAAAAAAAAAAAAAAAQ"], 0),
        (&["check", config], 0),
        (&["check", config, "--json"], 0),
        (&["storage", "info", "--config", config], 0),
        (&["dump-log", "--files", &files], 0),
        (&["--help"], 0),
        (&["start", "--no-such-option"], 2),
    ];
    for (words, expected) in cases {
        assert_eq!(status(words, closed_pipe(), closed_pipe()), Some(expected), "{words:?}");
    }
    // What a subcommand is run for is not lost without a word.
    for (words, expected) in [(["random-uuid"].as_slice(), 1), (&["check", config], 0)] {
        assert_eq!(status(words, full().into(), full().into()), Some(expected), "{words:?}");
    }
    assert_eq!(status(&["start", "no-such.properties"], full().into(), full().into()), Some(1));
}

/// What ends a connection from outside, until the node has closed it.
async fn closed_after(port: u16, bytes: &[u8]) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    // A reset says as much as an end.
    let _ = stream.read_to_end(&mut Vec::new()).await;
}

#[tokio::test]
async fn an_old_client_that_tries_again_has_one_line_that_names_it() {
    let home = tempfile::tempdir().unwrap();
    let log = home.path().join("log");
    let port = free_port();
    let mut command = start(&home.path().join("d"), port);
    let child = command.env_remove("RUST_LOG").stderr(File::create(&log).unwrap()).spawn().unwrap();
    let address: SocketAddr = ([127, 0, 0, 1], port).into();
    until("a node that listens", async || tokio::net::TcpStream::connect(address).await.ok()).await;
    // Fetch in version 0, of a client that names itself in its header.
    let old = b"\x00\x00\x00\x0d\x00\x01\x00\x00\x00\x00\x00\x01\x00\x03old";
    for _ in 0..5 {
        closed_after(port, old).await;
        closed_after(port, b"\x16\x03\x01\x02\x00\x01\x00").await;
    }
    serves_and_stops(child, port).await;
    let text = std::fs::read_to_string(&log).unwrap();
    let lines = |word: &str| text.lines().filter(|line| line.contains(word)).count();
    assert_eq!((lines("closed a connection"), lines("a TLS handshake"), lines("an HTTP request")), (3, 1, 1), "{text}");
    assert_eq!(lines("client_id=\"old\" error=version 0 of Fetch is not served; versions 4 to 18 are"), 1, "{text}");
    assert_eq!(lines("advertised_listeners=\"PLAINTEXT://127.0.0.1:"), 1, "{text}");
}
