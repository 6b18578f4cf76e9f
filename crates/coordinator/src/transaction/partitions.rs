//! AddPartitionsToTxn and AddOffsetsToTxn: partitions join a transaction, and the first opens it.

use crate::shard::ReplyId;
use crate::transaction::builder::DecisionBuilder;
use crate::transaction::reply::TransactionReply;
use crate::transaction::request::{ProducerIdAndEpoch, TransactionRequest};
use crate::transaction::state::{Transaction, TransactionState};
use crate::transaction::topics;
use model::{ErrorCode, PartitionIndex};
use protocol::Str;
use protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
};
use std::collections::HashSet;

/// Partitions that join a transaction, or are looked for in it.
pub(crate) struct Addition<'a> {
    pub(crate) id: ReplyId,
    pub(crate) transactional_id: &'a Str,
    pub(crate) producer: ProducerIdAndEpoch,
    pub(crate) topics: &'a [AddPartitionsToTxnTopic],
    pub(crate) transaction_version: i16,
}

impl Addition<'_> {
    /// Finds the transaction that partitions join. While it ends, Kafka does not look at the
    /// producer: its id may be about to change.
    fn find_to_add<'a>(&self, builder: &DecisionBuilder<'a>) -> Result<&'a Transaction, ErrorCode> {
        let transaction = self.find(builder)?;
        if transaction.state.is_prepared() {
            return Err(ErrorCode::ConcurrentTransactions);
        }
        self.check_producer(transaction)?;
        Ok(transaction)
    }

    /// Finds the transaction in which partitions are looked for.
    fn find_to_verify<'a>(&self, builder: &DecisionBuilder<'a>) -> Result<&'a Transaction, ErrorCode> {
        let transaction = self.find(builder)?;
        self.check_producer(transaction)?;
        if transaction.state.is_prepared() {
            return Err(ErrorCode::ConcurrentTransactions);
        }
        Ok(transaction)
    }

    fn find<'a>(&self, builder: &DecisionBuilder<'a>) -> Result<&'a Transaction, ErrorCode> {
        if self.transactional_id.is_empty() {
            return Err(ErrorCode::InvalidRequest);
        }
        builder.transaction(self.transactional_id).ok_or(ErrorCode::InvalidProducerIdMapping)
    }

    fn check_producer(&self, transaction: &Transaction) -> Result<(), ErrorCode> {
        if transaction.producer.id != self.producer.id {
            return Err(ErrorCode::InvalidProducerIdMapping);
        }
        if transaction.producer.epoch != self.producer.epoch {
            return Err(ErrorCode::ProducerFenced);
        }
        Ok(())
    }
}

/// Adds partitions. All of them are in the transaction afterwards, or none of the new ones.
pub(crate) fn add(builder: &mut DecisionBuilder<'_>, asked: &Addition<'_>) {
    let code = asked.find_to_add(builder).and_then(|transaction| add_to(builder, asked, transaction)).err();
    builder.reply(asked.id, TransactionReply::AddPartitions(code.unwrap_or(ErrorCode::None)));
}

fn add_to(builder: &mut DecisionBuilder<'_>, asked: &Addition<'_>, transaction: &Transaction) -> Result<(), ErrorCode> {
    let is_open = match transaction.state {
        TransactionState::Ongoing => true,
        state if state.is_at_rest() => false,
        _ => return Err(ErrorCode::UnknownServerError),
    };
    let requested = topics::listed(asked.topics.iter().map(|it| (&it.name, it.partitions.as_slice())));
    if is_open && topics::missing(&transaction.partitions, requested.clone()).is_empty() {
        return Ok(());
    }
    if !builder.can_record(asked.transaction_version) {
        return Err(ErrorCode::UnsupportedVersion);
    }
    let now = builder.wall();
    let new = Transaction {
        producer: transaction.producer,
        previous_id: Some(transaction.producer.id),
        next_id: transaction.next_id,
        timeout_ms: transaction.timeout_ms,
        state: TransactionState::Ongoing,
        client_version: asked.transaction_version,
        start: if is_open { transaction.start } else { Some(now) },
        last_update: now,
        partitions: topics::joined(&transaction.partitions, requested).into(),
    };
    builder.write(asked.transactional_id, Some(transaction), &new);
    Ok(())
}

/// Says of each partition whether it is in the transaction. One that is not makes the client abort
/// (KIP-890, 1050).
pub(crate) fn verify(builder: &mut DecisionBuilder<'_>, asked: &Addition<'_>, request: &TransactionRequest) {
    let transaction = match asked.find_to_verify(builder) {
        Ok(transaction) => transaction,
        Err(code) => return builder.reply(asked.id, request.refused(code)),
    };
    let known: HashSet<(&str, PartitionIndex)> =
        transaction.partitions.iter().map(|it| (it.topic.as_str(), it.partition)).collect();
    let partition = |topic: &Str, index: i32| {
        let code = match known.contains(&(topic.as_str(), PartitionIndex(index))) {
            true => ErrorCode::None,
            false => ErrorCode::TransactionAbortable,
        };
        AddPartitionsToTxnPartitionResult {
            partition_index: index,
            partition_error_code: code.code(),
            ..Default::default()
        }
    };
    let topic = |it: &AddPartitionsToTxnTopic| AddPartitionsToTxnTopicResult {
        name: it.name.clone(),
        results_by_partition: it.partitions.iter().map(|index| partition(&it.name, *index)).collect(),
        ..Default::default()
    };
    let topics = asked.topics.iter().map(topic).collect();
    builder.reply(asked.id, TransactionReply::VerifyPartitions(topics));
}
