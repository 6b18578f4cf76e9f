//! The answers of Apache Kafka 4.3.1 are what this shard answers.
//!
//! `golden/answers-4.3.1.txt` is what a broker answered to random requests of clients of every
//! version at each `transaction.version`, one connection and one request at a time. Each request is
//! followed by a description of its transactional id, taken when its markers were written. `raise`
//! stands for InitProducerId, repeated until few epochs were left.

use super::{Harness, add, end, init, producer, verify};
use crate::transaction::ProducerIdAndEpoch;
use crate::transaction::state::Transaction;
use crate::{TransactionReply, TransactionRequest};
use model::ProducerId;
use std::collections::BTreeMap;

/// A request, in words, and its answer.
type Line = (Vec<&'static str>, &'static str);

const KAFKA: &str = include_str!("golden/answers-4.3.1.txt");

fn of_number<T: std::str::FromStr<Err = std::num::ParseIntError>>(text: &str) -> T {
    text.parse().unwrap()
}

fn of_producer(id: &str, epoch: &str) -> ProducerIdAndEpoch {
    producer(of_number(id), of_number(epoch))
}

fn of_partitions(text: &str) -> Vec<(&str, i32)> {
    text.split(',').map(|it| it.rsplit_once('-').unwrap()).map(|(topic, index)| (topic, of_number(index))).collect()
}

fn ask(words: &[&str]) -> Option<TransactionRequest> {
    let id = words.get(1).map(|it| if *it == "''" { "" } else { it })?;
    Some(match words {
        ["init", _, timeout_ms, "-1", "-1"] => init(id, of_number(timeout_ms), None),
        ["init", _, timeout_ms, producer, epoch] => init(id, of_number(timeout_ms), Some(of_producer(producer, epoch))),
        ["add", _, producer, epoch, version, partitions] => {
            let client = if of_number::<i16>(version) > 3 { 2 } else { 0 };
            add(id, of_producer(producer, epoch), client, &of_partitions(partitions))
        }
        ["verify", _, producer, epoch, _, partitions] => {
            verify(id, of_producer(producer, epoch), &of_partitions(partitions))
        }
        ["end", _, producer, epoch, version, way] => {
            let client = if of_number::<i16>(version) > 4 { 2 } else { 0 };
            end(id, of_producer(producer, epoch), client, *way == "commit")
        }
        ["describe", _] => TransactionRequest::Describe(vec![id.into()]),
        _ => return None,
    })
}

fn of_reply(words: &[&str], reply: TransactionReply) -> String {
    match reply {
        TransactionReply::InitProducerId(it) => format!("{} {} {}", it.error_code, it.producer_id, it.producer_epoch),
        TransactionReply::EndTxn(it) => format!("{} {} {}", it.error_code, it.producer_id, it.producer_epoch),
        TransactionReply::AddPartitions(code) => {
            let names: BTreeMap<&str, i16> = words[5].split(',').map(|it| (it, code.code())).collect();
            of_codes(names.into_iter().map(|(name, code)| (name.to_string(), code)))
        }
        TransactionReply::VerifyPartitions(topics) => {
            let codes = topics.iter().flat_map(|topic| {
                let of = |index: i32| format!("{}-{index}", topic.name);
                topic.results_by_partition.iter().map(move |it| (of(it.partition_index), it.partition_error_code))
            });
            of_codes(codes.collect::<BTreeMap<String, i16>>().into_iter())
        }
        TransactionReply::Describe(states) => {
            let it = &states[0];
            let mut topics: Vec<String> =
                it.topics.iter().map(|it| format!("{}:{:?}", it.topic, it.partitions).replace(' ', "")).collect();
            topics.sort_unstable();
            let or_dash = |text: &str| if text.is_empty() { "-".to_string() } else { text.to_string() };
            let state = or_dash(&it.transaction_state);
            let (code, timeout_ms) = (it.error_code, it.transaction_timeout_ms);
            let topics = or_dash(&topics.join(";"));
            format!("{code} {state} {} {} {timeout_ms} {topics}", it.producer_id, it.producer_epoch)
        }
        TransactionReply::List(_) => panic!("nobody lists"),
    }
}

fn of_codes(codes: impl Iterator<Item = (String, i16)>) -> String {
    codes.map(|(name, code)| format!("{name}={code}")).collect::<Vec<_>>().join(",")
}

/// Topics in the order of their names: two in one bucket of Java's `HashSet` have the order in
/// which they were added, which the log does not hold.
fn with_sorted_topics(answer: &str) -> String {
    let (start, topics) = answer.rsplit_once(' ').unwrap();
    let mut topics: Vec<&str> = topics.split(';').collect();
    topics.sort_unstable();
    format!("{start} {}", topics.join(";"))
}

/// The first producer id that a section gives out.
fn first_id(lines: &[Line]) -> i64 {
    let given = lines.iter().find(|(words, answer)| words[0] == "init" && answer.starts_with("0 ")).unwrap();
    of_number(given.1.split(' ').nth(1).unwrap())
}

#[test]
fn answers_are_kafkas() {
    let mut sections: Vec<(i16, Vec<Line>)> = Vec::new();
    for line in KAFKA.lines() {
        match line.split_once(" => ") {
            None => sections.push((of_number(line.strip_prefix("section ").unwrap()), Vec::new())),
            Some((asked, answer)) => sections.last_mut().unwrap().1.push((asked.split(' ').collect(), answer)),
        }
    }
    assert_eq!(sections.len(), 3);
    for (version, lines) in sections {
        let mut h = Harness::new(version);
        h.replays = false;
        let first = first_id(&lines);
        h.producer_ids = (first..first + 100).map(|id| Ok(ProducerId(id))).collect();
        for (index, (words, answer)) in lines.into_iter().enumerate() {
            let Some(request) = ask(&words) else {
                raise(&mut h, words[1], answer);
                continue;
            };
            let id = h.send(request);
            let reply = h.replies.remove(&id).unwrap();
            let answer = match words[0] {
                "describe" => with_sorted_topics(answer),
                _ => answer.to_string(),
            };
            assert_eq!(of_reply(&words, reply), answer, "version {version}, line {index}: {}", words.join(" "));
        }
        assert_eq!(h.replayed().state, h.shard.state);
    }
}

/// Does at once what an InitProducerId does that is repeated.
fn raise(h: &mut Harness, id: &str, answer: &str) {
    let words: Vec<&str> = answer.split(' ').collect();
    let raised = of_producer(words[1], words[2]);
    // The first one may abort an open transaction.
    if h.init(id).is_err() {
        h.init(id).unwrap();
    }
    assert_eq!(h.transaction(id).producer.id, raised.id);
    let transaction = Transaction { producer: raised, ..h.transaction(id).clone() };
    h.stored(id, &transaction);
}
