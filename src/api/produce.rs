//! Produce (key 0), versions 3-13: appends record batches to partitions.
//!
//! - 4: may answer KAFKA_STORAGE_ERROR (KIP-112).
//! - 5: answers the log start offset (KAFKA-5793).
//! - 7: allows zstd (KIP-110).
//! - 8: answers errors of single records (KIP-467).
//! - 9: is flexible.
//! - 10: names the current leader if it is another broker (KIP-951).
//! - 11: may answer TRANSACTION_ABORTABLE (KIP-890).
//! - 12: adds partitions to a transaction by itself (KIP-890).
//! - 13: names topics by id (KIP-516).
//!
//! ApiVersions advertises it from version 0 for old versions of librdkafka (KAFKA-18659).

use super::authorization::{Operation, Resource};
use super::context::ReplyHead;
use super::verification::{Retry, Support, Transaction, TransactionalBatch};
use super::{Connection, Context, Outcome, Refused, Reply, error};
use crate::replica::{AppendError, AppendInfo, AppendRequest, Partition};
use bytes::Bytes;
use futures_util::future::join_all;
use indexmap::IndexMap;
use metadata::image::{Image, Topic};
use model::{
    ApiError, ErrorCode, Offset, PartitionIndex, ProducerEpoch, ProducerId, TopicId, TopicPartition, VerificationGuard,
};
use protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, ProduceResponse,
    TopicProduceResponse,
};
use protocol::{Message, Reader, Records, Str};
use records::BatchHeader;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Only Kafka's own admin client may write to internal topics.
const ADMIN_CLIENT_ID: &str = "__admin_client";

/// Facts about the request that the version gives.
#[derive(Clone, Copy)]
struct Facts {
    /// From version 7 on.
    zstd_is_known: bool,
    /// From version 10 on.
    leaders_are_named: bool,
    /// From version 13 on.
    topics_have_ids: bool,
    /// From versions 11 and 12 on.
    support: Support,
}

impl Facts {
    /// Returns the topic that the request names.
    fn topic<'a>(&self, image: &'a Image, topic: &TopicProduceData) -> Result<&'a Topic, ErrorCode> {
        let (known, unknown) = match self.topics_have_ids {
            true => (image.topics.by_id(topic.topic_id), ErrorCode::UnknownTopicId),
            false => (image.topics.by_name(&topic.name), ErrorCode::UnknownTopicOrPartition),
        };
        known.map(Arc::as_ref).ok_or(unknown)
    }
}

/// Appends the records. Answers when as many replicas have them as the producer wants.
pub(super) async fn handle(context: Context, mut body: Reader) -> Result<Outcome, Refused> {
    let request = ProduceRequest::decode(&mut body, context.version)?;
    drop(body);
    let facts = Facts {
        zstd_is_known: context.version >= 7,
        leaders_are_named: context.version >= 10,
        topics_have_ids: context.version >= 13,
        support: match context.version {
            12.. => Support::AddsPartitions,
            11 => Support::Abortable,
            _ => Support::OldErrors,
        },
    };
    let head = context.reply_head();
    let acks = request.acks;
    let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    if let Err((code, message)) = check_whole(&context, facts, &request) {
        if acks == 0 {
            return Err(Refused::Reply(format!("a produce with acks=0 failed: {}", code.name())));
        }
        return Ok(Outcome::Reply(head.write(&refused(request, code, message))?));
    }
    let appended = append(&context, facts, request).await;
    if acks == 0 {
        return without_answer(&appended);
    }
    let all_replicas = acks == -1;
    if !appended.iter().any(|(_, one)| one.is_pending(all_replicas)) {
        return Ok(Outcome::Reply(respond(&context, facts, &head, appended)?));
    }
    Ok(Outcome::Later(Box::pin(async move {
        let settled = |(key, one): (Key, Done)| async move { (key, one.settled(all_replicas, timeout).await) };
        let appended = join_all(appended.into_iter().map(settled)).await;
        reply_or_close(&context.connection, respond(&context, facts, &head, appended))
    })))
}

