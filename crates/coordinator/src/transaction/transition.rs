//! The end of a transaction: from open to prepared to complete, whoever ends it.

use crate::planted::{Bug, is_planted};
use crate::shard::ReplyId;
use crate::transaction::builder::DecisionBuilder;
use crate::transaction::decision::{TransactionEffect, TransactionMarkers};
use crate::transaction::request::ProducerIdAndEpoch;
use crate::transaction::soft::{PendingMarkers, SoftChange, TimerKey};
use crate::transaction::state::{Transaction, TransactionState};
use crate::transaction::topics::TransactionPartition;
use model::{ProducerEpoch, ProducerId, Timestamp};
use protocol::Str;

/// The transaction version from which on every transaction has its own epoch (KIP-890).
pub(crate) const EPOCH_PER_TRANSACTION: i16 = 2;

/// The first delay before markers are sent again. It doubles with each attempt.
pub(crate) const MARKERS_BACKOFF_MIN_MS: i64 = 20;

/// How long an EndTxn waits for the outcome of its markers. A leader that does not answer must not
/// hold back the reply: the end of the transaction is certain.
const ANSWER_AFTER_MS: i64 = 50;

/// Whether no client may use the epoch after this one. The very last epoch only fences a producer
/// that has the one before it.
pub(crate) fn is_exhausted(epoch: ProducerEpoch) -> bool {
    epoch.0 >= i16::MAX - 1
}

/// How a transaction ends.
pub(crate) struct Ending {
    pub(crate) committed: bool,
    /// The transaction version of who ends it.
    pub(crate) version: i16,
    /// Whether it is ended without its producer: the epoch is raised to fence it.
    pub(crate) fences: bool,
    /// A new producer id, if the epochs are exhausted.
    pub(crate) next_id: Option<ProducerId>,
    /// The EndTxn that is answered once the markers have an outcome.
    pub(crate) parked: Option<ReplyId>,
}

impl Ending {
    /// Whether this ending needs a new producer id. Before version 2 the next InitProducerId
    /// allocates it.
    pub(crate) fn needs_producer_id(&self, transaction: &Transaction) -> bool {
        self.version >= EPOCH_PER_TRANSACTION && is_exhausted(transaction.producer.epoch)
    }

    fn raises_epoch(&self) -> bool {
        (self.fences || self.version >= EPOCH_PER_TRANSACTION) && !is_planted(Bug::EpochNotRaised)
    }
}

/// Returns the prepared state; `None` if the epoch cannot be raised.
fn prepared(transaction: &Transaction, ending: &Ending, now: Timestamp) -> Option<Transaction> {
    let epoch = transaction.producer.epoch;
    let raised = match epoch.0.checked_add(1) {
        Some(raised) => ProducerEpoch(raised),
        // An abort goes through all the same, so that the id becomes usable again.
        None if !ending.committed => epoch,
        None if ending.raises_epoch() => return None,
        None => epoch,
    };
    let is_open = transaction.state == TransactionState::Ongoing;
    let mut partitions = transaction.partitions.to_vec();
    if is_planted(Bug::PartitionForgotten) && partitions.len() > 1 {
        partitions.pop();
    }
    Some(Transaction {
        producer: ProducerIdAndEpoch {
            id: transaction.producer.id,
            epoch: if ending.raises_epoch() { raised } else { epoch },
        },
        previous_id: Some(transaction.producer.id),
        next_id: ending.next_id,
        timeout_ms: transaction.timeout_ms,
        state: if ending.committed { TransactionState::PrepareCommit } else { TransactionState::PrepareAbort },
        client_version: if ending.version >= EPOCH_PER_TRANSACTION { ending.version } else { 0 },
        // A transaction that ends without partitions has no start. Kafka uses its end.
        start: if is_open { transaction.start } else { Some(now) },
        last_update: now,
        partitions: partitions.into(),
    })
}

