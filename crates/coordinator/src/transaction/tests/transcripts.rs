//! Transcripts: what the shard does in each state on each event, as text.
//!
//! The files are in `transcripts`, one for each state. `UPDATE_TRANSCRIPTS=1 cargo test -p
//! coordinator transcripts` writes them again. The test fails if a file is not what the shard does.

use super::{Harness, Leaders, OK, add, end, init, outcome_of, producer, verify};
use crate::transaction::state::Transaction;
use crate::transaction::{
    MarkerOutcome, ProducerIdAndEpoch, TransactionEffect, TransactionPartition, TransactionState,
};
use crate::{Command, Entry, TransactionReply, TransactionRequest};
use model::ErrorCode;
use protocol::TransactionRecord;
use std::fmt::Write;
use std::path::Path;

const ID: &str = "a";

/// A state that a transcript starts from.
const STATES: [(&str, TransactionState); 7] = [
    ("absent", TransactionState::Dead),
    ("empty", TransactionState::Empty),
    ("ongoing", TransactionState::Ongoing),
    ("prepare-commit", TransactionState::PrepareCommit),
    ("prepare-abort", TransactionState::PrepareAbort),
    ("complete-commit", TransactionState::CompleteCommit),
    ("complete-abort", TransactionState::CompleteAbort),
];

/// Brings a shard into a state. The producer has the id 1000 and the epoch 3; the epoch before was
/// 2.
fn reach(state: TransactionState, version: i16) -> Harness {
    let mut h = Harness::new(version);
    h.leaders = Leaders::Silent;
    if state == TransactionState::Dead {
        return h;
    }
    let mut it = h.init(ID).unwrap();
    let before_end =
        if version == 2 && !matches!(state, TransactionState::Empty | TransactionState::Ongoing) { 2 } else { 3 };
    while it.epoch.0 < before_end {
        it = h.init_with(ID, 60_000, Some(it)).unwrap();
    }
    if state == TransactionState::Empty {
        return h;
    }
    assert_eq!(h.add(ID, it, version_of_client(version), &[("t", 0), ("u", 1)]), OK);
    if state == TransactionState::Ongoing {
        return h;
    }
    let committed = matches!(state, TransactionState::PrepareCommit | TransactionState::CompleteCommit);
    h.send(end(ID, it, version_of_client(version), committed));
    if state.is_at_rest() {
        h.outcome(MarkerOutcome::Written);
    }
    h
}

fn version_of_client(version: i16) -> i16 {
    if version == 2 { 2 } else { 0 }
}

enum Event {
    Request(TransactionRequest),
    Failing(TransactionRequest),
    Outcome(MarkerOutcome),
    LateOutcome,
    Wait(i64),
    Load,
}

fn events(version: i16) -> Vec<(&'static str, Event)> {
    let client = version_of_client(version);
    let (current, before, other) = (producer(1000, 3), producer(1000, 2), producer(7, 3));
    let ask = Event::Request;
    vec![
        ("InitProducerId", ask(init(ID, 60_000, None))),
        ("InitProducerId with the current epoch", ask(init(ID, 60_000, Some(current)))),
        ("InitProducerId with the epoch before", ask(init(ID, 60_000, Some(before)))),
        ("InitProducerId with another producer id", ask(init(ID, 60_000, Some(other)))),
        ("InitProducerId, and the append fails", Event::Failing(init(ID, 60_000, None))),
        ("a new partition", ask(add(ID, current, client, &[("t", 2)]))),
        ("a partition that is there", ask(add(ID, current, client, &[("t", 0)]))),
        ("a partition with the epoch before", ask(add(ID, before, client, &[("t", 2)]))),
        ("a partition, and the append fails", Event::Failing(add(ID, current, client, &[("t", 2)]))),
        ("a verification", ask(verify(ID, current, &[("t", 0), ("t", 2)]))),
        ("EndTxn commit", ask(end(ID, current, client, true))),
        ("EndTxn abort", ask(end(ID, current, client, false))),
        ("EndTxn commit with the epoch before", ask(end(ID, before, client, true))),
        ("EndTxn abort with the epoch before", ask(end(ID, before, client, false))),
        ("EndTxn commit with another producer id", ask(end(ID, other, client, true))),
        ("EndTxn commit, and the append fails", Event::Failing(end(ID, current, client, true))),
        ("markers are written", Event::Outcome(MarkerOutcome::Written)),
        ("partitions are gone", Event::Outcome(MarkerOutcome::Gone)),
        ("markers are not written", Event::Outcome(MarkerOutcome::Retry)),
        ("markers are fenced", Event::Outcome(MarkerOutcome::Fenced)),
        ("markers of an earlier transaction are written", Event::LateOutcome),
        ("a minute and a millisecond", Event::Wait(60_001)),
        ("eight days", Event::Wait(8 * 24 * 3_600_000)),
        ("a load", Event::Load),
        ("DescribeTransactions", ask(TransactionRequest::Describe(vec![ID.into()]))),
    ]
}

