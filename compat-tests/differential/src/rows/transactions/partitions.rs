//! AddPartitionsToTxn and AddOffsetsToTxn.
//!
//! Kafka never answers a request of a broker without a transaction.

use super::{Producer, add, describe, transaction};
use crate::run::Run;
use crate::side::Side;
use protocol::messages::add_offsets_to_txn_request::AddOffsetsToTxnRequest;
use protocol::messages::add_partitions_to_txn_request::{AddPartitionsToTxnRequest, AddPartitionsToTxnTransaction};

pub fn rows(run: &mut Run, level: &str) {
    super::super::topic(run, "tx-add", 20, &[]);
    super::super::topic(run, "tx-add-b", 2, &[]);
    wrong(run, level);
    good(run, level);
    several(run, level);
    verified(run, level);
    group_offsets(run, level);
}

fn wrong(run: &mut Run, level: &str) {
    let id = format!("add-wrong-{level}");
    let producer = Producer::new(run, &id);
    let all = 0..=5;
    run.row("an unknown id", all.clone(), |_, v| add(v, "nobody", 1, 0, &[("tx-add", &[0])]));
    run.row("an empty id", all.clone(), |_, v| add(v, "", 1, 0, &[("tx-add", &[0])]));
    run.row("another producer id", all.clone(), |side, v| {
        add(v, &id, producer.producer_id(side) + 1_000_000, 0, &[("tx-add", &[0])])
    });
    run.row("no producer id", all.clone(), |_, v| add(v, &id, -1, -1, &[("tx-add", &[0])]));
    for shift in [-1, 1, 7] {
        run.row(&format!("an epoch off by {shift}"), all.clone(), |side, v| {
            add(v, &id, producer.producer_id(side), producer.epoch(side) + shift, &[("tx-add", &[0])])
        });
    }
    run.row("an unknown topic", all.clone(), |side, v| producer.add(side, v, &[("nothing", &[0])]));
    run.row("an unknown partition", all.clone(), |side, v| producer.add(side, v, &[("tx-add", &[99])]));
    run.row("a negative partition", all.clone(), |side, v| producer.add(side, v, &[("tx-add", &[-1])]));
    run.row("an empty name", all.clone(), |side, v| producer.add(side, v, &[("", &[0])]));
    run.row("an invalid name", all.clone(), |side, v| producer.add(side, v, &[("a b", &[0])]));
    run.row("one known of several", all.clone(), |side, v| {
        producer.add(side, v, &[("tx-add", &[0, 99]), ("nothing", &[0]), ("tx-add-b", &[1])])
    });
    run.row("an unknown topic of an unknown id", all.clone(), |_, v| add(v, "nobody", 1, 0, &[("nothing", &[0])]));
    run.row("an unknown topic of an empty id", all.clone(), |_, v| add(v, "", 1, 0, &[("nothing", &[0])]));
    run.row("nothing of an unknown id", all.clone(), |_, v| add(v, "nobody", 1, 0, &[]));
    run.row("nothing of an empty id", all.clone(), |_, v| add(v, "", 1, 0, &[]));
    run.row("no partition of an unknown id", all, |_, v| add(v, "nobody", 1, 0, &[("tx-add", &[])]));
    run.row("nothing of it was kept", [0], |_, _| describe(&[&id]));
}

fn good(run: &mut Run, level: &str) {
    for version in 0..=5 {
        let id = format!("add-{level}-{version}");
        let producer = Producer::new(run, &id);
        run.row("nothing", [version], |side, v| producer.add(side, v, &[]));
        run.row("described", [0], |_, _| describe(&[&id]));
        run.row("no partition", [version], |side, v| producer.add(side, v, &[("tx-add", &[])]));
        run.row("described", [0], |_, _| describe(&[&id]));
        run.row("one", [version], |side, v| producer.add(side, v, &[("tx-add", &[3])]));
        run.row("the same", [version], |side, v| producer.add(side, v, &[("tx-add", &[3])]));
        run.row("one twice", [version], |side, v| producer.add(side, v, &[("tx-add", &[4, 4])]));
        run.row("a topic twice", [version], |side, v| producer.add(side, v, &[("tx-add", &[5]), ("tx-add", &[6])]));
        run.row("many", [version], |side, v| {
            producer.add(side, v, &[("tx-add", &[11, 2, 19, 3, 7]), ("tx-add-b", &[1, 0]), ("tx-init", &[0])])
        });
        run.row("internal ones", [version], |side, v| {
            producer.add(side, v, &[("__transaction_state", &[0]), ("__consumer_offsets", &[5])])
        });
        run.row("described", [0], |_, _| describe(&[&id]));
        run.row("aborted", [4], |side, _| producer.end(side, false));
        producer.settle(run);
        run.row("described", [0], |_, _| describe(&[&id]));
        run.row("after it", [version], |side, v| producer.add(side, v, &[("tx-add", &[1])]));
        run.row("committed", [4], |side, _| producer.end(side, true));
        producer.settle(run);
    }
}

