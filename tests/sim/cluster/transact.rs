//! A transactional producer. It writes into several partitions, commits the offset of a group in
//! some transactions, commits or aborts, and dies now and then: its successor of the same
//! transactional id fences it. Some speak transaction version 2, the others the version before.
//!
//! As Java's producer, one below version 2 takes a new epoch after a transaction of which a request
//! was left without an answer: a late copy of it could end the next transaction (KAFKA-17754).

use crate::clients::{PARTITIONS, Participant, TOPIC, shown, wait};
use crate::ledger::Index;
use crate::net::Host;
use crate::transact_offsets::GroupOffset;
use gregor::env::Simulator as _;
use model::{ErrorCode, Offset, ProducerEpoch, ProducerId};
use protocol::messages::add_partitions_to_txn_request::{AddPartitionsToTxnRequest, AddPartitionsToTxnTopic};
use protocol::messages::add_partitions_to_txn_response::AddPartitionsToTxnResponse;
use protocol::messages::end_txn_request::EndTxnRequest;
use protocol::messages::end_txn_response::EndTxnResponse;
use protocol::messages::find_coordinator_request::FindCoordinatorRequest;
use protocol::messages::find_coordinator_response::FindCoordinatorResponse;
use protocol::messages::init_producer_id_request::InitProducerIdRequest;
use protocol::messages::init_producer_id_response::InitProducerIdResponse;
use protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use protocol::messages::produce_response::ProduceResponse;
use protocol::{Message, Records};
use records::BatchBuilder;
use std::collections::{BTreeMap, BTreeSet};

/// The transaction timeout of a producer that does not leave its transaction. Wall clocks jump by
/// an hour, and the timeout is counted on them.
const LONG_TIMEOUT_MS: i32 = 4 * 3_600_000;
/// The timeout of the last transaction, which nobody ends.
const SHORT_TIMEOUT_MS: i32 = 2_000;
/// FindCoordinator's key types.
pub const GROUP_KEY: i8 = 0;
const TRANSACTION_KEY: i8 = 1;

/// Why a producer does not go on.
#[derive(Debug)]
pub struct Trouble;

/// A producer id and epoch.
pub type Identity = (i64, i16);

/// A transactional producer, and all its successors.
pub struct TransactionalProducer {
    pub participant: Participant,
    pub id: String,
    /// 2, or 1 for what came before.
    pub version: i16,
    coordinator: Option<Host>,
    pub identity: Identity,
    /// All identities that it was given.
    given: BTreeSet<Identity>,
    sequences: [i32; PARTITIONS as usize],
    /// The leader of each partition with its epoch.
    leaders: BTreeMap<Index, (Option<Host>, i32)>,
    next_value: usize,
    /// Whether a request of the transaction was left without an answer.
    pub has_unanswered: bool,
    /// The partitions of the transaction that the coordinator knows (before version 2).
    added: BTreeSet<Index>,
    offset: GroupOffset,
}

impl TransactionalProducer {
    pub fn new(mut participant: Participant) -> Self {
        let version = participant.random.pick(&[1, 2, 2]);
        let number = participant.number;
        Self {
            id: format!("t{number}"),
            version,
            coordinator: None,
            identity: (-1, -1),
            given: BTreeSet::new(),
            sequences: [0; PARTITIONS as usize],
            leaders: BTreeMap::new(),
            next_value: 0,
            has_unanswered: false,
            added: BTreeSet::new(),
            offset: GroupOffset::new(format!("offsets-of-t{number}")),
            participant,
        }
    }

    /// Runs transactions until the faults are over and `enough` more are committed.
    pub async fn transact(mut self, enough: usize) {
        self.participant.until_created().await;
        self.begin_life(LONG_TIMEOUT_MS).await;
        let mut after_healing = 0;
        while after_healing < enough {
            wait(self.participant.random.below(80) as u64).await;
            match self.transaction().await {
                Ok(committed) => {
                    after_healing += usize::from(committed && *self.participant.shared.is_healed.lock());
                    if self.version < 2 && self.has_unanswered {
                        self.begin_life(LONG_TIMEOUT_MS).await;
                    }
                }
                Err(Trouble) => self.succeed().await,
            }
        }
        if self.participant.random.chance(30) {
            self.begin_life(SHORT_TIMEOUT_MS).await;
            let transaction = self.participant.shared.ledger.lock().transactions.begin();
            let _ = self.write(transaction, 0).await;
            self.participant.note(|| "leaves its last transaction open".into());
        }
        self.participant.finish();
    }