/// Returns a response that was waited for. If it cannot be written, the connection is closed: the
/// producer must not wait for ever, nor take another request's response for this one's.
fn reply_or_close(connection: &Connection, written: Result<Reply, Refused>) -> Reply {
    written.unwrap_or_else(|refused| {
        tracing::error!(peer = %connection.peer, listener = %connection.listener.name, error = %refused, "closed a connection");
        Reply { close: true, ..Reply::default() }
    })
}

/// Checks for Kafka's errors of the whole request: a first batch that is not a batch, transactional
/// records without a transactional id, or of more than one producer.
fn check_whole(context: &Context, facts: Facts, request: &ProduceRequest) -> Result<(), (ErrorCode, Option<Str>)> {
    for data in request.topic_data.iter().flat_map(|topic| &topic.partition_data) {
        let Some(Records::Bytes(records)) = &data.records else { continue };
        match records::begins_transactional(records) {
            Ok(true) if !may_write_transactions(context, request) => {
                return Err((ErrorCode::TransactionalIdAuthorizationFailed, None));
            }
            Ok(_) => {}
            // Kafka sends no message with UNKNOWN_SERVER_ERROR.
            Err(error) if error.code == ErrorCode::UnknownServerError => return Err((error.code, None)),
            Err(error) => return Err((error.code, Some(error.detail.into()))),
        }
    }
    let image = context.broker.image();
    let mut producers = HashMap::new();
    for topic in &request.topic_data {
        let Ok(known) = facts.topic(&image, topic) else { continue };
        if !context.may_also(Operation::Write, Resource::Topic(&known.name)) {
            continue;
        }
        for data in &topic.partition_data {
            match check(facts, known, data) {
                Err(ErrorCode::UnknownServerError) => return Err((ErrorCode::UnknownServerError, None)),
                // If a partition is named twice, its last records count.
                Ok(()) if request.transactional_id.is_some() => {
                    producers.insert((known.id, data.index), TransactionalProducer::of(&records_of(data)));
                }
                Ok(()) | Err(_) => {}
            }
        }
    }
    let mut producers = producers.into_values().flatten().map(|one| (one.id, one.epoch));
    let first = producers.next();
    if producers.any(|other| Some(other) != first) {
        let message = "Transactional records contained more than one producer ID";
        return Err((ErrorCode::InvalidProducerIdMapping, Some(message.into())));
    }
    Ok(())
}

/// Whether the client names a transactional id, and may write with it.
fn may_write_transactions(context: &Context, request: &ProduceRequest) -> bool {
    let id = request.transactional_id.as_ref();
    id.is_some_and(|id| context.may(Operation::Write, Resource::TransactionalId(id)))
}

/// The producer of a transactional batch.
#[derive(Clone, Copy)]
struct TransactionalProducer {
    id: ProducerId,
    epoch: ProducerEpoch,
    base_sequence: i32,
}

impl TransactionalProducer {
    /// Reads it from a batch. `None` if the batch is not transactional.
    fn of(records: &[u8]) -> Option<Self> {
        let header = BatchHeader::parse(records).ok().filter(BatchHeader::is_transactional)?;
        let epoch = header.producer_epoch.unwrap_or(ProducerEpoch(-1));
        Some(Self { id: header.producer_id?, epoch, base_sequence: header.base_sequence.unwrap_or(-1) })
    }
}

/// Returns the answer to a request that is refused as a whole.
fn refused(request: ProduceRequest, code: ErrorCode, message: Option<Str>) -> ProduceResponse {
    let partition = |data: PartitionProduceData| PartitionProduceResponse {
        index: data.index,
        error_code: code.code(),
        base_offset: -1,
        error_message: message.clone(),
        ..Default::default()
    };
    let topic = |topic: TopicProduceData| TopicProduceResponse {
        name: topic.name,
        topic_id: topic.topic_id,
        partition_responses: topic.partition_data.into_iter().map(partition).collect(),
        ..Default::default()
    };
    ProduceResponse { responses: request.topic_data.into_iter().map(topic).collect(), ..Default::default() }
}

/// A partition as the request names it.
type Key = (TopicId, Str, i32);

/// The outcome of one partition.
struct Done {
    result: Result<(AppendInfo, Arc<Partition>), Failure>,
    /// Why the appended records are not known to be replicated.
    unconfirmed: Option<ErrorCode>,
}

