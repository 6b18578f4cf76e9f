//! The machine of one partition of `__transaction_state`, and its inputs.

use crate::entry::{BatchContext, Entry};
use crate::shard::{Command, CoordinatorShard, Decision, DecisionContext, ReplyId};
use crate::transaction::allocation;
use crate::transaction::builder::DecisionBuilder;
use crate::transaction::config::TransactionConfig;
use crate::transaction::decision::{TransactionEvent, TransactionTypes};
use crate::transaction::markers::MarkerOutcomes;
use crate::transaction::reply::{NO_PRODUCER, TransactionReply, end_txn};
use crate::transaction::request::TransactionRequest;
use crate::transaction::soft::{AwaitsProducerId, SoftChange, SoftState, TimerKey};
use crate::transaction::state::ReplicatedState;
use crate::transaction::{dispatch, expire, load, markers, timeout};
use model::{ErrorCode, Monotonic};
use protocol::DecodeError;

/// The transactional ids of one partition. See the crate's documentation for how it is driven.
#[derive(Clone, Debug, Default)]
pub struct TransactionShard {
    pub(crate) state: ReplicatedState,
    pub(crate) soft: SoftState,
}

impl TransactionShard {
    /// Creates a shard before the first entry of its log.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the replicated state equals that of another shard: one that replays the same log.
    pub fn has_state_of(&self, other: &Self) -> bool {
        self.state == other.state
    }

    /// Returns the number of transactional ids, for metrics.
    pub fn transactional_id_count(&self) -> usize {
        self.state.transactions.len()
    }
}

impl CoordinatorShard for TransactionShard {
    type Types = TransactionTypes;
    const BASE_SEQUENCE: Option<i32> = None;

    fn apply(&mut self, _at: &BatchContext, entry: Entry) -> Result<(), DecodeError> {
        self.state.apply(entry)
    }

    fn apply_soft(&mut self, changes: Vec<SoftChange>) {
        self.soft.apply(changes);
    }

    fn next_deadline(&self) -> Option<Monotonic> {
        self.soft.timers.earliest().map(|(deadline, _)| *deadline)
    }

    fn decide(
        &self,
        context: &DecisionContext<'_, TransactionConfig>,
        command: &Command<TransactionTypes>,
    ) -> Decision<TransactionTypes> {
        let mut builder = DecisionBuilder::new(&self.state, &self.soft, context);
        match command {
            Command::Request(id, request) => {
                dispatch::decide_request(&mut builder, *id, request);
                return builder.finish(Some((*id, request)));
            }
            Command::PartitionLoaded => load::loaded(&mut builder),
            Command::TimerDue => tick(&mut builder),
            Command::Event(TransactionEvent::ProducerIdAllocated { token, result }) => {
                allocation::allocated(&mut builder, *token, *result);
            }
            Command::Event(TransactionEvent::MarkersWritten {
                transactional_id,
                producer,
                coordinator_epoch,
                outcomes,
            }) => {
                let event = MarkerOutcomes {
                    transactional_id,
                    producer: *producer,
                    coordinator_epoch: *coordinator_epoch,
                    outcomes,
                };
                markers::written(&mut builder, &event);
            }
            Command::AppendFailed(unappended, error) => load::append_failed(&mut builder, unappended, *error),
        }
        builder.finish(None)
    }

    fn resign(self) -> Vec<(ReplyId, TransactionReply)> {
        let mut replies = Vec::new();
        for awaits in self.soft.allocations.values() {
            if let AwaitsProducerId::Request(id, request) = awaits {
                replies.push((*id, request.refused(ErrorCode::NotCoordinator)));
            }
        }
        for parked in self.soft.markers.values().filter_map(|it| it.parked) {
            replies.push((parked, end_txn(ErrorCode::NotCoordinator, NO_PRODUCER)));
        }
        replies.sort_by_key(|(id, _)| *id);
        replies
    }

    fn refused(request: &TransactionRequest, code: ErrorCode) -> TransactionReply {
        request.refused(code)
    }

    fn needs_session(reply: &TransactionReply) -> bool {
        reply.needs_session()
    }

    fn into_error(reply: TransactionReply, code: ErrorCode) -> TransactionReply {
        reply.into_error(load::append_error(code))
    }
}

/// Handles the earliest timer if it is due.
fn tick(builder: &mut DecisionBuilder<'_>) {
    let Some((deadline, key)) = builder.soft.timers.earliest() else { return };
    if *deadline > builder.monotonic() {
        return;
    }
    builder.change(SoftChange::CancelTimer(key.clone()));
    match key {
        TimerKey::Timeout(transactional_id) => timeout::timed_out(builder, transactional_id),
        TimerKey::Markers(transactional_id) => markers::retry(builder, transactional_id),
        TimerKey::Answer(transactional_id) => markers::answer(builder, transactional_id),
        TimerKey::Expire => expire::expire(builder),
    }
}