    /// Dies, and lives on as a successor. The one before may still try to commit.
    async fn succeed(&mut self) {
        let (before, sequences) = (self.identity, self.sequences);
        self.begin_life(LONG_TIMEOUT_MS).await;
        if self.participant.random.chance(40) {
            let (now, own) = (self.identity, self.sequences);
            (self.identity, self.sequences) = (before, sequences);
            self.try_as_fenced().await;
            (self.identity, self.sequences) = (now, own);
        }
    }

    /// Tries to write and to commit with the identity of a producer that is fenced.
    async fn try_as_fenced(&mut self) {
        let partition = self.participant.random.below(PARTITIONS as usize) as Index;
        let transaction = self.participant.shared.ledger.lock().transactions.begin();
        let value = self.value(transaction, partition);
        let to = self.leader_of(partition).await;
        let request = self.produce_request(partition, &[value]);
        let written = self.participant.client.call::<_, ProduceResponse>(to, &request, self.produce_version()).await;
        if written.is_ok_and(|answer| shown(&answer).0 == 0) {
            self.participant.fail(format!("node {to} takes a write of {:?}, which is fenced", self.identity));
        }
        let Some(to) = self.coordinator().await else { return };
        let (code, _) = self.try_end(to, true).await.unwrap_or((-1, (-1, -1)));
        self.participant.note(|| format!("a fenced producer asks node {to} for a commit: {code}"));
        if code == 0 {
            self.participant.fail(format!("node {to} commits for {:?}, which is fenced", self.identity));
        }
    }

    /// Gets a new identity.
    async fn begin_life(&mut self, timeout_ms: i32) {
        self.sequences = [0; PARTITIONS as usize];
        self.has_unanswered = false;
        self.added.clear();
        loop {
            if let Some(to) = self.coordinator().await {
                let request = InitProducerIdRequest {
                    transactional_id: Some(self.id.as_str().into()),
                    transaction_timeout_ms: timeout_ms,
                    producer_id: -1,
                    producer_epoch: -1,
                    ..Default::default()
                };
                let answer = self.participant.client.call::<_, InitProducerIdResponse>(to, &request, 4).await;
                let code = answer.as_ref().map(|it| it.error_code).ok();
                self.participant.note(|| format!("{} begins anew at node {to}: {code:?}", self.id));
                match answer {
                    Ok(it) if it.error_code == 0 => return self.take_identity((it.producer_id, it.producer_epoch)),
                    Ok(it) if it.error_code == ErrorCode::ConcurrentTransactions.code() => {}
                    _ => self.coordinator = None,
                }
            }
            wait(50).await;
        }
    }

    fn take_identity(&mut self, identity: Identity) {
        if !self.given.insert(identity) {
            self.participant.fail(format!("{} was given {identity:?} twice: nobody is fenced", self.id));
        }
        self.identity = identity;
    }

    /// Runs one transaction. Returns whether it was committed.
    async fn transaction(&mut self) -> Result<bool, Trouble> {
        let transaction = self.participant.shared.ledger.lock().transactions.begin();
        self.added.clear();
        let before = (self.identity, self.offset.last_committed());
        for step in 0..1 + self.participant.random.below(4) {
            let partition = self.participant.random.below(PARTITIONS as usize) as Index;
            self.write(transaction, partition).await?;
            if step == 0 {
                self.repeat_last_end().await;
            }
            if self.participant.random.chance(5) && !*self.participant.shared.is_healed.lock() {
                self.participant.note(|| format!("{} dies in transaction {transaction}", self.id));
                return Err(Trouble);
            }
        }
        let commits_offset = self.participant.random.chance(40);
        let offset = std::mem::take(&mut self.offset);
        let added = match commits_offset {
            true => offset.add(self, transaction as i64).await,
            false => Ok(None),
        };
        self.offset = offset;
        let coordinator = added?;
        let committed = self.participant.random.chance(75);
        let ended = self.end(transaction, committed).await;
        self.participant.note(|| {
            format!("transaction {transaction} of {before:?} has ended, committed {committed}: {}", ended.is_ok())
        });
        if let Some(to) = coordinator {
            let mut offset = std::mem::take(&mut self.offset);
            offset.ended(self, to, transaction as i64, committed.then_some(ended.is_ok())).await;
            self.offset = offset;
        }
        ended.map(|()| committed)
    }

