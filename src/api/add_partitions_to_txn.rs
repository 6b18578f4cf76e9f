//! AddPartitionsToTxn (key 24), versions 0-5: adds partitions to transactions (KIP-98).
//!
//! - 2: may answer PRODUCER_FENCED (KIP-588).
//! - 3: is flexible.
//! - 4: carries several transactions, may only verify them, and has an error of the whole request
//!   (KIP-890).
//! - 5: may answer TRANSACTION_ABORTABLE (KIP-890).

use super::Context;
use super::error::fenced_for;
use crate::runtime::transaction::PartitionsOfTransaction;
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

/// Adds the partitions of each transaction, or verifies that they are in it. The versions of
/// clients have one transaction, those of brokers several.
pub(super) async fn handle(context: Context, request: AddPartitionsToTxnRequest) -> AddPartitionsToTxnResponse {
    if context.version >= 4 {
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
        return AddPartitionsToTxnResponse { results_by_transaction, ..Default::default() };
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

/// Adds or verifies the partitions of one transaction. If one of them does not exist, nothing is
/// done.
async fn add(context: &Context, transaction: AddPartitionsToTxnTransaction) -> Vec<AddPartitionsToTxnTopicResult> {
    if let Some(refused) = refuse_unknown(&context.broker.image(), &transaction.topics) {
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

/// Returns the results if a partition does not exist: UNKNOWN_TOPIC_OR_PARTITION for that one, and
/// OPERATION_NOT_ATTEMPTED for the others.
fn refuse_unknown(image: &Image, topics: &[AddPartitionsToTxnTopic]) -> Option<Vec<AddPartitionsToTxnTopicResult>> {
    let exists = |name: &Str, index: i32| {
        image.topics.by_name(name).is_some_and(|topic| topic.partition(PartitionIndex(index)).is_some())
    };
    let all_exist = topics.iter().all(|topic| topic.partitions.iter().all(|&index| exists(&topic.name, index)));
    if all_exist {
        return None;
    }
    let result = |topic: &AddPartitionsToTxnTopic, index: i32| {
        let code = match exists(&topic.name, index) {
            true => ErrorCode::OperationNotAttempted,
            false => ErrorCode::UnknownTopicOrPartition,
        };
        AddPartitionsToTxnPartitionResult {
            partition_index: index,
            partition_error_code: code.code(),
            ..Default::default()
        }
    };
    let results = topics.iter().map(|topic| AddPartitionsToTxnTopicResult {
        name: topic.name.clone(),
        results_by_partition: topic.partitions.iter().map(|&index| result(topic, index)).collect(),
        ..Default::default()
    });
    Some(results.collect())
}
