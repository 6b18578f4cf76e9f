//! The records of Apache Kafka 4.3.1 are what this shard writes, byte for byte.
//!
//! `golden/kafka-4.3.1.txt` is the log of a broker that served four Java producers at each
//! `transaction.version`: one that commits and aborts, one with many topics and partitions, two
//! that fence each other, and one that adds many partitions at once. Each line is a record's key
//! and value. The test turns each record back into the request that led to it.

use super::{Harness, Leaders, add, end, init, producer};
use crate::Entry;
use crate::transaction::MarkerOutcome;
use bytes::Bytes;
use model::ProducerId;
use protocol::TransactionRecord;
use protocol::messages::transaction_log_value::TransactionLogValue;
use std::collections::VecDeque;

const KAFKA: &str = include_str!("golden/kafka-4.3.1.txt");

fn hex(text: &str) -> Bytes {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect::<Vec<u8>>().into()
}

/// The records of each transactional id.
fn logs() -> Vec<(String, Vec<(Entry, TransactionLogValue)>)> {
    let mut logs: Vec<(String, Vec<(Entry, TransactionLogValue)>)> = Vec::new();
    for line in KAFKA.lines() {
        let (key, value) = line.split_once(' ').unwrap();
        let entry = Entry::Record { key: hex(key), value: Some(hex(value)) };
        let record = TransactionRecord::decode(hex(key), Some(hex(value))).unwrap();
        let TransactionRecord::TransactionLog(key, Some(value)) = record else { panic!("{line}") };
        match logs.iter_mut().find(|(id, _)| key.transactional_id == *id) {
            Some((_, log)) => log.push((entry, value)),
            None => logs.push((key.transactional_id.to_string(), vec![(entry, value)])),
        }
    }
    logs
}

fn partitions(value: &TransactionLogValue) -> Vec<(&str, i32)> {
    let topics = value.transaction_partitions.iter().flatten();
    topics.flat_map(|it| it.partition_ids.iter().map(|index| (it.topic.as_str(), *index))).collect()
}

#[test]
fn records_are_kafkas() {
    let logs = logs();
    assert_eq!(logs.len(), 12);
    for (id, log) in &logs {
        let version: i16 = id[id.len() - 1..].parse().unwrap();
        let client = if version == 2 { 2 } else { 0 };
        let mut h = Harness::new(version);
        h.leaders = Leaders::Silent;
        h.producer_ids = VecDeque::from([Ok(ProducerId(log[0].1.producer_id))]);
        let mut before = TransactionLogValue::default();
        for (index, (entry, value)) in log.iter().enumerate() {
            h.wall_ahead_ms = value.transaction_last_update_timestamp_ms - h.now;
            let raised = value.producer_epoch - before.producer_epoch;
            let request = match value.transaction_status {
                0 => Some(init(id, value.transaction_timeout_ms, None)),
                1 => {
                    let old = partitions(&before);
                    let new: Vec<(&str, i32)> = partitions(value).into_iter().filter(|it| !old.contains(it)).collect();
                    Some(add(id, producer(value.producer_id, value.producer_epoch), client, &new))
                }
                // The only aborts of this producer are those of a newer one.
                3 if id.starts_with("fence") => Some(init(id, value.transaction_timeout_ms, None)),
                2 | 3 => {
                    let epoch = value.producer_epoch - raised;
                    let committed = value.transaction_status == 2;
                    Some(end(id, producer(value.producer_id, epoch), client, committed))
                }
                _ => None,
            };
            match request {
                Some(request) => {
                    h.send(request);
                }
                None => h.outcome(MarkerOutcome::Written),
            }
            assert_eq!(h.log.len(), index + 1, "record {index} of {id}: {value:?}");
            assert_eq!(h.log[index].1, *entry, "record {index} of {id}: {value:?}");
            before = value.clone();
        }
    }
}

/// A load of Kafka's records gives the state that this shard had when it wrote them.
#[test]
fn kafkas_records_are_read() {
    let mut h = Harness::new(2);
    for (_, log) in logs() {
        for (entry, _) in log {
            h.append(entry);
        }
    }
    h.fail_over();
    let mut states: Vec<&str> = h.shard.state.transactions.values().map(|it| it.state.name()).collect();
    states.sort_unstable();
    assert_eq!(states, ["CompleteCommit"; 12]);
    assert_eq!(h.init("fence-v2"), Ok(producer(2, 4)));
}