    /// A late copy of the EndTxn before arrives. From version 2 on it must not end this one.
    async fn repeat_last_end(&mut self) {
        let Some(to) = self.coordinator.filter(|_| self.version >= 2 && self.participant.random.chance(15)) else {
            return;
        };
        let (id, epoch) = self.identity;
        let before = (id, epoch - 1);
        if self.given.contains(&before) {
            let now = std::mem::replace(&mut self.identity, before);
            let committed = self.participant.random.chance(50);
            let code = self.try_end(to, committed).await.map(|(code, _)| code);
            self.identity = now;
            self.participant.note(|| format!("a late EndTxn of {before:?}, committed {committed}: {code:?}"));
        }
    }

    /// Returns the value of a new record, which the ledger knows.
    fn value(&mut self, transaction: usize, partition: Index) -> String {
        let value = format!("{}-{}", self.id, self.next_value);
        self.next_value += 1;
        self.participant.shared.ledger.lock().transactions.add(transaction, partition, &value);
        value
    }

    /// Writes a batch until it is acknowledged.
    async fn write(&mut self, transaction: usize, partition: Index) -> Result<(), Trouble> {
        let count = 1 + self.participant.random.below(2);
        let values: Vec<String> = (0..count).map(|_| self.value(transaction, partition)).collect();
        if self.version < 2 && !self.added.contains(&partition) {
            self.add_partition(partition).await?;
        }
        let request = self.produce_request(partition, &values);
        loop {
            let to = self.leader_of(partition).await;
            let answer = self.participant.client.call::<_, ProduceResponse>(to, &request, self.produce_version()).await;
            self.participant.note(|| format!("{values:?} to node {to}: {:?}", answer.as_ref().map(shown)));
            let (code, offset) = answer.as_ref().map_or((-1, -1), shown);
            self.has_unanswered |= answer.is_err();
            match ErrorCode::from_code(code) {
                Some(ErrorCode::None) => {
                    let ledger = &mut *self.participant.shared.ledger.lock();
                    for (at, value) in (offset..).zip(&values) {
                        ledger.acknowledged(partition, at, value);
                    }
                    self.sequences[partition as usize] += count as i32;
                    return Ok(());
                }
                Some(code) if is_retriable(code) => {}
                None if answer.is_err() && self.participant.random.chance(30) => {
                    // The application gives up. The request may still arrive, after the abort.
                    self.participant.note(|| format!("{} gives transaction {transaction} up", self.id));
                    self.end(transaction, false).await?;
                    return Err(Trouble);
                }
                None if answer.is_err() => {}
                _ => return Err(Trouble),
            }
            self.leaders.entry(partition).or_default().0 = None;
            wait(20 + self.participant.random.below(80) as u64).await;
        }
    }

    fn produce_version(&self) -> i16 {
        if self.version >= 2 { 12 } else { 11 }
    }

    fn produce_request(&self, partition: Index, values: &[String]) -> ProduceRequest {
        let (id, epoch) = (ProducerId(self.identity.0), ProducerEpoch(self.identity.1));
        let sequence = self.sequences[partition as usize];
        let mut batch = BatchBuilder::new(Offset(0)).producer(id, epoch, Some(sequence)).transactional();
        for value in values {
            batch.append(self.participant.clock.now(), None, Some(value.as_bytes()));
        }
        let records = Some(Records::Bytes(batch.finish().unwrap()));
        let data = PartitionProduceData { index: partition, records, ..Default::default() };
        let topic = TopicProduceData { name: TOPIC.into(), partition_data: vec![data], ..Default::default() };
        ProduceRequest {
            transactional_id: Some(self.id.as_str().into()),
            acks: -1,
            timeout_ms: 1_500,
            topic_data: vec![topic],
            ..Default::default()
        }
    }

    async fn leader_of(&mut self, partition: Index) -> Host {
        self.participant.partition = partition;
        let known = self.leaders.get(&partition).copied().unwrap_or((None, -1));
        (self.participant.leader, self.participant.epoch) = known;
        let leader = self.participant.leader().await;
        self.leaders.insert(partition, (Some(leader), self.participant.epoch));
        leader
    }

