//! TxnOffsetCommit, and what OffsetFetch shows of offsets that are pending.

use super::{Producer, describe};
use crate::rows::group_offsets::fetch;
use crate::rows::groups::one_member;
use crate::rows::{coordinator, topic};
use crate::run::Run;
use crate::side::Side;
use protocol::ApiKey;
use protocol::messages::add_offsets_to_txn_request::AddOffsetsToTxnRequest;
use protocol::messages::offset_fetch_request::OffsetFetchRequest;
use protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};

fn at(index: i32, offset: i64) -> TxnOffsetCommitRequestPartition {
    TxnOffsetCommitRequestPartition {
        partition_index: index,
        committed_offset: offset,
        committed_leader_epoch: 0,
        committed_metadata: Some("note".into()),
        ..Default::default()
    }
}

fn commit(
    side: &Side,
    producer: &Producer,
    group: &str,
    topic: &str,
    partitions: Vec<TxnOffsetCommitRequestPartition>,
) -> TxnOffsetCommitRequest {
    TxnOffsetCommitRequest {
        transactional_id: producer.id.as_str().into(),
        group_id: group.into(),
        producer_id: producer.producer_id(side),
        producer_epoch: producer.epoch(side),
        topics: vec![TxnOffsetCommitRequestTopic { name: topic.into(), partitions, ..Default::default() }],
        ..Default::default()
    }
}

fn join(run: &mut Run, producer: &Producer, group: &str) {
    run.row(&format!("the offsets of {group}"), [3], |side, _| AddOffsetsToTxnRequest {
        transactional_id: producer.id.as_str().into(),
        producer_id: producer.producer_id(side),
        producer_epoch: producer.epoch(side),
        group_id: group.into(),
        ..Default::default()
    });
}

pub fn rows(run: &mut Run, level: &str) {
    topic(run, "tx-co", 3, &[]);
    for version in 0..=run.at_most(ApiKey::TxnOffsetCommit, 5) {
        for committed in [true, false] {
            life(run, level, version, committed);
        }
    }
    outside(run, level);
    wrong(run, level);
    members(run, level);
}

fn stable(side: &Side, version: i16, group: &str) -> OffsetFetchRequest {
    OffsetFetchRequest { require_stable: true, ..fetch(side, version, group, Some(&[("tx-co", &[0, 1, 2])])) }
}

fn life(run: &mut Run, level: &str, version: i16, committed: bool) {
    let group = format!("tx-group-{level}-{version}-{committed}");
    let producer = Producer::new(run, &format!("tx-offsets-{level}-{version}-{committed}"));
    coordinator(run, &group);
    let ended = if version < 5 { 4 } else { 5 };
    for round in 0..2 {
        if version < 5 {
            join(run, &producer, &group);
        }
        run.row("good", [version], |side, _| {
            commit(side, &producer, &group, "tx-co", vec![at(0, 5 + round), at(1, 6)])
        });
        run.row("one again", [version], |side, _| commit(side, &producer, &group, "tx-co", vec![at(0, 7 + round)]));
        run.row("fetched while pending", 1..=10, |side, v| fetch(side, v, &group, Some(&[("tx-co", &[0, 1, 2])])));
        run.row("everything fetched while pending", 2..=10, |side, v| fetch(side, v, &group, None));
        run.row("stable ones fetched while pending", 7..=10, |side, v| stable(side, v, &group));
        run.row("everything stable fetched while pending", 7..=10, |side, v| OffsetFetchRequest {
            require_stable: true,
            ..fetch(side, v, &group, None)
        });
        producer.finish(run, ended, committed);
        run.row("fetched after it", 1..=10, |side, v| fetch(side, v, &group, Some(&[("tx-co", &[0, 1, 2])])));
        run.row("stable ones fetched after it", 7..=10, |side, v| stable(side, v, &group));
    }
    run.row("described", [0], |_, _| describe(&[&producer.id]));
}

/// Commits outside a transaction, or by another producer. Version 5 opens one.
fn outside(run: &mut Run, level: &str) {
    let group = format!("tx-outside-{level}");
    coordinator(run, &group);
    let producer = Producer::new(run, &format!("tx-outside-{level}"));
    run.row("not in the transaction", 0..=4, |side, _| commit(side, &producer, &group, "tx-co", vec![at(0, 1)]));
    join(run, &producer, "another group of another partition");
    run.row("of another group's partition", 0..=4, |side, _| commit(side, &producer, &group, "tx-co", vec![at(0, 1)]));
    let nobody = Producer { id: "nobody".into() };
    let as_of = |side: &Side, id: &str, producer_id: i64, epoch: i16| TxnOffsetCommitRequest {
        transactional_id: id.into(),
        producer_id,
        producer_epoch: epoch,
        ..commit(side, &nobody, &group, "tx-co", vec![at(0, 1)])
    };
    run.row("an unknown id", 0..=5, |side, _| as_of(side, "nobody", 1, 0));
    run.row("an unknown id without a producer id", 0..=5, |side, _| as_of(side, "nobody", -1, -1));
    run.row("an empty id", 0..=5, |side, _| as_of(side, "", 77, 0));
    run.row("another producer id", 0..=5, |side, _| as_of(side, &producer.id, 9_999_999, 0));
    for shift in [-1, 1, 7] {
        run.row(&format!("an epoch off by {shift}"), 0..=5, |side, _| {
            as_of(side, &producer.id, producer.producer_id(side), producer.epoch(side) + shift)
        });
    }
    run.row("nothing of it was kept", [9], |side, v| fetch(side, v, &group, None));
    run.row("nothing of it is pending", [9], |side, v| stable(side, v, &group));
    producer.finish(run, 4, true);
}

