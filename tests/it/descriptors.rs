//! The binary under a low limit of open files: it raises the soft limit as far as allowed, and
//! warns if that is low.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

struct Process(Child);

impl Process {
    /// Starts the binary under limits of open files that a shell sets. Returns the lines that it
    /// prints until it has started.
    fn start(folder: &Path, limits: &str) -> (Self, Vec<String>) {
        let script = format!("{limits}; exec \"$0\" start --listen 127.0.0.1:0 --data-dir \"$1\"");
        let child = Command::new("sh")
            .args(["-c", &script, env!("CARGO_BIN_EXE_gregor")])
            .arg(folder)
            .env_remove("RUST_LOG")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut this = Self(child);
        let mut said = Vec::new();
        for line in BufReader::new(this.0.stderr.take().unwrap()).lines().map(Result::unwrap) {
            said.push(line);
            if said.last().is_some_and(|line| line.contains("Gregor has started")) {
                return (this, said);
            }
        }
        panic!("it ended before it started: {said:?}");
    }

    /// Returns the soft and the hard limit of open files of the process.
    fn limits(&self) -> (u64, u64) {
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", self.0.id())).unwrap();
        let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
        let mut numbers = line.split_whitespace().filter_map(|word| word.parse().ok());
        (numbers.next().unwrap(), numbers.next().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // This is SIGKILL. The process may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_file_descriptor_limit_is_raised_at_start_or_reported_clearly() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let warning = |said: &[String]| said.iter().find(|line| line.contains("LimitNOFILE")).cloned();

    let (process, said) = Process::start(&data, "ulimit -Sn 300 && ulimit -Hn 9000");
    assert_eq!(process.limits(), (9000, 9000), "raised to what it may have");
    assert_eq!(warning(&said), None);
    drop(process);

    let (process, said) = Process::start(&data, "ulimit -n 300");
    assert_eq!(process.limits(), (300, 300));
    let warning = warning(&said).unwrap_or_else(|| panic!("not a word of it: {said:?}"));
    assert!(warning.contains("WARN") && warning.contains("300"), "{warning}");
}
