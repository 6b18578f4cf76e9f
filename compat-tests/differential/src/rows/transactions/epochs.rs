//! Producer epochs that are used up: the next producer id, by InitProducerId and by EndTxn.

use super::{Producer, describe, end, init};
use crate::run::Run;
use crate::side::Side;

/// The last epoch with which a producer may write. Kafka keeps the one after it for fencing.
const LAST: i16 = i16::MAX - 1;

pub fn rows(run: &mut Run) {
    super::finalize(run, 2);
    super::super::topic(run, "tx-epochs", 2, &[]);
    let asked = Producer::new(run, "epochs-init");
    let ended = Producer::new(run, "epochs-end");
    let fenced = Producer::new(run, "epochs-fence");
    for producer in [&asked, &ended, &fenced] {
        run.burst(LAST as usize - 2, 5, || init(&producer.id, 600_000, -1, -1));
        run.row("nearly the last epoch", [5], |_, _| init(&producer.id, 600_000, -1, -1));
        producer.keep(run);
    }
    by_init(run, &asked);
    by_end(run, &ended);
    by_fence(run, &fenced);
    super::logs::rows(run);
}

fn by_init(run: &mut Run, producer: &Producer) {
    let id = producer.id.as_str();
    let with = |run: &mut Run, case: &str, shift: i16| {
        run.row(case, [5], |side, _| init(id, 600_000, producer.producer_id(side), producer.epoch(side) + shift));
    };
    with(run, "the last epoch", 0);
    with(run, "the last epoch, again", 0);
    run.row("described", [0], |_, _| describe(&[id]));
    with(run, "the next producer id", 1);
    run.row("described", [0], |_, _| describe(&[id]));
    with(run, "the next producer id, again", 1);
    with(run, "an epoch of the one before", 0);
    run.row("without its id", [5], |_, _| init(id, 600_000, -1, -1));
    with(run, "the one before the one before", 1);
}

fn by_end(run: &mut Run, producer: &Producer) {
    let id = producer.id.as_str();
    run.row("the last epoch", [5], |_, _| init(id, 600_000, -1, -1));
    producer.keep(run);
    producer.write(run, 13, "tx-epochs", 0, 0);
    run.row("of the last epoch", [5], |side, _| producer.end(side, true));
    run.keep("producer of epochs-next", "/producerId");
    run.keep("epoch of epochs-next", "/producerEpoch");
    producer.settle(run);
    run.row("described", [0], |_, _| describe(&[id]));
    for version in [4, 5] {
        run.row("repeated", [version], |side, _| producer.end(side, true));
        run.row("the opposite repeated", [version], |side, _| producer.end(side, false));
        run.row("the epoch after it repeated", [version], |side, _| {
            end(id, producer.producer_id(side), i16::MAX, true)
        });
    }
    run.row("the one before asks", [5], |side, _| init(id, 600_000, producer.producer_id(side), producer.epoch(side)));
    run.row("described", [0], |_, _| describe(&[id]));
    let next = |side: &Side| (side.int("producer of epochs-next"), side.int("epoch of epochs-next") as i16);
    run.row("of the next one", [5], |side, _| end(id, next(side).0, next(side).1, false));
    run.row("described", [0], |_, _| describe(&[id]));
}

fn by_fence(run: &mut Run, producer: &Producer) {
    let id = producer.id.as_str();
    run.row("the last epoch", [5], |_, _| init(id, 600_000, -1, -1));
    producer.keep(run);
    producer.write(run, 11, "tx-epochs", 1, 0);
    run.row("a new producer", [5], |_, _| init(id, 600_000, -1, -1));
    producer.settle(run);
    run.row("described", [0], |_, _| describe(&[id]));
    run.row("the fenced one", 4..=5, |side, _| producer.end(side, true));
    run.row("a new producer, again", [5], |_, _| init(id, 600_000, -1, -1));
    run.row("described", [0], |_, _| describe(&[id]));
}
