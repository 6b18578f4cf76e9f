//! The coordinators of one kind on this broker: one task for each partition of their state topic
//! that it leads.
//!
//! `task` loads a shard and waits for events. `driver` handles the events, with the time as an
//! argument. `held` holds replies and effects back until their records are committed, and `effects`
//! carries effects out. This module finds the shard of a request.
//!
//! Only the task changes its shard. Metrics read it under a lock that is held for one decision or
//! one bounded read, and never across an append or an await.

mod driver;
mod effects;
mod held;
mod message;
#[cfg(test)]
#[path = "../../../tests/sim/transactions/mod.rs"]
mod simulation;
mod task;
#[cfg(test)]
mod tests;

pub(crate) use self::effects::{EffectFuture, EffectHandler, NoEffects};

use self::driver::{Config, DriverParts};
use self::message::Message;
use crate::env::Env;
use crate::replica::Partition;
use crate::runtime::session::OwnSession;
use arc_swap::ArcSwap;
use coordinator::{Command, CoordinatorShard, DecisionContext, ReplyId, ShardTypes};
use metadata::image::Image;
use model::{ErrorCode, LeaderEpoch, PartitionIndex};
use parking_lot::{Mutex, RwLock};
use records::Codec;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use tokio::sync::{mpsc, oneshot};

/// The maximum number of messages that wait for one shard.
const INBOX: usize = 4096;

type Request<S> = <<S as CoordinatorShard>::Types as ShardTypes>::Request;
type Reply<S> = <<S as CoordinatorShard>::Types as ShardTypes>::Reply;
type Event<S> = <<S as CoordinatorShard>::Types as ShardTypes>::Event;

/// What the coordinators of one kind are made of.
#[derive(Debug)]
pub(crate) struct CoordinatorParts<S: CoordinatorShard> {
    pub(crate) config: Config<S>,
    /// The newest published image.
    pub(crate) image: Arc<ArcSwap<Image>>,
    pub(crate) effects: Arc<dyn EffectHandler<S::Types>>,
    /// Compresses the records of the state topic.
    pub(crate) codec: Codec,
    /// How long a reply may wait until its records are committed.
    pub(crate) commit_timeout_ms: i64,
    pub(crate) session: Arc<OwnSession>,
    pub(crate) env: Env,
}

/// All coordinators of one kind on this broker.
#[derive(Debug)]
pub struct Coordinators<S: CoordinatorShard> {
    shards: RwLock<BTreeMap<i32, ShardHandle<S>>>,
    /// The number of partitions of the state topic; 0 if it does not exist.
    partition_count: AtomicI32,
    config: Arc<ArcSwap<Config<S>>>,
    image: Arc<ArcSwap<Image>>,
    effects: Arc<dyn EffectHandler<S::Types>>,
    codec: Codec,
    commit_timeout_ms: i64,
    session: Arc<OwnSession>,
    env: Env,
}

/// The way to one shard.
#[derive(Debug)]
struct ShardHandle<S: CoordinatorShard> {
    epoch: LeaderEpoch,
    inbox: mpsc::Sender<Message<S::Types>>,
    is_loaded: Arc<AtomicBool>,
    shard: Arc<Mutex<S>>,
}

impl<S: CoordinatorShard> Clone for ShardHandle<S> {
    fn clone(&self) -> Self {
        Self {
            epoch: self.epoch,
            inbox: self.inbox.clone(),
            is_loaded: self.is_loaded.clone(),
            shard: self.shard.clone(),
        }
    }
}

impl<S: CoordinatorShard> Coordinators<S> {
    /// Creates the set of coordinators. It is empty.
    pub(crate) fn new(parts: CoordinatorParts<S>) -> Self {
        Self {
            shards: RwLock::default(),
            partition_count: AtomicI32::new(0),
            config: Arc::new(ArcSwap::from_pointee(parts.config)),
            image: parts.image,
            effects: parts.effects,
            codec: parts.codec,
            commit_timeout_ms: parts.commit_timeout_ms,
            session: parts.session,
            env: parts.env,
        }
    }

    /// Sets the configuration of the shards.
    pub fn set_config(&self, config: Config<S>) {
        self.config.store(Arc::new(config));
    }

    /// Sets the number of partitions of the state topic.
    pub fn set_partition_count(&self, count: i32) {
        self.partition_count.store(count, Ordering::SeqCst);
    }

