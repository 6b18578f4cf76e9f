//! A test harness: a shard with its own log and clock, and a driver that carries out its effects.
//!
//! After each command the harness compares the shard with one that has only replayed the log. It
//! also checks that every request gets exactly one reply.

mod answers;
mod expiry;
mod failures;
mod golden;
mod lists;
mod marker_outcomes;
mod memory;
mod producers;
mod random;
mod timeouts;
mod transcripts;
mod version_2;
mod versions_0_and_1;

use crate::transaction::state::Transaction;
use crate::transaction::{MarkerOutcome, TransactionMarkers};
use crate::transaction::{ProducerIdAndEpoch, TransactionPartition};
use crate::{BatchContext, Command, CoordinatorShard, Decision, DecisionContext, Entry, NewRecord, ReplyId};
use crate::{
    TransactionConfig, TransactionEffect, TransactionEvent, TransactionReply, TransactionRequest, TransactionShard,
    TransactionTypes,
};
use metadata::image::Image;
use model::{ErrorCode, LeaderEpoch, Monotonic, Now, Offset, PartitionIndex, ProducerEpoch, ProducerId, Timestamp};
use protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use protocol::messages::describe_transactions_response::TransactionState as DescribedTransaction;
use std::collections::{HashMap, HashSet, VecDeque};

pub(super) const OK: ErrorCode = ErrorCode::None;

/// How the harness answers WriteMarkers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaders {
    /// Every marker has this outcome at once.
    Answer(MarkerOutcome),
    /// The effect is kept in `Harness::sent`.
    Silent,
}

pub(super) struct Harness {
    pub(super) shard: TransactionShard,
    pub(super) config: TransactionConfig,
    pub(super) image: Image,
    pub(super) leader_epoch: LeaderEpoch,
    /// The monotonic clock.
    pub(super) now: i64,
    /// How far the wall clock is ahead of the monotonic one.
    pub(super) wall_ahead_ms: i64,
    pub(super) log: Vec<(BatchContext, Entry)>,
    pub(super) replies: HashMap<ReplyId, TransactionReply>,
    pub(super) parked: HashSet<ReplyId>,
    /// The next append fails with this.
    pub(super) fail: Option<ErrorCode>,
    pub(super) leaders: Leaders,
    /// WriteMarkers that no leader has answered.
    pub(super) sent: VecDeque<TransactionMarkers>,
    /// Producer ids that are given out at once; if it is empty the effect is kept in `allocations`.
    pub(super) producer_ids: VecDeque<Result<ProducerId, ErrorCode>>,
    pub(super) allocations: VecDeque<crate::transaction::AllocationToken>,
    /// Whether the log is replayed after each command. That takes long for a long log.
    pub(super) replays: bool,
    effects: VecDeque<TransactionEffect>,
    next_reply: u64,
}

impl Harness {
    /// A shard of an empty log at a finalized `transaction.version`.
    pub(super) fn new(transaction_version: i16) -> Self {
        let mut image = Image::default();
        image.features.others.insert("transaction.version".into(), transaction_version);
        let mut harness = Self {
            shard: TransactionShard::new(),
            config: TransactionConfig::default(),
            image,
            leader_epoch: LeaderEpoch(5),
            now: 1_000_000,
            wall_ahead_ms: 1_000_000_000,
            log: Vec::new(),
            replies: HashMap::new(),
            parked: HashSet::new(),
            fail: None,
            leaders: Leaders::Answer(MarkerOutcome::Written),
            sent: VecDeque::new(),
            producer_ids: (1000..1100).map(|id| Ok(ProducerId(id))).collect(),
            allocations: VecDeque::new(),
            replays: true,
            effects: VecDeque::new(),
            next_reply: 0,
        };
        harness.command(Command::PartitionLoaded);
        harness
    }

    pub(super) fn wall(&self) -> Timestamp {
        Timestamp(self.now + self.wall_ahead_ms)
    }

    /// Decides a command and carries it out, then what follows from its effects.
    pub(super) fn command(&mut self, command: Command<TransactionTypes>) {
        self.decide(command);
        while let Some(effect) = self.effects.pop_front() {
            match effect {
                TransactionEffect::AllocateProducerId { token } => match self.producer_ids.pop_front() {
                    Some(result) => {
                        self.decide(Command::Event(TransactionEvent::ProducerIdAllocated { token, result }))
                    }
                    None => self.allocations.push_back(token),
                },
                TransactionEffect::WriteMarkers(markers) => match self.leaders {
                    Leaders::Answer(outcome) => {
                        let event = outcome_of(&markers, outcome);
                        self.decide(Command::Event(event));
                    }
                    Leaders::Silent => self.sent.push_back(markers),
                },
            }
        }
    }

