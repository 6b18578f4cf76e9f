//! Verifies transactional batches with their coordinator before they are appended (KIP-890).
//!
//! A batch that opens a transaction in its partition takes a guard there; then one question to the
//! coordinator covers all such batches of the request. Up to version 11 the client has added the
//! partitions itself, and the coordinator verifies that; from version 12 on the coordinator adds
//! them.

use crate::api::error;
use crate::broker::TransactionPartitions;
use crate::replica::{AppendError, Partition};
use futures_util::FutureExt as _;
use model::{ApiError, ErrorCode, ProducerEpoch, ProducerId, Timestamp, TopicPartition, VerificationGuard};
use protocol::Str;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use storage::VerificationStart;

/// What the version of a Produce can do in a transaction; TxnOffsetCommit's are 3, 4 and 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Support {
    /// Up to version 10.
    OldErrors,
    /// Version 11 knows TRANSACTION_ABORTABLE.
    Abortable,
    /// From version 12 on (`transaction.version` 2), Produce adds the partitions, and each
    /// transaction has its own epoch.
    AddsPartitions,
}

/// How long a CONCURRENT_TRANSACTIONS of the coordinator is retried here: the last transaction of
/// the client is about to be complete, and sending the records again would cost more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retry {
    /// `add.partitions.to.txn.retry.backoff.ms`
    pub(super) backoff: Duration,
    /// `add.partitions.to.txn.retry.backoff.max.ms`, at most `request.timeout.ms`
    pub(super) within: Duration,
}

impl Retry {
    /// No retry.
    pub(super) const NEVER: Retry = Retry { backoff: Duration::ZERO, within: Duration::ZERO };
}

/// The transactional batches of a request, which all have one producer.
#[derive(Clone, Debug)]
pub(super) struct Transaction {
    pub(super) transactional_id: Str,
    pub(super) producer_id: ProducerId,
    pub(super) producer_epoch: ProducerEpoch,
    pub(super) support: Support,
    pub(super) retry: Retry,
    pub(super) now: Timestamp,
    pub(super) batches: Vec<TransactionalBatch>,
}

/// A transactional batch of a request.
#[derive(Clone, Debug)]
pub(super) struct TransactionalBatch {
    pub(super) name: TopicPartition,
    /// Its partition, or why it is not on this broker.
    pub(super) partition: Result<Arc<Partition>, ErrorCode>,
    pub(super) base_sequence: i32,
}

/// The result for one batch: the guard that its append must carry, or why it may not be appended.
pub(super) type Verified = Result<Option<VerificationGuard>, ApiError>;

impl Transaction {
    /// Verifies the batches. `ask` asks the coordinator, which returns a code for each partition.
    /// Returns the results in the order of the batches.
    pub(super) async fn verify<F>(&self, ask: impl Fn(TransactionPartitions) -> F) -> Vec<Verified>
    where
        F: Future<Output = Vec<ErrorCode>>,
    {
        let mut deadline = pin!(tokio::time::sleep(self.retry.within));
        loop {
            let results = self.verify_once(&ask).await;
            let is_concurrent = |result: &Result<_, ErrorCode>| *result == Err(ErrorCode::ConcurrentTransactions);
            let is_retried = self.support == Support::AddsPartitions && results.iter().any(is_concurrent);
            if !is_retried || deadline.as_mut().now_or_never().is_some() {
                return results.into_iter().map(|one| one.map_err(|code| self.answered(code))).collect();
            }
            tokio::time::sleep(self.retry.backoff).await;
        }
    }

    /// Asks once, and returns the coordinator's codes as brokers convert them for all requests.
    pub(super) async fn verify_once<F>(
        &self,
        ask: &impl Fn(TransactionPartitions) -> F,
    ) -> Vec<Result<Option<VerificationGuard>, ErrorCode>>
    where
        F: Future<Output = Vec<ErrorCode>>,
    {
        let mut results = Vec::with_capacity(self.batches.len());
        for batch in &self.batches {
            results.push(self.begin(batch).await);
        }
        let asked: Vec<usize> = (0..results.len()).filter(|index| matches!(results[*index], Ok(Some(_)))).collect();
        if asked.is_empty() {
            return results;
        }
        let question = TransactionPartitions {
            transactional_id: self.transactional_id.clone(),
            producer_id: self.producer_id,
            producer_epoch: self.producer_epoch,
            partitions: asked.iter().map(|index| self.batches[*index].name.clone()).collect(),
            verify_only: self.support != Support::AddsPartitions,
        };
        for (index, code) in asked.into_iter().zip(ask(question).await) {
            if code != ErrorCode::None {
                results[index] = Err(self.known_to_producers(code));
            }
        }
        results
    }

    /// Takes a guard in the batch's partition, unless the transaction is open there.
    async fn begin(&self, batch: &TransactionalBatch) -> Result<Option<VerificationGuard>, ErrorCode> {
        let partition = batch.partition.as_ref().map_err(|code| *code)?;
        let start = VerificationStart {
            producer_id: self.producer_id,
            epoch: self.producer_epoch,
            base_sequence: batch.base_sequence,
            supports_epoch_bump: self.support == Support::AddsPartitions,
            now: self.now,
        };
        let begun = partition.begin_verification(start).await;
        begun.map_err(|error: AppendError| error::of_append(&error))
    }

    /// Returns the code that producers expect for a code of the coordinator.
    fn known_to_producers(&self, code: ErrorCode) -> ErrorCode {
        match code {
            ErrorCode::ProducerFenced => ErrorCode::InvalidProducerEpoch,
            ErrorCode::TransactionAbortable if self.support == Support::OldErrors => ErrorCode::InvalidTxnState,
            code => code,
        }
    }

    /// Returns the answer for a batch that was not verified. Clients retry NOT_ENOUGH_REPLICAS
    /// without asking for metadata first.
    fn answered(&self, code: ErrorCode) -> ApiError {
        match code {
            ErrorCode::InvalidTxnState => ApiError::new(code, "Partition was not added to the transaction"),
            ErrorCode::NetworkException
            | ErrorCode::CoordinatorLoadInProgress
            | ErrorCode::CoordinatorNotAvailable
            | ErrorCode::NotCoordinator => unable(code),
            ErrorCode::ConcurrentTransactions if self.support != Support::AddsPartitions => unable(code),
            code => code.into(),
        }
    }
}

fn unable(code: ErrorCode) -> ApiError {
    let message =
        format!("Unable to verify the partition has been added to the transaction. Underlying error: {}", code.name());
    ApiError::new(ErrorCode::NotEnoughReplicas, message)
}

#[cfg(test)]
mod tests;
