//! What read_committed consumers see.

use super::*;

fn append(bench: &Bench, batch: Validated) {
    let origin = if batch.header().is_control() { Origin::Coordinator } else { Origin::Client };
    bench.log.append_as_leader(&[batch], at(0, 0, origin)).unwrap();
}

/// Reads all that read_committed consumers see. Returns its end and the listed aborted
/// transactions.
fn committed(bench: &Bench) -> (i64, Vec<(i64, i64, i64)>) {
    let mut seen = Vec::new();
    let mut next = 0;
    loop {
        let plan = bench.plan(next, u32::MAX, true, Isolation::Committed).unwrap();
        let Some((_, last)) = offsets_in(&plan).last().copied() else { break };
        let aborted = plan.aborted.unwrap();
        assert!(aborted.is_sorted_by_key(|txn| txn.first_offset));
        seen.extend(aborted.iter().map(|txn| (txn.producer_id.0, txn.first_offset.0, txn.last_offset.0)));
        next = last + 1;
    }
    seen.sort_unstable();
    seen.dedup();
    (next, seen)
}

#[test]
fn aborted_transactions_are_listed_by_first_offset_and_only_to_committed_readers() {
    for segment_bytes in [160, 400, 1 << 20] {
        let bench = Bench::new(LogConfig { segment_bytes, ..config() });
        let mut sequences = [0; 4];
        let mut write = |id: i64, count: usize| {
            append(&bench, produced(id, 0, sequences[id as usize], count, true));
            sequences[id as usize] += count as i32;
        };
        // 0-1 by 1, 2-3 by 2, 4-5 by 1, 6 aborts 2, 7 aborts 1, 8-9 by 3, 10 commits 3, 11 by 1
        // stays open.
        write(1, 2);
        write(2, 2);
        write(1, 2);
        append(&bench, marker(2, 0, false));
        append(&bench, marker(1, 0, false));
        write(3, 2);
        append(&bench, marker(3, 0, true));
        write(1, 1);
        bench.log.advance_high_watermark(Offset(12));
        assert_eq!(bench.log.last_stable_offset(), Offset(11));
        let check = |bench: &Bench| {
            assert_eq!(committed(bench), (11, vec![(1, 0, 7), (2, 2, 6)]));
            assert_eq!(bench.plan(0, 1000, true, Isolation::HighWatermark).unwrap().aborted, None);
            let late = bench.plan(8, u32::MAX, true, Isolation::Committed).unwrap();
            assert_eq!(late.aborted, Some(Vec::new()));
        };
        check(&bench);
        let (bench, _) = bench.reopen(false);
        bench.log.set_high_watermark(Offset(12));
        check(&bench);
        let (bench, _) = bench.reopen(true);
        bench.log.set_high_watermark(Offset(12));
        check(&bench);
    }
}

#[test]
fn a_marker_counted_before_the_high_watermark_does_not_leave_the_last_stable_offset_stuck() {
    let bench = Bench::new(config());
    append(&bench, produced(1, 0, 0, 2, true));
    bench.log.advance_high_watermark(Offset(2));
    assert_eq!(bench.log.last_stable_offset(), Offset(0));
    append(&bench, marker(1, 0, true));
    assert_eq!(bench.log.last_stable_offset(), Offset(0));
    bench.log.advance_high_watermark(Offset(3));
    assert_eq!(bench.log.last_stable_offset(), Offset(3));
    append(&bench, produced(1, 0, 2, 1, true));
    append(&bench, marker(1, 0, true));
    bench.log.advance_high_watermark(Offset(4));
    assert_eq!(bench.log.last_stable_offset(), Offset(3));
    bench.log.advance_high_watermark(Offset(5));
    assert_eq!(bench.log.last_stable_offset(), Offset(5));
}

#[test]
fn an_open_transaction_survives_a_restart() {
    for is_clean in [true, false] {
        let bench = Bench::new(config());
        append(&bench, produced(1, 0, 0, 2, true));
        append(&bench, batch(&[1, 2, 3]));
        let (bench, _) = bench.reopen(is_clean);
        bench.log.set_high_watermark(Offset(5));
        assert_eq!(bench.log.last_stable_offset(), Offset(0));
        append(&bench, marker(1, 0, false));
        bench.log.advance_high_watermark(Offset(6));
        assert_eq!(bench.log.last_stable_offset(), Offset(6));
        let plan = bench.plan(0, 10_000, true, Isolation::Committed).unwrap();
        assert_eq!(plan.aborted.unwrap().len(), 1);
    }
}

#[test]
fn a_truncation_takes_producers_and_aborts_back() {
    let bench = Bench::new(LogConfig { segment_bytes: 300, ..config() });
    append(&bench, produced(1, 0, 0, 2, true));
    append(&bench, marker(1, 0, false));
    append(&bench, produced(1, 0, 2, 2, true));
    append(&bench, marker(1, 0, false));
    bench.log.advance_high_watermark(Offset(6));
    bench.log.truncate_to(Offset(5), Timestamp(0)).unwrap();
    assert_eq!(bench.log.producer(ProducerId(1)).unwrap().last_sequence(), Some(3));
    assert_eq!(bench.log.last_stable_offset(), Offset(3));
    assert_eq!(committed(&bench), (3, vec![(1, 0, 2)]));
    bench.log.truncate_to(Offset(3), Timestamp(0)).unwrap();
    assert_eq!(bench.log.producer(ProducerId(1)).unwrap().last_sequence(), Some(1));
    append(&bench, produced(1, 0, 2, 1, true));
}

#[test]
fn a_marker_has_the_time_of_the_append_where_the_topic_says_so() {
    let bench = Bench::new(config());
    append(&bench, produced(1, 0, 0, 1, true));
    let mut builder = BatchBuilder::new(Offset(0)).producer(ProducerId(1), ProducerEpoch(0), None);
    builder = builder.log_append_time(Timestamp(50));
    builder.append_end_transaction(Timestamp(6), EndTransactionMarker { committed: true, coordinator_epoch: 0 });
    append(&bench, to_leader(&builder.finish().unwrap()));
    let times = |log: &Log| log.producers().iter().map(|(_, entry)| entry.last_timestamp).collect::<Vec<_>>();
    assert_eq!(times(&bench.log), [Timestamp(50)]);
    let (bench, _) = bench.reopen(false);
    assert_eq!(times(&bench.log), [Timestamp(50)]);
}
