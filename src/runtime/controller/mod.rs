//! Drives the metadata quorum and the controller: one thread that owns the raft machine, the
//! metadata log and the controller's state.
//!
//! It has a thread of its own, because each round ends in an fsync. A round takes every waiting
//! command and decides one after another on the image with all records appended so far. It applies
//! each decision's records, appends them, and fsyncs once for all of them (a group commit). Then it
//! reads back from the log what that commits, applies it to the committed image, and hands it to
//! the publisher with the replies that wait for the image. So a client is answered once this node's
//! own services act on its change. Brokers and controllers are answered at the commit.
//!
//! A failed write or fsync ends the node: the raft machine has already gone on as if it had worked.
//! On a full disk the thread waits for room, and no metadata changes meanwhile: the write did not
//! happen, so the thread tries it again until it succeeds (`core/room.rs`).
//! A leader of several voters resigns as soon as its disk is full, while it can still write in the
//! room that was kept.

mod active;
mod core;
mod replies;

pub use self::active::{ActiveController, ActiveControllerParts, ControllerRequest, Forwarded};
use self::core::Core;
pub use self::core::{ControllerState, ElectionIntervals};
use self::replies::ReplyAt;
use super::config_rules::Rules;
use super::metadata_log::{LogFault, MetadataLog};
use super::publisher::Publication;
use super::quorum::SendRequest;
use crate::env::clock::Clock;
use crate::env::{Env, watch};
use metadata::decide::{ControllerContext, Decided, Settings};
use metadata::{Loader, VersionedRecord};
use model::{ApiError, BrokerId, ErrorCode, LeaderEpoch, Monotonic, Offset};
use raft::{Action, Endpoint, QuorumDescription, QuorumRequest, Raft, ReceivedReply};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_util::sync::CancellationToken;

/// The most messages that one fsync serves together. Most are requests.
const ROUND_MESSAGES_MAX: usize = 512;
/// The most requests of clients that the controller has taken and not answered. Others wait for a
/// place until their timeout, and then get REQUEST_TIMED_OUT. Those without a timeout wait as long
/// as their connection exists.
pub const CLIENT_REQUESTS_MAX: usize = 1024;
/// The most requests of brokers and controllers. They have their own places, so that clients do not
/// keep a heartbeat out.
pub const BROKER_REQUESTS_MAX: usize = 1024;

/// The most requests of other replicas of the metadata log that are not answered. Others wait.
pub const QUORUM_REQUESTS_MAX: usize = 1024;

/// The facts of the quorum that other services read without asking.
#[derive(Clone, Debug, Default)]
pub struct QuorumFacts {
    /// The leader, if it is known.
    pub leader: Option<BrokerId>,
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// The addresses of the leader, the preferred listener first. Empty if they are not known.
    pub leader_endpoints: Vec<Endpoint>,
    /// Whether the controller of this node leads and is active.
    pub is_active: bool,
    /// The finalized `kraft.version`.
    pub kraft_version: i16,
    /// Whether the disk of the metadata log is full: this node takes no part in the quorum until
    /// there is room.
    pub waits_for_room: bool,
}

/// The handle with which services reach the controller.
#[derive(Clone, Debug)]
pub struct ControllerHandle {
    inbox: UnboundedSender<Message>,
    clock: Clock,
    clients: Arc<Semaphore>,
    brokers: Arc<Semaphore>,
    replicas: Arc<Semaphore>,
    facts: watch::Receiver<Arc<QuorumFacts>>,
}

/// The time by which the controller must take a request.
#[derive(Clone, Copy, Debug)]
struct Deadline {
    since: Monotonic,
    timeout_ms: u64,
}

impl Deadline {
    fn is_over(self, now: Monotonic) -> bool {
        now.ms_since(self.since) >= self.timeout_ms
    }

    fn left(self, now: Monotonic) -> Duration {
        Duration::from_millis(self.timeout_ms.saturating_sub(now.ms_since(self.since)))
    }
}

/// The facts of a request before it is decided.
#[derive(Clone, Copy, Debug)]
struct Request {
    deadline: Option<Deadline>,
    reply_at: ReplyAt,
}

/// Decides a request and sends its reply.
type Job = Box<dyn FnOnce(&mut Core) + Send>;

enum Message {
    Decide(Job),
    Describe(oneshot::Sender<Option<QuorumDescription>>),
    /// A request of another replica of the metadata log.
    Quorum(QuorumRequest, oneshot::Sender<ReceivedReply>),
    /// The result of a request that the raft machine sent.
    Response(u64, Result<ReceivedReply, ErrorCode>),
    /// The publisher has finished a publication.
    Published,
    Stop,
}

