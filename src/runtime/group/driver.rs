//! Drives one shard. It makes a decision, appends its records as batches, applies them, and makes
//! the soft changes. It holds the replies back until the high watermark has passed the last record
//! that was applied when the decision was made, even if the decision has no records.
//!
//! The time is an argument. Only an append may wait, for a sync of the log. Invariant: a reply is
//! sent as decided only in the leader epoch of the decision, and only while every record that this
//! broker wrote could be applied.

use super::held::HeldReplies;
use crate::env::random;
use crate::replica::Partition;
use arc_swap::ArcSwap;
use bytes::Bytes;
use coordinator::{
    BatchContext, Command, Decision, DecisionContext, Entry, GroupConfig, GroupReply, GroupRequest, GroupShard,
    NewRecord, ReplyId,
};
use model::{ErrorCode, LeaderEpoch, Monotonic, Now, Offset, Timestamp, TopicId};
use parking_lot::Mutex;
use protocol::Str;
use records::{BatchBuilder, Codec};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::oneshot;

/// A message to a shard.
#[derive(Debug)]
pub(super) enum Message {
    /// A request, and the channel of its reply.
    Request(Box<GroupRequest>, oneshot::Sender<GroupReply>),
    /// Topics were deleted: the shard deletes their committed offsets.
    TopicsDeleted(Vec<(TopicId, Str)>),
}

/// The parts of a shard that last for one leadership of its partition, even if the groups are
/// loaded again.
#[derive(Clone)]
pub(super) struct DriverParts {
    pub(super) partition: Arc<Partition>,
    pub(super) epoch: LeaderEpoch,
    /// Shared with metrics.
    pub(super) shard: Arc<Mutex<GroupShard>>,
    pub(super) config: Arc<ArcSwap<GroupConfig>>,
    pub(super) codec: Codec,
    /// `offsets.commit.timeout.ms`.
    pub(super) commit_timeout_ms: i64,
    #[cfg(test)]
    pub(super) faults: super::tests::PlantedFaults,
}

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
pub(super) struct ShardDriver {
    parts: DriverParts,
    /// Requests that have no reply yet.
    waiting: HashMap<ReplyId, oneshot::Sender<GroupReply>>,
    held: HeldReplies,
    next_reply: u64,
    /// The offset of the last applied record.
    applied: Option<Offset>,
}

impl ShardDriver {
    /// Drives a shard that was loaded up to an offset. Errors: a record that cannot be applied.
    pub(super) async fn start(parts: DriverParts, applied: Option<Offset>, now: Now) -> Result<Self, OwnRecordFault> {
        let mut driver = Self { parts, waiting: HashMap::new(), held: HeldReplies::default(), next_reply: 0, applied };
        driver.execute(Command::PartitionLoaded, now).await?;
        Ok(driver)
    }

