//! One round of the controller: decide, apply, append. Then one fsync serves all decisions, and the
//! publisher gets what it commits.
//!
//! A decision is applied to a copy of the image before it is appended. One that cannot be applied,
//! or that panics, is a bug in this code: it is answered with UNKNOWN_SERVER_ERROR and logged, and
//! image, soft state and log do not change. In the log it would end this node at every later start,
//! and every other node that reads it.

mod actions;
mod elections;
mod room;

use self::actions::Due;
pub use self::elections::ElectionIntervals;
use self::elections::ElectionsDue;
use super::replies::{PendingReply, Replies};
use super::{ControllerParts, Inbox, Message, QuorumFacts, Request};
use crate::env::watch;
use crate::runtime::metadata_log::LogFault;
use crate::runtime::publisher::Completion;
use bytes::Bytes;
use metadata::decide::{self, ControllerContext, Decided, Decision, QuorumMembers, Soft};
use metadata::image::Image;
use metadata::{LoadedBatch, Loader, VersionedRecord};
use model::{ApiError, ErrorCode, LeaderEpoch, Monotonic, Offset};
use protocol::MetadataRecord;
use raft::snapshot::retention::CHECK_INTERVAL_MS;
use raft::{Event, MAX_BATCH_BYTES, Now, ProposeError, Raft, ReceivedReply, ReplicaDescription};
use std::collections::{BTreeMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;
use tracing::{error, info, warn};

/// The time after which a fencing is tried again that could not be appended.
const FENCING_RETRY_MS: i64 = 1_000;
/// The thread fails to listen for this long only where its disk is slow or full. Then the time
/// counts against no broker's session.
const STALL_MS: u64 = 500;
/// The most records in one batch of a decision that may be split, as in Apache Kafka.
const BATCH_RECORDS_MAX: usize = 10_000;
/// The bytes of a batch's header.
const BATCH_OVERHEAD_BYTES: usize = 61;
/// The most bytes of a record besides its value: length, attributes, timestamp, offset, no key, the
/// value's length and no headers.
const RECORD_OVERHEAD_BYTES: usize = 5 + 1 + 1 + 5 + 1 + 5 + 1;
/// The message of Apache Kafka for its own mistakes.
const UNEXPECTED: &str = "The server experienced an unexpected error when processing the request.";
/// The longest sleep of the thread.
const SLEEP_MAX_MS: u64 = 3_600_000;

/// The state that a decision is made on.
pub struct ControllerState<'a> {
    /// The image with every record appended so far.
    pub image: &'a Image,
    /// The memory of this controller.
    pub soft: &'a Soft,
    /// The offset that the decision's first record will have.
    pub next_offset: Offset,
    raft: &'a Raft,
}

impl ControllerState<'_> {
    /// The members of the quorum, as far as the leader has heard of them.
    pub fn quorum_members(&self, now: Now) -> QuorumMembers {
        let ids = |replicas: &[ReplicaDescription]| replicas.iter().map(|it| it.key.id).collect();
        let quorum = self.raft.describe(now);
        QuorumMembers {
            kraft_version: self.raft.kraft_version().level(),
            voters: self.raft.voters().ids().collect(),
            observers: quorum.map(|quorum| ids(&quorum.observers)).unwrap_or_default(),
        }
    }
}

