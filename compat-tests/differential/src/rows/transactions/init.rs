//! InitProducerId with a transactional id.

use super::{Producer, describe, init};
use crate::run::Run;
use protocol::messages::init_producer_id_request::InitProducerIdRequest;

pub fn rows(run: &mut Run, level: &str) {
    wrong(run, level);
    raises(run, level);
    fences(run, level);
    two_phases(run, level);
}

fn wrong(run: &mut Run, level: &str) {
    let id = format!("init-wrong-{level}");
    for timeout in [0, -1, i32::MIN, 900_001, i32::MAX] {
        run.row(&format!("a timeout of {timeout}"), 0..=5, |_, _| init(&id, timeout, -1, -1));
    }
    run.row("an empty id", 0..=5, |_, _| init("", 60_000, -1, -1));
    run.row("an empty id and a timeout of zero", 0..=5, |_, _| init("", 0, -1, -1));
    run.row("a producer id without an epoch", 3..=5, |_, _| init(&id, 60_000, 5, -1));
    run.row("an epoch without a producer id", 3..=5, |_, _| init(&id, 60_000, -1, 5));
    run.row("a negative producer id", 3..=5, |_, _| init(&id, 60_000, -5, 0));
    run.row("a negative epoch", 3..=5, |_, _| init(&id, 60_000, 5, -5));
    run.row("nothing of it was kept", [0], |_, _| describe(&[&id]));
    for timeout in [1, 900_000] {
        run.row(&format!("a timeout of {timeout}"), 0..=5, |_, _| {
            init(&format!("init-{timeout}-{level}"), timeout, -1, -1)
        });
    }
    run.row("of a new id, with a producer id of its own", 3..=5, |_, version| {
        init(&format!("init-own-{level}-{version}"), 60_000, 4_000_000, 3)
    });
    run.row("described", [0], |_, _| describe(&[&format!("init-own-{level}-5")]));
}

/// The producer asks with its id and epoch, for the first time and again (KIP-360).
fn raises(run: &mut Run, level: &str) {
    for version in 0..=5 {
        let id = format!("init-{level}-{version}");
        let producer = Producer::with_version(run, &id, version);
        run.row("again", [version], |_, _| init(&id, 60_000, -1, -1));
        producer.keep(run);
        if version < 3 {
            continue;
        }
        let with = |run: &mut Run, case: &str, id_shift: i64, epoch_shift: i16| {
            run.row(case, [version], |side, _| {
                init(&id, 60_000, producer.producer_id(side) + id_shift, producer.epoch(side) + epoch_shift)
            });
        };
        with(run, "with its epoch", 0, 0);
        with(run, "with its epoch, again", 0, 0);
        with(run, "with the epoch after it", 0, 1);
        with(run, "with an epoch to come", 0, 5);
        with(run, "with an epoch before it", 0, -1);
        with(run, "with another's id", 1_000_000, 0);
        run.row("described", [0], |_, _| describe(&[&id]));
    }
}

/// A new producer aborts the transaction of the one before.
fn fences(run: &mut Run, level: &str) {
    for version in 0..=5 {
        let id = format!("init-fence-{level}-{version}");
        let producer = Producer::new(run, &id);
        producer.write(run, 11, "tx-init", 0, 0);
        run.row("of an open transaction", [version], |_, _| init(&id, 60_000, -1, -1));
        producer.settle(run);
        run.row("described", [0], |_, _| describe(&[&id]));
        run.row("of the fenced producer", 0..=5, |side, _| producer.end(side, true));
        run.row("of the fenced producer", 0..=3, |side, v| producer.add(side, v, &[("tx-init", &[0])]));
        run.row("after it", [version], |_, _| init(&id, 60_000, -1, -1));
        run.row("described", [0], |_, _| describe(&[&id]));
    }
    for version in 3..=5 {
        let id = format!("init-own-fence-{level}-{version}");
        let producer = Producer::new(run, &id);
        producer.write(run, 11, "tx-init", 0, 0);
        run.row("of an open transaction, with its epoch", [version], |side, _| {
            init(&id, 60_000, producer.producer_id(side), producer.epoch(side))
        });
        producer.settle(run);
        run.row("described", [0], |_, _| describe(&[&id]));
        run.row("of its transaction, with its epoch, again", [version], |side, _| {
            init(&id, 60_000, producer.producer_id(side), producer.epoch(side))
        });
        run.row("described", [0], |_, _| describe(&[&id]));
    }
}

/// Two-phase commits (KIP-939), which no version has.
fn two_phases(run: &mut Run, level: &str) {
    let id = format!("init-2pc-{level}");
    run.row("two phases", [6], |_, _| InitProducerIdRequest { enable2_pc: true, ..init(&id, 60_000, -1, -1) });
    run.row("a prepared transaction", [6], |_, _| InitProducerIdRequest {
        keep_prepared_txn: true,
        ..init(&id, 60_000, -1, -1)
    });
}
