//! Compares the table with the documents about it.

use super::table::{ON_BROKER, ON_CONTROLLER, TABLE};
use protocol::ApiKey;
use std::fmt::Write as _;

const BEGIN: &str = "<!-- what works: written by `UPDATE_DOCS=1 cargo test -p gregor --lib api` -->\n";
const END: &str = "<!-- end of what works -->";

/// Returns the table "What works" of the README.
fn table() -> String {
    let mut text =
        String::from("| key | request | versions | clients | controllers |\n| --- | --- | --- | --- | --- |\n");
    for row in TABLE {
        let at = |listener: u8| match (row.on & listener != 0, row.works & listener != 0) {
            (false, _) => "",
            (true, false) => "off",
            (true, true) => "yes",
        };
        let (key, name, (oldest, latest)) = (row.key as i16, row.key.name(), row.versions);
        let _ = writeln!(text, "| {key} | {name} | {oldest}-{latest} | {} | {} |", at(ON_BROKER), at(ON_CONTROLLER));
    }
    text
}

#[test]
fn the_table_is_in_the_order_of_keys() {
    assert!(TABLE.is_sorted_by_key(|row| row.key));
}

#[test]
fn what_works_is_served() {
    assert!(TABLE.iter().all(|row| row.works & !row.on == 0));
    // Kafka's controllers advertise this request but refuse it.
    let scram = TABLE.iter().find(|row| row.key == ApiKey::DescribeUserScramCredentials);
    assert_eq!(scram.map(|row| row.works), Some(ON_BROKER));
}

#[test]
fn the_readme_says_what_works() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(path).unwrap();
    let (before, rest) = readme.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let fresh = format!("{before}{BEGIN}\n{}\n{END}{after}", table());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &fresh).unwrap();
    }
    assert!(fresh == std::fs::read_to_string(path).unwrap(), "run UPDATE_DOCS=1 cargo test -p gregor --lib api");
}

/// Requests that need no right of their own, and those whose feature is off, which are refused
/// whoever sends them.
const NEEDS_NOTHING: &[ApiKey] = &[ApiKey::ApiVersions, ApiKey::SaslHandshake, ApiKey::SaslAuthenticate];

#[test]
fn every_request_that_works_says_what_it_needs() {
    for row in TABLE.iter().filter(|row| row.works != 0 && !NEEDS_NOTHING.contains(&row.key)) {
        let mut file = String::new();
        for letter in row.key.name().chars() {
            if letter.is_uppercase() && !file.is_empty() {
                file.push('_');
            }
            file.extend(letter.to_lowercase());
        }
        let path = format!("{}/src/api/{file}.rs", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap();
        let asks = ["context.may", "context.need", "context.forbidden_topics", "if_permitted", "operations_on_cluster"];
        assert!(asks.iter().any(|ask| text.contains(ask)), "{path} does not say what the request needs");
    }
}