/// Why the records of one partition were not appended.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The append failed.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The transaction that they open could not be verified.
    #[error(transparent)]
    Unverified(ApiError),
}

impl From<ErrorCode> for Failure {
    fn from(code: ErrorCode) -> Self {
        Failure::Append(code.into())
    }
}

/// The records of one partition that are to be appended.
struct Good<'a> {
    topic: &'a Topic,
    records: Bytes,
    guard: Option<VerificationGuard>,
}

/// Appends the records that are valid and verified. As in Kafka, if a partition is named twice, its
/// last records are appended, and an error of either is answered.
async fn append(context: &Context, facts: Facts, request: ProduceRequest) -> Vec<(Key, Done)> {
    let image = context.broker.image();
    let mut good: IndexMap<Key, Good<'_>> = IndexMap::new();
    let mut bad: IndexMap<Key, Failure> = IndexMap::new();
    for topic in request.topic_data {
        let known = facts.topic(&image, &topic);
        let known = match known {
            Err(ErrorCode::UnknownTopicId) => known,
            known => context.need(Operation::Write, Resource::Topic(name_of(known, &topic))).and(known),
        };
        for data in topic.partition_data {
            let key = (topic.topic_id, topic.name.clone(), data.index);
            match known.and_then(|known| check(facts, known, &data).map(|()| known)) {
                Ok(topic) => drop(good.insert(key, Good { topic, records: records_of(&data), guard: None })),
                Err(code) => drop(bad.insert(key, code.into())),
            }
        }
    }
    if let Some(id) = request.transactional_id {
        let unverified = verify(context, facts, id, &mut good).await;
        bad.extend(unverified.into_iter().map(|(key, error)| (key, Failure::Unverified(error))));
    }
    let mut done: IndexMap<Key, Done> = IndexMap::with_capacity(good.len() + bad.len());
    for (key, good) in good {
        let result = append_partition(context, request.acks, key.2, good).await;
        done.insert(key, Done { result, unconfirmed: None });
    }
    done.extend(bad.into_iter().map(|(key, failure)| (key, Done { result: Err(failure), unconfirmed: None })));
    done.into_iter().collect()
}

/// Returns the name of a topic that the request names or that has the id in it.
fn name_of<'a>(known: Result<&'a Topic, ErrorCode>, asked: &'a TopicProduceData) -> &'a str {
    known.map_or(&asked.name, |known| &known.name)
}

/// Verifies the transactional records with their coordinator, and notes their guards. Removes and
/// returns those that could not be verified.
async fn verify(
    context: &Context,
    facts: Facts,
    transactional_id: Str,
    good: &mut IndexMap<Key, Good<'_>>,
) -> Vec<(Key, ApiError)> {
    let settings = context.broker.settings();
    if facts.support != Support::AddsPartitions && !settings.transaction_partition_verification_enable {
        return Vec::new();
    }
    let transactional = good.iter().filter_map(|(key, good)| {
        let producer = TransactionalProducer::of(&good.records)?;
        let batch = TransactionalBatch {
            name: TopicPartition::new(&*good.topic.name, key.2),
            partition: context.broker.replicas.of(good.topic, key.2),
            base_sequence: producer.base_sequence,
        };
        Some((key.clone(), producer, batch))
    });
    let transactional: Vec<_> = transactional.collect();
    let Some((_, producer, _)) = transactional.first() else { return Vec::new() };
    let of_ms = |ms: i32| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    let within_ms = settings.add_partitions_to_txn_retry_backoff_max_ms.min(settings.request_timeout_ms);
    let (producer_id, producer_epoch) = (producer.id, producer.epoch);
    let (keys, batches): (Vec<Key>, Vec<_>) = transactional.into_iter().map(|(key, _, batch)| (key, batch)).unzip();
    let transaction = Transaction {
        transactional_id,
        producer_id,
        producer_epoch,
        support: facts.support,
        retry: Retry { backoff: of_ms(settings.add_partitions_to_txn_retry_backoff_ms), within: of_ms(within_ms) },
        now: context.broker.clock.now(),
        batches,
    };
    let ask = |asked| {
        let broker = context.broker.clone();
        async move { broker.add_or_verify_partitions(&asked).await }
    };
    let verified = transaction.verify(ask).await;
    let mut unverified = Vec::new();
    for (key, verified) in keys.into_iter().zip(verified) {
        match verified {
            Ok(guard) => drop(good.get_mut(&key).map(|good| good.guard = guard)),
            Err(error) => {
                good.shift_remove(&key);
                unverified.push((key, error));
            }
        }
    }
    unverified
}

