//! Bytes that Apache Kafka 4.3.1's own classes wrote, for every message in every version. Each is
//! decoded, compared field by field with Kafka's JSON, and encoded to the same bytes. Where Kafka
//! refuses to write a field that a version does not have, Gregor refuses it too.
//!
//! `compat-tests/golden/regenerate` writes the files and explains their lines.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use bytes::Bytes;
use flate2::read::GzDecoder;
use protocol::{EncodeError, Message, Reader, encode_to_bytes};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// Decodes in one version and encodes in another. The outer error is the decoding's.
type Cross = fn(Bytes, i16, i16) -> Result<Result<Bytes, EncodeError>, String>;

/// The operations of the tests on a message whose type they do not know.
struct Kind {
    versions: std::ops::RangeInclusive<i16>,
    /// Decodes in a version. Returns the JSON and the bytes encoded again.
    round: fn(Bytes, i16) -> Result<(Value, Bytes), String>,
    /// Decodes in one version, encodes in another.
    cross: Cross,
}

fn decoded<M: Message>(bytes: Bytes, version: i16) -> Result<M, String> {
    let mut reader = Reader::new(bytes);
    let message = M::decode(&mut reader, version).map_err(|error| format!("decode: {error}"))?;
    reader.finish().map_err(|error| format!("decode: {error}"))?;
    Ok(message)
}

fn round<M: Message>(bytes: Bytes, version: i16) -> Result<(Value, Bytes), String> {
    let message = decoded::<M>(bytes, version)?;
    let encoded = encode_to_bytes(&message, version).map_err(|error| format!("encode: {error}"))?;
    Ok((message.to_json(version), encoded))
}

fn cross<M: Message>(bytes: Bytes, from: i16, to: i16) -> Result<Result<Bytes, EncodeError>, String> {
    Ok(encode_to_bytes(&decoded::<M>(bytes, from)?, to))
}

macro_rules! kinds {
    ($($module:ident :: $name:ident,)*) => {
        [$({
            type M = protocol::messages::$module::$name;
            (M::NAME, Kind { versions: M::MIN_VERSION..=M::MAX_VERSION, round: round::<M>, cross: cross::<M> })
        },)*]
    };
}

fn kinds() -> BTreeMap<&'static str, Kind> {
    BTreeMap::from(protocol::every_message!(kinds))
}

fn lines(kind: &str) -> Vec<Vec<String>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/golden");
    let mut found = Vec::new();
    for file in ["requests", "responses", "records"] {
        let mut text = String::new();
        GzDecoder::new(File::open(folder.join(format!("{file}.tsv.gz"))).unwrap()).read_to_string(&mut text).unwrap();
        let words = text.lines().map(|line| line.split('\t').map(str::to_string).collect::<Vec<_>>());
        found.extend(words.filter(|words| words[0] == kind));
    }
    found
}

fn unpack(text: &str) -> Bytes {
    STANDARD_NO_PAD.decode(text).unwrap().into()
}

/// Replaces records by their size, since Kafka's converters show the size and not the bytes. The
/// bytes are compared in encoded form.
fn with_record_sizes(value: &mut Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(with_record_sizes),
        Value::Object(fields) => {
            for name in ["records", "unalignedRecords"] {
                if let Some(Value::String(text)) = fields.get(name) {
                    let size = STANDARD.decode(text).unwrap().len();
                    fields.remove(name);
                    fields.insert(format!("{name}SizeInBytes"), json!(size));
                }
            }
            fields.values_mut().for_each(with_record_sizes);
        }
        _ => {}
    }
}

/// Collects the paths at which two values differ.
fn differences(path: &str, ours: &Value, kafkas: &Value, found: &mut Vec<String>) {
    match (ours, kafkas) {
        (Value::Object(a), Value::Object(b)) => {
            for name in a.keys().chain(b.keys()).collect::<BTreeSet<_>>() {
                match (a.get(name), b.get(name)) {
                    (Some(a), Some(b)) => differences(&format!("{path}.{name}"), a, b, found),
                    (a, b) => found.push(format!("{path}.{name}: {a:?}, Kafka {b:?}")),
                }
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                differences(&format!("{path}[{i}]"), a, b, found);
            }
        }
        _ if ours == kafkas => {}
        _ => found.push(format!("{path}: {ours}, Kafka {kafkas}")),
    }
}

fn check(kind: &Kind, version: i16, bytes: &Bytes, json: &str) -> Result<(), String> {
    let (mut ours, encoded) = (kind.round)(bytes.clone(), version)?;
    with_record_sizes(&mut ours);
    let mut found = Vec::new();
    differences("", &ours, &serde_json::from_str(json).unwrap(), &mut found);
    if !found.is_empty() {
        return Err(found.join("; "));
    }
    if encoded != bytes {
        return Err(format!("encoded to {encoded:02x?}, Kafka {bytes:02x?}"));
    }
    Ok(())
}

/// Fails with the first faults and their number.
fn report(what: &str, count: usize, faults: &[String]) {
    for fault in faults.iter().take(30) {
        println!("{}", fault.chars().take(600).collect::<String>());
    }
    println!("{what}: {} of {count} as Kafka's", count - faults.len());
    assert!(faults.is_empty(), "{} of {count} {what} are not Kafka's", faults.len());
}

#[test]
fn every_message_and_version_reads_and_writes_as_kafkas_own_classes_do() {
    let kinds = kinds();
    let mut seen = BTreeSet::new();
    let mut faults = Vec::new();
    let lines = lines("golden");
    for line in &lines {
        let [_, name, filling, version, bytes, json] = &line[..] else { panic!("a line of six words") };
        let version: i16 = version.parse().unwrap();
        seen.insert((name.clone(), version));
        let result = match kinds.get(name.as_str()) {
            Some(kind) => check(kind, version, &unpack(bytes), json),
            None => Err("there is no such message".into()),
        };
        if let Err(fault) = result {
            faults.push(format!("{name} v{version} {filling}: {fault}"));
        }
    }
    for (name, kind) in &kinds {
        for version in kind.versions.clone() {
            if !seen.contains(&(name.to_string(), version)) {
                faults.push(format!("{name} v{version}: Kafka has no such version"));
            }
        }
    }
    println!("{} messages, {} versions", kinds.len(), seen.len());
    report("golden instances", lines.len(), &faults);
}

#[test]
fn a_field_that_a_version_lacks_is_ignored_or_refused_as_kafka_does() {
    let kinds = kinds();
    let mut faults = Vec::new();
    let lines = lines("cross");
    for line in &lines {
        let [_, name, field, from, bytes, to, expected] = &line[..] else { panic!("a line of seven words") };
        let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
        let Some(kind) = kinds.get(name.as_str()) else { continue };
        let ours = match (kind.cross)(unpack(bytes), from, to) {
            Ok(Ok(bytes)) => STANDARD_NO_PAD.encode(bytes),
            Ok(Err(EncodeError::NotInVersion(..) | EncodeError::TaggedFields(_))) => "!version".into(),
            Ok(Err(EncodeError::Null(_))) => "!null".into(),
            Ok(Err(error)) => error.to_string(),
            Err(fault) => fault,
        };
        if ours != *expected {
            faults.push(format!("{name} {field} of v{from} in v{to}: {ours}, Kafka {expected}"));
        }
    }
    report("fields in versions without them", lines.len(), &faults);
}
