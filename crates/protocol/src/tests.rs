//! Cases that the golden bytes do not show: frames, headers, and bytes that Kafka never writes.

use crate::messages::api_versions_response::ApiVersionsResponse;
use crate::messages::fetch_response::{FetchResponse, FetchableTopicResponse, PartitionData};
use crate::messages::metadata_request::MetadataRequest;
use crate::messages::topic_record::TopicRecord;
use crate::{ApiKey, DecodeError, FramePart, MetadataRecord, Records, Str, decode_from, write_response};
use bytes::Bytes;
use model::Uuid;

#[test]
fn the_api_versions_response_header_is_always_version_0() {
    let frame = write_response(7, 4, &ApiVersionsResponse::default()).unwrap().into_bytes().unwrap();
    // Length, correlation id, then the error code: no byte of tagged fields is between them.
    assert_eq!(frame[4..10], [0, 0, 0, 7, 0, 0]);
    assert_eq!(ApiKey::ApiVersions.response_header_version(4), 0);
    assert_eq!(ApiKey::ApiVersions.request_header_version(4), 2);
}

#[test]
fn records_are_parts_of_the_frame_and_never_copied() {
    let records = Bytes::from(vec![7; 4096]);
    let partition = |records| PartitionData { records: Some(records), ..Default::default() };
    let response = FetchResponse {
        responses: vec![FetchableTopicResponse {
            topic: Str::const_new("t"),
            partitions: vec![
                partition(Records::Bytes(records.clone())),
                partition(Records::Elsewhere { len: 1 << 20 }),
            ],
            ..Default::default()
        }],
        ..Default::default()
    };
    let writer = write_response(1, 12, &response).unwrap();
    let length = writer.len();
    let parts = writer.finish();
    let sent: usize = parts
        .iter()
        .map(|part| match part {
            FramePart::Bytes(bytes) => bytes.len(),
            FramePart::Elsewhere { len } => *len as usize,
        })
        .sum();
    assert_eq!(sent, length);
    assert!(parts.iter().any(|part| matches!(part, FramePart::Bytes(b) if b.as_ptr() == records.as_ptr())));
    assert!(parts.contains(&FramePart::Elsewhere { len: 1 << 20 }));
    let FramePart::Bytes(first) = &parts[0] else { panic!("a frame opens with its length") };
    assert_eq!(i32::from_be_bytes(first[..4].try_into().unwrap()) as usize, length - 4);
}

#[test]
fn a_count_above_the_frame_is_refused_before_anything_is_allocated() {
    let four_bytes = Bytes::from_static(&[0x7f, 0xff, 0xff, 0xff]);
    assert_eq!(decode_from::<MetadataRequest>(four_bytes, 0), Err(DecodeError::Length(0x7fff_ffff, 0)));
}

#[test]
fn a_frame_of_empty_elements_exceeds_its_allowance() {
    // Compact empty names and empty tags: two bytes for each element on the wire, a whole structure
    // in memory.
    let count = 4_000_000u32;
    let mut frame = Vec::new();
    let mut value = count + 1;
    while value >= 0x80 {
        frame.push(value as u8 | 0x80);
        value >>= 7;
    }
    frame.push(value as u8);
    frame.resize(frame.len() + count as usize, 0);
    let result = decode_from::<crate::messages::fetch_request::FetchRequest>(Bytes::from(frame), 12);
    assert!(result.is_err());
}

#[test]
fn a_metadata_record_of_an_unknown_kind_or_with_bytes_after_it_is_refused() {
    let record = MetadataRecord::from(TopicRecord { name: "t".into(), topic_id: Uuid::ONE, ..Default::default() });
    let bytes = record.encode(0).unwrap();
    assert_eq!(MetadataRecord::decode(bytes.clone()), Ok((record, 0)));
    let longer = Bytes::from([&bytes[..], &[0]].concat());
    assert_eq!(MetadataRecord::decode(longer), Err(DecodeError::Trailing(1)));
    assert_eq!(MetadataRecord::decode(Bytes::from_static(&[1, 99, 0])), Err(DecodeError::UnknownKind(99)));
    assert_eq!(MetadataRecord::decode(Bytes::from_static(&[2, 2, 0])), Err(DecodeError::FrameVersion(2)));
}