/// The thread's state.
pub struct Core {
    pub(super) parts: ControllerParts,
    facts: watch::Sender<Arc<QuorumFacts>>,
    /// The current time, as the thread read it last.
    now: Now,
    /// The image with every record appended.
    ahead: Loader,
    soft: Soft,
    /// The epoch in which this node's controller is active.
    active: Option<LeaderEpoch>,
    replies: Replies,
    /// Whether the committed image has changed since the publisher last got it.
    is_image_new: bool,
    /// Whether this node has once had everything that was committed. Before that, nothing is
    /// published: services would take what they do not see yet for deleted.
    has_caught_up: bool,
    /// The high watermark that a leader told this node last.
    leader_high_watermark: Option<Offset>,
    /// The image that the publisher got last.
    published_image: Image,
    due: Due,
    last_append: Monotonic,
    /// When the thread last looked for old snapshots.
    last_retention: Monotonic,
    /// No broker is fenced before this time.
    fence_from: Monotonic,
    /// Whether the disk was full since the last turn, and kept room was given up for a write.
    gave_up_room: bool,
    /// When leaders are elected next.
    elections_due: ElectionsDue,
    fault: Option<LogFault>,
    messages: UnboundedReceiver<Message>,
    /// Messages that came while the thread waited for room, the oldest first: answers to the raft
    /// machine's own requests, and what this node told it.
    kept: VecDeque<Message>,
    /// Brings the results of the raft machine's requests.
    inbox: UnboundedSender<Message>,
    /// Requests of other replicas that the raft machine has not answered.
    asked: BTreeMap<u64, oneshot::Sender<ReceivedReply>>,
    next_request: u64,
    /// Whether the raft machine has stopped.
    is_stopped: bool,
}

impl Core {
    pub(super) fn new(parts: ControllerParts, inbox: Inbox, now: Now) -> Self {
        Self {
            facts: inbox.facts,
            messages: inbox.messages,
            kept: VecDeque::new(),
            now,
            ahead: parts.loader.clone(),
            soft: Soft::default(),
            active: None,
            replies: Replies::new(parts.publisher.clone()),
            is_image_new: false,
            has_caught_up: false,
            leader_high_watermark: None,
            published_image: Image::default(),
            due: Due::default(),
            last_append: now.monotonic,
            last_retention: now.monotonic,
            fence_from: now.monotonic,
            gave_up_room: false,
            elections_due: ElectionsDue::default(),
            fault: None,
            inbox: inbox.sender,
            asked: BTreeMap::new(),
            next_request: 0,
            is_stopped: false,
            parts,
        }
    }

    /// Carries out the raft machine's first actions.
    pub(super) fn begin(&mut self) -> Result<(), LogFault> {
        let actions = std::mem::take(&mut self.parts.actions);
        self.act(actions)?;
        self.settle()
    }

    /// Waits for the next message. Returns `None` when nobody can send any more.
    pub(super) async fn receive(&mut self) -> Option<Message> {
        match self.kept.pop_front() {
            Some(message) => Some(message),
            None => self.messages.recv().await,
        }
    }

    /// Takes the next message, if there is one.
    pub(super) fn try_receive(&mut self) -> Option<Message> {
        self.kept.pop_front().or_else(|| self.messages.try_recv().ok())
    }

    /// Sets the current time.
    pub(super) fn set_now(&mut self, now: Now) {
        self.now = now;
    }

    pub(super) fn now(&self) -> Now {
        self.now
    }

    /// Extends the brokers' sessions where the thread did not listen for long: from `since` until
    /// now.
    pub(super) fn listens_again(&mut self, since: Monotonic) {
        let stall_ms = self.now.monotonic.ms_since(since);
        if stall_ms >= STALL_MS {
            self.soft.extend_sessions(stall_ms);
        }
    }

    /// The time that the thread may sleep.
    pub(super) fn until_deadline(&self) -> Duration {
        let raft = self.parts.raft.next_deadline().map(Monotonic);
        let idle = self.parts.max_idle_ms.map(|most| self.last_append.plus_ms(most));
        let session = self.soft.next_expiry(self.parts.settings.broker_session_timeout_ms);
        let session = session.map(|at| at.plus_ms(1).max(self.fence_from));
        let own = [idle, session, self.elections_due.next()].into_iter().flatten().filter(|_| self.active.is_some());
        let next = own.chain(raft).min().map(|at| at.ms_since(self.now.monotonic));
        Duration::from_millis(next.unwrap_or(SLEEP_MAX_MS).min(SLEEP_MAX_MS))
    }