/// Returns the state after all markers of a prepared transaction are written.
pub(crate) fn completed(prepared: &Transaction, now: Timestamp) -> Transaction {
    let producer = match prepared.next_id {
        Some(id) if prepared.client_version >= EPOCH_PER_TRANSACTION => {
            ProducerIdAndEpoch { id, epoch: ProducerEpoch(0) }
        }
        Some(_) | None => prepared.producer,
    };
    let state = match prepared.state {
        TransactionState::PrepareCommit => TransactionState::CompleteCommit,
        _ => TransactionState::CompleteAbort,
    };
    Transaction {
        producer,
        previous_id: Some(prepared.producer.id),
        next_id: None,
        timeout_ms: prepared.timeout_ms,
        state,
        client_version: prepared.client_version,
        start: prepared.start,
        last_update: now,
        partitions: Box::default(),
    }
}

/// Ends a transaction and returns the state it will have once it is complete; `None` if its epoch
/// cannot be raised. Without partitions it is complete at once: both records are in one batch.
pub(crate) fn end(
    builder: &mut DecisionBuilder<'_>,
    transactional_id: &Str,
    transaction: &Transaction,
    ending: &Ending,
) -> Option<Transaction> {
    let prepared = prepared(transaction, ending, builder.wall())?;
    let completed = completed(&prepared, builder.wall());
    builder.write(transactional_id, Some(transaction), &prepared);
    let before = match (ending.version >= EPOCH_PER_TRANSACTION, ending.fences) {
        (true, _) => Some(transaction.producer),
        (false, true) => None,
        (false, false) => builder.soft.before.get(&transaction.producer.id).copied(),
    };
    if prepared.partitions.is_empty() {
        builder.write(transactional_id, Some(&prepared), &completed);
        rotate(builder, prepared.producer.id, completed.producer.id, before);
    } else {
        builder.set_before(prepared.producer.id, before);
        let partitions = prepared.partitions.to_vec();
        send_markers(builder, transactional_id, &prepared, partitions.clone());
        let markers = PendingMarkers {
            producer: prepared.producer,
            remaining: partitions,
            backoff_ms: MARKERS_BACKOFF_MIN_MS,
            parked: ending.parked,
        };
        builder.change(SoftChange::SetMarkers(transactional_id.clone(), Box::new(markers)));
        if ending.parked.is_some() {
            builder.schedule(TimerKey::Answer(transactional_id.clone()), ANSWER_AFTER_MS);
        }
    }
    Some(completed)
}

/// Completes a transaction whose markers are all written, and returns its state.
pub(crate) fn complete(
    builder: &mut DecisionBuilder<'_>,
    transactional_id: &Str,
    prepared: &Transaction,
) -> Transaction {
    let completed = completed(prepared, builder.wall());
    builder.write(transactional_id, Some(prepared), &completed);
    let before = builder.soft.before.get(&prepared.producer.id).copied();
    rotate(builder, prepared.producer.id, completed.producer.id, before);
    builder.change(SoftChange::ForgetMarkers(transactional_id.clone()));
    completed
}

/// Keeps what a producer had before under the id that it has now.
fn rotate(builder: &mut DecisionBuilder<'_>, old: ProducerId, new: ProducerId, before: Option<ProducerIdAndEpoch>) {
    if new != old {
        builder.set_before(old, None);
    }
    builder.set_before(new, before);
}

/// Sends the markers of a prepared transaction to the leaders of these partitions.
pub(crate) fn send_markers(
    builder: &mut DecisionBuilder<'_>,
    transactional_id: &Str,
    prepared: &Transaction,
    partitions: Vec<TransactionPartition>,
) {
    let markers = TransactionMarkers {
        transactional_id: transactional_id.clone(),
        producer: prepared.producer,
        committed: prepared.state == TransactionState::PrepareCommit,
        coordinator_epoch: builder.coordinator_epoch(),
        transaction_version: prepared.client_version,
        partitions,
    };
    builder.effect(TransactionEffect::WriteMarkers(markers));
}