impl ControllerHandle {
    /// A handle and the other end of its inbox.
    pub fn new(clock: Clock) -> (Self, Inbox) {
        let (inbox, messages) = unbounded_channel();
        let (facts_in, facts) = watch::channel(Arc::default());
        let places = |most| Arc::new(Semaphore::new(most));
        let (clients, brokers) = (places(CLIENT_REQUESTS_MAX), places(BROKER_REQUESTS_MAX));
        let replicas = places(QUORUM_REQUESTS_MAX);
        let receiving = Inbox { messages, sender: inbox.clone(), facts: facts_in };
        (Self { inbox, clock, clients, brokers, replicas, facts }, receiving)
    }

    /// The facts of the quorum, as the controller's thread knew them last.
    pub fn quorum_facts(&self) -> Arc<QuorumFacts> {
        self.facts.borrow().clone()
    }

    /// The leader of the quorum.
    pub fn leader(&self) -> Option<BrokerId> {
        self.facts.borrow().leader
    }

    /// The finalized `kraft.version`.
    pub fn kraft_version(&self) -> i16 {
        self.facts.borrow().kraft_version
    }

    /// Asks the controller for a decision, and answers when it is committed and published here.
    /// Waits while the controller has [`CLIENT_REQUESTS_MAX`] requests. Errors: those of the
    /// decision, and NOT_CONTROLLER where this node does not lead the quorum or stops leading
    /// before the commit.
    pub async fn decide<R: Send + 'static>(
        &self,
        decide: impl FnOnce(&ControllerState<'_>, &mut ControllerContext<'_>) -> Decided<R> + Send + 'static,
    ) -> Result<R, ApiError> {
        self.ask(Request { deadline: None, reply_at: ReplyAt::Publish }, decide).await
    }

    /// The same for a request with a timeout, which counts from now on; below zero it is 0. The
    /// decision learns whether the timeout is over when the controller takes it. A decision that
    /// has begun is completed. Errors: also REQUEST_TIMED_OUT, where the controller had too many
    /// requests until the timeout.
    pub async fn decide_within<R: Send + 'static>(
        &self,
        timeout_ms: i32,
        decide: impl FnOnce(&ControllerState<'_>, &mut ControllerContext<'_>) -> Decided<R> + Send + 'static,
    ) -> Result<R, ApiError> {
        let deadline = Deadline { since: self.clock.monotonic(), timeout_ms: u64::try_from(timeout_ms).unwrap_or(0) };
        self.ask(Request { deadline: Some(deadline), reply_at: ReplyAt::Publish }, decide).await
    }

    /// The same for requests of brokers and controllers: they are answered at the commit. They
    /// never wait for this node's publisher, nor for a place among the clients' requests.
    pub async fn decide_at_commit<R: Send + 'static>(
        &self,
        decide: impl FnOnce(&ControllerState<'_>, &mut ControllerContext<'_>) -> Decided<R> + Send + 'static,
    ) -> Result<R, ApiError> {
        self.ask(Request { deadline: None, reply_at: ReplyAt::Commit }, decide).await
    }

    async fn ask<R: Send + 'static>(
        &self,
        request: Request,
        decide: impl FnOnce(&ControllerState<'_>, &mut ControllerContext<'_>) -> Decided<R> + Send + 'static,
    ) -> Result<R, ApiError> {
        let place = self.place(&request).await?;
        let (sender, answered) = oneshot::channel();
        // The place is taken until the reply is sent, even where nobody waits for it any more.
        let answer = move |outcome| {
            let _ = sender.send(outcome);
            drop(place);
        };
        let job: Job = Box::new(move |core: &mut Core| core.take(&request, decide, answer));
        let gone = || ApiError::from(ErrorCode::NotController);
        self.inbox.send(Message::Decide(job)).map_err(|_| gone())?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Takes a place among the requests that the controller may have.
    async fn place(&self, request: &Request) -> Result<OwnedSemaphorePermit, ApiError> {
        let places = match request.reply_at {
            ReplyAt::Publish => &self.clients,
            ReplyAt::Commit => &self.brokers,
        };
        if let Ok(place) = places.clone().try_acquire_owned() {
            return Ok(place);
        }
        let place = places.clone().acquire_owned();
        let place = match request.deadline {
            None => place.await,
            Some(deadline) => match tokio::time::timeout(deadline.left(self.clock.monotonic()), place).await {
                Err(_) => return Err(ErrorCode::RequestTimedOut.into()),
                Ok(place) => place,
            },
        };
        place.map_err(|_| ErrorCode::NotController.into())
    }

    /// Tells the controller that the publisher is done with a publication.
    pub fn published(&self) {
        let _ = self.inbox.send(Message::Published);
    }

    /// Describes the quorum.
    pub async fn describe(&self) -> Option<QuorumDescription> {
        let (answer, answered) = oneshot::channel();
        self.inbox.send(Message::Describe(answer)).ok()?;
        answered.await.ok().flatten()
    }

    /// Returns a receiver that sees each change of the quorum's facts.
    pub fn watch_quorum(&self) -> watch::Receiver<Arc<QuorumFacts>> {
        self.facts.clone()
    }

    /// Gives the raft machine a request of another replica, and returns its reply. `None` where the
    /// node stops.
    pub async fn quorum(&self, request: QuorumRequest) -> Option<ReceivedReply> {
        let _place = self.replicas.acquire().await.ok()?;
        let (answer, answered) = oneshot::channel();
        self.inbox.send(Message::Quorum(request, answer)).ok()?;
        answered.await.ok()
    }

    /// Stops the thread once it has done what it has taken. A leader of several voters resigns
    /// first, and tells the others.
    pub fn stop(&self) {
        let _ = self.inbox.send(Message::Stop);
    }
}

