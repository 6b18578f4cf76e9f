//! A follower and the answers of its leader.

use crate::*;
use model::{BrokerId, ErrorCode, LeaderEpoch, Monotonic, Offset};

const BACKOFF_MS: i64 = 1_000;
const NOW: Monotonic = Monotonic(5_000);

fn follower() -> Follower {
    Follower::new(BrokerId(1), LeaderEpoch(7), BACKOFF_MS)
}

fn log(start: i64, end: i64, high_watermark: i64, epoch: Option<i32>) -> FollowerLog {
    FollowerLog {
        log_start_offset: Offset(start),
        log_end_offset: Offset(end),
        high_watermark: Offset(high_watermark),
        latest_epoch: epoch.map(LeaderEpoch),
    }
}

fn question(bound: LeaderLogBound, leader_epoch: i32, end: i64) -> BoundQuestion {
    BoundQuestion { bound, leader_epoch: LeaderEpoch(leader_epoch), log_end_offset: Offset(end) }
}

fn no_epoch(_: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
    None
}

fn position(follower: &mut Follower, log: &FollowerLog) -> FetchPosition {
    match follower.next(log, NOW) {
        FollowerNext::Fetch(position) => position,
        other => panic!("{other:?}"),
    }
}

fn good(high_watermark: i64, log_start: i64) -> FetchAnswer {
    FetchAnswer {
        error: None,
        diverging: None,
        high_watermark: Offset(high_watermark),
        log_start_offset: Offset(log_start),
    }
}

fn refused(code: ErrorCode) -> FetchAnswer {
    FetchAnswer { error: Some(code), ..good(-1, -1) }
}

fn diverging(epoch: i32, end: i64) -> FetchAnswer {
    FetchAnswer { diverging: Some((LeaderEpoch(epoch), Offset(end))), ..good(0, 0) }
}

#[test]
fn it_fetches_from_its_log_end_and_names_its_last_epoch() {
    let mut follower = follower();
    let log = log(0, 10, 4, Some(6));
    let asked = position(&mut follower, &log);
    let expected =
        FetchPosition { leader_epoch: LeaderEpoch(7), offset: Offset(10), last_fetched_epoch: Some(LeaderEpoch(6)) };
    assert_eq!(asked, expected);
    assert_eq!(follower.fetched(&asked, &good(9, 0), &log, &no_epoch, NOW), FollowerStep::Append);
}

#[test]
fn records_without_epochs_are_truncated_to_the_high_watermark() {
    let mut follower = follower();
    assert_eq!(follower.next(&log(0, 10, 4, None), NOW), FollowerNext::TruncateTo(Offset(4)));
    assert_eq!(position(&mut follower, &log(0, 4, 4, None)).last_fetched_epoch, None);
}

#[test]
fn an_answer_counts_only_for_the_position_that_was_asked_for() {
    let at = log(0, 10, 4, Some(6));
    let asked = position(&mut follower(), &at);
    for (epoch, log) in [(8, at), (7, log(0, 11, 4, Some(6))), (7, log(0, 10, 4, Some(5)))] {
        let mut follower = Follower::new(BrokerId(1), LeaderEpoch(epoch), BACKOFF_MS);
        assert_eq!(follower.fetched(&asked, &good(9, 0), &log, &no_epoch, NOW), FollowerStep::Nothing);
        let step = follower.fetched(&asked, &refused(ErrorCode::FencedLeaderEpoch), &log, &no_epoch, NOW);
        assert_eq!((step, follower.is_stopped()), (FollowerStep::Nothing, false));
    }
}

#[test]
fn where_it_truncates_if_its_log_diverges() {
    let log = log(0, 20, 4, Some(6));
    let truncated = |answer: FetchAnswer, own: Option<(i32, i64)>| {
        let mut follower = follower();
        let asked = position(&mut follower, &log);
        let own = own.map(|(epoch, end)| (LeaderEpoch(epoch), Offset(end)));
        match follower.fetched(&asked, &answer, &log, &|_| own, NOW) {
            FollowerStep::TruncateTo(end) => end.0,
            other => panic!("{other:?}"),
        }
    };
    // Both know the epoch: the smaller end.
    assert_eq!(truncated(diverging(5, 12), Some((5, 15))), 12);
    assert_eq!(truncated(diverging(5, 17), Some((5, 15))), 15);
    assert_eq!(truncated(diverging(6, 12), Some((6, 20))), 12);
    // Only the leader knows it: the end of the last epoch before it (KIP-279).
    assert_eq!(truncated(diverging(5, 12), Some((3, 8))), 8);
    assert_eq!(truncated(diverging(5, 7), Some((3, 8))), 8);
    // Nothing is known here, or the leader's end is beyond the own one.
    assert_eq!(truncated(diverging(5, 12), None), 12);
    assert_eq!(truncated(diverging(5, 99), None), 20);
}

