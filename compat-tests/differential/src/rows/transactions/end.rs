//! EndTxn: lives of transactions in every version, states in which it is refused, and repeats.

use super::{Producer, describe, end};
use crate::run::Run;
use protocol::ApiKey;

pub fn rows(run: &mut Run, level: &str) {
    super::super::topic(run, "tx-end", 3, &[]);
    wrong(run, level);
    for version in 0..=run.at_most(ApiKey::EndTxn, 5) {
        for committed in [true, false] {
            life(run, level, version, committed);
            never_begun(run, level, version, committed);
        }
    }
    unsettled(run, level);
}

fn wrong(run: &mut Run, level: &str) {
    let id = format!("end-wrong-{level}");
    let producer = Producer::new(run, &id);
    producer.write(run, 11, "tx-end", 0, 0);
    for committed in [true, false] {
        let all = 0..=5;
        let case = |what: &str| format!("{what}, committed: {committed}");
        run.row(&case("an unknown id"), all.clone(), |_, _| end("nobody", 1, 0, committed));
        run.row(&case("an empty id"), all.clone(), |_, _| end("", 1, 0, committed));
        run.row(&case("another producer id"), all.clone(), |side, _| {
            end(&id, producer.producer_id(side) + 1_000_000, producer.epoch(side), committed)
        });
        run.row(&case("no producer id"), all.clone(), |_, _| end(&id, -1, -1, committed));
        for shift in [-1, 1, 7] {
            run.row(&case(&format!("an epoch off by {shift}")), all.clone(), |side, _| {
                end(&id, producer.producer_id(side), producer.epoch(side) + shift, committed)
            });
        }
    }
    run.row("nothing of it was done", [0], |_, _| describe(&[&id]));
    producer.finish(run, 4, true);
}

/// Two transactions of a producer, ended in a version, and everything that may come after each.
fn life(run: &mut Run, level: &str, version: i16, committed: bool) {
    let id = format!("end-{level}-{version}-{committed}");
    let producer = Producer::new(run, &id);
    let produced = if version < 5 { 11 } else { 13 };
    for sequence in 0..2 {
        // A new epoch begins with sequence 0.
        let sequence = if version < 5 { sequence } else { 0 };
        for partition in [0, 1] {
            producer.write(run, produced, "tx-end", partition, sequence);
        }
        run.row("described", [0], |_, _| describe(&[&id]));
        run.row(&format!("ended, committed: {committed}"), [version], |side, _| producer.end(side, committed));
        producer.settle(run);
        run.row("described", [0], |_, _| describe(&[&id]));
        run.row("the same again", [version], |side, _| producer.end(side, committed));
        run.row("the opposite after it", [version], |side, _| producer.end(side, !committed));
        // In another version.
        let other = if version < 5 { 5 } else { 4 };
        run.row("committed after it", [other], |side, _| producer.end(side, true));
        run.row("described", [0], |_, _| describe(&[&id]));
        run.row("the next epoch", [version], |_, _| super::init(&id, 60_000, -1, -1));
        producer.keep(run);
    }
}

/// Ends without a transaction: in the state Empty, and after another one.
fn never_begun(run: &mut Run, level: &str, version: i16, committed: bool) {
    let id = format!("end-empty-{level}-{version}-{committed}");
    let producer = Producer::new(run, &id);
    run.row(&format!("an empty one, committed: {committed}"), [version], |side, _| producer.end(side, committed));
    producer.settle(run);
    run.row("described", [0], |_, _| describe(&[&id]));
    run.row("again", [version], |side, _| producer.end(side, committed));
    run.row("the opposite", [version], |side, _| producer.end(side, !committed));
    producer.settle(run);
    run.row("described", [0], |_, _| describe(&[&id]));
}

/// A transaction whose partition was deleted meanwhile, and one that is ended by its timeout.
fn unsettled(run: &mut Run, level: &str) {
    let name = format!("tx-deleted-{level}");
    super::super::topic(run, &name, 1, &[]);
    let producer = Producer::new(run, &format!("end-deleted-{level}"));
    producer.write(run, 11, &name, 0, 0);
    let deletion = |_: &crate::side::Side| protocol::messages::delete_topics_request::DeleteTopicsRequest {
        topic_names: vec![name.as_str().into()],
        timeout_ms: 10_000,
        ..Default::default()
    };
    run.until("a deletion", 3, deletion, |answer| super::code(answer, "/responses/0/errorCode") == 3);
    producer.finish(run, 4, true);
    run.row("described", [0], |_, _| describe(&[&producer.id]));

    let id = format!("end-late-{level}");
    let late = Producer { id: id.clone() };
    run.row("a short timeout", [5], |_, _| super::init(&id, 2000, -1, -1));
    late.keep(run);
    late.write(run, 11, "tx-end", 2, 0);
    run.until(
        "an abort",
        0,
        |_| describe(&[&id]),
        |answer| {
            let state = answer.pointer("/transactionStates/0/transactionState");
            state.and_then(serde_json::Value::as_str) == Some("CompleteAbort")
        },
    );
    run.row("described", [0], |_, _| describe(&[&id]));
    for version in 0..=5 {
        run.row("too late", [version], |side, _| late.end(side, true));
        run.row("too late, an abort", [version], |side, _| late.end(side, false));
    }
    run.row("too late", 0..=5, |side, v| late.add(side, v, &[("tx-end", &[2])]));
    run.row("too late", [3, 11, 12, 13], |side, _| late.produce(side, "tx-end", 2, &late.batch(side, 1)));
    run.row("described", [0], |_, _| describe(&[&id]));
}
