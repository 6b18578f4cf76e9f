//! Drives one shard. It makes a decision, appends its records in the form that the decision says,
//! applies them, and makes the soft changes. It holds the replies and effects back until the high
//! watermark has passed the last record that was applied when the decision was made, even if the
//! decision has no records.
//!
//! The time is an argument. Only an append may wait, for a sync of the log. Invariant: a reply is
//! sent as decided, and an effect carried out, only in the leader epoch of the decision, and only
//! while every record that this broker wrote could be applied.

use super::effects::{EffectHandler, run_later};
use super::held::Held;
use super::message::Message;
use crate::env::Env;
use crate::replica::{Partition, StateAppend};
use crate::runtime::session::OwnSession;
use arc_swap::ArcSwap;
use bytes::Bytes;
use coordinator::planted::{Bug, is_planted};
use coordinator::{
    BatchContext, BatchForm, Command, CoordinatorShard, Decision, DecisionContext, Entry, NewRecord, ReplyId,
    ShardTypes,
};
use futures_util::FutureExt;
use metadata::image::Image;
use model::{ErrorCode, LeaderEpoch, Monotonic, Now, Offset, Timestamp};
use parking_lot::Mutex;
use records::{BatchBuilder, Codec};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// The parts of a shard that last for one leadership of its partition, even if its state is loaded
/// again.
pub(super) struct DriverParts<S: CoordinatorShard> {
    pub(super) partition: Arc<Partition>,
    pub(super) epoch: LeaderEpoch,
    /// Shared with metrics.
    pub(super) shard: Arc<Mutex<S>>,
    pub(super) config: Arc<ArcSwap<Config<S>>>,
    pub(super) image: Arc<ArcSwap<Image>>,
    pub(super) effects: Arc<dyn EffectHandler<S::Types>>,
    /// Where the outcomes of effects go.
    pub(super) inbox: mpsc::WeakSender<Message<S::Types>>,
    pub(super) codec: Codec,
    /// How long a reply may wait until its records are committed.
    pub(super) commit_timeout_ms: i64,
    pub(super) session: Arc<OwnSession>,
    pub(super) env: Env,
    #[cfg(test)]
    pub(super) faults: super::tests::PlantedFaults,
}

impl<S: CoordinatorShard> Clone for DriverParts<S> {
    fn clone(&self) -> Self {
        Self {
            partition: self.partition.clone(),
            epoch: self.epoch,
            shard: self.shard.clone(),
            config: self.config.clone(),
            image: self.image.clone(),
            effects: self.effects.clone(),
            inbox: self.inbox.clone(),
            codec: self.codec,
            commit_timeout_ms: self.commit_timeout_ms,
            session: self.session.clone(),
            env: self.env,
            #[cfg(test)]
            faults: self.faults.clone(),
        }
    }
}

pub(super) type Config<S> = <<S as CoordinatorShard>::Types as ShardTypes>::Config;
type Reply<S> = <<S as CoordinatorShard>::Types as ShardTypes>::Reply;

/// This broker wrote a record that it cannot apply, which is a bug. The shard's state no longer
/// matches the log.
#[derive(Debug, thiserror::Error)]
#[error("this broker wrote a record at offset {offset} that it cannot apply: {reason}")]
pub(super) struct OwnRecordFault {
    offset: Offset,
    reason: String,
}

/// Why a decision's records are not in the shard.
enum AppendFault {
    /// The append was rejected. Of an atomic decision, nothing was appended.
    Refused(ErrorCode),
    /// The records are in the log, but cannot be applied.
    NotApplied(OwnRecordFault),
}

impl From<ErrorCode> for AppendFault {
    fn from(code: ErrorCode) -> Self {
        AppendFault::Refused(code)
    }
}

/// A loaded shard that serves requests.
pub(super) struct ShardDriver<S: CoordinatorShard> {
    parts: DriverParts<S>,
    /// Requests that have no reply yet.
    waiting: BTreeMap<ReplyId, oneshot::Sender<Reply<S>>>,
    held: Held<S::Types>,
    /// The events of effects that did not have to wait.
    events: VecDeque<<S::Types as ShardTypes>::Event>,
    next_reply: u64,
    /// The offset of the last applied record.
    applied: Option<Offset>,
}

impl<S: CoordinatorShard> ShardDriver<S> {
    /// Drives a shard that was loaded up to an offset. Errors: a record that cannot be applied.
    pub(super) async fn start(
        parts: DriverParts<S>,
        applied: Option<Offset>,
        now: Now,
    ) -> Result<Self, OwnRecordFault> {
        let mut driver = Self {
            parts,
            waiting: BTreeMap::new(),
            held: Held::new(),
            events: VecDeque::new(),
            next_reply: 0,
            applied,
        };
        driver.execute_all(Command::PartitionLoaded, now).await?;
        Ok(driver)
    }

