//! The memory of an idle partition is bounded, since a broker may have ten thousand of them.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unsafe_code, reason = "tests")]

use model::{LeaderEpoch, Offset, Timestamp, TopicId, TopicPartition};
use records::{BatchBuilder, Validated};
use std::alloc::{GlobalAlloc, Layout, System};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use storage::disk::RealDisk;
use storage::{LeaderAppend, Log, LogConfig, LogDir, OpenFiles, Origin};

struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller gives the same guarantees.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller gives the same guarantees.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const LOGS: usize = 200;

fn append(log: &Log, number: i64) {
    let mut batch = BatchBuilder::new(Offset(0));
    batch.append(Timestamp(number), None, Some(b"value"));
    let batch = Validated::trusted(&batch.finish().unwrap()).unwrap();
    let how = LeaderAppend {
        leader_epoch: LeaderEpoch(0),
        origin: Origin::Client,
        now: Timestamp(number),
        transaction_version: 0,
        guard: None,
    };
    log.append_as_leader(&[batch], how).unwrap();
    log.advance_high_watermark(log.log_end_offset());
}

#[test]
fn a_partition_that_is_not_written_to_costs_little() {
    let folder = tempfile::tempdir().unwrap();
    let dir = LogDir::open(Arc::new(RealDisk), OpenFiles::new(4096), PathBuf::from(folder.path()), 0).unwrap();
    let held = || HELD.load(Ordering::Relaxed);
    let empty = held();
    let logs: Vec<Log> = (0..LOGS)
        .map(|number| {
            let name = TopicPartition::new("a-topic-of-some-length", number as i32);
            let id = Some(TopicId::from_random([1; 16]));
            let log = dir.create(&name, id, LogConfig::default(), Timestamp(0)).unwrap();
            log.assign_epoch(LeaderEpoch(0)).unwrap();
            log
        })
        .collect();
    let created = (held() - empty) / LOGS;
    logs.iter().for_each(|log| append(log, 1));
    let written = (held() - empty) / LOGS;
    (2..100).for_each(|number| logs.iter().for_each(|log| append(log, number)));
    let busy = (held() - empty) / LOGS;

    // What a node keeps of a partition beside its log is measured with the node.
    for (held, most, what) in
        [(created, 3072, "created"), (written, 3072, "with a batch"), (busy, 5120, "with 99 batches")]
    {
        assert!(held <= most, "{held} bytes {what}");
    }
}