/// The receiving end of a handle.
pub struct Inbox {
    messages: UnboundedReceiver<Message>,
    /// Brings the results of the raft machine's requests.
    sender: UnboundedSender<Message>,
    facts: watch::Sender<Arc<QuorumFacts>>,
}

/// The inputs of the thread besides its inbox.
pub struct ControllerParts {
    /// The opened log. The raft machine was started on it.
    pub log: MetadataLog,
    /// The raft machine.
    pub raft: Raft,
    /// The raft machine's first actions.
    pub actions: Vec<Action>,
    /// The image of the newest snapshot.
    pub loader: Loader,
    /// The offset from which the committed log is applied.
    pub applied: Offset,
    /// This node's settings.
    pub settings: Settings,
    /// The rules of configs.
    pub rules: Arc<Rules>,
    /// The first features of a new cluster.
    pub bootstrap: Vec<VersionedRecord>,
    /// The publisher's channel.
    pub publisher: UnboundedSender<Publication>,
    /// Sends the raft machine's requests.
    pub send: SendRequest,
    /// `metadata.max.idle.interval.ms`, `None` for never.
    pub max_idle_ms: Option<i64>,
    /// How often leaders are elected.
    pub elections: ElectionIntervals,
    /// Cancelled when the node stops: the thread then stops waiting for room.
    pub stopping: CancellationToken,
    /// How much of the log and its snapshots is kept.
    pub retention: raft::snapshot::retention::Limits,
    /// The environment.
    pub env: Env,
}

/// Runs the controller until it is told to stop. Errors: the fault that ends the node.
pub async fn run(parts: ControllerParts, inbox: Inbox) -> Result<(), LogFault> {
    let clock = parts.env.clock();
    let mut core = Core::new(parts, inbox, clock.both());
    core.begin()?;
    let mut listened = clock.monotonic();
    loop {
        core.set_now(clock.both());
        core.listens_again(listened);
        let mut next = match tokio::time::timeout(core.until_deadline(), core.receive()).await {
            Ok(Some(message)) => Some(message),
            Ok(None) => return core.stop(),
            Err(_) => None,
        };
        listened = clock.monotonic();
        let (mut stop, mut count) = (false, 0);
        while let Some(message) = next {
            count += 1;
            core.set_now(clock.both());
            match message {
                Message::Decide(job) => job(&mut core),
                Message::Describe(answer) => drop(answer.send(core.parts.raft.describe(core.now()))),
                Message::Quorum(request, answer) => core.take_request(request, answer)?,
                Message::Response(id, result) => core.take_response(id, result)?,
                Message::Published => core.published(),
                Message::Stop => stop = true,
            }
            core.check()?;
            next = if count <= ROUND_MESSAGES_MAX { core.try_receive() } else { None };
        }
        core.set_now(clock.both());
        core.tick(count <= ROUND_MESSAGES_MAX)?;
        core.settle()?;
        if stop {
            core.begin_stop()?;
        }
        if core.is_stopped() {
            return core.stop();
        }
    }
}

#[cfg(test)]
mod tests;
