//! The coordinator of one state partition: absent, loading, or served by the real driver.

use super::Check;
use super::cluster::Cluster;
use super::markers::Effects;
use crate::runtime::coordinator::driver::{Config, DriverParts, ShardDriver};
use crate::runtime::coordinator::message::Message;
use crate::runtime::coordinator::task::{ShardEnd, replay};
use crate::runtime::coordinator::tests::PlantedFaults;
use crate::runtime::coordinator::{EffectHandler, NoEffects, Reply, Request};
use crate::runtime::session::BrokerSession;
use arc_swap::ArcSwap;
use coordinator::{CoordinatorShard, GroupConfig, GroupShard, ShardTypes, TransactionConfig, TransactionShard};
use futures_util::FutureExt;
use model::{ErrorCode, LeaderEpoch};
use parking_lot::Mutex;
use records::Codec;
use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use tokio::sync::{mpsc, oneshot};

/// How long a reply may wait until its records are committed.
const COMMIT_TIMEOUT_MS: i64 = 700;

type Answered<S> = oneshot::Receiver<Reply<S>>;

/// The coordinator of one state partition.
pub(super) struct Station<S: CoordinatorShard> {
    slot: usize,
    config: Arc<ArcSwap<Config<S>>>,
    effects: Arc<dyn EffectHandler<S::Types>>,
    service: Mutex<Service<S>>,
    /// Compares the replicated state of two shards.
    is_equal: fn(&S, &S) -> bool,
}

enum Service<S: CoordinatorShard> {
    Absent,
    Loading { epoch: LeaderEpoch, until: i64 },
    Loaded(Box<Loaded<S>>),
}

struct Loaded<S: CoordinatorShard> {
    driver: ShardDriver<S>,
    shard: Arc<Mutex<S>>,
    epoch: LeaderEpoch,
    inbox: VecDeque<Message<S::Types>>,
}

impl Station<TransactionShard> {
    pub(super) fn of_transactions(cluster: &Weak<Cluster>, index: usize) -> Self {
        let config = TransactionConfig {
            max_timeout_ms: 60_000,
            transactional_id_expiration_ms: 4_000,
            abort_timed_out_interval_ms: 200,
            remove_expired_interval_ms: 1_000,
            ..Default::default()
        };
        let effects = Arc::new(Effects::new(cluster.clone(), index));
        Self::new(Cluster::state_slot(index), config, effects, TransactionShard::has_state_of)
    }
}

impl Station<GroupShard> {
    pub(super) fn of_groups(index: usize) -> Self {
        Self::new(Cluster::offsets_slot(index), GroupConfig::default(), Arc::new(NoEffects), GroupShard::has_state_of)
    }
}

impl<S: CoordinatorShard> Station<S> {
    fn new(
        slot: usize,
        config: Config<S>,
        effects: Arc<dyn EffectHandler<S::Types>>,
        is_equal: fn(&S, &S) -> bool,
    ) -> Self {
        let (config, service) = (Arc::new(ArcSwap::from_pointee(config)), Mutex::new(Service::Absent));
        Self { slot, config, effects, service, is_equal }
    }

    pub(super) fn slot(&self) -> usize {
        self.slot
    }

    /// A leader begins. Its shard is loaded at a time.
    pub(super) fn load_at(&self, until: i64, epoch: LeaderEpoch) {
        let mut service = self.service.lock();
        if let Service::Loaded(loaded) = &mut *service {
            loaded.driver.refuse_all();
        }
        *service = Service::Loading { epoch, until };
    }

    /// The leader is gone.
    pub(super) fn stop(&self) {
        let mut service = self.service.lock();
        if let Service::Loaded(loaded) = &mut *service {
            loaded.driver.refuse_all();
        }
        *service = Service::Absent;
    }

    /// Asks the coordinator.
    pub(super) async fn ask(&self, request: Request<S>) -> Reply<S> {
        let refused = |code| S::refused(&request, code);
        let (not_here, loading) = (refused(ErrorCode::NotCoordinator), refused(ErrorCode::CoordinatorLoadInProgress));
        let answered = match &mut *self.service.lock() {
            Service::Absent => return not_here,
            Service::Loading { .. } => return loading,
            Service::Loaded(loaded) => {
                let (message, answered) = message::<S>(request);
                loaded.inbox.push_back(message);
                answered
            }
        };
        answered.await.unwrap_or(not_here)
    }