    /// Does what is due by now: the raft machine's deadline, ended sessions, elections, a
    /// `NoOpRecord`.
    /// Sessions end only when every request that has arrived is taken: a heartbeat may be among the
    /// others.
    pub(super) fn tick(&mut self, is_inbox_empty: bool) -> Result<(), LogFault> {
        self.step(Event::Tick)?;
        self.retain()?;
        if self.active.is_none() {
            return Ok(());
        }
        if is_inbox_empty && self.now.monotonic >= self.fence_from {
            self.fence_stale_brokers()?;
        }
        self.elect_at_intervals()?;
        if self.parts.max_idle_ms.is_some_and(|most| self.now.monotonic >= self.last_append.plus_ms(most)) {
            let no_op = VersionedRecord::v0(MetadataRecord::NoOp(Default::default()));
            if self.append(&Decision::atomic(vec![no_op], ())).is_err() {
                // The next one is appended when it is due.
                self.last_append = self.now.monotonic;
            }
        }
        self.check()
    }

    /// Deletes old snapshots at intervals, and the log that they make needless.
    fn retain(&mut self) -> Result<(), LogFault> {
        if self.now.monotonic.ms_since(self.last_retention) < CHECK_INTERVAL_MS {
            return Ok(());
        }
        self.last_retention = self.now.monotonic;
        self.keep_spare_room();
        self.parts.log.remove_deleted(self.now.wall)?;
        if let Some(start) = self.parts.log.delete_old(self.parts.retention, self.now.wall)? {
            self.step(Event::LogStartMoved { start })?;
        }
        Ok(())
    }

    fn keep_spare_room(&self) {
        if let Err(error) = self.parts.log.spare_room().keep() {
            warn!(%error, "no room could be kept for the metadata log");
        }
    }

    /// Fences brokers that have been silent too long, with one decision for each.
    fn fence_stale_brokers(&mut self) -> Result<(), LogFault> {
        loop {
            let decision = guarded(|| {
                Ok(self.with_context(|state, context| decide::fence_stale_brokers(state.image, state.soft, context)))
            });
            let appended = match &decision {
                Ok(None) => return Ok(()),
                Ok(Some(decision)) => self.append(decision).map(|_| decision.reply),
                Err(error) => Err(error.clone()),
            };
            let Ok(fenced) = appended else {
                self.fence_from = self.now.monotonic.plus_ms(FENCING_RETRY_MS);
                return Ok(());
            };
            if let Some(broker) = fenced {
                warn!(%broker, "fenced a broker that was not heard from");
            }
            self.check()?;
        }
    }