#[test]
fn it_starts_anew_where_only_records_below_the_leaders_start_would_be_left() {
    // The leader has forgotten the epochs below its log start. It says that epoch 5 ended there,
    // whatever it held.
    let log = log(0, 20, 4, Some(5));
    for end in [11, 12] {
        let mut follower = follower();
        let asked = position(&mut follower, &log);
        let answer = FetchAnswer { log_start_offset: Offset(12), ..diverging(5, end) };
        let step = follower.fetched(&asked, &answer, &log, &|_| Some((LeaderEpoch(5), Offset(20))), NOW);
        assert_eq!(step, FollowerStep::StartAt(Offset(12)));
    }
}

#[test]
fn the_high_watermark_is_within_its_log_and_never_moves_back() {
    let bounds = |answer: FetchAnswer, log: FollowerLog| {
        let bounds = Follower::bounds(&answer, &log);
        (bounds.high_watermark.map(|at| at.0), bounds.log_start_offset.map(|at| at.0))
    };
    assert_eq!(bounds(good(9, 0), log(0, 10, 4, None)), (Some(9), None));
    assert_eq!(bounds(good(19, 0), log(0, 10, 4, None)), (Some(10), None));
    assert_eq!(bounds(good(3, 0), log(0, 10, 4, None)), (None, None));
    assert_eq!(bounds(good(9, 6), log(0, 10, 4, None)), (Some(9), Some(6)));
    // Never above the high watermark, and never back.
    assert_eq!(bounds(good(9, 30), log(0, 10, 4, None)), (Some(9), Some(9)));
    assert_eq!(bounds(good(9, 1), log(2, 10, 9, None)), (None, None));
}

#[test]
fn errors_are_retried_after_the_backoff_except_a_fenced_epoch() {
    let log = log(0, 10, 4, Some(6));
    for code in [ErrorCode::InconsistentTopicId, ErrorCode::KafkaStorageError, ErrorCode::UnknownServerError] {
        let mut follower = follower();
        let asked = position(&mut follower, &log);
        assert_eq!(follower.fetched(&asked, &refused(code), &log, &no_epoch, NOW), FollowerStep::Nothing);
        let at = NOW.plus_ms(BACKOFF_MS);
        assert_eq!(follower.next(&log, NOW), FollowerNext::WaitUntil(at));
        assert_eq!(follower.next(&log, at), FollowerNext::Fetch(asked));
    }
    let mut follower = follower();
    let asked = position(&mut follower, &log);
    follower.fetched(&asked, &refused(ErrorCode::FencedLeaderEpoch), &log, &no_epoch, NOW);
    assert_eq!(follower.next(&log, NOW.plus_ms(BACKOFF_MS * 99)), FollowerNext::AwaitImage);
}

#[test]
fn a_leader_that_has_not_read_its_election_yet_is_asked_again_soon() {
    let log = log(0, 10, 4, Some(6));
    let mut follower = follower();
    let codes = [
        ErrorCode::UnknownLeaderEpoch,
        ErrorCode::NotLeaderOrFollower,
        ErrorCode::UnknownTopicId,
        ErrorCode::UnknownTopicOrPartition,
    ];
    let mut now = NOW;
    let mut ask = |follower: &mut Follower, code: Option<ErrorCode>| -> i64 {
        let FollowerNext::Fetch(asked) = follower.next(&log, now) else { panic!("it fetches") };
        follower.fetched(&asked, &code.map_or(good(4, 0), refused), &log, &no_epoch, now);
        let FollowerNext::WaitUntil(at) = follower.next(&log, now) else { return 0 };
        let waits = at.ms_since(now) as i64;
        now = at;
        waits
    };
    for expected in [10, 20, 40, 80, 160, 320, 640, BACKOFF_MS, BACKOFF_MS] {
        assert_eq!(ask(&mut follower, Some(codes[expected as usize % 4])), expected);
    }
    assert_eq!(ask(&mut follower, None), 0);
    assert_eq!(ask(&mut follower, Some(codes[0])), 10);
}