    /// Whether any reply is held back.
    pub(super) fn holds_replies(&self) -> bool {
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
    pub(super) async fn receive(&mut self, message: Message, now: Now) -> Result<(), OwnRecordFault> {
        match message {
            Message::Request(request, answer) => {
                let id = ReplyId(self.next_reply);
                self.next_reply += 1;
                self.waiting.insert(id, answer);
                self.execute(Command::Request(id, *request), now).await
            }
            Message::TopicsDeleted(topics) => self.execute(Command::TopicsDeleted(topics), now).await,
        }
    }

    /// Handles every deadline that has passed. Errors: as `receive`.
    pub(super) async fn elapse(&mut self, now: Now) -> Result<(), OwnRecordFault> {
        let is_due = |deadline: Option<Monotonic>| deadline.is_some_and(|deadline| deadline <= now.monotonic);
        while is_due(self.parts.shard.lock().next_deadline()) {
            self.execute(Command::TimerDue, now).await?;
        }
        self.release(now.monotonic);
        Ok(())
    }

    /// Makes a decision, appends and applies its records, and holds the replies back.
    async fn execute(&mut self, command: Command, now: Now) -> Result<(), OwnRecordFault> {
        let config = self.parts.config.load_full();
        let context = DecisionContext { now, random: random::bytes(), config: &config };
        let decision = self.parts.shard.lock().decide(&context, &command);
        match self.carry_out(&decision, now.wall).await {
            Ok(()) => self.conclude(decision, now.monotonic),
            Err(AppendFault::Refused(code)) => {
                let failed = Command::AppendFailed(decision.into_unappended(command), code);
                // The decision about a failed append has no records.
                let decision = self.parts.shard.lock().decide(&context, &failed);
                self.conclude(decision, now.monotonic);
            }
            Err(AppendFault::NotApplied(fault)) => return Err(fault),
        }
        Ok(())
    }

    /// Appends a decision's records and applies them.
    async fn carry_out(&mut self, decision: &Decision, now: Timestamp) -> Result<(), AppendFault> {
        if decision.records.is_empty() {
            return Ok(());
        }
        let partition = self.parts.partition.clone();
        for batch in cut(&decision.records, decision.atomic, partition.max_batch_bytes()) {
            let mut builder = BatchBuilder::new(Offset(0)).leader_epoch(self.parts.epoch).compression(self.parts.codec);
            for record in batch {
                builder.append(now, Some(&record.key), record.value.as_deref());
            }
            let bytes = builder.finish().map_err(|_| ErrorCode::UnknownServerError)?;
            let base = partition.append_state(bytes, self.parts.epoch).await?;
            for (index, record) in batch.iter().enumerate() {
                let offset = base.plus(i64::try_from(index).unwrap_or(i64::MAX));
                let at = BatchContext { offset, leader_epoch: self.parts.epoch, timestamp: now, producer: None };
                let entry = Entry::Record { key: record.key.clone(), value: record.value.clone() };
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
    /// back.
    fn conclude(&mut self, decision: Decision, now: Monotonic) {
        self.parts.shard.lock().apply_soft(decision.soft);
        let end = self.applied.map_or(Offset(0), |last| last.plus(1));
        let deadline = now.plus_ms(self.parts.commit_timeout_ms);
        for (id, reply) in decision.replies {
            self.held.hold(end, deadline, id, reply);
        }
        self.release(now);
    }

    /// Sends the replies whose records are committed, and errors for those whose timeout has
    /// passed.
    pub(super) fn release(&mut self, now: Monotonic) {
        if !self.is_leading() {
            return self.refuse_all();
        }
        let high_watermark = self.parts.partition.high_watermark();
        while let Some((id, reply)) = self.held.pop_committed(high_watermark) {
            self.answer(id, reply);
        }
        while let Some((id, reply)) = self.held.pop_expired(now) {
            // The records may still be committed. Kafka's error is REQUEST_TIMED_OUT, which it
            // converts to this one for clients of groups.
            self.answer(id, reply.into_error(ErrorCode::CoordinatorNotAvailable));
        }
    }

    fn answer(&mut self, id: ReplyId, reply: GroupReply) {
        if let Some(answer) = self.waiting.remove(&id) {
            // The send fails if the client has disconnected.
            let _ = answer.send(reply);
        }
    }

    /// Answers every request with an error, because the leadership has ended or the shard is
    /// dropped. What was held back may never commit, so no one is told that it has.
    pub(super) fn refuse_all(&mut self) {
        let parked = std::mem::take(&mut *self.parts.shard.lock()).resign();
        let held: Vec<(ReplyId, GroupReply)> = self.held.drain().collect();
        for (id, reply) in held {
            self.answer(id, reply.into_error(ErrorCode::NotCoordinator));
        }
        for (id, reply) in parked {
            self.answer(id, reply);
        }
        // Dropping the senders of the other requests answers them with NOT_COORDINATOR.
        self.waiting.clear();
    }
}

/// Splits records into batches of at most `most` bytes, unless they must be one batch.
fn cut(records: &[NewRecord], atomic: bool, most: usize) -> Vec<&[NewRecord]> {
    if atomic {
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