fn of_producer(it: ProducerIdAndEpoch) -> String {
    format!("{}/{}", it.id, it.epoch)
}

fn of_partitions(partitions: &[TransactionPartition]) -> String {
    let names: Vec<String> = partitions.iter().map(|it| format!("{}-{}", it.topic, it.partition)).collect();
    if names.is_empty() { "none".into() } else { names.join(" ") }
}

fn of_transaction(it: &Transaction) -> String {
    let mut text = format!("{} producer {}", it.state.name(), of_producer(it.producer));
    if it.client_version != 0 {
        write!(text, " client version {}", it.client_version).unwrap();
    }
    if let Some(next) = it.next_id {
        write!(text, " next id {next}").unwrap();
    }
    write!(text, " partitions {}", of_partitions(&it.partitions)).unwrap();
    text
}

fn of_entry(entry: &Entry) -> String {
    let Entry::Record { key, value } = entry else { panic!("no marker is written into this topic") };
    match TransactionRecord::decode(key.clone(), value.clone()).unwrap() {
        TransactionRecord::TransactionLog(_, None) => "tombstone".into(),
        TransactionRecord::TransactionLog(..) => {
            let mut state = crate::transaction::state::ReplicatedState::default();
            state.apply(entry.clone()).unwrap();
            of_transaction(&state.transactions[ID])
        }
    }
}

fn name(code: i16) -> &'static str {
    ErrorCode::from_code(code).unwrap().name()
}

fn of_reply(reply: &TransactionReply) -> String {
    match reply {
        TransactionReply::InitProducerId(it) => {
            format!("InitProducerId {} {}/{}", name(it.error_code), it.producer_id, it.producer_epoch)
        }
        TransactionReply::AddPartitions(code) => format!("AddPartitions {}", code.name()),
        TransactionReply::VerifyPartitions(topics) => {
            let all =
                topics.iter().flat_map(|topic| topic.results_by_partition.iter().map(move |it| (&topic.name, it)));
            let texts: Vec<String> = all
                .map(|(topic, it)| format!("{topic}-{} {}", it.partition_index, name(it.partition_error_code)))
                .collect();
            format!("VerifyPartitions {}", texts.join(" "))
        }
        TransactionReply::EndTxn(it) => {
            format!("EndTxn {} {}/{}", name(it.error_code), it.producer_id, it.producer_epoch)
        }
        TransactionReply::Describe(states) => {
            let it = &states[0];
            let topics: Vec<String> = it.topics.iter().map(|it| format!("{} {:?}", it.topic, it.partitions)).collect();
            format!("Describe {} {} {}", name(it.error_code), it.transaction_state, topics.join(" "))
        }
        TransactionReply::List(it) => format!("List {}", name(it.error_code)),
    }
    .trim_end()
    .to_string()
}

