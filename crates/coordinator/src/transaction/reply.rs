//! Replies of a transaction coordinator.

use crate::transaction::request::{ProducerIdAndEpoch, TransactionRequest};
use model::{ErrorCode, ProducerEpoch, ProducerId};
use protocol::Str;
use protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
};
use protocol::messages::describe_transactions_response::TransactionState as DescribedTransaction;
use protocol::messages::end_txn_response::EndTxnResponse;
use protocol::messages::init_producer_id_response::InitProducerIdResponse;
use protocol::messages::list_transactions_response::ListTransactionsResponse;

/// The reply to a request, as the response or the part of it that the request is about.
#[derive(Clone, Debug, PartialEq)]
pub enum TransactionReply {
    /// InitProducerId.
    InitProducerId(InitProducerIdResponse),
    /// Partitions were added, or none of them.
    AddPartitions(ErrorCode),
    /// Each partition is in the transaction, or why it is not.
    VerifyPartitions(Vec<AddPartitionsToTxnTopicResult>),
    /// EndTxn. The id and epoch are set for clients of transaction version 2.
    EndTxn(EndTxnResponse),
    /// DescribeTransactions.
    Describe(Vec<DescribedTransaction>),
    /// The transactions of this partition.
    List(ListTransactionsResponse),
}

pub(crate) const NO_PRODUCER: ProducerIdAndEpoch = ProducerIdAndEpoch { id: ProducerId(-1), epoch: ProducerEpoch(-1) };

pub(crate) fn init_producer_id(code: ErrorCode, producer: ProducerIdAndEpoch) -> TransactionReply {
    TransactionReply::InitProducerId(InitProducerIdResponse {
        error_code: code.code(),
        producer_id: producer.id.0,
        producer_epoch: producer.epoch.0,
        ..Default::default()
    })
}

pub(crate) fn end_txn(code: ErrorCode, producer: ProducerIdAndEpoch) -> TransactionReply {
    TransactionReply::EndTxn(EndTxnResponse {
        error_code: code.code(),
        producer_id: producer.id.0,
        producer_epoch: producer.epoch.0,
        ..Default::default()
    })
}

/// Returns a state of DescribeTransactions that is only an error.
pub(crate) fn undescribed(transactional_id: &Str, code: ErrorCode) -> DescribedTransaction {
    DescribedTransaction { error_code: code.code(), transactional_id: transactional_id.clone(), ..Default::default() }
}

impl TransactionRequest {
    /// Returns the reply that is only an error.
    pub(crate) fn refused(&self, code: ErrorCode) -> TransactionReply {
        match self {
            TransactionRequest::InitProducerId { .. } => init_producer_id(code, NO_PRODUCER),
            TransactionRequest::AddPartitions { topics, verify_only: true, .. } => {
                let partition = |&index: &i32| AddPartitionsToTxnPartitionResult {
                    partition_index: index,
                    partition_error_code: code.code(),
                    ..Default::default()
                };
                let topic = |name: &Str, partitions: &[i32]| AddPartitionsToTxnTopicResult {
                    name: name.clone(),
                    results_by_partition: partitions.iter().map(partition).collect(),
                    ..Default::default()
                };
                TransactionReply::VerifyPartitions(topics.iter().map(|it| topic(&it.name, &it.partitions)).collect())
            }
            TransactionRequest::AddPartitions { .. } => TransactionReply::AddPartitions(code),
            TransactionRequest::EndTxn { .. } => end_txn(code, NO_PRODUCER),
            TransactionRequest::Describe(ids) => {
                TransactionReply::Describe(ids.iter().map(|id| undescribed(id, code)).collect())
            }
            TransactionRequest::List { .. } => {
                TransactionReply::List(ListTransactionsResponse { error_code: code.code(), ..Default::default() })
            }
        }
    }
}

impl TransactionReply {
    /// Whether it must not come from a coordinator that was replaced. Such a one knows neither the
    /// newest epoch nor the newest producer, and takes the last transaction that it knows for the
    /// one that its producer ends.
    pub(crate) fn needs_session(&self) -> bool {
        let ends_producer = [
            ErrorCode::ProducerFenced,
            ErrorCode::InvalidProducerEpoch,
            ErrorCode::InvalidProducerIdMapping,
            ErrorCode::InvalidTxnState,
        ];
        let says = |code: i16| ends_producer.iter().any(|error| error.code() == code);
        match self {
            TransactionReply::InitProducerId(response) => says(response.error_code),
            TransactionReply::AddPartitions(code) => says(code.code()),
            TransactionReply::VerifyPartitions(topics) => {
                let mut partitions = topics.iter().flat_map(|topic| &topic.results_by_partition);
                partitions.any(|partition| says(partition.partition_error_code))
            }
            TransactionReply::EndTxn(response) => {
                response.error_code == ErrorCode::None.code() || says(response.error_code)
            }
            TransactionReply::Describe(_) | TransactionReply::List(_) => false,
        }
    }

    /// Converts a reply whose records may not be committed to an error.
    pub(crate) fn into_error(self, code: ErrorCode) -> Self {
        match self {
            TransactionReply::InitProducerId(_) => init_producer_id(code, NO_PRODUCER),
            TransactionReply::AddPartitions(_) => TransactionReply::AddPartitions(code),
            TransactionReply::VerifyPartitions(mut topics) => {
                for partition in topics.iter_mut().flat_map(|topic| &mut topic.results_by_partition) {
                    partition.partition_error_code = code.code();
                }
                TransactionReply::VerifyPartitions(topics)
            }
            TransactionReply::EndTxn(_) => end_txn(code, NO_PRODUCER),
            TransactionReply::Describe(states) => {
                let state = |it: &DescribedTransaction| undescribed(&it.transactional_id, code);
                TransactionReply::Describe(states.iter().map(state).collect())
            }
            TransactionReply::List(_) => {
                TransactionReply::List(ListTransactionsResponse { error_code: code.code(), ..Default::default() })
            }
        }
    }
}
