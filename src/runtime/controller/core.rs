//! The controller's turn: decide, append, apply; then one fsync for all, and what it commits goes to the publisher.

use super::{ControllerParts, Deadline, Inbox, QuorumFacts, Waiting};
use crate::env::clock::Moment;
use crate::env::random;
use crate::runtime::metadata_log::{LogFault, MetadataLog};
use crate::runtime::publisher::{Publication, Reply};
use arc_swap::ArcSwap;
use bytes::Bytes;
use metadata::decide::{self, Context, Decided, Decision, Soft};
use metadata::image::Image;
use metadata::{LoadedBatch, Loader, VersionedRecord};
use model::{ApiError, ErrorCode, LeaderEpoch, Offset};
use protocol::MetadataRecord;
use raft::snapshot::retention::CHECK_INTERVAL_MS;
use raft::{Action, Event, Now};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tracing::{error, info, warn};

/// How long the thread waits before it looks again whether the disk has room.
const ROOM_INTERVAL: Duration = Duration::from_millis(200);

/// What a decision is made on.
pub struct View<'a> {
    /// The image with every record appended so far.
    pub image: &'a Image,
    /// What only this controller remembers.
    pub soft: &'a Soft,
    /// The offset that the decision's first record will have.
    pub next_offset: Offset,
}

/// The thread's state.
pub struct Core {
    pub(super) parts: ControllerParts,
    facts: Arc<ArcSwap<QuorumFacts>>,
    /// The image with every record appended.
    ahead: Loader,
    soft: Soft,
    /// The epoch in which this node's controller is active.
    active: Option<LeaderEpoch>,
    waiting: VecDeque<Waiting>,
    /// A flush is due up to here.
    flush_to: Option<Offset>,
    started: Moment,
    last_append: Duration,
    /// When old snapshots were last looked for.
    last_retention: Duration,
    fault: Option<LogFault>,
}

impl Core {
    pub(super) fn new(parts: ControllerParts, inbox: &Inbox) -> Self {
        Self {
            facts: inbox.facts.clone(),
            ahead: parts.loader.clone(),
            soft: Soft::default(),
            active: None,
            waiting: VecDeque::new(),
            flush_to: None,
            started: parts.clock.instant(),
            last_append: Duration::ZERO,
            last_retention: Duration::ZERO,
            fault: None,
            parts,
        }
    }

    pub(super) fn now(&self) -> Now {
        self.parts.clock.both()
    }

    /// How long the thread may sleep.
    pub(super) fn until_deadline(&self) -> Duration {
        let now = self.now();
        let raft = self.parts.raft.next_deadline().map(|at| Duration::from_millis(at.saturating_sub(now.monotonic.0)));
        let idle = self.parts.max_idle.filter(|_| self.active.is_some());
        let idle = idle.map(|most| (self.last_append + most).saturating_sub(self.started.elapsed()));
        let session =
            self.soft.next_expiry(self.parts.settings.broker_session_timeout_ms).filter(|_| self.active.is_some());
        let session = session.map(|at| Duration::from_millis(u64::try_from(at.0 - now.wall.0).unwrap_or(0) + 1));
        [raft, idle, session].into_iter().flatten().min().unwrap_or(Duration::from_secs(3600))
    }

    /// What is due by now: the raft machine's deadline, sessions that have ended, a sign of life in the log.
    pub(super) fn tick(&mut self) -> Result<(), LogFault> {
        let actions = self.parts.raft.step(Event::Tick, self.now())?;
        self.act(actions)?;
        self.retain()?;
        if self.active.is_none() {
            return Ok(());
        }
        let timeout = self.parts.settings.broker_session_timeout_ms;
        if self.soft.next_expiry(timeout).is_some_and(|at| at < self.now().wall) {
            self.fence_stale_brokers()?;
        }
        if self.parts.max_idle.is_some_and(|most| self.started.elapsed() >= self.last_append + most) {
            self.append(&Decision::atomic(vec![VersionedRecord::v0(MetadataRecord::NoOp(Default::default()))], ()))
                .map_err(LogFault::unexpected)?;
        }
        Ok(())
    }

    /// Looks once in a while for snapshots that are too old, and for what of the log they make needless.
    fn retain(&mut self) -> Result<(), LogFault> {
        if self.started.elapsed() < self.last_retention + Duration::from_millis(CHECK_INTERVAL_MS) {
            return Ok(());
        }
        self.last_retention = self.started.elapsed();
        self.keep_spare_room();
        let now = self.parts.clock.now();
        self.parts.log.remove_deleted(now)?;
        if let Some(start) = self.parts.log.delete_old(self.parts.retention, now)? {
            let actions = self.parts.raft.step(Event::LogStartMoved { start }, self.now())?;
            self.act(actions)?;
        }
        Ok(())
    }

    fn keep_spare_room(&self) {
        if let Err(error) = self.parts.log.spare_room().keep() {
            warn!(%error, "no room could be kept for the metadata log");
        }
    }

