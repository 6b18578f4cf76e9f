//! Drives the metadata quorum and the controller: one thread that owns the raft machine, the metadata log and the controller's state.
//!
//! It is a thread and not a task, because each of its turns ends in an fsync. A turn takes every command that waits, decides one after another on the
//! image with all records appended so far, appends each decision's records as a batch, and fsyncs once for all of them (a group commit). What that
//! commits is read back from the log, applied to the committed image, and handed to the publisher with the replies that waited for it: a client
//! is answered when this node's own services act on what it asked for.
//!
//! A failed write or fsync ends the node: the machine has gone on as if it had worked. On a full disk the thread waits for room, and with it all that
//! changes metadata: nothing has happened, so that it is tried again until it has.

mod core;

use self::core::Core;
pub use self::core::View;
use super::config_rules::Rules;
use super::metadata_log::{LogFault, MetadataLog};
use super::publisher::{Publication, Reply};
use crate::env::clock::{Clock, Moment};
use arc_swap::ArcSwap;
use metadata::decide::{Context, Decided, Settings};
use metadata::{Loader, VersionedRecord};
use model::{ApiError, BrokerId, ErrorCode, LeaderEpoch, Offset};
use raft::{Action, QuorumDescription, Raft};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// Commands that one fsync may serve together.
const TURN_COMMANDS_MAX: usize = 512;

/// What other services know of the quorum without asking.
#[derive(Clone, Debug, Default)]
pub struct QuorumFacts {
    /// The leader, if it is known.
    pub leader: Option<BrokerId>,
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// The finalized `kraft.version`.
    pub kraft_version: i16,
}

/// How services reach the controller.
#[derive(Clone, Debug)]
pub struct ControllerHandle {
    inbox: Sender<Message>,
    facts: Arc<ArcSwap<QuorumFacts>>,
}

/// By when a request's turn must come.
#[derive(Clone, Copy, Debug)]
struct Deadline {
    since: Moment,
    timeout: Duration,
}

/// A decision about a command, and how its reply gets back.
type Job = Box<dyn FnOnce(&mut Core) + Send>;

enum Message {
    Decide(Job),
    Describe(oneshot::Sender<Option<QuorumDescription>>),
    Stop,
}

impl ControllerHandle {
    /// A handle and the other end of its inbox.
    pub fn new() -> (Self, Inbox) {
        let (inbox, messages) = std::sync::mpsc::channel();
        let facts = Arc::new(ArcSwap::default());
        (Self { inbox, facts: facts.clone() }, Inbox { messages, facts })
    }

    /// The leader of the quorum.
    pub fn leader(&self) -> Option<BrokerId> {
        self.facts.load().leader
    }

    /// The finalized `kraft.version`.
    pub fn kraft_version(&self) -> i16 {
        self.facts.load().kraft_version
    }

    /// Has something decided, and answers when it is committed and published here. Errors: what the decision says, and NOT_CONTROLLER where this node
    /// does not lead the quorum or stops leading before the commit.
    pub async fn decide<R: Send + 'static>(
        &self,
        decide: impl FnOnce(&View<'_>, &mut Context<'_>) -> Decided<R> + Send + 'static,
    ) -> Result<R, ApiError> {
        self.decide_by(None, decide).await
    }

    /// The same for a request that has so much time from now on, none where it is below zero: the decision learns whether it is over when its turn
    /// comes. What has begun is not broken off.
    pub async fn decide_within<R: Send + 'static>(
        &self,
        timeout_ms: i32,
        decide: impl FnOnce(&View<'_>, &mut Context<'_>) -> Decided<R> + Send + 'static,
    ) -> Result<R, ApiError> {
        let timeout = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
        self.decide_by(Some(Deadline { since: Clock.instant(), timeout }), decide).await
    }

    async fn decide_by<R: Send + 'static>(
        &self,
        deadline: Option<Deadline>,
        decide: impl FnOnce(&View<'_>, &mut Context<'_>) -> Decided<R> + Send + 'static,
    ) -> Result<R, ApiError> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |core: &mut Core| core.take(deadline, decide, answer));
        let gone = || ApiError::from(ErrorCode::NotController);
        self.inbox.send(Message::Decide(job)).map_err(|_| gone())?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Describes the quorum.
    pub async fn describe(&self) -> Option<QuorumDescription> {
        let (answer, answered) = oneshot::channel();
        self.inbox.send(Message::Describe(answer)).ok()?;
        answered.await.ok().flatten()
    }

    /// Ends the thread when what it has taken is done.
    pub fn stop(&self) {
        let _ = self.inbox.send(Message::Stop);
    }
}

/// The receiving end of a handle.
#[derive(Debug)]
pub struct Inbox {
    messages: Receiver<Message>,
    facts: Arc<ArcSwap<QuorumFacts>>,
}

/// What the thread needs besides its inbox.
pub struct ControllerParts {
    /// The opened log, with the machine that was started on it and its first actions.
    pub log: MetadataLog,
    /// The machine.
    pub raft: Raft,
    /// What it asks for first.
    pub actions: Vec<Action>,
    /// The image of the newest snapshot.
    pub loader: Loader,
    /// The committed log is applied from here on.
    pub applied: Offset,
    /// This node's settings.
    pub settings: Settings,
    /// The rules of configs.
    pub rules: Arc<Rules>,
    /// The features that a new cluster begins with.
    pub bootstrap: Vec<VersionedRecord>,
    /// Where images go.
    pub publisher: Sender<Publication>,
    /// `metadata.max.idle.interval.ms`, `None` for never.
    pub max_idle: Option<Duration>,
    /// Cancelled when the node stops: then nothing waits for room any more.
    pub stopping: CancellationToken,
    /// How much of the log and its snapshots is kept.
    pub retention: raft::snapshot::retention::Limits,
    /// The clock.
    pub clock: Clock,
}

/// A reply that waits for its records to be committed.
struct Waiting {
    end: Offset,
    epoch: LeaderEpoch,
    reply: Reply,
}

/// Runs the controller until it is told to stop. Errors: the fault that ends the node.
pub fn run(parts: ControllerParts, inbox: Inbox) -> Result<(), LogFault> {
    let mut core = Core::new(parts, &inbox);
    let actions = std::mem::take(&mut core.parts.actions);
    core.act(actions)?;
    core.settle()?;
    loop {
        let message = match inbox.messages.recv_timeout(core.until_deadline()) {
            Ok(message) => Some(message),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return core.stop(),
        };
        let mut stop = false;
        let more = inbox.messages.try_iter().take(TURN_COMMANDS_MAX);
        for message in message.into_iter().chain(more) {
            match message {
                Message::Decide(job) => job(&mut core),
                Message::Describe(answer) => drop(answer.send(core.parts.raft.describe(core.now()))),
                Message::Stop => stop = true,
            }
            core.check()?;
        }
        core.tick()?;
        core.settle()?;
        if stop {
            return core.stop();
        }
    }
}
