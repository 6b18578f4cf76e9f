//! A follower writes in the leader epoch in which it follows.

use super::*;

const HOW: FollowerAppend = FollowerAppend { now: Timestamp(0) };

/// Returns the batches of a leader, of two records each, in these epochs.
fn sent(epochs: &[i32]) -> (Bench, Bytes) {
    let leader = Bench::new(LogConfig { segment_bytes: 1 << 20, ..config() });
    for epoch in epochs {
        leader.log.append_as_leader(&[batch(&[1, 2])], at(*epoch, 0, Origin::Client)).unwrap();
    }
    let region = leader.plan(0, u32::MAX, true, Isolation::LogEnd).unwrap().region.unwrap();
    let bytes = Bytes::from(region.read().unwrap());
    (leader, bytes)
}

fn following(epoch: i32) -> Bench {
    let bench = Bench::new(LogConfig { segment_bytes: 1 << 20, ..config() });
    bench.log.end_epoch(LeaderEpoch(epoch - 1)).unwrap();
    bench
}

#[test]
fn an_epoch_that_has_ended_changes_nothing() {
    let (_, bytes) = sent(&[3, 3]);
    let bench = following(3);
    bench.log.append_in_epoch(&bytes, LeaderEpoch(3), HOW).unwrap();
    // Another epoch begins while an answer of the last one is on its way.
    bench.log.assign_epoch(LeaderEpoch(4)).unwrap();
    let is_ended = |error: Error| matches!(error, Error::EndedEpoch { .. });
    assert!(is_ended(bench.log.append_in_epoch(&bytes, LeaderEpoch(3), HOW).unwrap_err()));
    assert!(is_ended(bench.log.truncate_in_epoch(Offset(0), LeaderEpoch(3), Timestamp(0)).unwrap_err()));
    assert!(is_ended(bench.log.start_in_epoch(Offset(9), LeaderEpoch(3), Timestamp(0)).unwrap_err()));
    assert_eq!((bench.log.log_start_offset(), bench.log.log_end_offset()), (Offset(0), Offset(4)));
    bench.log.truncate_in_epoch(Offset(2), LeaderEpoch(4), Timestamp(0)).unwrap();
    assert_eq!(bench.log.log_end_offset(), Offset(2));
    bench.log.start_in_epoch(Offset(9), LeaderEpoch(4), Timestamp(0)).unwrap();
    assert_eq!(bench.log.log_start_offset(), Offset(9));
}

#[test]
fn batches_of_a_later_epoch_are_left_to_the_next_fetch() {
    let (_, bytes) = sent(&[3, 3, 5, 5]);
    let bench = following(4);
    let appended = bench.log.append_in_epoch(&bytes, LeaderEpoch(4), HOW).unwrap().unwrap();
    assert_eq!((appended.last_offset, bench.log.latest_epoch()), (Offset(3), Some(LeaderEpoch(3))));
    let rest = bytes.slice(bytes.len() / 2..);
    assert_eq!(bench.log.append_in_epoch(&rest, LeaderEpoch(4), HOW).unwrap(), None);
}

#[test]
fn a_log_that_starts_within_a_batch_begins_with_that_batch() {
    let (_, bytes) = sent(&[3, 3]);
    let bench = following(3);
    bench.log.start_in_epoch(Offset(1), LeaderEpoch(3), Timestamp(0)).unwrap();
    bench.log.append_in_epoch(&bytes, LeaderEpoch(3), HOW).unwrap();
    assert_eq!((bench.log.log_start_offset(), bench.log.log_end_offset()), (Offset(0), Offset(4)));
    // A log with records does not begin again.
    assert!(bench.log.append_in_epoch(&bytes, LeaderEpoch(3), HOW).is_err());
}

#[test]
fn more_than_a_segment_is_written_by_several_appends() {
    let (_, bytes) = sent(&[3; 20]);
    let bench = Bench::new(LogConfig { segment_bytes: bytes.len() as u32 / 20 * 3, ..config() });
    let mut rest = bytes.clone();
    while !rest.is_empty() {
        let before = bench.log.log_end_offset();
        bench.log.append_in_epoch(&rest, LeaderEpoch(3), HOW).unwrap().unwrap();
        let batches = (bench.log.log_end_offset().0 - before.0) / 2;
        assert_eq!(batches, 3.min(rest.len() as i64 * 20 / bytes.len() as i64));
        rest = rest.slice(bytes.len() / 20 * batches as usize..);
    }
    assert_eq!(bench.log.log_end_offset(), Offset(40));
}
