//! AddPartitionsToTxn (key 24), versions 0-5: adds partitions to transactions (KIP-98).
//!
//! - 2: may answer PRODUCER_FENCED (KIP-588).
//! - 3: is flexible.
//! - 4: carries several transactions, may only verify them, and has an error of the whole request
//!   (KIP-890).
//! - 5: may answer TRANSACTION_ABORTABLE (KIP-890).

use super::Context;
use super::authorization::{Operation, Resource};
use super::error::fenced_for;
use crate::runtime::transaction::PartitionsOfTransaction;
use coordinator::StateTopic;
use coordinator::transaction::ProducerIdAndEpoch;
use metadata::image::Image;
use model::{ErrorCode, PartitionIndex, ProducerEpoch, ProducerId};
use protocol::Str;
use protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResponse, AddPartitionsToTxnResult,
    AddPartitionsToTxnTopicResult,
};
use std::collections::HashSet;

/// Adds the partitions of each transaction, or verifies that they are in it. The versions of
/// clients have one transaction, those of brokers several.
pub(super) async fn handle(context: Context, request: AddPartitionsToTxnRequest) -> AddPartitionsToTxnResponse {
    if context.version >= 4 {
        if let Err(code) = context.need_of_cluster(Operation::ClusterAction) {
            return AddPartitionsToTxnResponse { error_code: code.code(), ..Default::default() };
        }
        let mut results_by_transaction = Vec::with_capacity(request.transactions.len());
        for transaction in request.transactions {
            let transactional_id = transaction.transactional_id.clone();
            let topic_results = add(&context, transaction).await;
            results_by_transaction.push(AddPartitionsToTxnResult {
                transactional_id,
                topic_results,
                ..Default::default()
            });
        }
        return of_brokers(results_by_transaction);
    }
    let transaction = AddPartitionsToTxnTransaction {
        transactional_id: request.v3_and_below_transactional_id,
        producer_id: request.v3_and_below_producer_id,
        producer_epoch: request.v3_and_below_producer_epoch,
        verify_only: false,
        topics: request.v3_and_below_topics,
        ..Default::default()
    };
    let mut results = add(&context, transaction).await;
    for result in results.iter_mut().flat_map(|topic| &mut topic.results_by_partition) {
        result.partition_error_code = fenced_for(result.partition_error_code, context.version >= 2);
    }
    AddPartitionsToTxnResponse { results_by_topic_v3_and_below: results, ..Default::default() }
}

/// Returns the response to a broker. If one of the transactions cannot be recorded at this
/// `transaction.version`, Kafka answers this alone.
fn of_brokers(results_by_transaction: Vec<AddPartitionsToTxnResult>) -> AddPartitionsToTxnResponse {
    let unsupported = ErrorCode::UnsupportedVersion.code();
    let topics = results_by_transaction.iter().flat_map(|it| &it.topic_results);
    if topics.flat_map(|topic| &topic.results_by_partition).any(|it| it.partition_error_code == unsupported) {
        return AddPartitionsToTxnResponse { error_code: unsupported, ..Default::default() };
    }
    AddPartitionsToTxnResponse { results_by_transaction, ..Default::default() }
}

/// Adds or verifies the partitions of one transaction. If one of them does not exist, or may not be
/// added, nothing is done.
async fn add(context: &Context, transaction: AddPartitionsToTxnTransaction) -> Vec<AddPartitionsToTxnTopicResult> {
    let is_of_broker = context.version >= 4;
    let transactional_id = Resource::TransactionalId(&transaction.transactional_id);
    if !is_of_broker && let Err(code) = context.need(Operation::Write, transactional_id) {
        return answer_all(&transaction.topics, |_, _| code);
    }
    let forbidden = match is_of_broker {
        true => HashSet::new(),
        false => context.forbidden_topics(Operation::Write, transaction.topics.iter().map(|topic| &topic.name)),
    };
    if let Some(refused) = refuse(&context.broker.image(), &forbidden, &transaction.topics, is_of_broker) {
        return refused;
    }
    let partitions = PartitionsOfTransaction {
        transactional_id: transaction.transactional_id,
        producer: ProducerIdAndEpoch {
            id: ProducerId(transaction.producer_id),
            epoch: ProducerEpoch(transaction.producer_epoch),
        },
        topics: transaction.topics,
        verify_only: transaction.verify_only,
        transaction_version: if context.version >= 4 { 2 } else { 0 },
    };
    context.broker.transactions.partitions(partitions).await
}

/// Returns the results if a partition does not exist or is one that a client may not write to:
/// UNKNOWN_TOPIC_OR_PARTITION or TOPIC_AUTHORIZATION_FAILED for that one, and
/// OPERATION_NOT_ATTEMPTED for the others.
fn refuse(
    image: &Image,
    forbidden: &HashSet<Str>,
    topics: &[AddPartitionsToTxnTopic],
    is_of_broker: bool,
) -> Option<Vec<AddPartitionsToTxnTopicResult>> {
    let fault = |name: &Str, index: i32| {
        if forbidden.contains(name) || (!is_of_broker && StateTopic::from_name(name).is_some()) {
            return Some(ErrorCode::TopicAuthorizationFailed);
        }
        let exists = image.topics.by_name(name).is_some_and(|topic| topic.partition(PartitionIndex(index)).is_some());
        (!exists).then_some(ErrorCode::UnknownTopicOrPartition)
    };
    let is_refused = topics.iter().any(|topic| topic.partitions.iter().any(|&it| fault(&topic.name, it).is_some()));
    if !is_refused {
        return None;
    }
    Some(answer_all(topics, |name, index| fault(name, index).unwrap_or(ErrorCode::OperationNotAttempted)))
}

fn answer_all(
    topics: &[AddPartitionsToTxnTopic],
    code: impl Fn(&Str, i32) -> ErrorCode,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let result = |topic: &AddPartitionsToTxnTopic, index: i32| AddPartitionsToTxnPartitionResult {
        partition_index: index,
        partition_error_code: code(&topic.name, index).code(),
        ..Default::default()
    };
    let results = topics.iter().map(|topic| AddPartitionsToTxnTopicResult {
        name: topic.name.clone(),
        results_by_partition: topic.partitions.iter().map(|&index| result(topic, index)).collect(),
        ..Default::default()
    });
    results.collect()
}
