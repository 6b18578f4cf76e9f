//! A decision under construction: the state it reads, and its result so far.

use crate::planted::{Bug, is_planted};
use crate::shard::{BatchForm, Decision, DecisionContext, ReplyId};
use crate::transaction::config::TransactionConfig;
use crate::transaction::decision::{OnFailure, TransactionEffect, TransactionTypes};
use crate::transaction::record;
use crate::transaction::reply::TransactionReply;
use crate::transaction::request::{ProducerIdAndEpoch, TransactionRequest};
use crate::transaction::soft::{AllocationToken, AwaitsProducerId, SoftChange, SoftState, TimerKey};
use crate::transaction::state::{NO_TIMEOUT_MS, ReplicatedState, Transaction, TransactionState};
use model::{ErrorCode, LeaderEpoch, Monotonic, ProducerId, Timestamp};
use protocol::Str;

/// The feature that decides the protocol between the coordinator and partition leaders.
const TRANSACTION_VERSION: &str = "transaction.version";

/// One decision under construction.
pub(crate) struct DecisionBuilder<'a> {
    state: &'a ReplicatedState,
    pub(crate) soft: &'a SoftState,
    context: &'a DecisionContext<'a, TransactionConfig>,
    decision: Decision<TransactionTypes>,
    /// The producer id that was allocated for this command.
    allocated: Option<ProducerId>,
    /// Whether a record could not be encoded, because a name is too long for its field.
    broken: bool,
}

impl<'a> DecisionBuilder<'a> {
    pub(crate) fn new(
        state: &'a ReplicatedState,
        soft: &'a SoftState,
        context: &'a DecisionContext<'a, TransactionConfig>,
    ) -> Self {
        Self { state, soft, context, decision: Decision::default(), allocated: None, broken: false }
    }

    /// Returns the wall clock. It is for timestamps in records, and for comparisons with them.
    pub(crate) fn wall(&self) -> Timestamp {
        self.context.now.wall
    }

    /// Returns the monotonic clock. It is for deadlines.
    pub(crate) fn monotonic(&self) -> Monotonic {
        self.context.now.monotonic
    }

