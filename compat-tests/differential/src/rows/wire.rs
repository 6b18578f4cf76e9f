//! Tests that concern every connection: ApiVersions, unserved keys and versions, invalid frames,
//! bytes after a request.

use crate::run::Run;
use protocol::messages::api_versions_request::ApiVersionsRequest;
use protocol::messages::metadata_request::MetadataRequest;
use protocol::messages::request_header::RequestHeader;
use protocol::{ApiKey, Message, encode_to_bytes};

fn software(name: &str, version: &str) -> ApiVersionsRequest {
    ApiVersionsRequest {
        client_software_name: name.into(),
        client_software_version: version.into(),
        ..Default::default()
    }
}

/// Returns a header of version 1: key, version, correlation id 7, client id.
fn head(key: i16, version: i16) -> Vec<u8> {
    let mut frame = Vec::new();
    frame.extend(key.to_be_bytes());
    frame.extend(version.to_be_bytes());
    frame.extend(7i32.to_be_bytes());
    frame.extend([0, 1, b'd']);
    frame
}

/// Returns a whole frame without its length.
pub fn whole<M: Message>(version: i16, message: &M) -> Vec<u8> {
    let Some(key) = ApiKey::from_code(M::KEY) else { return Vec::new() };
    let header = RequestHeader {
        request_api_key: M::KEY,
        request_api_version: version,
        correlation_id: 7,
        client_id: Some("d".into()),
        ..Default::default()
    };
    let mut frame = encode_to_bytes(&header, key.request_header_version(version)).unwrap_or_default().to_vec();
    frame.extend(encode_to_bytes(message, version).unwrap_or_default());
    frame
}

pub fn rows(run: &mut Run) {
    run.row("good", 0..=2, |_, _| ApiVersionsRequest::default());
    run.row("good", 3..=4, |_, _| software("differential", "1.0"));
    for (name, version) in
        [("", "1"), ("a", ""), ("-a", "1"), ("a b", "1"), ("a.b-c", "1.0-x"), ("ä", "1"), ("a", "1_0"), ("a-", "1")]
    {
        run.row(&format!("software {name:?} {version:?}"), 3..=4, |_, _| software(name, version));
    }
    for version in [5, 6, 99, i16::MAX, -1, i16::MIN] {
        run.raw("an unknown version, and a header without tags", 18, version, 7, &head(18, version));
        let mut bytes = head(18, version);
        bytes.push(0);
        run.raw("an unknown version", 18, version, 7, &bytes);
        bytes.extend([5, b'n', b'a', b'm', b'e', 2, b'1', 0, 9, 9, 9]);
        run.raw("an unknown version, and a body", 18, version, 7, &bytes);
    }
    unknown_keys(run);
    unknown_versions(run);
    frames(run);
    trailing(run);
    empties(run);
}

fn unknown_keys(run: &mut Run) {
    for key in [-1, 93, 94, 200, 1000, i16::MAX, i16::MIN, 4, 5, 6, 7] {
        run.raw("an unknown key", key, 0, 7, &head(key, 0));
    }
}

macro_rules! ranges {
    ($($module:ident :: $name:ident,)*) => {
        [$({
            type M = protocol::messages::$module::$name;
            (M::NAME, M::KEY, M::MIN_VERSION, M::MAX_VERSION)
        },)*]
    };
}

/// Versions below and above the served ones, for every key. The bytes are not read, because no
/// version defines their meaning.
fn unknown_versions(run: &mut Run) {
    for (name, key, lowest, highest) in protocol::every_message!(ranges) {
        // Unstable versions are not served.
        let highest = if name == "InitProducerIdRequest" { 5 } else { highest };
        if name.ends_with("Request") && key != 18 {
            run.raw("a version too new", key, highest + 1, 7, &head(key, highest + 1));
            run.raw("a version too old", key, lowest - 1, 7, &head(key, lowest - 1));
        }
    }
}

