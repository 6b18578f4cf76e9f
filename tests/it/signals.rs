//! What signals do to the binary.

use crate::client::Client;
use crate::kill::Process;
use std::path::Path;
use std::process::Command;

/// Starts the binary on a folder, with signals that it is to ignore from the start, and waits until
/// it serves clients.
async fn start(folder: &Path, ignored: &str) -> Process {
    let mut command = Command::new("env");
    // Whoever runs the tests may have signals ignored, as `nohup` has.
    command.arg("--default-signal");
    if !ignored.is_empty() {
        command.arg(format!("--ignore-signal={ignored}"));
    }
    command.arg(env!("CARGO_BIN_EXE_gregor")).args(["start", "--listen", "127.0.0.1:0", "--data-dir"]).arg(folder);
    let process = Process::spawn(&mut command);
    Client::connect(process.address).await.metadata("t", false).await;
    process
}

fn send(process: &Process, signal: &str) {
    let sent = Command::new("kill").args(["-s", signal, &process.child.id().to_string()]).status().unwrap();
    assert!(sent.success(), "{signal}");
}

fn is_stopped_cleanly(folder: &Path) -> bool {
    folder.join("logs").join(".kafka_cleanshutdown").exists()
}

#[tokio::test]
async fn a_closed_terminal_is_a_clean_stop() {
    let home = tempfile::tempdir().unwrap();
    for signal in ["HUP", "INT", "TERM", "XCPU", "PWR"] {
        let folder = home.path().join(signal);
        let mut process = start(&folder, "").await;
        send(&process, signal);
        assert_eq!(process.child.wait().unwrap().code(), Some(0), "{signal}");
        assert!(is_stopped_cleanly(&folder), "{signal}");
    }
}

#[tokio::test]
async fn no_other_signal_ends_a_node() {
    let home = tempfile::tempdir().unwrap();
    let mut process = start(home.path(), "").await;
    // QUIT, USR1, USR2, PIPE, ALRM, STKFLT, XFSZ, VTALRM, PROF, IO, and those of real time.
    for signal in [3, 10, 12, 13, 14, 16, 25, 26, 27, 29].into_iter().chain(34..=64) {
        send(&process, &signal.to_string());
    }
    send(&process, "TERM");
    assert_eq!(process.child.wait().unwrap().code(), Some(0));
    assert!(is_stopped_cleanly(home.path()));
}

#[tokio::test]
async fn what_nohup_ignores_stays_ignored() {
    let home = tempfile::tempdir().unwrap();
    let mut process = start(home.path(), "HUP,INT").await;
    send(&process, "HUP");
    send(&process, "INT");
    // A signal that stops it would have left its word before this one.
    send(&process, "TERM");
    assert_eq!(process.child.wait().unwrap().code(), Some(0));
    assert!(is_stopped_cleanly(home.path()));
}
