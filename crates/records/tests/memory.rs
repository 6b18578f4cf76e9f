//! A small batch with much content takes time, not memory.
#![allow(clippy::unwrap_used, clippy::panic, unsafe_code, reason = "a test with an allocator that counts")]

use model::{ErrorCode, Offset, Timestamp, TopicPartition};
use records::{BatchBuilder, Codec, TimestampType, ValidationRules, validate};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static TAKEN: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, which also counts the current thread's memory and its highest value.
struct Counting;

// SAFETY: every call goes to the system's allocator unchanged. The counters are cells without a
// destructor and never allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let taken = TAKEN.get().saturating_add(layout.size());
        TAKEN.set(taken);
        PEAK.set(PEAK.get().max(taken));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        TAKEN.set(TAKEN.get().saturating_sub(layout.size()));
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Returns the highest memory use of `act`, above what was in use before.
fn peak<T>(act: impl FnOnce() -> T) -> (T, usize) {
    let before = TAKEN.get();
    PEAK.set(before);
    let value = act();
    (value, PEAK.get() - before)
}

fn rules(target: Option<Codec>) -> ValidationRules {
    ValidationRules {
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: i64::MAX,
        compression: target.map(Into::into),
        max_message_bytes: 1 << 20,
        segment_bytes: 1 << 30,
        compacted: false,
    }
}

#[test]
fn validation_of_much_content_takes_little_memory() {
    let partition = TopicPartition::new("t", 0);
    for codec in [Codec::Gzip, Codec::Lz4, Codec::Zstd] {
        let zeros = vec![0; 8 << 20];
        let mut builder = BatchBuilder::new(Offset(0)).compression(codec);
        builder.append(Timestamp(0), None, Some(&zeros));
        let bytes = builder.finish().unwrap();
        drop(zeros);
        let (valid, taken) = peak(|| validate(&bytes, &partition, &rules(None), Timestamp(0)));
        assert!(valid.is_ok(), "{codec}: {} bytes", bytes.len());
        assert!(taken < 1 << 20, "{codec} took {taken} bytes");
    }
}

#[test]
fn a_rebuild_stops_early_at_the_batch_limit() {
    let mut builder = BatchBuilder::new(Offset(0)).compression(Codec::Zstd);
    for _ in 0..20_000 {
        builder.append(Timestamp(0), None, Some(&[0; 1000]));
    }
    let bytes = builder.finish().unwrap();
    let partition = TopicPartition::new("t", 0);
    let (valid, taken) = peak(|| validate(&bytes, &partition, &rules(Some(Codec::None)), Timestamp(0)));
    assert_eq!(valid.unwrap_err().code, ErrorCode::MessageTooLarge);
    assert!(taken < 6 << 20, "took {taken} bytes");
}

#[test]
fn a_false_claim_of_size_takes_no_memory() {
    // A snappy block that claims 4 GB, and a record that claims 2 GB.
    for body in [&[0xff, 0xff, 0xff, 0xff, 0x0f][..], &[0x04, 0x0c, 0xfe, 0xff, 0xff, 0xff, 0x0f]] {
        let mut builder = BatchBuilder::new(Offset(0)).compression(Codec::Snappy);
        builder.append(Timestamp(0), None, None);
        let mut bytes = builder.finish().unwrap()[..61].to_vec();
        bytes.extend_from_slice(body);
        let length = (bytes.len() as i32 - 12).to_be_bytes();
        bytes[8..12].copy_from_slice(&length);
        let crc = crc32c::crc32c(&bytes[21..]).to_be_bytes();
        bytes[17..21].copy_from_slice(&crc);
        let bytes = bytes.into();
        let partition = TopicPartition::new("t", 0);
        let (valid, taken) = peak(|| validate(&bytes, &partition, &rules(Some(Codec::None)), Timestamp(0)));
        assert!(valid.is_err());
        assert!(taken < 128 << 10, "took {taken} bytes");
    }
}