    /// Brokers that have been silent too long are fenced, one decision each.
    fn fence_stale_brokers(&mut self) -> Result<(), LogFault> {
        loop {
            let decision =
                self.with_context(|view, context| decide::fence_stale_brokers(view.image, view.soft, context));
            let Some(decision) = decision else { return Ok(()) };
            tracing::warn!(broker = %decision.reply, "fenced a broker that was not heard from");
            self.append(&decision).map_err(LogFault::unexpected)?;
            self.check()?;
        }
    }

    /// Decides and appends; the reply waits for the commit.
    pub(super) fn take<R: Send + 'static>(
        &mut self,
        deadline: Option<Deadline>,
        decide: impl FnOnce(&View<'_>, &mut Context<'_>) -> Decided<R>,
        answer: oneshot::Sender<Result<R, ApiError>>,
    ) {
        let Some(epoch) = self.active else {
            let _ = answer.send(Err(ErrorCode::NotController.into()));
            return;
        };
        let is_late = deadline.is_some_and(|deadline| deadline.since.elapsed() >= deadline.timeout);
        let on_time_or_not = |view: &View<'_>, context: &mut Context<'_>| {
            context.is_late = is_late;
            decide(view, context)
        };
        let decided = self.with_context(on_time_or_not).and_then(|decision| {
            let end = self.append(&decision)?;
            Ok((end, decision.reply))
        });
        match decided {
            // An error rests on what was read, which may not be committed either: it waits like any reply.
            Err(error) => {
                let end = self.parts.raft.log().end;
                let reply: Reply = Box::new(move |outcome| drop(answer.send(outcome.and(Err(error)))));
                self.waiting.push_back(Waiting { end, epoch, reply });
            }
            Ok((end, reply)) => {
                let reply: Reply = Box::new(move |outcome| drop(answer.send(outcome.map(|()| reply))));
                self.waiting.push_back(Waiting { end, epoch, reply });
            }
        }
    }

    fn with_context<T>(&self, decide: impl FnOnce(&View<'_>, &mut Context<'_>) -> T) -> T {
        let mut random = random::number;
        let view =
            View { image: self.ahead.uncommitted_image(), soft: &self.soft, next_offset: self.parts.raft.log().end };
        self.parts.rules.with(|rules| {
            let settings = &self.parts.settings;
            decide(
                &view,
                &mut Context { now: self.parts.clock.now(), random: &mut random, settings, rules, is_late: false },
            )
        })
    }

    /// Appends a decision's records, applies them, and makes its soft changes. Returns the log end that a reply has to wait for.
    fn append<R>(&mut self, decision: &Decision<R>) -> Result<Offset, ApiError> {
        let epoch = self.active.ok_or(ErrorCode::NotController)?;
        if !decision.records.is_empty() {
            self.propose(epoch, &decision.records)?;
        }
        let end = self.parts.raft.log().end;
        for change in &decision.soft {
            self.soft.apply(*change, end.plus(-1));
        }
        Ok(end)
    }

    fn propose(&mut self, epoch: LeaderEpoch, records: &[VersionedRecord]) -> Result<(), ApiError> {
        let unexpected =
            |error: &dyn std::fmt::Display| ApiError::new(ErrorCode::UnknownServerError, error.to_string());
        let values: Result<Vec<Bytes>, _> = records.iter().map(VersionedRecord::encode).collect();
        let values = values.map_err(|error| unexpected(&error))?;
        let proposed = self.parts.raft.propose(epoch, &values, self.now()).map_err(|error| unexpected(&error))?;
        let records: Vec<MetadataRecord> = records.iter().map(|record| record.record.clone()).collect();
        let batch = LoadedBatch {
            base_offset: proposed.base,
            epoch,
            timestamp: self.parts.clock.now(),
            records: &records,
            last_offset: proposed.last,
        };
        // A record that cannot be applied here cannot be applied anywhere: the node ends before it is committed.
        if let Err(error) = self.ahead.apply(&batch) {
            self.fault = Some(LogFault::Apply(error));
        }
        self.last_append = self.started.elapsed();
        if let Err(fault) = self.act(proposed.actions) {
            self.fault = Some(fault);
        }
        Ok(())
    }

    /// A fault that came up while something was decided.
    pub(super) fn check(&mut self) -> Result<(), LogFault> {
        self.fault.take().map_or(Ok(()), Err)
    }

    /// Carries out actions in their order.
    pub(super) fn act(&mut self, actions: Vec<Action>) -> Result<(), LogFault> {
        for action in actions {
            match action {
                Action::PersistElection { content, .. } => self.with_room(|log| log.write_quorum_state(&content))?,
                Action::Append(batch) => {
                    let now = self.parts.clock.now();
                    self.with_room(|log| log.append(&batch.bytes, now))?;
                }
                Action::Flush { end } => self.flush_to = self.flush_to.max(Some(end)),
                Action::Commit { high_watermark } => self.committed(high_watermark)?,
                Action::LeaderChanged { leader, epoch } => {
                    let kraft_version = self.parts.raft.kraft_version().level();
                    self.facts.store(Arc::new(QuorumFacts { leader, epoch, kraft_version }));
                    if self.active.is_some_and(|active| active != epoch) {
                        self.resign();
                    }
                }
                Action::Activate { epoch, .. } => self.activate(epoch)?,
                Action::Stopped => {}
                // A quorum of one sends nothing and is asked nothing.
                Action::Send { .. } | Action::Reply { .. } => {}
            }
        }
        Ok(())
    }

    /// Writes to the metadata log; while its disk is full, again and again.
    fn with_room(&self, write: impl Fn(&MetadataLog) -> Result<(), LogFault>) -> Result<(), LogFault> {
        let mut is_said = false;
        loop {
            match write(&self.parts.log) {
                Err(fault) if fault.is_refusal() && self.parts.log.spare_room().give_up() => {
                    warn!(error = %fault, "the disk of the metadata log is full: what is written now is the room that was kept for it");
                }
                Err(fault) if fault.is_refusal() && !self.parts.stopping.is_cancelled() => {
                    if !is_said {
                        error!(error = %fault, "the disk of the metadata log is full: nothing of the metadata changes until there is room");
                    }
                    is_said = true;
                    std::thread::park_timeout(ROOM_INTERVAL);
                }
                written => {
                    if is_said && written.is_ok() {
                        info!("the disk of the metadata log has room again");
                    }
                    return written;
                }
            }
        }
    }

    /// Fsyncs once for all that was appended, until nothing is due any more.
    pub(super) fn settle(&mut self) -> Result<(), LogFault> {
        while let Some(end) = self.flush_to.take() {
            let now = self.parts.clock.now();
            self.with_room(|log| log.flush(now))?;
            let actions = self.parts.raft.step(Event::Flushed { end }, self.now())?;
            self.act(actions)?;
        }
        // Replies that had nothing to append, and all before them is committed already.
        self.publish(None);
        Ok(())
    }

    /// The log is committed up to here: it is applied, and published with the replies that waited for it.
    fn committed(&mut self, high_watermark: Offset) -> Result<(), LogFault> {
        let from = self.parts.applied;
        let batches = self.parts.log.read(from, high_watermark)?;
        let mut snapshots = Vec::new();
        for batch in &batches {
            self.parts.loader.apply(&batch.loaded()).map_err(LogFault::Apply)?;
            let made = self.parts.log.snapshot_if_due(&self.parts.loader, batch, &self.parts.raft, self.parts.clock)?;
            snapshots.extend(made);
        }
        self.parts.applied = high_watermark;
        self.parts.log.committed(high_watermark);
        for snapshot in snapshots {
            // It calls for nothing: a quorum of one has nobody to tell.
            self.parts.raft.step(Event::SnapshotMade(snapshot), self.now())?;
        }
        if self.active.is_none() {
            self.ahead = self.parts.loader.clone();
        }
        let (image, changes) = self.parts.loader.publish();
        self.publish(Some((Arc::new(image), changes)));
        Ok(())
    }

    fn publish(&mut self, news: Option<(Arc<Image>, metadata::Changes)>) {
        let mut replies = Vec::new();
        while let Some(waiting) = self.waiting.pop_front_if(|waiting| waiting.end <= self.parts.applied) {
            debug_assert_eq!(Some(waiting.epoch), self.active, "a resignation answers what waits");
            replies.push(waiting.reply);
        }
        if news.is_some() || !replies.is_empty() {
            // The publisher ends after this thread.
            let _ = self.parts.publisher.send(Publication { news, replies });
        }
    }

    /// This node leads, and all that earlier leaders committed is applied: the controller begins.
    fn activate(&mut self, epoch: LeaderEpoch) -> Result<(), LogFault> {
        self.ahead = self.parts.loader.clone();
        self.soft =
            Soft::activated(self.ahead.uncommitted_image(), self.parts.clock.now(), Some(self.parts.settings.node_id));
        self.active = Some(epoch);
        info!(%epoch, "the controller is active");
        self.keep_spare_room();
        let in_transaction = self.ahead.open_transaction().is_some();
        let records = decide::activate(self.ahead.image(), &self.parts.settings, &self.parts.bootstrap, in_transaction);
        self.append(&Decision::atomic(records, ())).map_err(LogFault::unexpected)?;
        self.check()
    }

    /// The epoch is over: nothing that waits is known to commit.
    fn resign(&mut self) {
        self.active = None;
        self.ahead = self.parts.loader.clone();
        for waiting in self.waiting.drain(..) {
            (waiting.reply)(Err(ErrorCode::NotController.into()));
        }
    }

    /// Ends cleanly: what was appended is on disk.
    pub(super) fn stop(mut self) -> Result<(), LogFault> {
        self.settle()?;
        for waiting in self.waiting.drain(..) {
            (waiting.reply)(Err(ErrorCode::NotController.into()));
        }
        self.parts.log.close(self.parts.clock.now())
    }
}
