//! The clients, and the simplest of them: a producer that is idempotent as Java's is.

use crate::client::Client;
use crate::ledger::{Index, Ledger};
use crate::members::{MEMBERS, Member};
use crate::net::{Host, Net};
use crate::pipelined::PipelinedProducer;
use crate::random::Random;
use crate::readers::{IsolationLevel, PartitionReader};
use crate::time::HostClock;
use crate::transact::TransactionalProducer;
use gregor::env::Simulator as _;
use model::{ErrorCode, Offset, ProducerEpoch, ProducerId};
use parking_lot::Mutex;
use protocol::Records;
use protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use protocol::messages::create_topics_response::CreateTopicsResponse;
use protocol::messages::init_producer_id_request::InitProducerIdRequest;
use protocol::messages::init_producer_id_response::InitProducerIdResponse;
use protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use protocol::messages::metadata_response::MetadataResponse;
use protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use protocol::messages::produce_response::ProduceResponse;
use records::BatchBuilder;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

/// The topic of the course.
pub const TOPIC: &str = "course";
/// Its partitions.
pub const PARTITIONS: Index = 2;
/// The machine of the clients.
pub const CLIENTS: Host = 9;

/// What the clients and the course share.
pub struct Shared {
    pub ledger: Mutex<Ledger>,
    /// Whether the topic exists.
    pub is_created: Mutex<bool>,
    /// Whether the producers may stop once they have written enough.
    pub is_healed: Mutex<bool>,
    /// Whether the faults are over and all replicas in sync.
    pub is_in_sync: Mutex<bool>,
    /// Whether each client is done.
    pub done: Mutex<Vec<bool>>,
    pub nodes: usize,
    /// Whether clients print what they are told.
    pub is_printed: bool,
}

/// The number of writes that each client makes after the faults.
pub const ENOUGH: usize = 5;

/// Starts the clients of a course. The seed decides which ones it has.
pub fn start_clients(runtime: &Runtime, (shared, net, clock): (&Arc<Shared>, &Net, &HostClock), random: &mut Random) {
    let mut count = 0;
    let mut participant = |random: &mut Random| {
        count += 1;
        Participant::new(shared, net, clock, random.next(), count - 1)
    };
    runtime.spawn(Participant::new(shared, net, clock, random.next(), 0).create_topic());
    for _ in 0..1 + random.below(2) {
        runtime.spawn(participant(random).produce(ENOUGH));
    }
    if random.chance(50) {
        runtime.spawn(PipelinedProducer::new(participant(random)).produce(ENOUGH));
    }
    let has_transactions = random.chance(50);
    for _ in 0..if has_transactions { 1 + random.below(2) } else { 0 } {
        runtime.spawn(TransactionalProducer::new(participant(random)).transact(ENOUGH));
    }
    if random.chance(50) {
        runtime.spawn(participant(random).commit(ENOUGH));
    }
    if random.chance(40) {
        for _ in 0..MEMBERS {
            runtime.spawn(Member::new(participant(random)).take_part(ENOUGH));
        }
    }
    for partition in 0..PARTITIONS {
        let level = if has_transactions { IsolationLevel::ReadCommitted } else { IsolationLevel::ReadUncommitted };
        runtime.spawn(PartitionReader::new(participant(random), partition, level).read());
        if has_transactions && random.chance(30) {
            let level = IsolationLevel::ReadUncommitted;
            runtime.spawn(PartitionReader::new(participant(random), partition, level).read());
        }
    }
    shared.done.lock().resize(count, false);
}

/// One client, with what it knows about the partition that it uses.
pub struct Participant {
    pub shared: Arc<Shared>,
    pub client: Client,
    pub clock: HostClock,
    pub random: Random,
    pub number: usize,
    pub partition: Index,
    pub leader: Option<Host>,
    pub epoch: i32,
}

