//! Each rule finds what it is for, and lets the rest be.

use super::circles;
use super::rules::{document, file};

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
    assert!(finds("crates/raft/src/lib.rs", "//! x\nlet now = Instant::now();", "the Env of the node"));
    for call in ["tokio::net::lookup_host((host, 0))", "rustix::system::uname()"] {
        assert!(finds("src/broker/mod.rs", &format!("//! x\n{call};"), "the Env of the node"));
        assert!(!finds("src/env/names.rs", &format!("//! x\n{call};"), "the Env of the node"));
    }
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

fn circles_of(files: &[(&str, &str)]) -> Vec<String> {
    let files: Vec<(String, String)> = files.iter().map(|(path, text)| (path.to_string(), text.to_string())).collect();
    circles::find(&files)
}

#[test]
fn a_circle_of_modules_is_named_with_its_path() {
    let found = circles_of(&[
        ("crates/x/src/lib.rs", "mod a;\nmod b;\nmod c;"),
        ("crates/x/src/a/mod.rs", "mod inner;"),
        ("crates/x/src/a/inner.rs", "use crate::b::{self, One};"),
        ("crates/x/src/b.rs", "fn f() { crate::c::g() }"),
        ("crates/x/src/c.rs", "use std::{fmt,\n    io};\nuse super::{\n    a::Two,\n};"),
    ]);
    assert_eq!(found.len(), 1, "{found:?}");
    let path =
        "a names b (crates/x/src/a/inner.rs:1), b names c (crates/x/src/b.rs:1), c names a (crates/x/src/c.rs:3)";
    assert!(found[0].contains(path), "{found:?}");
}

#[test]
fn a_name_that_a_parent_hands_on_is_the_childs_and_parents_and_tests_do_not_count() {
    let handed_on = [
        ("src/lib.rs", "pub mod x;"),
        ("src/x/mod.rs", "mod a;\nmod b;\npub use a::{One, Other as Another};\npub use b::Two;"),
        ("src/x/a.rs", "use super::Two;"),
        ("src/x/b.rs", "use crate::x::Another;"),
    ];
    assert_eq!(circles_of(&handed_on).len(), 1);
    let none = [
        ("src/lib.rs", "pub mod x;\nuse x::One;"),
        ("src/x/mod.rs", "mod a;\nmod b;\npub use a::One;\nstruct Own;"),
        ("src/x/a.rs", "use super::Own;\n// use super::b::Two;"),
        ("src/x/b.rs", "use super::One;\nuse crate::Root;"),
        ("src/x/a/tests.rs", "use crate::x::b::Two;"),
        ("src/x/c.rs", "#[cfg(test)]\nmod tests {\n    use crate::x::b::Two;\n}"),
    ];
    assert_eq!(circles_of(&none), [""; 0]);
}

#[test]
fn a_comment_or_a_line_of_markdown_beyond_the_last_column_is_found() {
    let long = "word ".repeat(21);
    let comment = |comment: &str| finds("src/a.rs", &format!("//! x\n/// {comment}"), "a.rs:2: more than 100 columns");
    assert!(comment(&long));
    assert!(!comment(&format!("| {long} |")), "a table");
    assert!(!comment(&"x".repeat(120)), "one word");
    assert!(!finds("src/a.rs", &format!("//! x\nlet x = {long:?};"), "columns"), "code");
    let text = format!("# x\n{long}\n```\n{long}\n```\n| {long} |\n{long}");
    assert_eq!(document("README.md", &text).len(), 2);
}