fn wrong(run: &mut Run, level: &str) {
    let group = format!("tx-wrong-{level}");
    coordinator(run, &group);
    let producer = Producer::new(run, &format!("tx-wrong-{level}"));
    join(run, &producer, &group);
    let all = 0..=5;
    let with = |partitions: Vec<TxnOffsetCommitRequestPartition>| {
        let (group, producer) = (&group, &producer);
        move |side: &Side, _: i16| commit(side, producer, group, "tx-co", partitions.clone())
    };
    run.row("an unknown topic", all.clone(), |side, _| commit(side, &producer, &group, "nothing", vec![at(0, 1)]));
    run.row("an empty name", all.clone(), |side, _| commit(side, &producer, &group, "", vec![at(0, 1)]));
    run.row("an invalid name", all.clone(), |side, _| commit(side, &producer, &group, "a b", vec![at(0, 1)]));
    run.row("an empty group", all.clone(), |side, _| commit(side, &producer, "", "tx-co", vec![at(0, 1)]));
    run.row("an unknown partition", all.clone(), with(vec![at(9, 1)]));
    run.row("one known of two", all.clone(), with(vec![at(9, 1), at(2, 3)]));
    run.row("a partition twice", all.clone(), with(vec![at(0, 1), at(0, 2)]));
    run.row("no partition", all.clone(), with(Vec::new()));
    run.row("a negative offset", all.clone(), with(vec![at(0, -1)]));
    run.row("an offset past the end", all.clone(), with(vec![at(0, 1_000_000)]));
    let long = TxnOffsetCommitRequestPartition { committed_metadata: Some("m".repeat(4097).into()), ..at(0, 1) };
    run.row("metadata too long", all.clone(), with(vec![long, at(1, 5)]));
    let none = TxnOffsetCommitRequestPartition { committed_metadata: None, ..at(0, 1) };
    run.row("no metadata", all.clone(), with(vec![none]));
    run.row("nothing", all, |side, _| TxnOffsetCommitRequest {
        topics: Vec::new(),
        ..commit(side, &producer, &group, "tx-co", Vec::new())
    });
    run.row("pending", [9], |side, v| stable(side, v, &group));
    producer.finish(run, 4, true);
    run.row("what was kept", [9], |side, v| fetch(side, v, &group, None));
}

fn members(run: &mut Run, level: &str) {
    let group = format!("tx-members-{level}");
    coordinator(run, &group);
    let producer = Producer::new(run, &format!("tx-members-{level}"));
    join(run, &producer, &group);
    let of = |side: &Side, member: &str, generation: i32| TxnOffsetCommitRequest {
        member_id: member.into(),
        generation_id: generation,
        ..commit(side, &producer, &group, "tx-co", vec![at(0, 9)])
    };
    run.row("a member of an unknown group", 3..=5, |side, _| of(side, "somebody", 1));
    run.row("a generation of an unknown group", 3..=5, |side, _| of(side, "", 1));
    run.row("a member without generation of an unknown group", 3..=5, |side, _| of(side, "somebody", -1));
    let worker = format!("worker of {group}");
    one_member(run, &group, &worker);
    run.row("without a member", 0..=2, |side, _| commit(side, &producer, &group, "tx-co", vec![at(1, 9)]));
    run.row("the member's", 3..=5, |side, _| of(side, side.text(&worker), 1));
    run.row("of an old generation", 3..=5, |side, _| of(side, side.text(&worker), 0));
    run.row("of a generation to come", 3..=5, |side, _| of(side, side.text(&worker), 2));
    run.row("of no generation", 3..=5, |side, _| of(side, side.text(&worker), -1));
    run.row("a stranger's", 3..=5, |side, _| of(side, "somebody", 1));
    run.row("nobody's", 3..=5, |side, _| of(side, "", -1));
    run.row("nobody's, of the generation", 3..=5, |side, _| of(side, "", 1));
    run.row("of an instance that is none", 3..=5, |side, _| TxnOffsetCommitRequest {
        group_instance_id: Some("i".into()),
        ..of(side, side.text(&worker), 1)
    });
    run.row("pending", [9], |side, v| stable(side, v, &group));
    producer.finish(run, 4, true);
    run.row("what was kept", [9], |side, v| fetch(side, v, &group, None));
}