    fn decide(&mut self, command: Command<TransactionTypes>) {
        let now = Now { monotonic: Monotonic(self.now.unsigned_abs()), wall: self.wall() };
        let (image, config) = (self.image.clone(), self.config.clone());
        let context = DecisionContext {
            now,
            random: &|| [0; 16],
            leader_epoch: self.leader_epoch,
            image: &image,
            config: &config,
        };
        let mut decision = self.shard.decide(&context, &command);
        let fault = if decision.records.is_empty() { None } else { self.fail.take() };
        if let Some(error) = fault {
            let failed = Command::AppendFailed(decision.into_unappended(command), error);
            decision = self.shard.decide(&context, &failed);
            assert!(decision.records.is_empty());
        }
        self.carry_out(decision);
    }

    fn carry_out(&mut self, decision: Decision<TransactionTypes>) {
        for NewRecord { key, value } in decision.records {
            self.append(Entry::Record { key, value });
        }
        self.shard.apply_soft(decision.soft);
        for (id, reply) in decision.replies {
            assert!(self.parked.remove(&id), "{id:?} is answered twice: {reply:?}");
            self.replies.insert(id, reply);
        }
        self.effects.extend(decision.effects);
        let waiting: HashSet<ReplyId> = self.shard.clone().resign().into_iter().map(|(id, _)| id).collect();
        assert_eq!(waiting, self.parked, "what is parked is what has not been answered");
        if self.replays {
            assert_eq!(self.replayed().state, self.shard.state, "the log says all that is replicated");
        }
        self.check_soft_state();
    }

    /// Checks what must be true of the soft state between any two commands.
    fn check_soft_state(&self) {
        use crate::transaction::soft::TimerKey;
        let prepared =
            |id: &protocol::Str| self.shard.state.transactions.get(id).is_some_and(|it| it.state.is_prepared());
        for id in self.shard.soft.markers.keys() {
            assert!(prepared(id), "markers of {id}, which does not end");
        }
        for (id, it) in &self.shard.state.transactions {
            let has_timeout = self.shard.soft.timers.contains(&TimerKey::Timeout(id.clone()));
            let awaits = self.shard.soft.allocations.values().count() > 0;
            let is_open = it.state == crate::transaction::TransactionState::Ongoing && it.timeout_ms != i32::MAX;
            assert!(has_timeout == is_open || (awaits && is_open), "the timeout of {id} in {:?}", it.state);
        }
    }

    pub(super) fn append(&mut self, entry: Entry) {
        let offset = Offset(self.log.len() as i64);
        let at = BatchContext { offset, leader_epoch: self.leader_epoch, timestamp: self.wall(), producer: None };
        self.shard.apply(&at, entry.clone()).unwrap();
        self.log.push((at, entry));
    }

    /// Returns the shard of another broker that takes over: it has only replayed the log.
    pub(super) fn replayed(&self) -> TransactionShard {
        let mut shard = TransactionShard::new();
        for (at, entry) in &self.log {
            shard.apply(at, entry.clone()).unwrap();
        }
        shard
    }

    /// The leadership ends, and another broker loads the log. Effects under way are lost.
    pub(super) fn fail_over(&mut self) {
        let fresh = self.replayed();
        let old = std::mem::replace(&mut self.shard, fresh);
        for (id, reply) in old.resign() {
            assert!(self.parked.remove(&id));
            self.replies.insert(id, reply);
        }
        self.leader_epoch = LeaderEpoch(self.leader_epoch.0 + 1);
        self.sent.clear();
        self.allocations.clear();
        self.command(Command::PartitionLoaded);
    }

    pub(super) fn advance(&mut self, ms: i64) {
        let end = self.now + ms;
        while let Some(deadline) = self.shard.next_deadline().map(|it| it.0 as i64).filter(|it| *it <= end) {
            self.now = self.now.max(deadline);
            self.command(Command::TimerDue);
        }
        self.now = end;
    }

    pub(super) fn send(&mut self, request: TransactionRequest) -> ReplyId {
        self.next_reply += 1;
        let id = ReplyId(self.next_reply);
        self.parked.insert(id);
        self.command(Command::Request(id, request));
        id
    }

    pub(super) fn ask(&mut self, request: TransactionRequest) -> TransactionReply {
        let id = self.send(request);
        self.replies.remove(&id).expect("an answer at once")
    }

    /// InitProducerId without an expected id.
    pub(super) fn init(&mut self, id: &str) -> Result<ProducerIdAndEpoch, ErrorCode> {
        self.init_with(id, 60_000, None)
    }

    pub(super) fn init_with(
        &mut self,
        id: &str,
        timeout_ms: i32,
        expected: Option<ProducerIdAndEpoch>,
    ) -> Result<ProducerIdAndEpoch, ErrorCode> {
        initialized(self.ask(init(id, timeout_ms, expected)))
    }