    /// Asks the coordinator, which decides at once.
    pub(super) fn ask_now(&self, cluster: &Cluster, request: Request<S>) -> Result<Answered<S>, Reply<S>> {
        let refused = |code| S::refused(&request, code);
        let (not_here, loading) = (refused(ErrorCode::NotCoordinator), refused(ErrorCode::CoordinatorLoadInProgress));
        match &mut *self.service.lock() {
            Service::Absent => Err(not_here),
            Service::Loading { .. } => Err(loading),
            Service::Loaded(loaded) => {
                let (message, answered) = message::<S>(request);
                cluster.expect(loaded.receive(cluster, message));
                Ok(answered)
            }
        }
    }

    /// Tells the coordinator what happened, if there is one.
    pub(super) fn tell(&self, event: <S::Types as ShardTypes>::Event) {
        if let Service::Loaded(loaded) = &mut *self.service.lock() {
            loaded.inbox.push_back(Message::Event(event));
        }
    }

    /// Loads the shard if it is time, or handles some messages and everything that is due.
    pub(super) fn serve(&self, cluster: &Cluster, most: usize) -> Check {
        let service = &mut *self.service.lock();
        match service {
            Service::Absent => {}
            Service::Loading { epoch, until } => {
                if *until <= cluster.ms()
                    && let Some(loaded) = self.load(cluster, *epoch)?
                {
                    *service = Service::Loaded(Box::new(loaded));
                }
            }
            Service::Loaded(loaded) => {
                for _ in 0..most {
                    let Some(message) = loaded.inbox.pop_front() else { break };
                    loaded.receive(cluster, message)?;
                }
                loaded.elapse(cluster)?;
            }
        }
        Ok(())
    }

    fn load(&self, cluster: &Cluster, epoch: LeaderEpoch) -> Check<Option<Loaded<S>>> {
        let Some(partition) = cluster.led(self.slot) else { return Ok(None) };
        let (shard, applied) = match replay::<S>(&partition, epoch) {
            Ok(replayed) => replayed,
            Err(ShardEnd::Leadership) => return Ok(None),
            Err(ShardEnd::Fault(reason)) => return Err(reason),
        };
        let shard = Arc::new(Mutex::new(shard));
        let (inbox, _) = mpsc::channel(1);
        let parts = DriverParts {
            partition,
            epoch,
            shard: shard.clone(),
            config: self.config.clone(),
            image: cluster.image.clone(),
            effects: self.effects.clone(),
            // Effects come back by `tell`: their futures never wait.
            inbox: inbox.downgrade(),
            codec: Codec::None,
            commit_timeout_ms: COMMIT_TIMEOUT_MS,
            session: Arc::new(BrokerSession::endless()),
            env: crate::env::Env::default(),
            faults: PlantedFaults::default(),
        };
        let started = ShardDriver::start(parts, applied, cluster.now()).now_or_never().ok_or("a start waits")?;
        let driver = started.map_err(|fault| fault.to_string())?;
        cluster.note(|| format!("loaded {}", self.slot));
        Ok(Some(Loaded { driver, shard, epoch, inbox: VecDeque::new() }))
    }

    /// Checks that a shard that replays the log equals the live one.
    pub(super) fn check_replay(&self, cluster: &Cluster) -> Check {
        let Service::Loaded(loaded) = &*self.service.lock() else { return Ok(()) };
        let Some(partition) = cluster.led(self.slot) else { return Ok(()) };
        match replay::<S>(&partition, loaded.epoch) {
            Err(ShardEnd::Fault(reason)) => Err(reason),
            Ok((replayed, _)) if !(self.is_equal)(&replayed, &loaded.shard.lock()) => {
                Err(format!("a shard that replays partition {} differs from the live one", self.slot))
            }
            Ok(_) | Err(ShardEnd::Leadership) => Ok(()),
        }
    }
}

fn message<S: CoordinatorShard>(request: Request<S>) -> (Message<S::Types>, Answered<S>) {
    let (answer, answered) = oneshot::channel();
    (Message::Request(Box::new(request), answer), answered)
}

impl<S: CoordinatorShard> Loaded<S> {
    fn receive(&mut self, cluster: &Cluster, message: Message<S::Types>) -> Check {
        let received = self.driver.receive(message, cluster.now()).now_or_never().ok_or("a decision waits")?;
        received.map_err(|fault| fault.to_string())?;
        self.elapse(cluster)
    }

    fn elapse(&mut self, cluster: &Cluster) -> Check {
        let elapsed = self.driver.elapse(cluster.now()).now_or_never().ok_or("a decision waits")?;
        elapsed.map_err(|fault| fault.to_string())
    }
}
