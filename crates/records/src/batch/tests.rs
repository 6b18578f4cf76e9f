//! Tests of headers, iteration and building.

use super::*;
use crate::{BatchBuilder, BuildError, Codec, EndTransactionMarker, RecordReader, TimestampType};
use model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};

fn sample(codec: Codec) -> bytes::Bytes {
    let mut builder = BatchBuilder::new(Offset(100))
        .leader_epoch(LeaderEpoch(7))
        .compression(codec)
        .producer(ProducerId(9), ProducerEpoch(2), Some(i32::MAX - 1))
        .transactional();
    builder.append(Timestamp(1_000), Some(b"k"), Some(b"value"));
    builder.append_with_headers(Timestamp(1_500), None, None, &[(b"h", Some(b"1")), (b"", None)]);
    builder.append(Timestamp(900), Some(b""), Some(&[7; 5000]));
    builder.finish().unwrap()
}

#[test]
fn header_says_what_was_built() {
    for codec in Codec::ALL {
        let bytes = sample(codec);
        let batch = BatchView::parse(&bytes).unwrap();
        batch.verify_crc().unwrap();
        let header = batch.header();
        assert_eq!(header.crc, crc32c::crc32c(&bytes[21..]));
        assert_eq!(header.size_bytes(), bytes.len());
        assert_eq!(header.base_offset, Offset(100));
        assert_eq!(header.last_offset(), Offset(102));
        assert_eq!(header.next_offset(), Offset(103));
        assert_eq!(header.partition_leader_epoch, Some(LeaderEpoch(7)));
        assert_eq!((header.base_timestamp, header.max_timestamp), (Timestamp(1_000), Timestamp(1_500)));
        assert_eq!((header.producer_id, header.producer_epoch), (Some(ProducerId(9)), Some(ProducerEpoch(2))));
        assert_eq!(header.last_sequence(), Some(0), "sequences wrap from i32::MAX to 0");
        assert_eq!(header.record_count, 3);
        assert_eq!(header.attributes.codec(), Ok(codec));
        assert_eq!(header.timestamp_type(), TimestampType::CreateTime);
        assert!(header.is_transactional() && !header.is_control());
        assert_eq!(header.to_bytes(), bytes[..61]);
    }
}

#[test]
fn sequences_wrap_after_the_largest() {
    assert_eq!(increment_sequence(5, 3), 8);
    assert_eq!(increment_sequence(i32::MAX, 0), i32::MAX);
    assert_eq!(increment_sequence(i32::MAX, 1), 0);
    assert_eq!(increment_sequence(i32::MAX - 4, 9), 4);
    // Deltas that only a corrupt header has must not panic.
    increment_sequence(i32::MAX, -1);
    increment_sequence(0, i32::MIN);
    increment_sequence(i32::MAX, i32::MAX);
}

#[test]
fn iteration_tells_a_cut_from_corruption() {
    let (one, two) = (sample(Codec::None), sample(Codec::Zstd));
    let both = [&one[..], &two[..]].concat();
    let mut batches = Batches::new(&both);
    assert_eq!(batches.next().unwrap().unwrap().bytes(), &one[..]);
    assert_eq!(batches.position(), one.len());
    assert_eq!(batches.next().unwrap().unwrap().bytes(), &two[..]);
    assert!(batches.next().is_none());

    for cut in one.len() + 1..both.len() {
        let mut batches = Batches::new(&both[..cut]);
        assert!(batches.next().unwrap().is_ok());
        assert!(batches.next().unwrap().unwrap_err().is_incomplete(), "cut at {cut}");
        assert!(batches.next().is_none());
        assert_eq!(batches.position(), one.len());
    }

    let with = |at: usize, value: &[u8]| {
        let mut bytes = one.to_vec();
        bytes[at..at + value.len()].copy_from_slice(value);
        BatchView::parse(&bytes).and_then(|batch| batch.verify_crc()).unwrap_err().to_string()
    };
    assert_eq!(with(8, &[0; 4]), "Record size 0 is less than the minimum record overhead (14)");
    assert_eq!(with(8, &[0xff; 4]), "Record size -1 is less than the minimum record overhead (14)");
    assert_eq!(with(16, &[3]), "Invalid magic found in record: 3");
    assert_eq!(with(16, &[0xfe]), "Invalid magic found in record: -2");
    assert_eq!(with(16, &[1]), "a message set of format v1");
    assert_eq!(
        with(8, &[0, 0, 0, 48]),
        "Record batch is corrupt (the size 60 is smaller than the minimum allowed overhead 61)"
    );
    assert!(with(50, &[99]).starts_with("Record is corrupt (stored crc = "));
    assert_eq!(with(8, &[0x7f, 0xff, 0xff, 0xff]), "the batch needs 2147483659 bytes and is cut off");
}