fn frames(run: &mut Run) {
    let good = whole(0, &ApiVersionsRequest::default());
    for (case, length) in [
        ("a negative length", -1),
        ("the lowest length", i32::MIN),
        ("above socket.request.max.bytes", 104_857_601),
        ("the highest length", i32::MAX),
        ("a length of zero", 0),
        ("a length below a header", 4),
    ] {
        let mut bytes = length.to_be_bytes().to_vec();
        bytes.extend(&good);
        run.unframed(case, 18, 0, 7, &bytes);
    }
    run.raw("a header that ends in the client id", 18, 0, 7, &[0, 18, 0, 0, 0, 0, 0, 7, 0, 9, b'd']);
    run.raw("a header without a client id", 18, 0, 7, &[0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff]);
    run.raw("an empty client id", 18, 0, 7, &[0, 18, 0, 0, 0, 0, 0, 7, 0, 0]);
    run.raw("a client id of a negative length", 18, 0, 7, &[0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xfe]);
    run.raw("a negative correlation id", 18, 0, -7, &[0, 18, 0, 0, 0xff, 0xff, 0xff, 0xf9, 0, 1, b'd']);
    run.raw("a header that ends in its tags", 3, 9, 7, &head(3, 9));
    run.raw("a body that is not there", 3, 1, 7, &head(3, 1));
    for version in [0, 1, 4, 8] {
        let mut bytes = head(3, version);
        bytes.extend([0x7f, 0xff, 0xff, 0xff]);
        run.raw("an array above the frame", 3, version, 7, &bytes);
        let mut bytes = head(3, version);
        bytes.extend([0xff, 0xff, 0xff, 0xfe]);
        run.raw("an array of length -2", 3, version, 7, &bytes);
    }
    for version in [9, 12, 13] {
        let mut bytes = head(3, version);
        bytes.extend([0, 0xff, 0xff, 0xff, 0xff, 0x07]);
        run.raw("a compact array above the frame", 3, version, 7, &bytes);
        let mut bytes = head(3, version);
        bytes.extend([0, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
        run.raw("a varint that does not end", 3, version, 7, &bytes);
    }
    let mut bytes = head(3, 1);
    bytes.extend([0, 0, 0, 1, 0xff, 0xff]);
    run.raw("a null name where there is none", 3, 1, 7, &bytes);
    let mut bytes = head(3, 1);
    bytes.extend([0, 0, 0, 1, 0, 2, 0xff, 0xfe]);
    run.raw("a name that is not UTF-8", 3, 1, 7, &bytes);
    let mut bytes = head(3, 1);
    bytes.extend([0, 0, 0, 1, 0, 9, b'x']);
    run.raw("a name that ends early", 3, 1, 7, &bytes);
}

fn trailing(run: &mut Run) {
    for version in [0, 1, 3, 4] {
        let mut bytes = whole(version, &software("d", "1"));
        if version < 3 {
            bytes = whole(version, &ApiVersionsRequest::default());
        }
        bytes.extend([1, 2, 3]);
        run.raw("bytes after the request", 18, version, 7, &bytes);
    }
    for version in 0..=13 {
        let topics = if version == 0 { Some(Vec::new()) } else { None };
        let mut bytes = whole(version, &MetadataRequest { topics, ..Default::default() });
        bytes.push(0);
        run.raw("a byte after the request", 3, version, 7, &bytes);
    }
}

struct Empty {
    name: &'static str,
    key: i16,
    versions: std::ops::RangeInclusive<i16>,
    frame: fn(i16) -> Vec<u8>,
}

fn empty<M: Message>(version: i16) -> Vec<u8> {
    whole(version, &M::default())
}

macro_rules! empty_requests {
    ($($module:ident :: $name:ident,)*) => {
        [$({
            type M = protocol::messages::$module::$name;
            Empty { name: M::NAME, key: M::KEY, versions: M::MIN_VERSION..=M::MAX_VERSION, frame: empty::<M> }
        },)*]
    };
}

/// Every key and version with all fields at their defaults, and with the last byte missing.
fn empties(run: &mut Run) {
    super::warm(run);
    for request in protocol::every_message!(empty_requests) {
        // ApiVersions has its own rows.
        if !request.name.ends_with("Request") || request.key == 18 {
            continue;
        }
        let is_answered = |version: i16| match request.key {
            // InitProducerId v6 is not served.
            22 => version < 6,
            // Kafka never answers an empty AddPartitionsToTxn of these versions.
            24 => version < 4,
            _ => true,
        };
        for version in request.versions.clone().filter(|version| is_answered(*version)) {
            let mut frame = (request.frame)(version);
            // The default is acks 0, for which there is no answer.
            if request.key != 0 {
                run.raw("nothing filled in", request.key, version, 7, &frame);
            }
            frame.pop();
            run.raw("the last byte missing", request.key, version, 7, &frame);
        }
    }
}

/// Every version of these keys, with all fields at their defaults.
pub fn empties_of(run: &mut Run, keys: impl Fn(i16) -> bool) {
    for request in protocol::every_message!(empty_requests) {
        if request.name.ends_with("Request") && keys(request.key) {
            for version in request.versions.clone() {
                run.raw("nothing filled in", request.key, version, 7, &(request.frame)(version));
            }
        }
    }
}
