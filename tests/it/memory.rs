//! What an idle node takes of the machine's memory.

use crate::kill::Process;
use std::fs;

/// In huge pages, each thread's first allocation took 2 MB: an idle node had 24 MB, of which it
/// used 13.
#[test]
fn an_idle_node_is_in_small_pages() {
    let home = tempfile::tempdir().unwrap();
    let process = Process::start(home.path());
    let status = fs::read_to_string(format!("/proc/{}/status", process.child.id())).unwrap();
    // Kernels before 5.0 do not say.
    let said = status.lines().find_map(|line| line.strip_prefix("THP_enabled:"));
    assert!(said.is_none_or(|said| said.trim() == "0"), "{status}");
}