    async fn add_partition(&mut self, partition: Index) -> Result<(), Trouble> {
        let topic = AddPartitionsToTxnTopic { name: TOPIC.into(), partitions: vec![partition], ..Default::default() };
        let request = AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: self.id.as_str().into(),
            v3_and_below_producer_id: self.identity.0,
            v3_and_below_producer_epoch: self.identity.1,
            v3_and_below_topics: vec![topic],
            ..Default::default()
        };
        self.ask_coordinator(&request, 3, |answer: &AddPartitionsToTxnResponse| {
            let topic = answer.results_by_topic_v3_and_below.first();
            topic.and_then(|it| it.results_by_partition.first()).map_or(-1, |it| it.partition_error_code)
        })
        .await?;
        self.added.insert(partition);
        Ok(())
    }

    /// Sends a request to the coordinator until it is carried out.
    pub async fn ask_coordinator<A: Message, B: Message>(
        &mut self,
        request: &A,
        version: i16,
        code_of: impl Fn(&B) -> i16,
    ) -> Result<B, Trouble> {
        loop {
            if let Some(to) = self.coordinator().await {
                let answer = self.participant.client.call::<A, B>(to, request, version).await;
                self.has_unanswered |= answer.is_err();
                let code = answer.as_ref().map(&code_of).ok();
                match (answer, code.and_then(ErrorCode::from_code)) {
                    (Ok(answer), Some(ErrorCode::None)) => return Ok(answer),
                    (Ok(_), Some(ErrorCode::ConcurrentTransactions)) => {}
                    (Ok(_), code) if code.is_none_or(|code| !is_retriable(code)) => {
                        self.participant.note(|| format!("node {to} refuses key {} with {code:?}", A::KEY));
                        return Err(Trouble);
                    }
                    _ => self.coordinator = None,
                }
            }
            wait(20 + self.participant.random.below(80) as u64).await;
        }
    }

    /// Ends the transaction.
    async fn end(&mut self, transaction: usize, committed: bool) -> Result<(), Trouble> {
        if committed {
            self.participant.shared.ledger.lock().transactions.commits(transaction);
        }
        let request = self.end_request(committed);
        let version = self.end_version();
        let answer: EndTxnResponse =
            self.ask_coordinator(&request, version, |it: &EndTxnResponse| it.error_code).await?;
        if committed {
            self.participant.shared.ledger.lock().transactions.committed(transaction);
        }
        if self.version >= 2 {
            self.sequences = [0; PARTITIONS as usize];
            self.take_identity((answer.producer_id, answer.producer_epoch));
        }
        Ok(())
    }

    /// Asks once for the end of a transaction.
    async fn try_end(&mut self, to: Host, committed: bool) -> Option<(i16, Identity)> {
        let (request, version) = (self.end_request(committed), self.end_version());
        let answer = self.participant.client.call::<_, EndTxnResponse>(to, &request, version).await.ok()?;
        Some((answer.error_code, (answer.producer_id, answer.producer_epoch)))
    }

    fn end_version(&self) -> i16 {
        if self.version >= 2 { 5 } else { 3 }
    }

    fn end_request(&self, committed: bool) -> EndTxnRequest {
        EndTxnRequest {
            transactional_id: self.id.as_str().into(),
            producer_id: self.identity.0,
            producer_epoch: self.identity.1,
            committed,
            ..Default::default()
        }
    }

    async fn coordinator(&mut self) -> Option<Host> {
        if self.coordinator.is_none() {
            self.coordinator = self.participant.find_coordinator(&self.id.clone(), TRANSACTION_KEY).await;
        }
        self.coordinator
    }
}

impl Participant {
    /// Asks any node for a coordinator.
    pub async fn find_coordinator(&mut self, key: &str, key_type: i8) -> Option<Host> {
        let to = self.any_node();
        let request = FindCoordinatorRequest { key: key.into(), key_type, ..Default::default() };
        let found = self.client.call::<_, FindCoordinatorResponse>(to, &request, 3).await.ok()?;
        (found.error_code == 0).then_some(found.node_id as Host)
    }
}

/// Whether a request may be repeated after an error.
pub fn is_retriable(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::NotLeaderOrFollower
            | ErrorCode::LeaderNotAvailable
            | ErrorCode::NotEnoughReplicas
            | ErrorCode::NotEnoughReplicasAfterAppend
            | ErrorCode::RequestTimedOut
            | ErrorCode::UnknownTopicOrPartition
            | ErrorCode::KafkaStorageError
            | ErrorCode::CoordinatorLoadInProgress
            | ErrorCode::CoordinatorNotAvailable
            | ErrorCode::NotCoordinator
            | ErrorCode::ConcurrentTransactions
            | ErrorCode::NetworkException
            | ErrorCode::FencedLeaderEpoch
            | ErrorCode::UnknownLeaderEpoch
            | ErrorCode::UnstableOffsetCommit
    )
}
