//! An idempotent producer with up to five requests in flight, as Java's is by default. After an
//! error it sends everything again that is not acknowledged, in order.
//! Each of them is known as one that is there, or is the next one: its sequence is never refused.

use crate::client::Pipeline;
use crate::clients::{Participant, TOPIC, wait};
use crate::net::Host;
use bytes::Bytes;
use gregor::env::Simulator as _;
use model::{ErrorCode, Offset, ProducerEpoch, ProducerId};
use protocol::Records;
use protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use protocol::messages::produce_response::{PartitionProduceResponse, ProduceResponse};
use records::BatchBuilder;
use std::collections::VecDeque;

/// `max.in.flight.requests.per.connection`
const IN_FLIGHT_MAX: usize = 5;
const PRODUCE_VERSION: i16 = 9;

/// A batch that is not acknowledged.
struct Unacknowledged {
    sequence: i32,
    values: Vec<String>,
    bytes: Bytes,
}

/// A producer with several requests in flight.
pub struct PipelinedProducer {
    participant: Participant,
    identity: (ProducerId, ProducerEpoch),
    /// The batches that are not acknowledged, in the order of their sequences.
    batches: VecDeque<Unacknowledged>,
    connection: Option<(Host, Pipeline)>,
    /// How many of the batches were sent on the connection.
    sent: usize,
    next_value: usize,
    next_sequence: i32,
    /// Whether a batch was acknowledged.
    is_known: bool,
}

impl PipelinedProducer {
    pub fn new(participant: Participant) -> Self {
        Self {
            participant,
            identity: (ProducerId(-1), ProducerEpoch(-1)),
            batches: VecDeque::new(),
            connection: None,
            sent: 0,
            next_value: 0,
            next_sequence: 0,
            is_known: false,
        }
    }

    /// Writes until the faults are over and `enough` more batches are acknowledged.
    pub async fn produce(mut self, enough: usize) {
        self.participant.until_created().await;
        self.identity = self.participant.producer_id().await;
        let mut after_healing = 0;
        while after_healing < enough {
            wait(self.participant.random.below(30) as u64).await;
            // A broker takes any sequence of a producer that it does not know. So the first batch
            // is alone: it may be refused where the partition is not known yet, and the next one
            // not.
            let window = if self.is_known { 1 + self.participant.random.below(IN_FLIGHT_MAX) } else { 1 };
            while self.batches.len() < window {
                self.add_batch();
            }
            if self.exchange().await.is_none() {
                self.connection = None;
                self.sent = 0;
                self.participant.leader = None;
                wait(20 + self.participant.random.below(80) as u64).await;
            } else {
                after_healing += usize::from(*self.participant.shared.is_healed.lock());
            }
        }
        self.participant.finish();
    }

    fn add_batch(&mut self) {
        let count = 1 + self.participant.random.below(3);
        let number = self.participant.number;
        let values = (self.next_value..self.next_value + count).map(|at| format!("q{number}-{at}"));
        let values: Vec<String> = values.collect();
        let mut batch =
            BatchBuilder::new(Offset(0)).producer(self.identity.0, self.identity.1, Some(self.next_sequence));
        for value in &values {
            batch.append(self.participant.clock.now(), None, Some(value.as_bytes()));
        }
        let bytes = batch.finish().unwrap();
        self.batches.push_back(Unacknowledged { sequence: self.next_sequence, values, bytes });
        self.next_value += count;
        self.next_sequence += count as i32;
    }

    /// Sends what is not sent, and takes the answer to the oldest batch. `None` if the connection
    /// is of no use any more.
    async fn exchange(&mut self) -> Option<()> {
        if self.connection.is_none() {
            let to = self.participant.leader().await;
            self.connection = Some((to, self.participant.client.pipeline(to).await.ok()?));
        }
        let (to, connection) = self.connection.as_mut()?;
        let to = *to;
        for batch in self.batches.iter().skip(self.sent) {
            let data = PartitionProduceData {
                index: self.participant.partition,
                records: Some(Records::Bytes(batch.bytes.clone())),
                ..Default::default()
            };
            let topic = TopicProduceData { name: TOPIC.into(), partition_data: vec![data], ..Default::default() };
            let request = ProduceRequest { acks: -1, timeout_ms: 1_500, topic_data: vec![topic], ..Default::default() };
            connection.send(&request, PRODUCE_VERSION).await.ok()?;
        }
        self.sent = self.batches.len();
        let answer = connection.receive::<ProduceResponse>(PRODUCE_VERSION).await.ok()?;
        let answer = answer.responses.into_iter().next()?.partition_responses.into_iter().next()?;
        self.take(to, &answer)
    }

    /// Takes the answer to the oldest batch.
    fn take(&mut self, to: Host, answer: &PartitionProduceResponse) -> Option<()> {
        let batch = self.batches.front()?;
        self.participant.note(|| format!("{:?} to node {to}: {}", batch.values, answer.error_code));
        match ErrorCode::from_code(answer.error_code) {
            Some(ErrorCode::None) => {
                let ledger = &mut *self.participant.shared.ledger.lock();
                for (at, value) in (answer.base_offset..).zip(&batch.values) {
                    ledger.acknowledged(self.participant.partition, at, value);
                }
                self.batches.pop_front();
                self.sent -= 1;
                self.is_known = true;
                Some(())
            }
            Some(
                error @ (ErrorCode::OutOfOrderSequenceNumber
                | ErrorCode::UnknownProducerId
                | ErrorCode::InvalidProducerEpoch
                | ErrorCode::DuplicateSequenceNumber),
            ) => {
                self.participant.fail(format!(
                    "node {to} answers {} to {:?}, whose sequence {} is the next one",
                    error.name(),
                    batch.values,
                    batch.sequence
                ));
                None
            }
            _ => None,
        }
    }
}