#[test]
fn markers_are_read_as_they_were_written() {
    let marker = EndTransactionMarker { committed: true, coordinator_epoch: 12 };
    let mut builder = BatchBuilder::new(Offset(0)).producer(ProducerId(1), ProducerEpoch(0), None);
    builder.append_end_transaction(Timestamp(5), marker);
    let bytes = builder.finish().unwrap();
    let header = BatchHeader::parse(&bytes).unwrap();
    assert!(header.is_control() && header.is_transactional());
    assert_eq!((header.base_sequence, header.last_sequence()), (None, None));
    assert_eq!(EndTransactionMarker::parse(Some(&marker.control_type().key()), Some(&marker.value())), Ok(marker));
    assert!(EndTransactionMarker::parse(None, None).is_err());
    assert!(EndTransactionMarker::parse(Some(&[0, 0, 0, 2]), Some(&[0; 6])).is_err());
    assert!(EndTransactionMarker::parse(Some(&[0, 0, 0, 0]), Some(&[0; 5])).is_err());
}

#[test]
fn builder_refuses_what_the_format_cannot_hold() {
    assert!(matches!(BatchBuilder::new(Offset(0)).finish(), Err(BuildError::Empty)));
    let mut builder = BatchBuilder::new(Offset(10));
    builder.append_at(Offset(12), Timestamp(0), None, None, &[]);
    builder.append_at(Offset(12), Timestamp(0), None, None, &[]);
    assert!(matches!(builder.finish(), Err(BuildError::TooLarge)));
}

#[test]
fn compaction_keeps_offsets_times_and_the_end_of_a_batch() {
    let mut original = BatchBuilder::new(Offset(10)).producer(ProducerId(1), ProducerEpoch(0), Some(5));
    (0..4).for_each(|number| original.append(Timestamp(100 + number), Some(b"k"), Some(b"v")));
    let original = original.finish().unwrap();
    let view = BatchView::parse(&original).unwrap();
    let mut builder = BatchBuilder::new(Offset(10)).delete_horizon(Timestamp(7));
    let mut reader = RecordReader::new(&view).unwrap();
    while let Some(record) = reader.next_record() {
        let record = record.unwrap();
        if record.offset.0 == 11 {
            builder.append_kept(&record);
        }
    }
    builder.end_at(Offset(13));
    let bytes = builder.finish().unwrap();
    let kept = BatchView::parse(&bytes).unwrap();
    kept.verify_crc().unwrap();
    let header = kept.header();
    assert_eq!((header.delete_horizon(), header.max_timestamp), (Some(Timestamp(7)), Timestamp(101)));
    assert_eq!((header.last_offset(), header.record_count), (Offset(13), 1));
    let mut reader = RecordReader::new(&kept).unwrap();
    let record = reader.next_record().unwrap().unwrap();
    assert_eq!((record.offset, record.timestamp), (Offset(11), Timestamp(101)));

    let bytes = header.emptied();
    let emptied = BatchView::parse(&bytes).unwrap();
    emptied.verify_crc().unwrap();
    assert_eq!((emptied.header().delete_horizon(), emptied.header().max_timestamp), (None, Timestamp(101)));
    assert_eq!((emptied.header().last_offset(), emptied.header().record_count), (Offset(13), 0));
    assert!(BatchBuilder::new(Offset(0)).delete_horizon(Timestamp(1)).finish().is_err());
}
