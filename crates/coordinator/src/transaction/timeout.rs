//! Transactions that are aborted without their producer.

use crate::transaction::builder::DecisionBuilder;
use crate::transaction::request::ProducerIdAndEpoch;
use crate::transaction::soft::{AwaitsProducerId, TimerKey};
use crate::transaction::state::{Transaction, TransactionState};
use crate::transaction::transition::{Ending, end};
use model::{ErrorCode, ProducerId, Timestamp};
use protocol::Str;

/// Aborts an open transaction and raises its epoch, so that its producer is fenced. Returns false
/// if a producer id must be allocated first.
pub(crate) fn fence(
    builder: &mut DecisionBuilder<'_>,
    transactional_id: &Str,
    transaction: &Transaction,
    awaits: impl FnOnce() -> AwaitsProducerId,
) -> bool {
    let version = builder.transaction_version();
    let mut ending = Ending { committed: false, version, fences: true, next_id: None, parked: None };
    if ending.needs_producer_id(transaction) {
        ending.next_id = builder.take_allocated();
        if ending.next_id.is_none() {
            builder.allocate(awaits());
            return false;
        }
    }
    end(builder, transactional_id, transaction, &ending);
    true
}

/// Aborts a transaction that has been open for too long.
pub(crate) fn timed_out(builder: &mut DecisionBuilder<'_>, transactional_id: &Str) {
    let Some(transaction) = builder.transaction(transactional_id) else { return };
    if transaction.state != TransactionState::Ongoing {
        return;
    }
    let interval_ms = builder.config().abort_timed_out_interval_ms;
    builder.reschedule_on_failure(TimerKey::Timeout(transactional_id.clone()), interval_ms);
    fence(builder, transactional_id, transaction, || AwaitsProducerId::Timeout {
        transactional_id: transactional_id.clone(),
        producer: transaction.producer,
        start: transaction.start,
    });
}

/// Goes on with the abort of a transaction for which a producer id was allocated, or not. Nothing
/// happens to a later transaction of the same transactional id.
pub(crate) fn allocated(
    builder: &mut DecisionBuilder<'_>,
    transactional_id: &Str,
    producer: ProducerIdAndEpoch,
    start: Option<Timestamp>,
    result: Result<ProducerId, ErrorCode>,
) {
    let Some(transaction) = builder.transaction(transactional_id) else { return };
    if transaction.state != TransactionState::Ongoing || (transaction.producer, transaction.start) != (producer, start)
    {
        return;
    }
    match result {
        Ok(id) => {
            builder.set_allocated(id);
            timed_out(builder, transactional_id);
        }
        Err(_) => {
            let interval_ms = builder.config().abort_timed_out_interval_ms;
            builder.schedule(TimerKey::Timeout(transactional_id.clone()), interval_ms);
        }
    }
}