fn of_effect(effect: &TransactionEffect) -> String {
    match effect {
        TransactionEffect::AllocateProducerId { .. } => "allocate a producer id".into(),
        TransactionEffect::WriteMarkers(it) => format!(
            "write markers {} {} coordinator epoch {} version {} partitions {}",
            if it.committed { "commit" } else { "abort" },
            of_producer(it.producer),
            it.coordinator_epoch,
            it.transaction_version,
            of_partitions(&it.partitions),
        ),
    }
}

/// What an event leads to, one line for each thing.
fn outcome(mut h: Harness, event: &Event) -> String {
    let (records, sent) = (h.log.len(), h.sent.clone());
    let expected = h.producer_ids.len();
    match event {
        Event::Request(request) => drop(h.send(request.clone())),
        Event::Failing(request) => {
            h.fail = Some(ErrorCode::NotEnoughReplicas);
            h.send(request.clone());
        }
        Event::Outcome(outcome) => match h.sent.pop_front() {
            Some(markers) => h.command(Command::Event(outcome_of(&markers, *outcome))),
            None => return "    does not happen\n".into(),
        },
        Event::LateOutcome => {
            let markers = crate::transaction::TransactionMarkers {
                transactional_id: ID.into(),
                producer: producer(1000, 1),
                committed: true,
                coordinator_epoch: h.leader_epoch,
                transaction_version: 2,
                partitions: vec![super::partition("t", 0), super::partition("u", 1)],
            };
            h.command(Command::Event(outcome_of(&markers, MarkerOutcome::Written)));
        }
        Event::Wait(ms) => h.advance(*ms),
        Event::Load => h.fail_over(),
    }
    let mut text = String::new();
    if h.producer_ids.len() < expected {
        writeln!(
            text,
            "    effect {}",
            of_effect(&TransactionEffect::AllocateProducerId { token: crate::transaction::AllocationToken(0) })
        )
        .unwrap();
    }
    for (_, entry) in &h.log[records..] {
        writeln!(text, "    record {}", of_entry(entry)).unwrap();
    }
    for markers in h.sent.iter().filter(|it| !sent.contains(it)) {
        writeln!(text, "    effect {}", of_effect(&TransactionEffect::WriteMarkers(markers.clone()))).unwrap();
    }
    let mut replies: Vec<_> = h.replies.iter().collect();
    replies.sort_by_key(|(id, _)| **id);
    for (_, reply) in replies {
        writeln!(text, "    reply  {}", of_reply(reply)).unwrap();
    }
    if !h.parked.is_empty() {
        writeln!(text, "    parked {}", h.parked.len()).unwrap();
    }
    if text.is_empty() {
        text.push_str("    nothing\n");
    }
    text
}

fn transcript(title: &str, state: TransactionState) -> String {
    let mut text = format!("What a transaction coordinator does in the state \"{title}\".\n");
    for version in [1, 2] {
        write!(text, "\ntransaction.version {version}\n").unwrap();
        let mut reached = reach(state, version);
        reached.replies.clear();
        match reached.shard.state.transactions.get(ID) {
            Some(it) => writeln!(text, "    starts {}", of_transaction(it)).unwrap(),
            None => writeln!(text, "    starts without the transactional id").unwrap(),
        }
        for (event, what) in events(version) {
            let mut h = reach(state, version);
            h.replies.clear();
            write!(text, "\n  {event}\n{}", outcome(h, &what)).unwrap();
        }
    }
    text
}

#[test]
fn transcripts_are_what_the_shard_does() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/transaction/tests/transcripts");
    let updates = std::env::var_os("UPDATE_TRANSCRIPTS").is_some();
    for (title, state) in STATES {
        let path = directory.join(format!("{title}.txt"));
        let now = transcript(title, state);
        if updates {
            std::fs::create_dir_all(&directory).unwrap();
            std::fs::write(&path, &now).unwrap();
        }
        let stored = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(stored, now, "{title} is stale: UPDATE_TRANSCRIPTS=1 cargo test -p coordinator transcripts");
    }
}
