//! Each rule finds what it is for, and lets the rest be.

use super::rules::file;

fn finds(path: &str, text: &str, word: &str) -> bool {
    file(path, text).iter().any(|finding| finding.contains(word))
}

#[test]
fn a_layer_may_name_what_is_below_it_only() {
    assert!(finds("src/replica/mod.rs", "//! x\nuse crate::api::Reply;", "crate::api"));
    assert!(finds("src/api/fetch.rs", "//! x\nuse crate::net::bind;", "crate::net"));
    assert!(!finds("src/net/connection.rs", "//! x\nuse crate::api::Reply;", "crate::"));
    assert!(!finds("src/runtime/shard.rs", "//! x\nuse crate::replica::Replicas;", "crate::"));
}

#[test]
fn a_banned_call_is_named_with_its_replacement() {
    assert!(finds("crates/storage/src/log.rs", "//! x\nstd::fs::read(path)", "storage::Disk"));
    assert!(!finds("crates/storage/src/disk/real.rs", "//! x\nstd::fs::read(path)", "std::fs"));
    assert!(finds("crates/raft/src/lib.rs", "//! x\nlet now = Instant::now();", "env::clock"));
    assert!(finds("src/replica/mod.rs", "//! x\nif api_version > 3 {}", "named fact"));
    for print in ["eprintln!", "println!", "eprint!", "print!"] {
        assert!(finds("src/cli/start.rs", &format!("//! x\n{print}(\"hello\");"), "cli::output"));
        assert!(!finds("xtask/src/main.rs", &format!("//! x\n{print}(\"hello\");"), "cli::output"));
    }
    assert!(!finds("crates/raft/src/lib.rs", "//! x\n// Instant::now is banned", "Instant"));
}

#[test]
fn a_long_file_and_a_wildcard_in_the_error_map_are_found() {
    assert!(finds("src/a.rs", &format!("//! x\n{}", "x\n".repeat(700)), "701 lines"));
    assert!(finds("src/api/error.rs", "//! x\nmatch fault {\n    _ => ErrorCode::None,\n}", "wildcard"));
    assert!(finds("src/a.rs", "fn main() {}", "opens without"));
}
