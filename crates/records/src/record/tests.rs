//! Reads records with every codec, and records with a broken structure.

use super::*;
use crate::{BatchBuilder, BatchView, Codec, Compression};
use model::{Offset, Timestamp};

type Owned = (i64, i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(Vec<u8>, Option<Vec<u8>>)>);

pub(crate) fn read_all(bytes: &[u8]) -> Result<Vec<Owned>, RecordError> {
    let batch = BatchView::parse(bytes).unwrap();
    let mut reader = RecordReader::new(&batch)?;
    let mut records = Vec::new();
    while let Some(record) = reader.next_record() {
        let record = record?;
        let headers = record.headers.iter().map(|(name, value)| (name.to_vec(), value.map(<[u8]>::to_vec)));
        let (key, value) = (record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec));
        records.push((record.offset.0, record.timestamp.0, key, value, headers.collect()));
    }
    Ok(records)
}

#[test]
fn every_codec_returns_its_input() {
    let large: Vec<u8> = (0..300_000u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect();
    for codec in Codec::ALL {
        let mut builder = BatchBuilder::new(Offset(10)).compression(codec);
        builder.append(Timestamp(50), None, Some(b"first"));
        builder.append_with_headers(Timestamp(40), Some(b""), None, &[(b"a", None), (b"", Some(b"x"))]);
        builder.append_at(Offset(17), Timestamp(60), Some(&large), Some(&large), &[]);
        builder.append(Timestamp(61), Some(b"k"), Some(b"last"));
        let records = read_all(&builder.finish().unwrap()).unwrap();
        let large = || Some(large.clone());
        let headers = vec![(b"a".to_vec(), None), (Vec::new(), Some(b"x".to_vec()))];
        assert_eq!(records.len(), 4, "{codec}");
        assert_eq!(records[0], (10, 50, None, Some(b"first".to_vec()), vec![]));
        assert_eq!(records[1], (11, 40, Some(vec![]), None, headers));
        assert!(records[2] == (17, 60, large(), large(), vec![]), "{codec}");
        assert_eq!(records[3], (18, 61, Some(b"k".to_vec()), Some(b"last".to_vec()), vec![]));
    }
}

#[test]
fn every_level_is_accepted_or_refused_cleanly() {
    for (codec, levels) in [(Codec::Gzip, -1..=9), (Codec::Zstd, -7..=22), (Codec::Lz4, 1..=17)] {
        for level in levels {
            let mut builder = BatchBuilder::new(Offset(0)).compression(Compression { codec, level: Some(level) });
            builder.append(Timestamp(0), None, Some(&[5; 1000]));
            assert_eq!(read_all(&builder.finish().unwrap()).unwrap().len(), 1, "{codec} {level}");
        }
    }
}

/// Replaces a batch's body. Length and count are corrected, the checksum is not.
fn with_body(codec: Codec, body: &[u8], count: i32) -> Vec<u8> {
    let mut builder = BatchBuilder::new(Offset(0)).compression(codec);
    builder.append(Timestamp(0), None, None);
    let mut bytes = builder.finish().unwrap()[..61].to_vec();
    bytes.extend_from_slice(body);
    let length = (bytes.len() as i32 - 12).to_be_bytes();
    bytes[8..12].copy_from_slice(&length);
    bytes[57..61].copy_from_slice(&count.to_be_bytes());
    bytes
}

fn error(codec: Codec, body: &[u8], count: i32) -> String {
    read_all(&with_body(codec, body, count)).unwrap_err().to_string()
}

#[test]
fn bad_structure_is_named_as_kafka_names_it() {
    // length 6: attributes, two deltas, null key, null value, no headers.
    let record = [12, 0, 0, 0, 1, 1, 0];
    assert_eq!(read_all(&with_body(Codec::None, &record, 1)).unwrap().len(), 1);
    let none = |body: &[u8], count| error(Codec::None, body, count);
    assert_eq!(none(&record, -1), "Found invalid record count -1 in magic v2 batch");
    assert_eq!(none(&record, 2), "Incorrect declared batch size, premature EOF reached");
    assert_eq!(none(&[record, record].concat(), 1), "Incorrect declared batch size, records still remaining in file");
    assert_eq!(
        none(&[14, 0, 0, 0, 1, 1, 0], 1),
        "Invalid record size: expected 7 bytes in record payload, but instead the buffer has only 6 remaining bytes."
    );
    assert_eq!(
        none(&[14, 0, 0, 0, 1, 1, 0, 0], 1),
        "Invalid record size: expected to read 7 bytes in record payload, but instead read 6"
    );
    assert_eq!(none(&[12, 0, 0, 0, 1, 1, 1], 1), "Found invalid number of record headers -1");
    assert_eq!(
        none(&[12, 0, 0, 0, 1, 1, 2], 1),
        "Found invalid number of record headers. 1 is larger than the remaining size of the buffer"
    );
    assert_eq!(none(&[16, 0, 0, 0, 1, 1, 2, 1, 1], 1), "Invalid negative header key size -1");
    assert_eq!(none(&[12, 0, 0, 0, 1, 80, 0], 1), "Found invalid record structure");
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        assert_eq!(error(codec, &[0x2a; 30], 1), "Failed to decompress record stream", "{codec}");
    }
}

#[test]
fn snappy_is_read_raw_and_concatenated_too() {
    let record: &[u8] = &[12, 0, 0, 0, 1, 1, 0];
    let raw = snap::raw::Encoder::new().compress_vec(record).unwrap();
    assert_eq!(read_all(&with_body(Codec::Snappy, &raw, 1)).unwrap().len(), 1);

    let mut framed = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
    framed.extend_from_slice(&(raw.len() as u32).to_be_bytes());
    framed.extend_from_slice(&raw);
    let twice = [&framed[..], &framed[..]].concat();
    assert_eq!(read_all(&with_body(Codec::Snappy, &twice, 2)).unwrap().len(), 2);

    // A block that claims 4 GB in five bytes must not get that memory.
    let claim = [0xff, 0xff, 0xff, 0xff, 0x0f];
    assert_eq!(error(Codec::Snappy, &claim, 1), "Failed to decompress record stream");
}

#[test]
fn unknown_codec_is_an_error() {
    let mut bytes = with_body(Codec::None, &[], 0);
    bytes[22] = 5;
    assert_eq!(read_all(&bytes).unwrap_err().to_string(), "Unknown compression type id: 5");
}
