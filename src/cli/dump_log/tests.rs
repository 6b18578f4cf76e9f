//! Tests of Java's rules for arguments and texts. `compat-tests/dump-log` tests the rest against
//! Kafka's own tool.

use super::*;
use crate::cli::{Arguments, Command};
use clap::Parser as _;

fn parse(words: &[&str]) -> Result<DumpLog, String> {
    let words = ["gregor", "dump-log"].iter().chain(words);
    match Arguments::try_parse_from(words).map_err(|error| error.to_string())?.command {
        Some(Command::DumpLog(dump)) => Ok(dump),
        other => Err(format!("{other:?}")),
    }
}

#[test]
fn files_are_split_and_named_as_in_java() {
    assert_eq!(java_split("a,b,,"), ["a", "b"]);
    assert_eq!(java_split("a,,b"), ["a", "", "b"]);
    assert_eq!(java_split(""), [""]);
    assert_eq!(java_path("/a//b/"), Path::new("/a/b"));
    assert_eq!(java_path("./a/../b").display().to_string(), "./a/../b");
}

#[test]
fn classes_are_refused_in_one_line() {
    for words in [
        &["--files", "a", "--value-decoder-class", "x.Y"][..],
        &["--files=a", "--key-decoder-class"],
        &["--files=a", "--remote-log-metadata-decoder"],
    ] {
        let error = parse(words).unwrap().run().unwrap_err().to_string();
        assert!(error.starts_with("--") && !error.contains('\n'), "{error}");
    }
    assert!(parse(&[]).is_err());
}

#[test]
fn a_decoder_prints_data_and_data_is_deep() {
    let dump = parse(&["--files=a", "--cluster-metadata-decoder", "--max-bytes", "-1"]).unwrap();
    assert!(dump.prints_data());
    assert_eq!(dump.decoder(), Decoder::Metadata);
    assert!(!parse(&["--files=a", "--deep"]).unwrap().prints_data());
}

#[test]
fn a_file_without_an_offset_is_refused() {
    assert!(base_offset("x.log").is_err());
    assert_eq!(base_offset("00000000000000000042.log").unwrap(), 42);
    let mut out = Vec::new();
    write_title(&mut out, "00000000000000000058-0000000001.checkpoint").unwrap();
    write_title(&mut out, "bootstrap.checkpoint").unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), "Snapshot end offset: 58, epoch: 1\nKRaft bootstrap snapshot\n");
    assert!(write_title(&mut Vec::new(), "replication-offset.checkpoint").is_err());
}
