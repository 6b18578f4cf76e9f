//! Shows records as JSON: every field of each batch's header, and its records decompressed. So two
//! brokers may compress differently and still agree.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::io::Read as _;

/// The size of a batch header in format 2.
const HEAD_BYTES: usize = 61;

/// Shows the batches of one partition.
pub fn show(mut bytes: &[u8]) -> Value {
    let mut batches = Vec::new();
    while bytes.len() >= 17 {
        let length = 12 + number(bytes, 8, 4).max(0) as usize;
        if length > bytes.len() {
            break;
        }
        let (one, rest) = bytes.split_at(length);
        batches.push(batch(one));
        bytes = rest;
    }
    if !bytes.is_empty() {
        batches.push(json!({"partialBatchBytes": bytes.len()}));
    }
    Value::Array(batches)
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
        Some(records) => json!(STANDARD.encode(records)),
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