    /// AddPartitionsToTxn of a client of version 0 or 1, or of a broker for one of version 2.
    pub(super) fn add(
        &mut self,
        id: &str,
        it: ProducerIdAndEpoch,
        version: i16,
        partitions: &[(&str, i32)],
    ) -> ErrorCode {
        match self.ask(add(id, it, version, partitions)) {
            TransactionReply::AddPartitions(code) => code,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn end(
        &mut self,
        id: &str,
        it: ProducerIdAndEpoch,
        version: i16,
        committed: bool,
    ) -> Result<ProducerIdAndEpoch, ErrorCode> {
        ended(self.ask(end(id, it, version, committed)))
    }

    pub(super) fn describe(&mut self, id: &str) -> DescribedTransaction {
        match self.ask(TransactionRequest::Describe(vec![id.into()])) {
            TransactionReply::Describe(states) => states[0].clone(),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn state(&self, id: &str) -> &'static str {
        self.shard.state.transactions[id].state.name()
    }

    pub(super) fn transaction(&self, id: &str) -> &Transaction {
        &self.shard.state.transactions[id]
    }

    /// The leaders answer the oldest WriteMarkers with one outcome for all partitions.
    pub(super) fn outcome(&mut self, outcome: MarkerOutcome) {
        let markers = self.sent.pop_front().expect("markers were sent");
        self.command(Command::Event(outcome_of(&markers, outcome)));
    }

    /// Writes a record of a transaction that is in the log already.
    pub(super) fn stored(&mut self, id: &str, transaction: &Transaction) {
        let version = crate::transaction::record::value_version(self.image.features.level("transaction.version"));
        let record = crate::transaction::record::transaction(&id.into(), transaction, version).unwrap();
        self.append(Entry::Record { key: record.key, value: record.value });
    }
}

pub(super) fn outcome_of(markers: &TransactionMarkers, outcome: MarkerOutcome) -> TransactionEvent {
    TransactionEvent::MarkersWritten {
        transactional_id: markers.transactional_id.clone(),
        producer: markers.producer,
        coordinator_epoch: markers.coordinator_epoch,
        outcomes: markers.partitions.iter().map(|it| (it.clone(), outcome)).collect(),
    }
}

pub(super) fn producer(id: i64, epoch: i16) -> ProducerIdAndEpoch {
    ProducerIdAndEpoch { id: ProducerId(id), epoch: ProducerEpoch(epoch) }
}

pub(super) fn partition(topic: &str, index: i32) -> TransactionPartition {
    TransactionPartition { topic: topic.into(), partition: PartitionIndex(index) }
}

pub(super) fn init(id: &str, timeout_ms: i32, expected: Option<ProducerIdAndEpoch>) -> TransactionRequest {
    TransactionRequest::InitProducerId {
        transactional_id: id.into(),
        timeout_ms,
        expected,
        enable_2pc: false,
        keep_prepared: false,
    }
}

pub(super) fn topics(partitions: &[(&str, i32)]) -> Vec<AddPartitionsToTxnTopic> {
    let mut topics: Vec<AddPartitionsToTxnTopic> = Vec::new();
    for (name, index) in partitions {
        match topics.iter_mut().find(|it| it.name == *name) {
            Some(topic) => topic.partitions.push(*index),
            None => topics.push(AddPartitionsToTxnTopic {
                name: (*name).into(),
                partitions: vec![*index],
                ..Default::default()
            }),
        }
    }
    topics
}

pub(super) fn add(
    id: &str,
    producer: ProducerIdAndEpoch,
    version: i16,
    partitions: &[(&str, i32)],
) -> TransactionRequest {
    TransactionRequest::AddPartitions {
        transactional_id: id.into(),
        producer,
        topics: topics(partitions),
        verify_only: false,
        transaction_version: version,
    }
}

pub(super) fn verify(id: &str, producer: ProducerIdAndEpoch, partitions: &[(&str, i32)]) -> TransactionRequest {
    TransactionRequest::AddPartitions {
        transactional_id: id.into(),
        producer,
        topics: topics(partitions),
        verify_only: true,
        transaction_version: 0,
    }
}

pub(super) fn end(id: &str, producer: ProducerIdAndEpoch, version: i16, committed: bool) -> TransactionRequest {
    TransactionRequest::EndTxn { transactional_id: id.into(), producer, committed, transaction_version: version }
}

pub(super) fn initialized(reply: TransactionReply) -> Result<ProducerIdAndEpoch, ErrorCode> {
    match reply {
        TransactionReply::InitProducerId(it) if it.error_code == 0 => Ok(producer(it.producer_id, it.producer_epoch)),
        TransactionReply::InitProducerId(it) => {
            assert_eq!((it.producer_id, it.producer_epoch), (-1, -1));
            Err(ErrorCode::from_code(it.error_code).unwrap())
        }
        other => panic!("{other:?}"),
    }
}

pub(super) fn ended(reply: TransactionReply) -> Result<ProducerIdAndEpoch, ErrorCode> {
    match reply {
        TransactionReply::EndTxn(it) if it.error_code == 0 => Ok(producer(it.producer_id, it.producer_epoch)),
        TransactionReply::EndTxn(it) => {
            assert_eq!((it.producer_id, it.producer_epoch), (-1, -1));
            Err(ErrorCode::from_code(it.error_code).unwrap())
        }
        other => panic!("{other:?}"),
    }
}

/// What EndTxn answers to clients before version 2.
pub(super) const NO_PRODUCER: ProducerIdAndEpoch = ProducerIdAndEpoch { id: ProducerId(-1), epoch: ProducerEpoch(-1) };