    /// Starts to lead a partition: loads its shard and serves it. An older leadership of the
    /// partition ends.
    pub fn lead(&self, partition: Arc<Partition>, epoch: LeaderEpoch) {
        let index = partition.id().partition.0;
        let mut shards = self.shards.write();
        if shards.get(&index).is_some_and(|shard| shard.epoch >= epoch) {
            return;
        }
        let (inbox, messages) = mpsc::channel(INBOX);
        let is_loaded = Arc::new(AtomicBool::new(false));
        let shard = Arc::new(Mutex::new(S::default()));
        let parts = DriverParts {
            partition,
            epoch,
            shard: shard.clone(),
            config: self.config.clone(),
            image: self.image.clone(),
            effects: self.effects.clone(),
            inbox: inbox.downgrade(),
            codec: self.codec,
            commit_timeout_ms: self.commit_timeout_ms,
            session: self.session.clone(),
            env: self.env,
            #[cfg(test)]
            faults: tests::PlantedFaults::default(),
        };
        shards.insert(index, ShardHandle { epoch, inbox, is_loaded: is_loaded.clone(), shard });
        tokio::spawn(task::run(parts, messages, is_loaded));
    }

    /// Stops to lead a partition.
    pub fn resign(&self, index: i32) {
        self.shards.write().remove(&index);
    }

    /// Stops to lead every partition.
    pub fn resign_all(&self) {
        self.shards.write().clear();
    }

    fn all(&self) -> Vec<ShardHandle<S>> {
        self.shards.read().values().cloned().collect()
    }

    /// Tells every shard what happened. Does not wait until the shards know.
    pub(crate) fn tell_all(&self, event: &Event<S>) {
        for shard in self.all() {
            let message = Message::Event(event.clone());
            tokio::spawn(async move { shard.inbox.send(message).await });
        }
    }

    /// Sends a request to the coordinator of a key: of a group, or of a transactional id.
    pub async fn ask(&self, key: &str, request: Request<S>) -> Reply<S> {
        let count = self.partition_count.load(Ordering::SeqCst);
        if count == 0 {
            return S::refused(&request, ErrorCode::NotCoordinator);
        }
        self.ask_at(coordinator::partition_for(key, count), request).await
    }

    /// Sends a request to the coordinator of a partition of the state topic.
    pub async fn ask_at(&self, partition: PartitionIndex, request: Request<S>) -> Reply<S> {
        let shard = self.shards.read().get(&partition.0).cloned();
        match shard {
            None => S::refused(&request, ErrorCode::NotCoordinator),
            Some(shard) => shard.ask(request).await,
        }
    }

    /// Sends a request to every coordinator of this broker.
    pub async fn ask_all(&self, request: impl Fn() -> Request<S>) -> Vec<Reply<S>> {
        futures_util::future::join_all(self.all().into_iter().map(|shard| shard.ask(request()))).await
    }

    /// Returns the reply of a coordinator without state, if it has one at once.
    pub(crate) fn ask_empty(&self, request: Request<S>) -> Option<Reply<S>> {
        let (config, image) = (self.config.load_full(), self.image.load_full());
        let context = DecisionContext {
            now: self.env.clock().both(),
            random: &|| self.env.random_bytes(),
            leader_epoch: LeaderEpoch(0),
            image: &image,
            config: &*config,
        };
        let decision = S::default().decide(&context, &Command::Request(ReplyId(0), request));
        decision.replies.into_iter().next().map(|(_, reply)| reply)
    }

    /// Reads the current state of every loaded coordinator. It waits for neither requests nor the
    /// disk.
    pub(crate) fn read_loaded(&self, mut read: impl FnMut(&S)) {
        for shard in self.all().iter().filter(|shard| shard.is_loaded.load(Ordering::SeqCst)) {
            read(&shard.shard.lock());
        }
    }
}

impl<S: CoordinatorShard> ShardHandle<S> {
    async fn ask(self, request: Request<S>) -> Reply<S> {
        if self.inbox.is_closed() {
            // The leadership has ended, or the shard could not be loaded.
            return S::refused(&request, ErrorCode::NotCoordinator);
        }
        if !self.is_loaded.load(Ordering::SeqCst) {
            return S::refused(&request, ErrorCode::CoordinatorLoadInProgress);
        }
        let not_here = S::refused(&request, ErrorCode::NotCoordinator);
        let (answer, answered) = oneshot::channel();
        if self.inbox.send(Message::Request(Box::new(request), answer)).await.is_err() {
            return not_here;
        }
        // A waiting request must not keep the inbox open. The shard's task ends when the inbox
        // closes, and then answers the request.
        drop(self.inbox);
        answered.await.unwrap_or(not_here)
    }
}
