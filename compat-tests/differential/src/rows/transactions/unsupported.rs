//! Requests that need `transaction.version` 1, at version 0: one for each transactional id.

use super::{Producer, describe};
use crate::rows::{coordinator, topic};
use crate::run::Run;
use protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};

pub fn rows(run: &mut Run) {
    topic(run, "tx-new", 2, &[]);
    coordinator(run, "tx-new");
    for version in 12..=13 {
        let producer = Producer::new(run, &format!("new-produce-{version}"));
        run.row("the first", [version], |side, _| producer.produce(side, "tx-new", 0, &producer.batch(side, 0)));
        run.row("described", [0], |_, _| describe(&[&producer.id]));
    }
    for version in 4..=5 {
        let producer = Producer::new(run, &format!("new-add-{version}"));
        run.row("the first", [version], |side, v| producer.add(side, v, &[("tx-new", &[0])]));
        run.row("described", [0], |_, _| describe(&[&producer.id]));
    }
    for committed in [true, false] {
        let producer = Producer::new(run, &format!("new-end-{committed}"));
        run.row("added", [3], |side, v| producer.add(side, v, &[("tx-new", &[0])]));
        run.row(&format!("committed: {committed}"), [5], |side, _| producer.end(side, committed));
        run.row("described", [0], |_, _| describe(&[&producer.id]));
        let producer = Producer::new(run, &format!("new-end-empty-{committed}"));
        run.row(&format!("an empty one, committed: {committed}"), [5], |side, _| producer.end(side, committed));
        run.row("described", [0], |_, _| describe(&[&producer.id]));
    }
    let producer = Producer::new(run, "new-offsets");
    run.row("the first", [5], |side, _| TxnOffsetCommitRequest {
        transactional_id: producer.id.as_str().into(),
        group_id: "tx-new".into(),
        producer_id: producer.producer_id(side),
        producer_epoch: producer.epoch(side),
        topics: vec![TxnOffsetCommitRequestTopic {
            name: "tx-new".into(),
            partitions: vec![TxnOffsetCommitRequestPartition {
                committed_offset: 1,
                committed_leader_epoch: -1,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    });
    run.row("described", [0], |_, _| describe(&[&producer.id]));
}
