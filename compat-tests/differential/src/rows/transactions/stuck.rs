//! Transactions whose markers are refused, because the partition has had one of a coordinator epoch
//! to come: the states PrepareCommit and PrepareAbort for as long as a row wants.

use super::markers::{marker, request};
use super::{Producer, add, describe, end, init, transaction};
use crate::rows::topic;
use crate::run::Run;
use crate::side::Side;
use protocol::messages::add_offsets_to_txn_request::AddOffsetsToTxnRequest;
use protocol::messages::add_partitions_to_txn_request::{AddPartitionsToTxnRequest, AddPartitionsToTxnTransaction};
use protocol::messages::list_transactions_request::ListTransactionsRequest;
use protocol::{ApiKey, Str};

pub fn rows(run: &mut Run, level: &str) {
    for version in 4..=run.at_most(ApiKey::EndTxn, 5) {
        for committed in [true, false] {
            let name = format!("tx-stuck-{level}-{version}-{committed}");
            topic(run, &name, 1, &[]);
            let producer = Producer::new(run, &name);
            producer.write(run, 13, &name, 0, 0);
            refuse_markers(run, &producer);
            run.row("ended", [version], |side, _| producer.end(side, committed));
            prepared(run, &producer, committed);
        }
    }
    fenced(run, level);
}

/// Writes the marker of a coordinator to come.
fn refuse_markers(run: &mut Run, producer: &Producer) {
    run.row("of a coordinator to come", [1], |side, _| {
        let topics: &[(&str, &[i32])] = &[(&producer.id, &[0])];
        request(vec![marker(producer.producer_id(side), producer.epoch(side), 9, topics)])
    });
}

fn prepared(run: &mut Run, producer: &Producer, committed: bool) {
    let id = producer.id.as_str();
    run.row("described", [0], |_, _| describe(&[id]));
    run.row("listed", 0..=2, |_, version| ListTransactionsRequest {
        state_filters: vec!["PrepareCommit".into(), "PrepareAbort".into()],
        transactional_id_pattern: (version >= 2).then(|| Str::from(id)),
        ..Default::default()
    });
    run.row("ended again", 0..=5, |side, _| producer.end(side, committed));
    run.row("the opposite", 0..=5, |side, _| producer.end(side, !committed));
    for shift in [1, -1] {
        run.row(&format!("an epoch off by {shift}"), 0..=5, |side, _| {
            end(id, producer.producer_id(side), producer.epoch(side) + shift, committed)
        });
    }
    run.row("a new producer", 0..=5, |_, _| init(id, 60_000, -1, -1));
    for shift in [0, 1] {
        run.row(&format!("the same producer, epoch {shift}"), 3..=5, |side, _| {
            init(id, 60_000, producer.producer_id(side), producer.epoch(side) + shift)
        });
    }
    run.row("partitions", 0..=5, |side, v| producer.add(side, v, &[("tx-end", &[0])]));
    run.row("the partition that it has", 0..=5, |side, v| producer.add(side, v, &[(id, &[0])]));
    let other = |side: &Side| producer.producer_id(side) + 1_000_000;
    run.row("another producer's end", 0..=5, |side, _| end(id, other(side), 0, committed));
    run.row("another producer's partitions", 0..=5, |side, v| add(v, id, other(side), 0, &[("tx-end", &[0])]));
    run.row("another producer's id", 3..=5, |side, _| init(id, 60_000, other(side), 0));
    run.row("partitions verified", 4..=5, |side, _| {
        let topics: &[(&str, &[i32])] = &[("tx-end", &[0])];
        let asked = transaction(id, producer.producer_id(side), producer.epoch(side), topics);
        let asked = AddPartitionsToTxnTransaction { verify_only: true, ..asked };
        let others = transaction(id, other(side), producer.epoch(side), topics);
        let others = AddPartitionsToTxnTransaction { verify_only: true, ..others };
        AddPartitionsToTxnRequest { transactions: vec![asked, others], ..Default::default() }
    });
    run.row("offsets", 0..=4, |side, _| AddOffsetsToTxnRequest {
        transactional_id: id.into(),
        producer_id: producer.producer_id(side),
        producer_epoch: producer.epoch(side),
        group_id: "g".into(),
        ..Default::default()
    });
    run.row("more", [3, 11, 12, 13], |side, _| producer.produce(side, "tx-end", 0, &producer.batch(side, 1)));
    run.row("described after it", [0], |_, _| describe(&[id]));
}

/// A transaction that a new producer aborts, and whose markers cannot be written.
fn fenced(run: &mut Run, level: &str) {
    let name = format!("tx-stuck-fence-{level}");
    topic(run, &name, 1, &[]);
    let producer = Producer::new(run, &name);
    producer.write(run, 13, &name, 0, 0);
    refuse_markers(run, &producer);
    run.row("a new producer", 0..=5, |_, _| init(&name, 60_000, -1, -1));
    run.row("described", [0], |_, _| describe(&[&name]));
    prepared(run, &producer, false);
}
