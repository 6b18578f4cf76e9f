//! The hot paths of record batches, above all the validation of a produce request.
#![allow(missing_docs, reason = "criterion's macros make public items")]

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use model::{LeaderEpoch, Offset, Timestamp, TopicPartition};
use records::{BatchBuilder, BatchView, Codec, RecordReader, TimestampType, ValidationRules, validate};
use std::hint::black_box;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// Returns 1 MB of values of 1 KB that compress to about half their size.
fn values() -> Vec<Vec<u8>> {
    let mut state = 1u32;
    let mut value = || {
        let letters = (0..1000).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            b'a' + (state >> 28) as u8
        });
        letters.collect()
    };
    (0..1000).map(|_| value()).collect()
}

fn batch(codec: Codec, values: &[Vec<u8>]) -> Bytes {
    let mut builder = BatchBuilder::new(Offset(0)).compression(codec);
    for (index, value) in values.iter().enumerate() {
        builder.append(NOW, Some(&index.to_be_bytes()), Some(value));
    }
    builder.finish().unwrap_or_default()
}

fn benches(criterion: &mut Criterion) {
    let rules = ValidationRules {
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: 3_600_000,
        compression: None,
        max_message_bytes: 2 << 20,
        segment_bytes: 1 << 30,
        compacted: false,
    };
    let values = values();
    let partition = TopicPartition::new("topic", 0);
    let mut group = criterion.benchmark_group("batch of 1 MB");
    group.throughput(Throughput::Bytes(1 << 20));
    for codec in Codec::ALL {
        let bytes = batch(codec, &values);
        group.bench_function(format!("validate {codec}"), |bencher| {
            bencher.iter(|| {
                let valid = validate(black_box(&bytes), &partition, &rules, NOW);
                valid.map(|valid| valid.assign(Offset(77), LeaderEpoch(3)))
            });
        });
        group.bench_function(format!("read {codec}"), |bencher| {
            bencher.iter(|| {
                let batch = BatchView::parse(black_box(&bytes)).ok()?;
                let mut reader = RecordReader::new(&batch).ok()?;
                let mut total = 0;
                while let Some(Ok(record)) = reader.next_record() {
                    total += record.value.map_or(0, <[u8]>::len);
                }
                Some(total)
            });
        });
    }
    let append_time = ValidationRules { timestamp_type: TimestampType::LogAppendTime, ..rules };
    let bytes = batch(Codec::None, &values);
    group.bench_function("validate none, LogAppendTime", |bencher| {
        bencher.iter(|| validate(black_box(&bytes), &partition, &append_time, NOW));
    });
    group.bench_function("build none", |bencher| bencher.iter(|| batch(Codec::None, &values)));
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
