//! The start of a leadership, and appends that fail.

use crate::planted::{Bug, is_planted};
use crate::shard::Unappended;
use crate::transaction::builder::DecisionBuilder;
use crate::transaction::decision::{OnFailure, TransactionTypes};
use crate::transaction::expire;
use crate::transaction::soft::{PendingMarkers, SoftChange, TimerKey};
use crate::transaction::state::{Transaction, TransactionState};
use crate::transaction::transition::{MARKERS_BACKOFF_MIN_MS, send_markers};
use model::ErrorCode;
use protocol::Str;

/// Starts the timeouts of open transactions, sends the markers of prepared ones, and schedules the
/// search for expired transactional ids.
pub(crate) fn loaded(builder: &mut DecisionBuilder<'_>) {
    let mut unfinished: Vec<(&Str, &Transaction)> =
        builder.transactions().filter(|(_, it)| !it.state.is_at_rest()).collect();
    unfinished.sort_by_key(|(id, _)| *id);
    for (id, transaction) in unfinished {
        match transaction.state {
            TransactionState::Ongoing => builder.start_timeout(id, transaction),
            TransactionState::PrepareCommit if is_planted(Bug::PreparedForgotten) => {}
            TransactionState::PrepareCommit | TransactionState::PrepareAbort => {
                let remaining = transaction.partitions.to_vec();
                if remaining.is_empty() {
                    builder.schedule(TimerKey::Markers(id.clone()), 0);
                } else {
                    send_markers(builder, id, transaction, remaining.clone());
                }
                let markers = PendingMarkers {
                    producer: transaction.producer,
                    remaining,
                    backoff_ms: MARKERS_BACKOFF_MIN_MS,
                    parked: None,
                };
                builder.change(SoftChange::SetMarkers(id.clone(), Box::new(markers)));
            }
            TransactionState::Empty
            | TransactionState::CompleteCommit
            | TransactionState::CompleteAbort
            | TransactionState::Dead
            | TransactionState::PrepareEpochFence => {}
        }
    }
    expire::schedule(builder);
}

/// Returns the error of a client whose records could not be appended, as Kafka maps the log's.
pub(crate) fn append_error(code: ErrorCode) -> ErrorCode {
    match code {
        ErrorCode::UnknownTopicOrPartition
        | ErrorCode::NotEnoughReplicas
        | ErrorCode::NotEnoughReplicasAfterAppend
        | ErrorCode::RequestTimedOut => ErrorCode::CoordinatorNotAvailable,
        ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError => ErrorCode::NotCoordinator,
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge => ErrorCode::UnknownServerError,
        other => other,
    }
}

/// Handles records that could not be appended: the client gets an error, and nothing else changes
/// but what the decision noted for this case.
pub(crate) fn append_failed(
    builder: &mut DecisionBuilder<'_>,
    failed: &Unappended<TransactionTypes>,
    error: ErrorCode,
) {
    let code = append_error(error);
    let OnFailure { soft, replies, refused } = failed.decision.on_failure.clone();
    builder.take_over(soft, replies);
    if let Some((id, request)) = refused {
        builder.reply(id, request.refused(code));
    }
    if let Some((id, request)) = failed.request() {
        builder.reply(id, request.refused(code));
    }
}