    pub(crate) fn config(&self) -> &'a TransactionConfig {
        self.context.config
    }

    pub(crate) fn coordinator_epoch(&self) -> LeaderEpoch {
        self.context.leader_epoch
    }

    /// Returns the finalized `transaction.version`.
    pub(crate) fn transaction_version(&self) -> i16 {
        self.context.image.features.level(TRANSACTION_VERSION)
    }

    /// Whether the log can hold what a client of this transaction version writes. Kafka cannot
    /// encode it either if the finalized version is 0.
    pub(crate) fn can_record(&self, client_version: i16) -> bool {
        client_version == 0 || record::value_version(self.transaction_version()) >= 1
    }

    pub(crate) fn transaction(&self, transactional_id: &str) -> Option<&'a Transaction> {
        self.state.transactions.get(transactional_id)
    }

    pub(crate) fn transactions(&self) -> impl Iterator<Item = (&'a Str, &'a Transaction)> + use<'a> {
        self.state.transactions.iter()
    }

    /// Takes a producer id that was allocated for this command.
    pub(crate) fn take_allocated(&mut self) -> Option<ProducerId> {
        self.allocated.take()
    }

    pub(crate) fn set_allocated(&mut self, id: ProducerId) {
        self.allocated = Some(id);
    }

    /// Asks for a producer id. The command is decided again when it comes.
    pub(crate) fn allocate(&mut self, awaits: AwaitsProducerId) {
        let token = AllocationToken(self.soft.next_token);
        self.change(SoftChange::AwaitProducerId(token, awaits));
        self.effect(TransactionEffect::AllocateProducerId { token });
    }

    /// Writes the next state of a transactional id, and starts or cancels its timeout.
    pub(crate) fn write(&mut self, transactional_id: &Str, old: Option<&Transaction>, new: &Transaction) {
        let was_open = old.is_some_and(|old| old.state == TransactionState::Ongoing);
        let is_open = new.state == TransactionState::Ongoing;
        let keeps_timeout =
            is_planted(Bug::TimeoutNotCancelled) && old.is_some_and(|old| was_open || old.start.is_some());
        if keeps_timeout {
            // The timeout of the first transaction is left running.
        } else if is_open && !was_open {
            self.start_timeout(transactional_id, new);
        } else if was_open && !is_open {
            self.change(SoftChange::CancelTimer(TimerKey::Timeout(transactional_id.clone())));
        }
        let version = record::value_version(self.transaction_version());
        match record::transaction(transactional_id, new, version) {
            Ok(record) => self.decision.records.push(record),
            Err(_) => self.broken = true,
        }
    }

    /// Starts the timeout of an open transaction, counted from its start on the wall clock.
    pub(crate) fn start_timeout(&mut self, transactional_id: &Str, transaction: &Transaction) {
        if transaction.timeout_ms == NO_TIMEOUT_MS {
            return;
        }
        // Kafka aborts it only after the last millisecond of the timeout.
        let start = transaction.start.map_or(-1, |start| start.0);
        let end = start.saturating_add(i64::from(transaction.timeout_ms)).saturating_add(1);
        self.schedule(TimerKey::Timeout(transactional_id.clone()), end.saturating_sub(self.wall().0));
    }

    /// Deletes transactional ids that are at rest. The records may be split into several batches.
    pub(crate) fn delete<'b>(&mut self, expired: impl Iterator<Item = (&'b Str, &'b Transaction)>) {
        self.decision.form = BatchForm::Split;
        for (transactional_id, transaction) in expired {
            if let Ok(record) = record::tombstone(transactional_id) {
                self.decision.records.push(record);
                self.change(SoftChange::SetBefore(transaction.producer.id, None));
            }
        }
    }

    /// Sets the id and epoch with which a producer may repeat its last request.
    pub(crate) fn set_before(&mut self, producer: ProducerId, before: Option<ProducerIdAndEpoch>) {
        if self.soft.before.get(&producer).copied() != before {
            self.change(SoftChange::SetBefore(producer, before));
        }
    }

    pub(crate) fn reply(&mut self, id: ReplyId, reply: TransactionReply) {
        self.decision.replies.push((id, reply));
    }

    pub(crate) fn effect(&mut self, effect: TransactionEffect) {
        self.decision.effects.push(effect);
    }

    pub(crate) fn change(&mut self, change: SoftChange) {
        self.decision.soft.push(change);
    }

    /// Starts or restarts a timer.
    pub(crate) fn schedule(&mut self, key: TimerKey, after_ms: i64) {
        self.change(SoftChange::SetTimer(key, self.monotonic().plus_ms(after_ms)));
    }

    /// Says what happens if the records cannot be appended.
    pub(crate) fn on_failure(&mut self) -> &mut OnFailure {
        &mut self.decision.on_failure
    }

    /// Starts a timer if the records cannot be appended.
    pub(crate) fn reschedule_on_failure(&mut self, key: TimerKey, after_ms: i64) {
        let deadline = self.monotonic().plus_ms(after_ms);
        self.on_failure().soft.push(SoftChange::SetTimer(key, deadline));
    }

    /// Takes over what a decision that could not be appended does all the same.
    pub(crate) fn take_over(&mut self, soft: Vec<SoftChange>, replies: Vec<(ReplyId, TransactionReply)>) {
        self.decision.soft.extend(soft);
        self.decision.replies.extend(replies);
    }

    pub(crate) fn finish(self, asked: Option<(ReplyId, &TransactionRequest)>) -> Decision<TransactionTypes> {
        if !self.broken {
            return self.decision;
        }
        let OnFailure { soft, mut replies, refused } = self.decision.on_failure;
        let refused = refused.as_ref().map(|(id, request)| (*id, &**request));
        let refusal =
            |(id, request): (ReplyId, &TransactionRequest)| (id, request.refused(ErrorCode::UnknownServerError));
        replies.extend(asked.into_iter().chain(refused).map(refusal));
        Decision { soft, replies, ..Default::default() }
    }
}
