//! Shows records as JSON: every field of each batch's header, and its records decompressed. So two
//! brokers may compress differently and still agree.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Read as _;
use std::time::{SystemTime, UNIX_EPOCH};

/// The size of a batch header in format 2.
const HEAD_BYTES: usize = 61;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Shows the batches of one partition.
pub fn show(bytes: &[u8]) -> Value {
    shown(bytes, |one| vec![batch(one)])
}

/// Shows the batches of one partition as if each record had a batch of its own. Gregor writes two
/// states of a transactional id that it decides at once in one batch, and Kafka in two.
pub fn show_each(bytes: &[u8]) -> Value {
    shown(bytes, |one| each(one).unwrap_or_else(|| vec![batch(one)]))
}

fn shown(mut bytes: &[u8], show: impl Fn(&[u8]) -> Vec<Value>) -> Value {
    let mut batches = Vec::new();
    while bytes.len() >= 17 {
        let length = 12 + number(bytes, 8, 4).max(0) as usize;
        if length > bytes.len() {
            break;
        }
        let (one, rest) = bytes.split_at(length);
        batches.extend(show(one));
        bytes = rest;
    }
    if !bytes.is_empty() {
        batches.push(json!({"partialBatchBytes": bytes.len()}));
    }
    Value::Array(batches)
}

/// Shows a batch for each record of an uncompressed batch.
fn each(bytes: &[u8]) -> Option<Vec<Value>> {
    let batch = batch(bytes);
    let (base, base_timestamp) = (batch["baseOffset"].as_i64()?, batch["baseTimestamp"].as_i64()?);
    let mut rest = bytes.get(HEAD_BYTES..).filter(|_| batch["attributes"] == 0)?;
    let mut records = Vec::new();
    while !rest.is_empty() {
        let size = usize::try_from(varint(&mut rest)?).ok()?;
        let (mut record, after) = rest.split_at_checked(size)?;
        rest = after;
        record = record.get(1..)?;
        let (timestamp_delta, offset_delta) = (varint(&mut record)?, varint(&mut record)?);
        let mut one = batch.clone();
        one["baseOffset"] = json!(base + offset_delta);
        one["baseTimestamp"] = json!(base_timestamp + timestamp_delta);
        one["lastOffsetDelta"] = json!(0);
        one["count"] = json!(1);
        one["records"] = json!(readable(record.to_vec()));
        records.push(one);
    }
    Some(records)
}

fn varint(bytes: &mut &[u8]) -> Option<i64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
        }
    }
    None
}

fn number(bytes: &[u8], at: usize, size: usize) -> i64 {
    let mut value = 0i64;
    for (i, byte) in bytes.iter().skip(at).take(size).enumerate() {
        value = if i == 0 { i64::from(byte.cast_signed()) } else { value << 8 | i64::from(*byte) };
    }
    value
}

fn batch(bytes: &[u8]) -> Value {
    let magic = number(bytes, 16, 1);
    if magic != 2 || bytes.len() < HEAD_BYTES {
        return json!({"magic": magic, "bytes": STANDARD.encode(bytes)});
    }
    let attributes = number(bytes, 21, 2);
    let right = crc32c::crc32c(&bytes[21..]) == number(bytes, 17, 4) as u32;
    let packed = &bytes[HEAD_BYTES..];
    let records = match unpack(attributes & 7, packed) {
        Some(records) => json!(readable(records)),
        None => json!({"unpackable": STANDARD.encode(packed)}),
    };
    json!({
        "baseOffset": number(bytes, 0, 8),
        "leaderEpoch": number(bytes, 12, 4),
        "crcIsRight": right,
        "attributes": attributes,
        "lastOffsetDelta": number(bytes, 23, 4),
        "baseTimestamp": number(bytes, 27, 8),
        "maxTimestamp": number(bytes, 35, 8),
        "producerId": number(bytes, 43, 8),
        "producerEpoch": number(bytes, 51, 2),
        "baseSequence": number(bytes, 53, 4),
        "count": number(bytes, 57, 4),
        "records": records,
    })
}

/// Shows bytes with their text in plain sight. Each timestamp of these days is shown as `<time>`:
/// records of the state topics hold the time at which they were written.
fn readable(bytes: Vec<u8>) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(now.as_millis()).unwrap_or(0);
    let is_time = |at: usize| at + 8 <= bytes.len() && number(&bytes, at, 8).abs_diff(now) < DAY_MS;
    let (mut at, mut shown) = (0, String::new());
    while at < bytes.len() {
        if is_time(at) {
            shown.push_str("<time>");
            at += 8;
        } else {
            let _ = write!(shown, "{}", std::ascii::escape_default(bytes[at]));
            at += 1;
        }
    }
    shown
}

fn unpack(codec: i64, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    match codec {
        0 => plain.extend(bytes),
        1 => {
            flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain).ok()?;
        }
        2 => return snappy(bytes),
        3 => {
            lz4_flex::frame::FrameDecoder::new(bytes).read_to_end(&mut plain).ok()?;
        }
        4 => plain = zstd::decode_all(bytes).ok()?,
        _ => return None,
    }
    Some(plain)
}

/// Decompresses snappy in the frames of xerial's library.
fn snappy(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut rest = bytes.get(16..)?;
    let mut plain = Vec::new();
    while !rest.is_empty() {
        let size = usize::try_from(number(rest, 0, 4)).ok()?;
        plain.extend(snap::raw::Decoder::new().decompress_vec(rest.get(4..4 + size)?).ok()?);
        rest = &rest[4 + size..];
    }
    Some(plain)
}
