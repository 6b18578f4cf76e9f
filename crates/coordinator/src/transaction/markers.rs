//! Outcomes of markers, and markers that are sent again.

use crate::planted::{Bug, is_planted};
use crate::transaction::builder::DecisionBuilder;
use crate::transaction::decision::MarkerOutcome;
use crate::transaction::end::ended;
use crate::transaction::request::ProducerIdAndEpoch;
use crate::transaction::soft::{PendingMarkers, SoftChange, TimerKey};
use crate::transaction::state::Transaction;
use crate::transaction::topics::TransactionPartition;
use crate::transaction::transition::{complete, completed, send_markers};
use model::LeaderEpoch;
use protocol::Str;
use std::collections::HashSet;

/// The largest delay before markers are sent again.
const MARKERS_BACKOFF_MAX_MS: i64 = 1_000;

/// The outcome of markers that were sent.
pub(crate) struct MarkerOutcomes<'a> {
    pub(crate) transactional_id: &'a Str,
    pub(crate) producer: ProducerIdAndEpoch,
    pub(crate) coordinator_epoch: LeaderEpoch,
    pub(crate) outcomes: &'a [(TransactionPartition, MarkerOutcome)],
}

/// Returns a prepared transaction and its markers.
fn find<'a>(builder: &DecisionBuilder<'a>, transactional_id: &str) -> Option<(&'a Transaction, &'a PendingMarkers)> {
    let markers = builder.soft.markers.get(transactional_id)?;
    let transaction = builder.transaction(transactional_id)?;
    (transaction.state.is_prepared() && transaction.producer == markers.producer).then_some((transaction, markers))
}

/// Takes note of outcomes. Those of another coordinator epoch or of another transaction change
/// nothing. The EndTxn is answered after the first ones: the end of the transaction is certain, and
/// if markers are missing they are sent until they are written.
pub(crate) fn written(builder: &mut DecisionBuilder<'_>, event: &MarkerOutcomes<'_>) {
    let id = event.transactional_id;
    let Some((transaction, markers)) = find(builder, id) else { return };
    if markers.producer != event.producer || event.coordinator_epoch != builder.coordinator_epoch() {
        return;
    }
    let is_done = |outcome: MarkerOutcome| match outcome {
        MarkerOutcome::Written | MarkerOutcome::Gone => true,
        MarkerOutcome::Retry | MarkerOutcome::Fenced => is_planted(Bug::MarkerMissing),
    };
    let done: HashSet<&TransactionPartition> =
        event.outcomes.iter().filter(|(_, outcome)| is_done(*outcome)).map(|(partition, _)| partition).collect();
    let remaining: Vec<TransactionPartition> =
        markers.remaining.iter().filter(|it| !done.contains(it)).cloned().collect();
    let is_fenced = event.outcomes.iter().any(|(_, outcome)| *outcome == MarkerOutcome::Fenced);

    let reply = markers.parked.map(|parked| (parked, ended(&completed(transaction, builder.wall()))));
    if let Some((parked, reply)) = reply.clone() {
        builder.change(SoftChange::CancelTimer(TimerKey::Answer(id.clone())));
        builder.reply(parked, reply);
    }
    let left = PendingMarkers { remaining, parked: None, ..markers.clone() };
    if is_fenced {
        builder.change(SoftChange::CancelTimer(TimerKey::Markers(id.clone())));
        builder.change(SoftChange::ForgetMarkers(id.clone()));
    } else if left.remaining.is_empty() {
        builder.on_failure().replies.extend(reply);
        complete_or_retry(builder, id, transaction, left);
    } else {
        if !is_planted(Bug::MarkerNotRetried) {
            builder.schedule(TimerKey::Markers(id.clone()), left.backoff_ms);
        }
        builder.change(SoftChange::SetMarkers(id.clone(), Box::new(left)));
    }
}

/// Answers an EndTxn whose markers have no outcome for too long.
pub(crate) fn answer(builder: &mut DecisionBuilder<'_>, id: &Str) {
    let Some((transaction, markers)) = find(builder, id) else { return };
    let Some(parked) = markers.parked else { return };
    builder.reply(parked, ended(&completed(transaction, builder.wall())));
    let left = PendingMarkers { parked: None, ..markers.clone() };
    builder.change(SoftChange::SetMarkers(id.clone(), Box::new(left)));
}

/// Sends markers again, or writes the last record again.
pub(crate) fn retry(builder: &mut DecisionBuilder<'_>, id: &Str) {
    let Some((transaction, markers)) = find(builder, id) else { return };
    let next = raised(markers.clone());
    if next.remaining.is_empty() {
        complete_or_retry(builder, id, transaction, next);
        return;
    }
    send_markers(builder, id, transaction, next.remaining.clone());
    builder.change(SoftChange::SetMarkers(id.clone(), Box::new(next)));
}

/// Doubles the delay before the next attempt.
fn raised(markers: PendingMarkers) -> PendingMarkers {
    let backoff_ms = markers.backoff_ms.saturating_mul(2).min(MARKERS_BACKOFF_MAX_MS);
    PendingMarkers { backoff_ms, ..markers }
}

/// Completes a transaction. If that cannot be appended, it is tried again.
fn complete_or_retry(builder: &mut DecisionBuilder<'_>, id: &Str, transaction: &Transaction, markers: PendingMarkers) {
    builder.change(SoftChange::CancelTimer(TimerKey::Markers(id.clone())));
    builder.reschedule_on_failure(TimerKey::Markers(id.clone()), markers.backoff_ms);
    builder.on_failure().soft.push(SoftChange::SetMarkers(id.clone(), Box::new(markers)));
    complete(builder, id, transaction);
}
