//! Appends that must not wait for a sync.

use super::*;
use crate::disk::Operation;

/// Returns a log whose next batch begins a segment.
fn full(is_flushed: bool) -> Bench {
    let bench = Bench::new(config());
    while bench.log.size_bytes() + 100 < u64::from(config().segment_bytes) {
        bench.append(batch(&[1]));
    }
    if is_flushed {
        bench.log.flush(bench.log.log_end_offset(), Timestamp(0)).unwrap();
    }
    bench
}

fn syncs(bench: &Bench) -> u64 {
    bench.disk.count(Operation::Sync) + bench.disk.count(Operation::SyncDir)
}

#[test]
fn one_that_would_sync_a_flushed_segment_changes_nothing() {
    let bench = full(true);
    let (before, syncs_before, how) = (bench.log.offsets(), syncs(&bench), at(3, 0, Origin::Client));
    let refused = bench.log.try_append_as_leader(&[batch(&[1, 2, 3])], how);
    assert!(matches!(refused, Err(Error::WouldBlock)), "{refused:?}");
    assert_eq!((bench.log.offsets(), syncs(&bench), bench.log.segments().len()), (before, syncs_before, 1));
    assert_eq!(bench.log.latest_epoch(), Some(LeaderEpoch(0)));
    let appended = bench.log.append_as_leader(&[batch(&[1, 2, 3])], how).unwrap();
    assert_eq!((appended.base_offset, bench.log.segments().len()), (before.log_end_offset, 2));
    assert!(syncs(&bench) > syncs_before);
}

#[test]
fn a_followers_append_waits_for_no_sync_either() {
    for is_flushed in [true, false] {
        let bench = full(is_flushed);
        let end = bench.log.log_end_offset();
        let leader = Bench::new(LogConfig { segment_bytes: 1 << 20, ..config() });
        for _ in 0..end.0 {
            leader.append(batch(&[1]));
        }
        leader.append(batch(&[1, 2, 3]));
        let sent = leader.plan(end.0, u32::MAX, true, Isolation::LogEnd).unwrap().region.unwrap();
        let sent = Bytes::from(sent.read().unwrap());
        let (epoch, how) = (LeaderEpoch(i32::MAX), FollowerAppend { now: Timestamp(0) });
        let syncs_before = syncs(&bench);
        let tried = bench.log.try_append_in_epoch(&sent, epoch, how);
        assert_eq!(matches!(tried, Err(Error::WouldBlock)), is_flushed, "{tried:?}");
        assert_eq!(syncs(&bench), syncs_before);
        if is_flushed {
            assert_eq!(bench.log.log_end_offset(), end);
            bench.log.append_in_epoch(&sent, epoch, how).unwrap();
        }
        assert_eq!((bench.log.log_end_offset(), bench.log.segments().len()), (end.plus(3), 2));
    }
}

#[test]
fn one_that_rolls_what_is_not_flushed_need_not_wait() {
    let bench = full(false);
    let syncs_before = syncs(&bench);
    bench.log.try_append_as_leader(&[batch(&[1, 2, 3])], at(0, 0, Origin::Client)).unwrap();
    assert_eq!((syncs(&bench), bench.log.segments().len()), (syncs_before, 2));
}

#[test]
fn one_does_not_wait_for_who_holds_the_log_over_a_sync() {
    let bench = full(false);
    let append = || bench.log.try_append_as_leader(&[batch(&[1])], at(0, 0, Origin::Client));
    {
        let _writer = bench.log.writer.lock();
        let _held = bench.log.held_over_sync();
        assert!(matches!(append(), Err(Error::WouldBlock)));
    }
    append().unwrap();
}

#[test]
fn a_deletion_of_records_syncs_nothing_and_cuts_the_epochs() {
    let bench = Bench::new(config());
    for epoch in 0..4 {
        bench.log.append_as_leader(&[batch(&[1, 1])], at(epoch, 0, Origin::Client)).unwrap();
    }
    bench.log.flush(Offset(8), Timestamp(0)).unwrap();
    bench.log.set_high_watermark(Offset(8));
    let syncs_before = syncs(&bench);
    assert!(bench.log.delete_records(Offset(5)).unwrap());
    assert_eq!(syncs(&bench), syncs_before);
    let known = [(LeaderEpoch(2), Offset(5)), (LeaderEpoch(3), Offset(6))];
    assert_eq!(bench.log.leader_epochs().entries(), known);
    // A start removes those below the log's start.
    bench.log.close(Timestamp(0)).unwrap();
    let found = OpenLog { log_start_offset: Some(Offset(5)), ..options(&bench.disk, config(), true, 8) };
    let (log, _) = Log::open(found).unwrap();
    assert_eq!(log.leader_epochs().entries(), known);
}