    /// Whether a reply or an effect is held back.
    pub(super) fn holds_back(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether this broker still leads the partition in the epoch in which the shard was loaded.
    pub(super) fn is_leading(&self) -> bool {
        self.parts.partition.leader_epoch() == Some(self.parts.epoch)
    }

    /// Returns when `elapse` next has work.
    pub(super) fn next_deadline(&self) -> Option<Monotonic> {
        let timer = self.parts.shard.lock().next_deadline();
        timer.into_iter().chain(self.held.next_deadline()).min()
    }

    /// Handles a message. Errors: a record that cannot be applied; the driver must not be used
    /// after that.
    pub(super) async fn receive(&mut self, message: Message<S::Types>, now: Now) -> Result<(), OwnRecordFault> {
        match message {
            Message::Request(request, answer) => {
                let id = ReplyId(self.next_reply);
                self.next_reply += 1;
                self.waiting.insert(id, answer);
                self.execute_all(Command::Request(id, *request), now).await
            }
            Message::Event(event) => self.execute_all(Command::Event(event), now).await,
        }
    }

    /// Handles every deadline that has passed, and everything whose records are committed. Errors:
    /// as `receive`.
    pub(super) async fn elapse(&mut self, now: Now) -> Result<(), OwnRecordFault> {
        let is_due = |deadline: Option<Monotonic>| deadline.is_some_and(|deadline| deadline <= now.monotonic);
        self.release(now.monotonic);
        self.execute_events(now).await?;
        while is_due(self.next_timer()) {
            self.execute_all(Command::TimerDue, now).await?;
        }
        Ok(())
    }

    fn next_timer(&self) -> Option<Monotonic> {
        self.parts.shard.lock().next_deadline()
    }

    /// Handles a command, and the events of the effects that it leads to.
    async fn execute_all(&mut self, command: Command<S::Types>, now: Now) -> Result<(), OwnRecordFault> {
        self.execute(command, now).await?;
        self.execute_events(now).await
    }

    async fn execute_events(&mut self, now: Now) -> Result<(), OwnRecordFault> {
        while let Some(event) = self.events.pop_front() {
            self.execute(Command::Event(event), now).await?;
        }
        Ok(())
    }

    /// Makes a decision, appends and applies its records, and holds the replies back.
    async fn execute(&mut self, command: Command<S::Types>, now: Now) -> Result<(), OwnRecordFault> {
        let decision = self.decide(&command, now);
        match self.carry_out(&decision, now.wall).await {
            Ok(()) => self.conclude(decision, now.monotonic),
            Err(AppendFault::Refused(code)) => {
                let failed = Command::AppendFailed(decision.into_unappended(command), code);
                // The decision about a failed append has no records.
                let decision = self.decide(&failed, now);
                self.conclude(decision, now.monotonic);
            }
            Err(AppendFault::NotApplied(fault)) => return Err(fault),
        }
        Ok(())
    }

    fn decide(&self, command: &Command<S::Types>, now: Now) -> Decision<S::Types> {
        let (config, image) = (self.parts.config.load_full(), self.parts.image.load_full());
        let context = DecisionContext {
            now,
            random: &|| self.parts.env.random_bytes(),
            leader_epoch: self.parts.epoch,
            image: &image,
            config: &*config,
        };
        self.parts.shard.lock().decide(&context, command)
    }

    /// Appends a decision's records and applies them.
    async fn carry_out(&mut self, decision: &Decision<S::Types>, now: Timestamp) -> Result<(), AppendFault> {
        if !decision.has_batch() {
            return Ok(());
        }
        let most = self.parts.partition.max_batch_bytes();
        for records in cut(&decision.records, decision.form, most) {
            let batch = build(records, decision.form, now, &self.parts)?;
            let base = self.parts.partition.append_state(batch.bytes, self.parts.epoch, batch.how).await?;
            for (index, entry) in batch.entries.into_iter().enumerate() {
                let offset = base.plus(i64::try_from(index).unwrap_or(i64::MAX));
                let leader_epoch = self.parts.epoch;
                let at = BatchContext { offset, leader_epoch, timestamp: now, producer: batch.producer };
                self.apply(&at, entry).map_err(AppendFault::NotApplied)?;
                self.applied = Some(offset);
            }
        }
        Ok(())
    }

    fn apply(&self, at: &BatchContext, entry: Entry) -> Result<(), OwnRecordFault> {
        #[cfg(test)]
        if self.parts.faults.apply.take() {
            return Err(OwnRecordFault { offset: at.offset, reason: "a planted fault".into() });
        }
        let applied = self.parts.shard.lock().apply(at, entry);
        applied.map_err(|error| OwnRecordFault { offset: at.offset, reason: error.to_string() })
    }

    /// Makes the soft changes of a decision whose records have been applied, and holds its replies
    /// and effects back.
    fn conclude(&mut self, decision: Decision<S::Types>, now: Monotonic) {
        self.parts.shard.lock().apply_soft(decision.soft);
        let is_recorded = !decision.records.is_empty();
        let end = self.applied.map_or(Offset(0), |last| last.plus(1));
        let deadline = now.plus_ms(self.parts.commit_timeout_ms);
        for (id, reply) in decision.replies {
            let end = if is_planted(Bug::ReplyBeforeCommit) { Offset(0) } else { end };
            let reply = if is_recorded { reply } else { self.certain(reply, now) };
            self.held.hold(end, deadline, id, reply);
        }
        for effect in decision.effects {
            let end = if is_planted(Bug::EffectBeforeCommit) { Offset(0) } else { end };
            self.held.hold_effect(end, effect);
        }
        self.release(now);
    }

    /// Replaces a reply without a record if this coordinator may have been replaced, and would not
    /// know it. A record is committed only if that did not happen.
    fn certain(&self, reply: Reply<S>, now: Monotonic) -> Reply<S> {
        match S::needs_session(&reply) && !self.parts.session.is_sure(now) {
            true => S::into_error(reply, ErrorCode::NotCoordinator),
            false => reply,
        }
    }

    /// Sends the replies and begins the effects whose records are committed. Sends errors for the
    /// replies whose timeout has passed.
    pub(super) fn release(&mut self, now: Monotonic) {
        if !self.is_leading() {
            return self.refuse_all();
        }
        let high_watermark = self.parts.partition.high_watermark();
        while let Some((id, reply)) = self.held.pop_committed(high_watermark) {
            self.answer(id, reply);
        }
        while let Some(effect) = self.held.pop_effect(high_watermark) {
            self.begin(effect);
        }
        while let Some((id, reply)) = self.held.pop_expired(now) {
            // The records may still be committed.
            self.answer(id, S::into_error(reply, ErrorCode::RequestTimedOut));
        }
    }

    fn begin(&mut self, effect: <S::Types as ShardTypes>::Effect) {
        let mut effect = self.parts.effects.carry_out(effect);
        match effect.as_mut().now_or_never() {
            Some(event) => self.events.extend(event),
            None => run_later(effect, self.parts.inbox.clone()),
        }
    }

    fn answer(&mut self, id: ReplyId, reply: Reply<S>) {
        if let Some(answer) = self.waiting.remove(&id) {
            // The send fails if the client has disconnected.
            let _ = answer.send(reply);
        }
    }

    /// Answers every request with an error, because the leadership has ended or the shard is
    /// dropped. What was held back may never commit, so no one is told that it has.
    pub(super) fn refuse_all(&mut self) {
        self.events.clear();
        let parked = std::mem::take(&mut *self.parts.shard.lock()).resign();
        let held: Vec<(ReplyId, Reply<S>)> = self.held.drain().collect();
        for (id, reply) in held {
            self.answer(id, S::into_error(reply, ErrorCode::NotCoordinator));
        }
        for (id, reply) in parked {
            self.answer(id, reply);
        }
        // Dropping the senders of the other requests answers them with NOT_COORDINATOR.
        self.waiting.clear();
    }
}

/// A batch to append, and the entries that it consists of.
struct Batch {
    bytes: Bytes,
    how: StateAppend,
    producer: Option<model::ProducerId>,
    entries: Vec<Entry>,
}

/// Builds a batch of records, or a marker.
fn build<S: CoordinatorShard>(
    records: &[NewRecord],
    form: BatchForm,
    now: Timestamp,
    parts: &DriverParts<S>,
) -> Result<Batch, ErrorCode> {
    let mut builder = BatchBuilder::new(Offset(0)).leader_epoch(parts.epoch);
    let mut how = StateAppend::default();
    let (mut producer, mut entries) = (None, Vec::with_capacity(records.len().max(1)));
    match form {
        BatchForm::Atomic | BatchForm::Split => {
            builder = builder.compression(parts.codec).base_sequence(S::BASE_SEQUENCE)
        }
        BatchForm::Transactional { producer_id, producer_epoch, guard } => {
            how.guard = guard;
            producer = Some(producer_id);
            builder = builder.compression(parts.codec).producer(producer_id, producer_epoch, Some(0)).transactional();
        }
        BatchForm::Marker { producer_id, producer_epoch, end, transaction_version } => {
            how.transaction_version = transaction_version;
            producer = Some(producer_id);
            builder = builder.producer(producer_id, producer_epoch, None);
            builder.append_end_transaction(now, end);
            entries.push(Entry::Marker { committed: end.committed });
        }
    }
    for record in records {
        builder.append(now, Some(&record.key), record.value.as_deref());
        entries.push(Entry::Record { key: record.key.clone(), value: record.value.clone() });
    }
    let bytes = builder.finish().map_err(|_| ErrorCode::UnknownServerError)?;
    Ok(Batch { bytes, how, producer, entries })
}

/// Splits records into batches of at most `most` bytes, unless they must be one batch.
fn cut(records: &[NewRecord], form: BatchForm, most: usize) -> Vec<&[NewRecord]> {
    if form != BatchForm::Split {
        return vec![records];
    }
    let size = |record: &NewRecord| record.key.len() + record.value.as_ref().map_or(0, Bytes::len) + 32;
    let mut batches = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (index, record) in records.iter().enumerate() {
        bytes += size(record);
        if bytes > most && index > start {
            batches.push(&records[start..index]);
            (start, bytes) = (index, size(record));
        }
    }
    batches.push(&records[start..]);
    batches
}
