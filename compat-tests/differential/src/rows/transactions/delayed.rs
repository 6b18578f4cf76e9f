//! Requests of one transaction that arrive in the next one (KIP-890, KAFKA-17754): repeated and
//! delayed ones of every version of EndTxn.

use super::{Producer, describe, end};
use crate::run::Run;
use crate::side::Side;
use protocol::ApiKey;

pub fn rows(run: &mut Run, level: &str) {
    super::super::topic(run, "tx-delayed", 2, &[]);
    for version in 4..=run.at_most(ApiKey::EndTxn, 5) {
        for committed in [true, false] {
            next_one(run, level, version, committed);
        }
    }
    mixed(run, level);
}

/// An EndTxn that is repeated while the next transaction is open, and after its end.
fn next_one(run: &mut Run, level: &str, version: i16, committed: bool) {
    let id = format!("delayed-{level}-{version}-{committed}");
    let producer = Producer::new(run, &id);
    let produced = if version < 5 { 11 } else { 13 };
    producer.write(run, produced, "tx-delayed", 0, 0);
    run.row("ended", [version], |side, _| producer.end(side, committed));
    run.keep(&format!("next epoch of {id}"), "/producerEpoch");
    producer.settle(run);
    let old_epoch = |side: &Side| producer.epoch(side);
    let new_epoch = |side: &Side| match side.int(&format!("next epoch of {id}")) {
        -1 => producer.epoch(side),
        next => next as i16,
    };
    run.row("repeated", [version], |side, _| end(&id, producer.producer_id(side), old_epoch(side), committed));
    run.row("the opposite repeated", [version], |side, _| {
        end(&id, producer.producer_id(side), old_epoch(side), !committed)
    });
    run.row("a batch of the one before", [11, 13], |side, _| {
        producer.produce(side, "tx-delayed", 1, &producer.batch(side, 1))
    });
    run.row("described", [0], |_, _| describe(&[&id]));
    run.row("a batch of the next one", [produced], |side, _| {
        let sequence = if version < 5 { 1 } else { 0 };
        let batch = crate::batches::Batch { producer_epoch: new_epoch(side), ..producer.batch(side, sequence) };
        producer.produce(side, "tx-delayed", 0, &batch)
    });
    run.row("described", [0], |_, _| describe(&[&id]));
    if version == 5 {
        run.row("delayed", 0..=5, |side, _| end(&id, producer.producer_id(side), old_epoch(side), committed));
        run.row("the opposite delayed", 0..=5, |side, _| {
            end(&id, producer.producer_id(side), old_epoch(side), !committed)
        });
        run.row("partitions of the one before", 0..=5, |side, v| producer.add(side, v, &[("tx-delayed", &[1])]));
        run.row("a batch of the one before, delayed", [3, 11, 12, 13], |side, _| {
            producer.produce(side, "tx-delayed", 0, &producer.batch(side, 1))
        });
    }
    run.row("described", [0], |_, _| describe(&[&id]));
    run.row("the next one ended", [version], |side, _| end(&id, producer.producer_id(side), new_epoch(side), true));
    producer.settle(run);
    run.row("delayed over two", [version], |side, _| end(&id, producer.producer_id(side), old_epoch(side), committed));
    run.row("the next one ended again", [version], |side, _| {
        end(&id, producer.producer_id(side), new_epoch(side), true)
    });
    run.row("described", [0], |_, _| describe(&[&id]));
}

/// A transaction that is ended in one version, and the same end repeated in the other.
fn mixed(run: &mut Run, level: &str) {
    if run.at_most(ApiKey::EndTxn, 5) < 5 {
        return;
    }
    for (first, second) in [(4, 5), (5, 4), (5, 3), (0, 5)] {
        for committed in [true, false] {
            let id = format!("mixed-{level}-{first}-{second}-{committed}");
            let producer = Producer::new(run, &id);
            producer.write(run, 13, "tx-delayed", 0, 0);
            run.row("ended", [first], |side, _| producer.end(side, committed));
            producer.settle(run);
            run.row("repeated in another version", [second], |side, _| producer.end(side, committed));
            producer.settle(run);
            run.row("the opposite in another version", [second], |side, _| producer.end(side, !committed));
            producer.settle(run);
            run.row("described", [0], |_, _| describe(&[&id]));
        }
    }
}
