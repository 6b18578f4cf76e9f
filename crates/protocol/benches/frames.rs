//! The cost of a frame: reading a Produce request and writing a Fetch response, each with 1 MB of
//! records, which must not be copied.

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use protocol::messages::fetch_response::{FetchResponse, FetchableTopicResponse, PartitionData};
use protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use protocol::{Records, Str, decode_from, encode_to_bytes, write_response};
use std::hint::black_box;

fn frames(criterion: &mut Criterion) {
    let records = Bytes::from(vec![7; 1 << 20]);
    let partition = PartitionProduceData { records: Some(Records::Bytes(records.clone())), ..Default::default() };
    let topic =
        TopicProduceData { name: Str::const_new("topic"), partition_data: vec![partition], ..Default::default() };
    let request = ProduceRequest { acks: -1, topic_data: vec![topic], ..Default::default() };
    let frame = encode_to_bytes(&request, 12).expect("a produce request");
    criterion.bench_function("decode a produce of 1 MB", |bencher| {
        bencher.iter(|| decode_from::<ProduceRequest>(black_box(frame.clone()), 12));
    });

    let data = PartitionData { records: Some(Records::Bytes(records)), ..Default::default() };
    let topic = FetchableTopicResponse { topic: Str::const_new("topic"), partitions: vec![data], ..Default::default() };
    let response = FetchResponse { responses: vec![topic], ..Default::default() };
    criterion.bench_function("encode a fetch of 1 MB", |bencher| {
        bencher.iter(|| write_response(7, 12, black_box(&response)).map(protocol::Writer::finish));
    });

    let topics =
        (0..1000).map(|n| MetadataRequestTopic { name: Some(format!("topic-{n}").into()), ..Default::default() });
    let request = MetadataRequest { topics: Some(topics.collect()), ..Default::default() };
    let frame = encode_to_bytes(&request, 12).expect("a metadata request");
    criterion.bench_function("decode a metadata of 1000 topics", |bencher| {
        bencher.iter(|| decode_from::<MetadataRequest>(black_box(frame.clone()), 12));
    });
}

criterion_group!(benches, frames);
criterion_main!(benches);