/// Several transactions in one request, which only brokers send.
fn several(run: &mut Run, level: &str) {
    let one = Producer::new(run, &format!("add-one-{level}"));
    let two = Producer::new(run, &format!("add-two-{level}"));
    let of = |side: &Side, producer: &Producer, topics: &[(&str, &[i32])]| {
        transaction(&producer.id, producer.producer_id(side), producer.epoch(side), topics)
    };
    run.row("two, one unknown, one with an unknown topic", 4..=5, |side, _| AddPartitionsToTxnRequest {
        transactions: vec![
            of(side, &one, &[("tx-add", &[1, 2])]),
            transaction("nobody", 1, 0, &[("tx-add", &[1])]),
            of(side, &two, &[("tx-add", &[1]), ("nothing", &[0])]),
            transaction("", 1, 0, &[("tx-add", &[1])]),
        ],
        ..Default::default()
    });
    run.row("one without topics", 4..=5, |side, _| AddPartitionsToTxnRequest {
        transactions: vec![of(side, &two, &[]), of(side, &one, &[("tx-add", &[3])])],
        ..Default::default()
    });
    run.row("described", [0], |_, _| describe(&[&one.id, &two.id]));
    one.finish(run, 4, true);
}

/// Requests that only ask whether the partitions are in the transaction.
fn verified(run: &mut Run, level: &str) {
    let id = format!("add-verify-{level}");
    let producer = Producer::new(run, &id);
    let of = |side: &Side, topics: &[(&str, &[i32])]| AddPartitionsToTxnTransaction {
        verify_only: true,
        ..transaction(&id, producer.producer_id(side), producer.epoch(side), topics)
    };
    let ask = |transactions| AddPartitionsToTxnRequest { transactions, ..Default::default() };
    run.row("verified before it is open", 4..=5, |side, _| ask(vec![of(side, &[("tx-add", &[1])])]));
    run.row("one", [3], |side, v| producer.add(side, v, &[("tx-add", &[1])]));
    run.row("verified", 4..=5, |side, _| ask(vec![of(side, &[("tx-add", &[1])])]));
    run.row("verified, one of two", 4..=5, |side, _| ask(vec![of(side, &[("tx-add", &[1, 2]), ("tx-add-b", &[0])])]));
    run.row("verified, an unknown one", 4..=5, |side, _| ask(vec![of(side, &[("tx-add", &[1, 99])])]));
    run.row("verified, an epoch before", 4..=5, |side, _| {
        ask(vec![AddPartitionsToTxnTransaction { producer_epoch: -1, ..of(side, &[("tx-add", &[1])]) }])
    });
    run.row("verified, an epoch to come", 4..=5, |side, _| {
        ask(vec![AddPartitionsToTxnTransaction { producer_epoch: 9, ..of(side, &[("tx-add", &[1])]) }])
    });
    run.row("verified, another id", 4..=5, |side, _| {
        ask(vec![AddPartitionsToTxnTransaction { producer_id: 9_999_999, ..of(side, &[("tx-add", &[1])]) }])
    });
    run.row("verified, nobody", 4..=5, |side, _| {
        ask(vec![AddPartitionsToTxnTransaction { transactional_id: "nobody".into(), ..of(side, &[("tx-add", &[1])]) }])
    });
    run.row("verified and added", 4..=5, |side, _| {
        ask(vec![of(side, &[("tx-add", &[1])]), transaction("nobody", 5, 0, &[("tx-add", &[1])])])
    });
    producer.finish(run, 4, true);
    run.row("verified after the commit", 4..=5, |side, _| ask(vec![of(side, &[("tx-add", &[1])])]));
}

fn group_offsets(run: &mut Run, level: &str) {
    let id = format!("add-offsets-{level}");
    let producer = Producer::new(run, &id);
    let of = |id: &str, producer_id: i64, epoch: i16, group: &str| AddOffsetsToTxnRequest {
        transactional_id: id.into(),
        producer_id,
        producer_epoch: epoch,
        group_id: group.into(),
        ..Default::default()
    };
    let all = 0..=4;
    run.row("an unknown id", all.clone(), |_, _| of("nobody", 1, 0, "g"));
    run.row("an empty id", all.clone(), |_, _| of("", 1, 0, "g"));
    run.row("another producer id", all.clone(), |_, _| of(&id, 9_999_999, 0, "g"));
    run.row("no producer id", all.clone(), |_, _| of(&id, -1, -1, "g"));
    for shift in [-1, 1, 7] {
        run.row(&format!("an epoch off by {shift}"), all.clone(), |side, _| {
            of(&id, producer.producer_id(side), producer.epoch(side) + shift, "g")
        });
    }
    run.row("an empty group of an unknown id", all.clone(), |_, _| of("nobody", 1, 0, ""));
    run.row("nothing of it was kept", [0], |_, _| describe(&[&id]));
    for version in all {
        let id = format!("add-offsets-{level}-{version}");
        let producer = Producer::new(run, &id);
        run.row("good", [version], |side, _| of(&id, producer.producer_id(side), producer.epoch(side), "g"));
        run.row("again", [version], |side, _| of(&id, producer.producer_id(side), producer.epoch(side), "g"));
        run.row("another", [version], |side, _| of(&id, producer.producer_id(side), producer.epoch(side), "other"));
        run.row("an empty group", [version], |side, _| of(&id, producer.producer_id(side), producer.epoch(side), ""));
        run.row("described", [0], |_, _| describe(&[&id]));
        producer.finish(run, 4, version % 2 == 0);
        run.row("described", [0], |_, _| describe(&[&id]));
    }
}
