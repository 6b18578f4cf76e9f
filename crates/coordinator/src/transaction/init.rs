//! InitProducerId: a producer gets its id and an epoch that fences the one before it.

use crate::planted::{Bug, is_planted};
use crate::shard::ReplyId;
use crate::transaction::builder::DecisionBuilder;
use crate::transaction::reply::{NO_PRODUCER, init_producer_id};
use crate::transaction::request::{ProducerIdAndEpoch, TransactionRequest};
use crate::transaction::soft::AwaitsProducerId;
use crate::transaction::state::{NO_TIMEOUT_MS, Transaction, TransactionState};
use crate::transaction::timeout::fence;
use crate::transaction::transition::is_exhausted;
use model::{ErrorCode, ProducerEpoch, ProducerId};
use protocol::Str;

/// An InitProducerId.
pub(crate) struct Initialization<'a> {
    pub(crate) id: ReplyId,
    /// The whole request, which is decided again when a producer id is allocated.
    pub(crate) request: &'a TransactionRequest,
    pub(crate) transactional_id: &'a Str,
    pub(crate) timeout_ms: i32,
    pub(crate) expected: Option<ProducerIdAndEpoch>,
    pub(crate) enable_2pc: bool,
    pub(crate) keep_prepared: bool,
}

impl Initialization<'_> {
    /// Returns what Kafka refuses before it looks at the transactional id.
    fn check(&self, builder: &DecisionBuilder<'_>) -> Result<(), ErrorCode> {
        if self.transactional_id.is_empty() {
            return Err(ErrorCode::InvalidRequest);
        }
        if self.enable_2pc && !builder.config().two_phase_commit {
            return Err(ErrorCode::TransactionalIdAuthorizationFailed);
        }
        if self.keep_prepared {
            return Err(ErrorCode::UnsupportedVersion);
        }
        if !self.enable_2pc && !(1..=builder.config().max_timeout_ms).contains(&self.timeout_ms) {
            return Err(ErrorCode::InvalidTransactionTimeout);
        }
        Ok(())
    }

    fn timeout_ms(&self) -> i32 {
        if self.enable_2pc { NO_TIMEOUT_MS } else { self.timeout_ms }
    }

    /// Whether the producer may have this transactional id: it has no id, or the current one, or it
    /// repeats the request with which it got a new one because its epochs were exhausted.
    fn is_expected(&self, builder: &DecisionBuilder<'_>, transaction: &Transaction) -> bool {
        let Some(expected) = self.expected else { return true };
        let before = builder.soft.before.get(&transaction.producer.id);
        let before = before.filter(|_| transaction.state == TransactionState::Empty).map(|before| before.id);
        expected.id == transaction.producer.id
            || (is_exhausted(expected.epoch)
                && (Some(expected.id) == transaction.previous_id || Some(expected.id) == before))
    }
}

/// Decides about an InitProducerId.
pub(crate) fn initialize(builder: &mut DecisionBuilder<'_>, asked: &Initialization<'_>) {
    if let Err(code) = asked.check(builder).and_then(|()| initialize_checked(builder, asked)) {
        builder.reply(asked.id, init_producer_id(code, NO_PRODUCER));
    }
}

fn initialize_checked(builder: &mut DecisionBuilder<'_>, asked: &Initialization<'_>) -> Result<(), ErrorCode> {
    let Some(transaction) = builder.transaction(asked.transactional_id) else {
        give_new_id(builder, asked, None);
        return Ok(());
    };
    if transaction.state.is_prepared() {
        return Err(ErrorCode::ConcurrentTransactions);
    }
    if !asked.is_expected(builder, transaction) {
        return Err(ErrorCode::ProducerFenced);
    }
    match transaction.state {
        TransactionState::PrepareCommit | TransactionState::PrepareAbort => Err(ErrorCode::ConcurrentTransactions),
        TransactionState::Empty | TransactionState::CompleteCommit | TransactionState::CompleteAbort => {
            let is_current = asked.expected.is_none_or(|it| it.epoch == transaction.producer.epoch);
            match is_exhausted(transaction.producer.epoch) {
                true if is_current => {
                    give_new_id(builder, asked, Some(transaction));
                    Ok(())
                }
                // Kafka fails here, because it cannot raise the epoch.
                true => Err(ErrorCode::UnknownServerError),
                false => raise_epoch(builder, asked, transaction),
            }
        }
        TransactionState::Ongoing => {
            let awaits = || AwaitsProducerId::Request(asked.id, Box::new(asked.request.clone()));
            if fence(builder, asked.transactional_id, transaction, awaits) {
                return Err(ErrorCode::ConcurrentTransactions);
            }
            Ok(())
        }
        TransactionState::Dead | TransactionState::PrepareEpochFence => Err(ErrorCode::UnknownServerError),
    }
}

/// Gives a producer id that nobody has had, with epoch 0.
fn give_new_id(builder: &mut DecisionBuilder<'_>, asked: &Initialization<'_>, old: Option<&Transaction>) {
    let Some(id) = builder.take_allocated() else {
        builder.allocate(AwaitsProducerId::Request(asked.id, Box::new(asked.request.clone())));
        return;
    };
    let producer = ProducerIdAndEpoch { id, epoch: ProducerEpoch(0) };
    if let Some(old) = old {
        builder.set_before(old.producer.id, None);
        builder.set_before(id, asked.expected.map(|_| old.producer));
    }
    give(builder, asked, old, producer, old.map_or(id, |old| old.producer.id));
}

/// Gives the next epoch, or the current one again if the request is repeated.
fn raise_epoch(
    builder: &mut DecisionBuilder<'_>,
    asked: &Initialization<'_>,
    old: &Transaction,
) -> Result<(), ErrorCode> {
    let ProducerIdAndEpoch { id, epoch } = old.producer;
    let raised = ProducerIdAndEpoch { id, epoch: ProducerEpoch(epoch.0.saturating_add(1)) };
    let before = builder.soft.before.get(&id).copied();
    let producer = match asked.expected {
        None => {
            builder.set_before(id, None);
            if is_planted(Bug::FenceSkipped) { old.producer } else { raised }
        }
        Some(expected) if expected.epoch == epoch => {
            builder.set_before(id, Some(old.producer));
            raised
        }
        Some(expected) if before.is_some_and(|before| before.epoch == expected.epoch) => old.producer,
        Some(_) => return Err(ErrorCode::ProducerFenced),
    };
    give(builder, asked, Some(old), producer, id);
    Ok(())
}

fn give(
    builder: &mut DecisionBuilder<'_>,
    asked: &Initialization<'_>,
    old: Option<&Transaction>,
    producer: ProducerIdAndEpoch,
    previous_id: ProducerId,
) {
    let new = Transaction {
        producer,
        previous_id: Some(previous_id),
        next_id: old.and_then(|old| old.next_id),
        timeout_ms: asked.timeout_ms(),
        state: TransactionState::Empty,
        client_version: old.map_or(0, |old| old.client_version),
        start: None,
        last_update: builder.wall(),
        partitions: Box::default(),
    };
    builder.write(asked.transactional_id, old, &new);
    builder.reply(asked.id, init_producer_id(ErrorCode::None, producer));
}
