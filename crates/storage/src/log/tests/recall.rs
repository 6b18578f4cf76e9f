//! A producer may repeat a batch that is not among those that are remembered: the snapshot has only
//! the last one, and a client may have more in flight on two connections.

use super::*;

/// The next leader takes a client's batch.
fn client(log: &Log, batch: Validated) -> Result<AppendOutcome> {
    log.append_as_leader(&[batch], at(1, 0, Origin::Client))
}

/// Appends batches of two records of producer 9, each behind `others` batches of others. Returns
/// their base offsets.
fn writes(bench: &Bench, batches: i32, others: i64) -> Vec<Offset> {
    let write = |number: i32| {
        for other in 0..others {
            bench.append(batch(&[1]));
            bench.append(produced(100 + other, 0, number, 1, false));
        }
        bench.append(produced(9, 0, number * 2, 2, false)).base_offset
    };
    (0..batches).map(write).collect()
}

fn is_out_of_order(appended: &Result<AppendOutcome>) -> bool {
    matches!(appended, Err(Error::Producer(ProducerError::OutOfOrderSequence(_))))
}

#[test]
fn a_retry_of_an_earlier_batch_is_known_after_a_start() {
    // In one segment, in several, after a clean stop, and after a kill.
    for (segment_bytes, is_clean) in [(1 << 20, true), (1000, true), (1 << 20, false), (1000, false)] {
        for others in [0, 3] {
            let bench = Bench::new(LogConfig { segment_bytes, ..config() });
            let offsets = writes(&bench, 8, others);
            let end = bench.log.log_end_offset();
            let (bench, _) = bench.reopen(is_clean);
            for number in 0..8 {
                let again = client(&bench.log, produced(9, 0, number * 2, 2, false)).unwrap();
                assert!(again.is_duplicate, "{number}");
                assert_eq!(again.base_offset, offsets[number as usize]);
                assert_eq!(again.duplicate_timestamp, Some(Timestamp(5)));
            }
            assert_eq!(bench.log.log_end_offset(), end);
            assert!(!bench.append(produced(9, 0, 16, 2, false)).is_duplicate);
            assert!(client(&bench.log, produced(9, 0, 8, 2, false)).unwrap().is_duplicate);
        }
    }
}

/// Five batches are in flight to a leader that hangs. The next one has them, and gets ten further
/// ones before the client repeats the first.
#[test]
fn a_retry_of_a_batch_from_before_a_change_of_the_leader_is_known() {
    let bench = Bench::new(config());
    let offsets = writes(&bench, 15, 1);
    for number in [0, 1, 2, 3, 4, 14] {
        let again = client(&bench.log, produced(9, 0, number * 2, 2, false)).unwrap();
        assert_eq!((again.is_duplicate, again.base_offset), (true, offsets[number as usize]));
    }
}

/// As Kafka's: a client has at most five batches in flight to one leader.
#[test]
fn a_leader_refuses_what_it_took_itself_and_does_not_remember() {
    let bench = Bench::new(config());
    writes(&bench, 8, 0);
    let again = |epoch, number: i32| {
        let batch = produced(9, 0, number * 2, 2, false);
        bench.log.try_append_as_leader(&[batch], at(epoch, 0, Origin::Client))
    };
    for number in 0..8 {
        assert_eq!(is_out_of_order(&again(0, number)), number < 3, "{number}");
    }
    // The next leader takes seven more and remembers five of them.
    for number in 8..15 {
        assert!(!client(&bench.log, produced(9, 0, number * 2, 2, false)).unwrap().is_duplicate);
    }
    for number in 0..15 {
        let appended = client(&bench.log, produced(9, 0, number * 2, 2, false));
        assert_eq!(is_out_of_order(&appended), (8..10).contains(&number), "{number}");
    }
}

#[test]
fn sequences_that_wrapped_around_are_found() {
    let bench = Bench::new(config());
    // A producer whose first batch is unknown may begin anywhere.
    for number in 0..8 {
        bench.append(produced(9, 0, records::increment_sequence(i32::MAX - 4, number * 2), 2, false));
    }
    let (bench, _) = bench.reopen(true);
    for number in 0..8 {
        let sequence = records::increment_sequence(i32::MAX - 4, number * 2);
        let again = client(&bench.log, produced(9, 0, sequence, 2, false)).unwrap();
        assert_eq!((again.is_duplicate, again.base_offset), (true, Offset(i64::from(number) * 2)));
    }
}

#[test]
fn a_retry_is_known_after_a_truncation() {
    let bench = Bench::new(LogConfig { segment_bytes: 300, ..config() });
    let offsets = writes(&bench, 8, 0);
    bench.log.truncate_to(offsets[6], Timestamp(0)).unwrap();
    for number in 0..6 {
        let again = client(&bench.log, produced(9, 0, number * 2, 2, false)).unwrap();
        assert_eq!((again.is_duplicate, again.base_offset), (true, offsets[number as usize]));
    }
    assert!(!bench.append(produced(9, 0, 12, 2, false)).is_duplicate);
}

#[test]
fn only_what_the_log_has_is_a_retry() {
    let bench = Bench::new(config());
    writes(&bench, 3, 0);
    bench.append(produced(9, 1, 0, 2, false));
    bench.append(produced(9, 1, 2, 2, false));
    let (bench, _) = bench.reopen(true);
    // Other sequences, another count, another producer, a gap.
    for (sequence, count) in [(1, 1), (0, 1), (0, 3), (5, 1), (i32::MAX, 1)] {
        assert!(is_out_of_order(&client(&bench.log, produced(9, 1, sequence, count, false))), "{sequence}");
    }
    assert!(matches!(
        client(&bench.log, produced(9, 0, 4, 2, false)),
        Err(Error::Producer(ProducerError::InvalidEpoch(_)))
    ));
    assert!(client(&bench.log, produced(9, 1, 0, 2, false)).unwrap().is_duplicate);
}

#[test]
fn a_search_in_the_log_is_no_work_for_who_must_not_wait() {
    let bench = Bench::new(config());
    writes(&bench, 8, 0);
    let (bench, _) = bench.reopen(true);
    let attempt =
        |sequence| bench.log.try_append_as_leader(&[produced(9, 0, sequence, 2, false)], at(1, 0, Origin::Client));
    assert!(attempt(14).unwrap().is_duplicate, "the snapshot has the last one");
    assert!(matches!(attempt(4), Err(Error::WouldBlock)));
    assert!(client(&bench.log, produced(9, 0, 4, 2, false)).unwrap().is_duplicate);
    assert!(matches!(attempt(3), Err(Error::WouldBlock)));
    assert!(is_out_of_order(&client(&bench.log, produced(9, 0, 3, 2, false))));
    assert!(is_out_of_order(&attempt(3)), "it is not looked for again");
}

#[test]
fn a_search_ends_where_the_cleaner_removed_a_batch() {
    let bench = Bench::new(config());
    let offsets = writes(&bench, 4, 0);
    let gap = bench.log.append_as_follower(
        &Bytes::from({
            let batch = produced(9, 0, 20, 2, false).assign(offsets[3].plus(2), LeaderEpoch(0));
            [&batch.0[..], produced(9, 0, 20, 2, false).body()].concat()
        }),
        FollowerAppend { now: Timestamp(0) },
    );
    gap.unwrap();
    let (bench, _) = bench.reopen(true);
    assert!(is_out_of_order(&client(&bench.log, produced(9, 0, 6, 2, false))));
    assert!(client(&bench.log, produced(9, 0, 20, 2, false)).unwrap().is_duplicate);
}