/// Returns a follower whose fetch was out of range, and that asks for the leader's log end.
fn out_of_range(log: &FollowerLog) -> Follower {
    let mut follower = follower();
    let asked = position(&mut follower, log);
    let step = follower.fetched(&asked, &refused(ErrorCode::OffsetOutOfRange), log, &no_epoch, NOW);
    assert_eq!(step, FollowerStep::Nothing);
    assert_eq!(follower.next(log, NOW), FollowerNext::Ask(question(LeaderLogBound::End, 7, 10)));
    follower
}

#[test]
fn out_of_range_above_the_leaders_end_is_truncated_to_it() {
    let log = log(0, 10, 4, Some(6));
    let mut follower = out_of_range(&log);
    let end = question(LeaderLogBound::End, 7, 10);
    assert_eq!(follower.bound_answered(&end, Ok(Offset(8)), &log, NOW), FollowerStep::TruncateTo(Offset(8)));
    assert!(matches!(follower.next(&log, NOW), FollowerNext::Fetch(_)));
}

#[test]
fn out_of_range_below_the_leaders_start_begins_anew_there() {
    let log = log(0, 10, 4, Some(6));
    let mut follower = out_of_range(&log);
    let (end, start) = (question(LeaderLogBound::End, 7, 10), question(LeaderLogBound::Start, 7, 10));
    // Answers to other questions are late.
    assert_eq!(follower.bound_answered(&start, Ok(Offset(50)), &log, NOW), FollowerStep::Nothing);
    let of_last_epoch = question(LeaderLogBound::End, 6, 10);
    assert_eq!(follower.bound_answered(&of_last_epoch, Ok(Offset(2)), &log, NOW), FollowerStep::Nothing);
    let of_another_end = question(LeaderLogBound::End, 7, 9);
    assert_eq!(follower.bound_answered(&of_another_end, Ok(Offset(2)), &log, NOW), FollowerStep::Nothing);
    assert_eq!(follower.bound_answered(&end, Ok(Offset(90)), &log, NOW), FollowerStep::Nothing);
    assert_eq!(follower.next(&log, NOW), FollowerNext::Ask(start));
    assert_eq!(follower.bound_answered(&start, Ok(Offset(50)), &log, NOW), FollowerStep::StartAt(Offset(50)));
}

#[test]
fn out_of_range_within_the_leaders_log_is_asked_again_later() {
    let log = log(0, 10, 4, Some(6));
    let mut follower = out_of_range(&log);
    follower.bound_answered(&question(LeaderLogBound::End, 7, 10), Ok(Offset(10)), &log, NOW);
    let start = question(LeaderLogBound::Start, 7, 10);
    assert_eq!(follower.bound_answered(&start, Ok(Offset(3)), &log, NOW), FollowerStep::Nothing);
    assert_eq!(follower.next(&log, NOW), FollowerNext::WaitUntil(NOW.plus_ms(BACKOFF_MS)));
}

#[test]
fn an_end_that_cannot_be_asked_for_is_fetched_again() {
    let log = log(0, 10, 4, Some(6));
    let end = question(LeaderLogBound::End, 7, 10);
    let mut follower = out_of_range(&log);
    follower.bound_answered(&end, Err(ErrorCode::NotLeaderOrFollower), &log, NOW);
    assert!(matches!(follower.next(&log, NOW.plus_ms(BACKOFF_MS)), FollowerNext::Fetch(_)));
    let mut follower = out_of_range(&log);
    follower.bound_answered(&end, Err(ErrorCode::FencedLeaderEpoch), &log, NOW);
    assert!(follower.is_stopped());
}

#[test]
fn a_log_that_cannot_be_written_stops_it_for_this_epoch() {
    let mut follower = follower();
    follower.stop();
    assert_eq!(follower.next(&log(0, 0, 0, None), NOW), FollowerNext::AwaitImage);
}