    /// Decides and appends; the reply waits for the commit.
    pub(super) fn take<R: Send + 'static>(
        &mut self,
        request: &Request,
        decide: impl FnOnce(&ControllerState<'_>, &mut ControllerContext<'_>) -> Decided<R>,
        answer: impl FnOnce(Result<R, ApiError>) + Send + 'static,
    ) {
        let Some(epoch) = self.active else { return answer(Err(ErrorCode::NotController.into())) };
        let is_late = request.deadline.is_some_and(|deadline| deadline.is_over(self.now.monotonic));
        let on_time_or_not = |state: &ControllerState<'_>, context: &mut ControllerContext<'_>| {
            context.is_late = is_late;
            decide(state, context)
        };
        let decided = guarded(|| self.with_context(on_time_or_not)).and_then(|decision| {
            let end = self.append(&decision)?;
            Ok((end, decision.reply))
        });
        let (end, completion): (Offset, Completion) = match decided {
            // An error rests on records that may not be committed yet: it waits like any reply.
            Err(error) => (self.parts.raft.log().end, Box::new(move |outcome| answer(outcome.and(Err(error))))),
            Ok((end, reply)) => (end, Box::new(move |outcome| answer(outcome.map(|()| reply)))),
        };
        self.replies.add(PendingReply { end, epoch, at: request.reply_at, completion });
    }

    fn with_context<T>(&self, decide: impl FnOnce(&ControllerState<'_>, &mut ControllerContext<'_>) -> T) -> T {
        let env = self.parts.env;
        let mut random = || env.random_number();
        let state = ControllerState {
            image: self.ahead.uncommitted_image(),
            soft: &self.soft,
            next_offset: self.parts.raft.log().end,
            raft: &self.parts.raft,
        };
        self.parts.rules.with(|rules| {
            let settings = &self.parts.settings;
            decide(
                &state,
                &mut ControllerContext { now: self.now, random: &mut random, settings, rules, is_late: false },
            )
        })
    }

    /// Applies a decision's records, appends them, and makes its soft changes. Returns the log end
    /// that a reply has to wait for. Errors: the records cannot be written or applied, and nothing
    /// has changed.
    fn append<R>(&mut self, decision: &Decision<R>) -> Result<Offset, ApiError> {
        let epoch = self.active.ok_or(ErrorCode::NotController)?;
        if !decision.records.is_empty() {
            self.propose(epoch, decision)?;
        }
        let end = self.parts.raft.log().end;
        for change in &decision.soft {
            self.soft.apply(*change, end.plus(-1));
        }
        Ok(end)
    }

    fn propose<R>(&mut self, epoch: LeaderEpoch, decision: &Decision<R>) -> Result<(), ApiError> {
        let (values, ahead) = guarded(|| {
            let values: Result<Vec<Bytes>, _> = decision.records.iter().map(VersionedRecord::encode).collect();
            let values = values.map_err(|error| mistake(&error))?;
            let ahead = self.ahead_after(epoch, &values).map_err(|error| mistake(&error))?;
            Ok((values, ahead))
        })?;
        let batches = batches(&values, decision.atomic)?;
        for (number, batch) in batches.iter().enumerate() {
            match self.parts.raft.propose(epoch, batch, self.now) {
                Ok(proposed) => self.carry_out(proposed.actions),
                Err(ProposeError::NotLeader { .. }) if number == 0 => return Err(ErrorCode::NotController.into()),
                Err(error) if number == 0 => return Err(mistake(&error)),
                // The batches before this one are in the log. All were found to fit.
                Err(error) => self.fault = Some(LogFault::unexpected(error)),
            }
        }
        self.ahead = ahead;
        self.last_append = self.now.monotonic;
        Ok(())
    }

    /// Returns the image after these records, decoded as every node will decode them from the log.
    fn ahead_after(&self, epoch: LeaderEpoch, values: &[Bytes]) -> Result<Loader, LogFault> {
        let base_offset = self.parts.raft.log().end;
        let mut last_offset = base_offset.plus(-1);
        let mut records = Vec::with_capacity(values.len());
        for value in values {
            last_offset = last_offset.plus(1);
            let read = MetadataRecord::decode(value.clone());
            records.push(read.map_err(|error| LogFault::Record { offset: last_offset, error })?.0);
        }
        let batch = LoadedBatch { base_offset, epoch, timestamp: self.now.wall, records: &records, last_offset };
        Ok(self.ahead.after(&batch)?)
    }

    /// Returns the fault that occurred while something was decided.
    pub(super) fn check(&mut self) -> Result<(), LogFault> {
        self.fault.take().map_or(Ok(()), Err)
    }

    /// Sends the replies that are due, and hands the publisher the image and the replies that wait
    /// for it.
    pub(super) fn publish(&mut self) {
        self.replies.committed(self.parts.applied, self.active);
        self.has_caught_up |= self.leader_high_watermark.is_some_and(|it| self.parts.applied >= it);
        let (loader, published) = (&mut self.parts.loader, &mut self.published_image);
        let news = (self.is_image_new && self.has_caught_up).then_some(|| {
            let (image, changes) = loader.publish();
            published.clone_from(&image);
            (Arc::new(image), changes)
        });
        if self.replies.publish(news) {
            self.is_image_new = false;
        }
    }

    /// Notes that the publisher has finished a publication.
    pub(super) fn published(&mut self) {
        self.replies.published();
    }

    /// Activates the controller: this node leads, and all that earlier leaders committed is
    /// applied.
    fn activate(&mut self, epoch: LeaderEpoch) -> Result<(), LogFault> {
        self.ahead = self.parts.loader.clone();
        let own = Some(self.parts.settings.node_id);
        self.soft = Soft::activated(self.ahead.uncommitted_image(), self.now.monotonic, own);
        if let Some((former, answered)) = self.parts.raft.last_answer() {
            self.soft.begin_earlier(former, answered, self.parts.settings.broker_session_timeout_ms);
        }
        self.active = Some(epoch);
        self.elections_due = ElectionsDue::after(self.now.monotonic, self.parts.elections);
        self.facts.send_modify(|facts| Arc::make_mut(facts).is_active = true);
        self.has_caught_up = true;
        info!(%epoch, "the controller is active");
        self.keep_spare_room();
        let in_transaction = self.ahead.open_transaction().is_some();
        let records = decide::activate(self.ahead.image(), &self.parts.settings, &self.parts.bootstrap, in_transaction);
        self.append(&Decision::atomic(records, ())).map_err(LogFault::unexpected)?;
        self.check()
    }

    /// Resigns: the epoch is over, and whether pending records commit is not known.
    fn resign(&mut self) {
        self.active = None;
        self.ahead = self.parts.loader.clone();
        self.replies.resign();
    }

    /// Stops cleanly: all appended records are on disk.
    pub(super) fn stop(mut self) -> Result<(), LogFault> {
        self.settle()?;
        self.replies.stop();
        self.parts.log.close(self.now.wall)
    }
}