/// Checks records before the partition is looked at.
fn check(facts: Facts, topic: &Topic, data: &PartitionProduceData) -> Result<(), ErrorCode> {
    if topic.partition(PartitionIndex(data.index)).is_none() {
        return Err(ErrorCode::UnknownTopicOrPartition);
    }
    records::check_produce_request(&records_of(data), facts.zstd_is_known).map_err(|error| error.code)
}

fn records_of(data: &PartitionProduceData) -> Bytes {
    match &data.records {
        Some(Records::Bytes(bytes)) => bytes.clone(),
        Some(Records::Elsewhere { .. }) | None => Bytes::new(),
    }
}

async fn append_partition(
    context: &Context,
    acks: i16,
    index: i32,
    good: Good<'_>,
) -> Result<(AppendInfo, Arc<Partition>), Failure> {
    if !(-1..=1).contains(&acks) {
        return Err(ErrorCode::InvalidRequiredAcks.into());
    }
    let partition = context.broker.replicas.of(good.topic, index)?;
    let appended = partition.append(AppendRequest {
        records: good.records,
        all_replicas: acks == -1,
        now: context.broker.clock.now(),
        guard: good.guard,
        may_write_internal: context.client_id.as_deref() == Some(ADMIN_CLIENT_ID),
    });
    let appended = appended.await?;
    context.broker.metrics.records_in.inc_by(appended.record_count);
    context.broker.metrics.bytes_in.inc_by(appended.size_bytes);
    Ok((appended, partition))
}

/// Returns the outcome for acks=0: no response, or a closed connection if an append failed. A
/// closed connection is all that the producer can notice.
fn without_answer(appended: &[(Key, Done)]) -> Result<Outcome, Refused> {
    for ((_, topic, index), one) in appended {
        if let Err(error) = &one.result {
            return Err(Refused::Reply(format!("a produce with acks=0 to {topic}-{index} failed: {error}")));
        }
    }
    Ok(Outcome::Silence)
}

impl Done {
    /// Whether the answer waits for a flush or for the replicas.
    fn is_pending(&self, all_replicas: bool) -> bool {
        let Ok((appended, partition)) = &self.result else { return false };
        !partition.is_flushed(appended) || (all_replicas && !partition.is_replicated(appended))
    }

    /// Waits until the records are flushed, if they must be, and replicated, if the producer wants
    /// it. Else notes why they are not known to be replicated.
    async fn settled(mut self, all_replicas: bool, timeout: Duration) -> Self {
        let Ok((appended, partition)) = &self.result else { return self };
        // As in Kafka, where the flush is part of the append, it has no time limit, and its error
        // fails the append.
        if let Err(code) = partition.until_flushed(appended).await {
            self.result = Err(code.into());
            return self;
        }
        if all_replicas {
            self.unconfirmed = match tokio::time::timeout(timeout, partition.until_replicated(appended)).await {
                Ok(Ok(())) => None,
                Ok(Err(code)) => Some(code),
                Err(_) => Some(ErrorCode::RequestTimedOut),
            };
        }
        self
    }
}

