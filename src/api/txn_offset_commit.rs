//! TxnOffsetCommit (key 28), versions 0-5: commits offsets of a group within a transaction
//! (KIP-98).
//!
//! - 2: adds the leader epoch (KIP-320).
//! - 3: is flexible; names the member and its generation (KIP-447).
//! - 4: may answer TRANSACTION_ABORTABLE (KIP-890).
//! - 5: adds the partition to the transaction by itself (KIP-890).

use super::Context;
use super::authorization::{Operation, Resource};
use super::verification::{Retry, Support, Transaction, TransactionalBatch};
use coordinator::{GroupReply, GroupRequest, StateTopic};
use metadata::image::Image;
use model::{ErrorCode, PartitionIndex, ProducerEpoch, ProducerId, TopicPartition};
use protocol::Str;
use protocol::messages::txn_offset_commit_request::{TxnOffsetCommitRequest, TxnOffsetCommitRequestTopic};
use protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponse, TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use std::collections::HashSet;

/// Commits the offsets of partitions that exist. Other partitions are refused one by one.
pub(super) async fn handle(context: Context, mut request: TxnOffsetCommitRequest) -> TxnOffsetCommitResponse {
    let transactional_id = Resource::TransactionalId(&request.transactional_id);
    let may_write = context.need(Operation::Write, transactional_id);
    if let Err(code) = may_write.and_then(|()| context.need(Operation::Read, Resource::Group(&request.group_id))) {
        return refuse_all(request, code);
    }
    let forbidden = context.forbidden_topics(Operation::Read, request.topics.iter().map(|topic| &topic.name));
    let image = context.broker.image();
    let asked = std::mem::take(&mut request.topics);
    let (known, mut topics) = split(&image, &forbidden, asked);
    if known.is_empty() {
        return TxnOffsetCommitResponse { topics, ..Default::default() };
    }
    request.topics = known;
    for topic in commit(&context, request).await.topics {
        match topics.iter_mut().find(|known: &&mut TxnOffsetCommitResponseTopic| known.name == topic.name) {
            Some(known) => known.partitions.extend(topic.partitions),
            None => topics.push(topic),
        }
    }
    TxnOffsetCommitResponse { topics, ..Default::default() }
}

/// Adds the group's partition of `__consumer_offsets` to the transaction, or verifies that it is in
/// it, and commits the offsets.
async fn commit(context: &Context, request: TxnOffsetCommitRequest) -> TxnOffsetCommitResponse {
    let is_loading_known = context.version >= 2;
    let mut request = GroupRequest::TxnOffsetCommit { request, guard: None };
    let reply = match verify(context, &mut request).await {
        Err(code) => request.unverified(code),
        Ok(()) => context.broker.groups.request(request).await,
    };
    let GroupReply::TxnOffsetCommit(mut response) = reply else {
        tracing::error!(?reply, "a group coordinator answered a TxnOffsetCommit with another reply");
        return TxnOffsetCommitResponse::default();
    };
    for partition in response.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
        if partition.error_code == ErrorCode::CoordinatorLoadInProgress.code() && !is_loading_known {
            partition.error_code = ErrorCode::CoordinatorNotAvailable.code();
        }
    }
    response
}

/// Verifies the transaction in the group's partition of `__consumer_offsets`, and notes the guard
/// in the request.
async fn verify(context: &Context, commit: &mut GroupRequest) -> Result<(), ErrorCode> {
    let GroupRequest::TxnOffsetCommit { request, guard } = commit else {
        return Err(ErrorCode::UnknownServerError);
    };
    if request.group_id.is_empty() {
        return Err(ErrorCode::InvalidGroupId);
    }
    let support = match context.version {
        5.. => Support::AddsPartitions,
        4 => Support::Abortable,
        _ => Support::OldErrors,
    };
    let broker = &context.broker;
    if support != Support::AddsPartitions && !broker.settings().transaction_partition_verification_enable {
        return Ok(());
    }
    let image = broker.image();
    let offsets = image.topics.by_name(StateTopic::ConsumerOffsets.name()).ok_or(ErrorCode::NotCoordinator)?;
    let count = i32::try_from(offsets.partitions.len()).unwrap_or(i32::MAX);
    let partition = coordinator::partition_for(&request.group_id, count);
    let transaction = Transaction {
        transactional_id: request.transactional_id.clone(),
        producer_id: ProducerId(request.producer_id),
        producer_epoch: ProducerEpoch(request.producer_epoch),
        support,
        retry: Retry::NEVER,
        now: broker.clock.now(),
        batches: vec![TransactionalBatch {
            name: TopicPartition::new(StateTopic::ConsumerOffsets.name(), partition.0),
            partition: broker.replicas.of(offsets, partition.0),
            base_sequence: 0,
        }],
    };
    let ask = |asked| async move { broker.add_or_verify_partitions(&asked).await };
    let verified = transaction.verify_once(&ask).await;
    *guard = verified.into_iter().next().unwrap_or(Err(ErrorCode::UnknownServerError))?;
    Ok(())
}

/// Returns the answer to a client that may not use the transactional id or the group.
fn refuse_all(request: TxnOffsetCommitRequest, code: ErrorCode) -> TxnOffsetCommitResponse {
    let topics = request.topics.into_iter().map(|topic| TxnOffsetCommitResponseTopic {
        partitions: topic.partitions.iter().map(|partition| refuse(partition.partition_index, code)).collect(),
        name: topic.name,
        ..Default::default()
    });
    TxnOffsetCommitResponse { topics: topics.collect(), ..Default::default() }
}

/// Splits the partitions into those that exist and that the client may read, and the answers to the
/// others.
fn split(
    image: &Image,
    forbidden: &HashSet<Str>,
    asked: Vec<TxnOffsetCommitRequestTopic>,
) -> (Vec<TxnOffsetCommitRequestTopic>, Vec<TxnOffsetCommitResponseTopic>) {
    let (mut known, mut unknown) = (Vec::with_capacity(asked.len()), Vec::new());
    for mut topic in asked {
        let existing = image.topics.by_name(&topic.name);
        let is_forbidden = forbidden.contains(&topic.name);
        let error = if is_forbidden { ErrorCode::TopicAuthorizationFailed } else { ErrorCode::UnknownTopicOrPartition };
        let exists =
            |index| !is_forbidden && existing.is_some_and(|topic| topic.partition(PartitionIndex(index)).is_some());
        let refused: Vec<TxnOffsetCommitResponsePartition> = topic
            .partitions
            .extract_if(.., |partition| !exists(partition.partition_index))
            .map(|partition| refuse(partition.partition_index, error))
            .collect();
        if !refused.is_empty() {
            let name = topic.name.clone();
            unknown.push(TxnOffsetCommitResponseTopic { name, partitions: refused, ..Default::default() });
        }
        if !topic.partitions.is_empty() {
            known.push(topic);
        }
    }
    (known, unknown)
}

fn refuse(partition_index: i32, code: ErrorCode) -> TxnOffsetCommitResponsePartition {
    TxnOffsetCommitResponsePartition { partition_index, error_code: code.code(), ..Default::default() }
}