/// Splits a decision's values into batches: one where the decision is atomic, else as many as their
/// sizes need. Errors: one batch would be larger than a batch may be. Apache Kafka 4.3.1 gives the
/// same answer, after its controller has resigned.
fn batches(values: &[Bytes], is_atomic: bool) -> Result<Vec<&[Bytes]>, ApiError> {
    let too_large = |bytes: usize| {
        warn!(
            bytes,
            max = MAX_BATCH_BYTES,
            "a request is refused: what it leads to is larger than a batch of the metadata log"
        );
        ApiError::new(ErrorCode::UnknownServerError, UNEXPECTED)
    };
    let mut batches = Vec::new();
    let (mut start, mut bytes) = (0, BATCH_OVERHEAD_BYTES);
    for (index, value) in values.iter().enumerate() {
        let len = value.len() + RECORD_OVERHEAD_BYTES;
        let is_full = bytes + len > MAX_BATCH_BYTES || index - start == BATCH_RECORDS_MAX;
        if is_full && !is_atomic && index > start {
            batches.push(&values[start..index]);
            (start, bytes) = (index, BATCH_OVERHEAD_BYTES);
        }
        bytes += len;
        if bytes > MAX_BATCH_BYTES && !is_atomic {
            return Err(too_large(bytes));
        }
    }
    batches.push(&values[start..]);
    if bytes > MAX_BATCH_BYTES { Err(too_large(bytes)) } else { Ok(batches) }
}

/// Decides, or prepares what was decided. Errors: those of `work`; UNKNOWN_SERVER_ERROR where it
/// panics. `work` reads the state and changes none of it, so a panic leaves nothing half-changed.
fn guarded<T>(work: impl FnOnce() -> Result<T, ApiError>) -> Result<T, ApiError> {
    std::panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text");
        error!(panic = text, "a decision of the controller panicked and is not made; this is a bug, please report it");
        Err(ApiError::new(ErrorCode::UnknownServerError, UNEXPECTED))
    })
}

/// Returns the answer to a decision that cannot be written or applied.
fn mistake(error: &dyn std::fmt::Display) -> ApiError {
    error!(%error, "a decision of the controller cannot be applied and is not made; this is a bug, please report it");
    ApiError::new(ErrorCode::UnknownServerError, error.to_string())
}