/// Waits for a moment of virtual time.
pub async fn wait(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

impl Participant {
    pub fn new(shared: &Arc<Shared>, net: &Net, clock: HostClock, seed: u64, number: usize) -> Self {
        Self {
            shared: shared.clone(),
            client: Client::new(net, CLIENTS, clock, &format!("client-{number}")),
            clock,
            random: Random::new(seed),
            number,
            partition: number as Index % PARTITIONS,
            leader: None,
            epoch: -1,
        }
    }

    /// Returns any node.
    pub fn any_node(&mut self) -> Host {
        1 + self.random.below(self.shared.nodes)
    }

    /// Creates the topic.
    pub async fn create_topic(mut self) {
        loop {
            let to = self.any_node();
            let topic = CreatableTopic {
                name: TOPIC.into(),
                num_partitions: PARTITIONS,
                replication_factor: 3,
                ..Default::default()
            };
            let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 2_000, ..Default::default() };
            let created = self.client.call::<_, CreateTopicsResponse>(to, &request, 7).await;
            if created.is_ok_and(|it| [0, ErrorCode::TopicAlreadyExists.code()].contains(&it.topics[0].error_code)) {
                *self.shared.is_created.lock() = true;
                return;
            }
            wait(100).await;
        }
    }

    /// Waits until the topic exists.
    pub async fn until_created(&mut self) {
        while !*self.shared.is_created.lock() {
            wait(50).await;
        }
    }

    /// Returns the leader of the partition, as the newest epoch that this client knows has it.
    pub async fn leader(&mut self) -> Host {
        loop {
            if let Some(leader) = self.leader {
                return leader;
            }
            let to = self.any_node();
            let topics = vec![MetadataRequestTopic { name: Some(TOPIC.into()), ..Default::default() }];
            let request = MetadataRequest { topics: Some(topics), ..Default::default() };
            if let Ok(known) = self.client.call::<_, MetadataResponse>(to, &request, 12).await
                && let Some(topic) = known.topics.first()
                && let Some(it) = topic.partitions.iter().find(|it| it.partition_index == self.partition)
                && it.leader_id > 0
                && it.leader_epoch >= self.epoch
            {
                (self.leader, self.epoch) = (Some(it.leader_id as Host), it.leader_epoch);
                continue;
            }
            wait(50 + self.random.below(100) as u64).await;
        }
    }

    /// Fails the course.
    pub fn fail(&self, fault: String) {
        self.shared.ledger.lock().fail(fault);
    }

    /// Prints a line, if the course is printed.
    pub fn note(&self, line: impl FnOnce() -> String) {
        if self.shared.is_printed {
            eprintln!("{:6} client {}: {}", self.clock.now_ms(), self.number, line());
        }
    }

    /// Notes that this client is done.
    pub fn finish(&self) {
        self.shared.done.lock()[self.number] = true;
    }

    pub async fn producer_id(&mut self) -> (ProducerId, ProducerEpoch) {
        loop {
            let to = self.any_node();
            let request = InitProducerIdRequest {
                transactional_id: None,
                transaction_timeout_ms: 60_000,
                producer_id: -1,
                producer_epoch: -1,
                ..Default::default()
            };
            match self.client.call::<_, InitProducerIdResponse>(to, &request, 4).await {
                Ok(it) if it.error_code == 0 => return (ProducerId(it.producer_id), ProducerEpoch(it.producer_epoch)),
                answer => {
                    self.note(|| format!("no producer id of node {to}: {:?}", answer.map(|it| it.error_code)));
                    wait(100).await;
                }
            }
        }
    }

    /// Writes records with `acks=all` until the faults are over and `enough` more are acknowledged.
    pub async fn produce(mut self, enough: usize) {
        self.until_created().await;
        let (mut next, mut life, mut after_healing) = (0, 0, 0);
        let mut identity = self.producer_id().await;
        let mut sequence = 0;
        while after_healing < enough {
            let count = 1 + self.random.below(3);
            let values: Vec<String> = (next..next + count).map(|at| format!("p{}.{life}-{at}", self.number)).collect();
            next += count;
            if self.write(identity, sequence, &values).await {
                sequence += count as i32;
                after_healing += usize::from(*self.shared.is_healed.lock());
            } else {
                // The application gives up, and goes on as another producer. What it has sent may
                // still arrive.
                life += 1;
                identity = self.producer_id().await;
                sequence = 0;
            }
            wait(self.random.below(60) as u64).await;
        }
        self.finish();
    }

    /// Sends a batch until it is acknowledged. Returns whether it was.
    async fn write(&mut self, (id, epoch): (ProducerId, ProducerEpoch), sequence: i32, values: &[String]) -> bool {
        let mut batch = BatchBuilder::new(Offset(0)).producer(id, epoch, Some(sequence));
        for value in values {
            batch.append(self.clock.now(), None, Some(value.as_bytes()));
        }
        let batch = batch.finish().unwrap();
        let patience = if self.random.chance(10) { 3 } else { usize::MAX };
        for attempt in 0.. {
            if attempt >= patience && !*self.shared.is_healed.lock() {
                return false;
            }
            let to = self.leader().await;
            let data = PartitionProduceData {
                index: self.partition,
                records: Some(Records::Bytes(batch.clone())),
                ..Default::default()
            };
            let topic = TopicProduceData { name: TOPIC.into(), partition_data: vec![data], ..Default::default() };
            let request = ProduceRequest { acks: -1, timeout_ms: 1_500, topic_data: vec![topic], ..Default::default() };
            let answer = self.client.call::<_, ProduceResponse>(to, &request, 9).await;
            self.note(|| format!("{values:?} to node {to}: {:?}", answer.as_ref().map(shown)));
            let Ok(mut answer) = answer else {
                self.leader = None;
                wait(20 + self.random.below(80) as u64).await;
                continue;
            };
            let answer = answer.responses.remove(0).partition_responses.remove(0);
            match ErrorCode::from_code(answer.error_code) {
                Some(ErrorCode::None) => {
                    let ledger = &mut *self.shared.ledger.lock();
                    for (at, value) in (answer.base_offset..).zip(values) {
                        ledger.acknowledged(self.partition, at, value);
                    }
                    return true;
                }
                Some(
                    error @ (ErrorCode::OutOfOrderSequenceNumber
                    | ErrorCode::UnknownProducerId
                    | ErrorCode::InvalidProducerEpoch
                    | ErrorCode::DuplicateSequenceNumber),
                ) => {
                    self.fail(format!(
                        "node {to} answers {} to {values:?}, whose sequence {sequence} is the next one",
                        error.name()
                    ));
                    return false;
                }
                _ => {
                    self.leader = None;
                    wait(20 + self.random.below(80) as u64).await;
                }
            }
        }
        false
    }
}

/// Returns error code and offset of an answer.
pub fn shown(answer: &ProduceResponse) -> (i16, i64) {
    answer
        .responses
        .first()
        .and_then(|it| it.partition_responses.first())
        .map_or((-1, -1), |it| (it.error_code, it.base_offset))
}