fn respond(context: &Context, facts: Facts, head: &ReplyHead, appended: Vec<(Key, Done)>) -> Result<Reply, Refused> {
    let mut response = ProduceResponse::default();
    let mut topics: IndexMap<(TopicId, Str), Vec<PartitionProduceResponse>> = IndexMap::new();
    for ((id, name, index), one) in appended {
        let (code, mut answer) = match one.result {
            Ok((appended, partition)) => succeeded(index, &appended, &partition, one.unconfirmed),
            Err(error) => failed(index, &error, context.log_start_offset(id, &name, index)),
        };
        let elsewhere = context.leader_elsewhere(code, id, &name, index).filter(|_| facts.leaders_are_named);
        if let Some(((leader_id, leader_epoch), node)) = elsewhere {
            answer.current_leader = LeaderIdAndEpoch { leader_id, leader_epoch, ..Default::default() };
            let known = &mut response.node_endpoints;
            if let Some(node) = node.filter(|node| known.iter().all(|known| known.node_id != node.id)) {
                let (node_id, host, port, rack) = (node.id, node.host, node.port, node.rack);
                known.push(NodeEndpoint { node_id, host, port, rack, ..Default::default() });
            }
        }
        topics.entry((id, name)).or_default().push(answer);
    }
    let topics = topics.into_iter().map(|((topic_id, name), partition_responses)| TopicProduceResponse {
        name,
        topic_id,
        partition_responses,
        ..Default::default()
    });
    response.responses = topics.collect();
    head.write(&response)
}

/// Returns the answer for records that were appended. As in Kafka, it has their offset even if they
/// are not known to be replicated.
fn succeeded(
    index: i32,
    appended: &AppendInfo,
    partition: &Partition,
    unconfirmed: Option<ErrorCode>,
) -> (ErrorCode, PartitionProduceResponse) {
    let code = unconfirmed.unwrap_or(ErrorCode::None);
    let answer = PartitionProduceResponse {
        index,
        error_code: code.code(),
        base_offset: appended.base_offset.0,
        log_append_time_ms: appended.log_append_time.map_or(-1, |time| time.0),
        log_start_offset: partition.log_start_offset().0,
        ..Default::default()
    };
    (code, answer)
}

/// Returns the answer for records that were refused. `start` is the log start offset, which Kafka
/// sends with some errors.
fn failed(index: i32, failure: &Failure, start: Option<Offset>) -> (ErrorCode, PartitionProduceResponse) {
    let code = match failure {
        Failure::Append(error) => error::of_append(error),
        Failure::Unverified(error) => error.code,
    };
    let mut answer = PartitionProduceResponse { index, error_code: code.code(), base_offset: -1, ..Default::default() };
    match failure {
        Failure::Unverified(error) => answer.error_message = error.message.as_deref().map(Str::from),
        Failure::Append(error) => {
            if error.answers_log_start_offset() {
                answer.log_start_offset = Offset::to_wire(start);
            }
            if let AppendError::Invalid(error) = error {
                answer.error_message = error.client_message().map(Str::from);
                let invalid = error.invalid_records.iter().map(|record| BatchIndexAndErrorMessage {
                    batch_index: record.batch_index,
                    batch_index_error_message: Some(record.message.as_str().into()),
                    ..Default::default()
                });
                answer.record_errors = invalid.collect();
            }
        }
    }
    (code, answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Listener, SecurityProtocol};
    use std::net::{Ipv4Addr, SocketAddr};

    fn connection() -> Connection {
        let listener = Listener {
            name: "PLAINTEXT".into(),
            host: String::new(),
            port: 9092,
            protocol: SecurityProtocol::Plaintext,
            is_controller: false,
        };
        Connection::new(1, Arc::new(listener), SocketAddr::from((Ipv4Addr::LOCALHOST, 50_000)))
    }

    fn written(error_message: &str) -> Result<Reply, Refused> {
        let failed = PartitionProduceResponse { error_message: Some(error_message.into()), ..Default::default() };
        let topic = TopicProduceResponse { partition_responses: vec![failed], ..Default::default() };
        let response = ProduceResponse { responses: vec![topic], ..Default::default() };
        let parts = protocol::write_response(7, 8, &response)?.finish();
        Ok(Reply { parts, ..Reply::default() })
    }

    #[test]
    fn a_late_reply_that_cannot_be_written_closes_the_connection() {
        let reply = reply_or_close(&connection(), written("too large"));
        assert!(!reply.close && !reply.is_empty());
        // Version 8 cannot encode the length of such a text.
        let reply = reply_or_close(&connection(), written(&"x".repeat(40_000)));
        assert!(reply.close && reply.is_empty());
    }
}
