//! The rows of the table in the module's documentation.

use super::*;

fn state(flush_messages: Option<i64>, flush_ms: Option<i64>) -> FlushState {
    FlushState::new(&LogConfig { flush_messages, flush_ms, ..LogConfig::default() })
}

fn ends(log_end: i64, flushed_end: i64, recovery_point: i64, closed_end: i64) -> LogEnds {
    let [log_end, flushed_end] = [log_end, flushed_end].map(Offset);
    LogEnds { log_end, flushed_end, recovery_point: Offset(recovery_point), closed_end: Offset(closed_end) }
}

/// What follows an append that ends at 10: (the counting end, whether it asks for a flush, whether
/// its answer waits).
fn appended(state: &FlushState, flushed_end: i64, is_due: bool, is_counted: bool) -> (i64, bool, bool) {
    let after = state.appended(Offset(10), || Offset(flushed_end), is_due, || is_counted);
    (after.counting_end.0, after.asks_for_flush, after.awaits_flush)
}

#[test]
fn an_append_counts_at_once_or_once_it_is_flushed() {
    let plain = state(None, None);
    assert_eq!(appended(&plain, 4, false, false), (10, false, false));
    let by_time = state(None, Some(100));
    assert_eq!(appended(&by_time, 4, true, false), (10, true, false));
    let by_count = state(Some(3), None);
    assert_eq!(appended(&by_count, 4, true, true), (10, true, true));
    assert_eq!(appended(&by_count, 4, false, true), (10, false, false));
    let durable = state(Some(1), None);
    assert_eq!(appended(&durable, 4, true, true), (4, true, true));
    // A concurrent flush has covered it.
    assert_eq!(appended(&durable, 12, true, true), (12, false, false));
    assert_eq!([&plain, &durable].map(|state| state.counting_end(ends(10, 4, 4, 0))), [Offset(10), Offset(4)]);
}

#[test]
fn a_refused_flush_refuses_what_waits_until_a_later_one_covers_it_or_the_epoch_ends() {
    let state = state(Some(1), None);
    assert_eq!(state.outcome(Offset(7), Offset(4)), FlushOutcome::Pending);
    state.refused(Offset(8));
    state.refused(Offset(6));
    assert_eq!(state.outcome(Offset(7), Offset(4)), FlushOutcome::Refused);
    assert_eq!(state.outcome(Offset(8), Offset(4)), FlushOutcome::Pending);
    assert_eq!(state.outcome(Offset(7), Offset(8)), FlushOutcome::Flushed);
    state.begin_epoch();
    assert_eq!(state.outcome(Offset(7), Offset(4)), FlushOutcome::Pending);
}

#[test]
fn it_is_noted_once_until_the_background_task_looks() {
    let state = state(None, None);
    assert_eq!([state.note(), state.note()], [true, false]);
    state.begin_look();
    assert_eq!([state.note(), state.note()], [true, false]);
}

#[test]
fn the_background_task_flushes_closed_segments_and_by_time_everything() {
    let plain = state(None, None);
    assert_eq!(plain.due(ends(10, 0, 0, 6), false), DueFlush::UpTo(Offset(6)));
    assert_eq!(plain.due(ends(10, 6, 6, 6), false), DueFlush::Nothing);
    let by_time = state(None, Some(100));
    assert_eq!(by_time.due(ends(10, 6, 6, 6), true), DueFlush::UpTo(Offset(10)));
    assert_eq!(by_time.due(ends(10, 6, 6, 6), false), DueFlush::Nothing);
    let durable = state(Some(1), None);
    assert_eq!(durable.due(ends(10, 9, 6, 6), false), DueFlush::ByCommitter);
    assert_eq!(durable.due(ends(10, 10, 10, 6), false), DueFlush::Nothing);
}

#[test]
fn it_looks_again_while_something_is_to_come_that_nobody_else_flushes() {
    let (plain, by_time, durable) = (state(None, None), state(None, Some(100)), state(Some(1), None));
    let (open, closed, none) = (ends(10, 6, 6, 6), ends(10, 4, 4, 6), ends(10, 10, 10, 6));
    assert_eq!([open, closed, none].map(|it| plain.must_look_again(it)), [false, true, false]);
    assert_eq!([open, closed, none].map(|it| by_time.must_look_again(it)), [true, true, false]);
    assert_eq!([open, closed, none].map(|it| durable.must_look_again(it)), [false; 3]);
}

#[test]
fn changed_settings_count_from_the_next_event_on() {
    let state = state(None, None);
    state.set_config(&LogConfig { flush_messages: Some(1), flush_ms: Some(5), ..LogConfig::default() });
    assert_eq!((appended(&state, 4, false, true), state.is_flushed_by_time()), ((4, true, true), true));
}
