//! EndTxn: a producer commits or aborts its transaction.
//!
//! Before version 2 a repeated EndTxn has the epoch of the transaction. From version 2 on each
//! transaction has its own epoch (KIP-890). An EndTxn with the epoch before the current one repeats
//! the last one, and cannot end the next transaction. With the current epoch it ends the next one,
//! which may have no partitions if it aborts.

use crate::planted::{Bug, is_planted};
use crate::shard::ReplyId;
use crate::transaction::builder::DecisionBuilder;
use crate::transaction::reply::{NO_PRODUCER, TransactionReply, end_txn};
use crate::transaction::request::{ProducerIdAndEpoch, TransactionRequest};
use crate::transaction::soft::AwaitsProducerId;
use crate::transaction::state::{Transaction, TransactionState};
use crate::transaction::transition::{EPOCH_PER_TRANSACTION, Ending, end};
use model::ErrorCode;
use protocol::Str;

/// An EndTxn.
pub(crate) struct EndRequest<'a> {
    pub(crate) id: ReplyId,
    /// The whole request, which is decided again when a producer id is allocated.
    pub(crate) request: &'a TransactionRequest,
    pub(crate) transactional_id: &'a Str,
    pub(crate) producer: ProducerIdAndEpoch,
    pub(crate) committed: bool,
    pub(crate) transaction_version: i16,
}

/// What an EndTxn means in the state that it finds.
enum Meaning {
    /// It ends the transaction.
    Ends,
    /// It was carried out before.
    IsDone,
}

impl EndRequest<'_> {
    /// Whether a state is how this EndTxn would leave its transaction.
    fn is_same_end(&self, state: TransactionState) -> bool {
        match state {
            TransactionState::PrepareCommit | TransactionState::CompleteCommit => self.committed,
            TransactionState::PrepareAbort | TransactionState::CompleteAbort => !self.committed,
            _ => false,
        }
    }

    fn meaning_before_version_2(&self, transaction: &Transaction) -> Result<Meaning, ErrorCode> {
        if transaction.producer.id != self.producer.id {
            return Err(ErrorCode::InvalidProducerIdMapping);
        }
        if transaction.producer.epoch != self.producer.epoch {
            return Err(ErrorCode::ProducerFenced);
        }
        match transaction.state {
            TransactionState::Ongoing => Ok(Meaning::Ends),
            TransactionState::Dead | TransactionState::PrepareEpochFence => Err(ErrorCode::UnknownServerError),
            state if state.is_prepared() => Err(ErrorCode::ConcurrentTransactions),
            state if !self.is_same_end(state) => Err(ErrorCode::InvalidTxnState),
            _ => Ok(Meaning::IsDone),
        }
    }

    fn meaning(&self, transaction: &Transaction) -> Result<Meaning, ErrorCode> {
        // While the transaction ends, Kafka does not look at the producer: its id may be about to
        // change.
        if transaction.state.is_prepared() {
            return Err(ErrorCode::ConcurrentTransactions);
        }
        let current = transaction.producer;
        let repeats_before_new_id = transaction.previous_id == Some(self.producer.id)
            && self.producer.epoch.0 == i16::MAX - 1
            && current.epoch.0 == 0;
        let repeats_before_new_epoch = self.producer.epoch.0.checked_add(1) == Some(current.epoch.0);
        let repeats = repeats_before_new_id || repeats_before_new_epoch;
        if current.id != self.producer.id && !repeats_before_new_id {
            return Err(ErrorCode::InvalidProducerIdMapping);
        }
        let state = transaction.state;
        let is_current = self.producer.epoch == current.epoch;
        let has_valid_epoch = match state {
            TransactionState::CompleteCommit | TransactionState::CompleteAbort => repeats || is_current,
            _ => is_current || (repeats && is_planted(Bug::LastEndTxnAccepted)),
        };
        if !has_valid_epoch {
            return Err(ErrorCode::ProducerFenced);
        }
        match state {
            TransactionState::Ongoing => Ok(Meaning::Ends),
            TransactionState::Dead | TransactionState::PrepareEpochFence => Err(ErrorCode::UnknownServerError),
            _ if repeats && self.is_same_end(state) => Ok(Meaning::IsDone),
            _ if repeats || self.committed => Err(ErrorCode::InvalidTxnState),
            // The abort of a transaction without partitions.
            _ => Ok(Meaning::Ends),
        }
    }
}

/// Decides about an EndTxn.
pub(crate) fn end_transaction(builder: &mut DecisionBuilder<'_>, asked: &EndRequest<'_>) {
    if let Err(code) = end_found(builder, asked) {
        builder.reply(asked.id, end_txn(code, NO_PRODUCER));
    }
}

fn end_found(builder: &mut DecisionBuilder<'_>, asked: &EndRequest<'_>) -> Result<(), ErrorCode> {
    if asked.transactional_id.is_empty() {
        return Err(ErrorCode::InvalidRequest);
    }
    let transaction = builder.transaction(asked.transactional_id).ok_or(ErrorCode::InvalidProducerIdMapping)?;
    let has_own_epoch = asked.transaction_version >= EPOCH_PER_TRANSACTION;
    let meaning = match has_own_epoch {
        true => asked.meaning(transaction)?,
        false => asked.meaning_before_version_2(transaction)?,
    };
    if let Meaning::IsDone = meaning {
        let producer = if has_own_epoch { transaction.producer } else { NO_PRODUCER };
        builder.reply(asked.id, end_txn(ErrorCode::None, producer));
        return Ok(());
    }
    if !builder.can_record(asked.transaction_version) {
        return Err(ErrorCode::UnsupportedVersion);
    }
    let mut ending = Ending {
        committed: asked.committed,
        version: asked.transaction_version,
        fences: false,
        next_id: None,
        parked: Some(asked.id),
    };
    if ending.needs_producer_id(transaction) {
        ending.next_id = builder.take_allocated();
        if ending.next_id.is_none() {
            builder.allocate(AwaitsProducerId::Request(asked.id, Box::new(asked.request.clone())));
            return Ok(());
        }
    }
    let completed = end(builder, asked.transactional_id, transaction, &ending).ok_or(ErrorCode::UnknownServerError)?;
    if transaction.partitions.is_empty() {
        builder.reply(asked.id, ended(&completed));
    }
    Ok(())
}

/// Returns the reply to an EndTxn that ended a transaction, from its complete state. A client of
/// version 2 uses the producer id and epoch for its next transaction.
pub(crate) fn ended(completed: &Transaction) -> TransactionReply {
    let has_own_epoch = completed.client_version >= EPOCH_PER_TRANSACTION;
    end_txn(ErrorCode::None, if has_own_epoch { completed.producer } else { NO_PRODUCER })
}
