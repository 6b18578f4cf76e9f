//! Starts and stops a whole node. Services stop in the reverse order of their start:
//!
//! 1. Lock the log dirs, read their `meta.properties`, and open the metadata log. Nothing else is
//!    touched until the folders are known to belong to this node.
//! 2. Bind the listeners, so that a port in use ends the start at once.
//! 3. Start the publisher and the controller. The quorum elects this node, the committed log is
//!    applied, and the first image is published. The image opens partitions and starts
//!    coordinators.
//! 4. Serve connections, register the node in its roles, and start the background tasks.
//!
//! A broker alone has no controller listener, and its raft machine only observes. A controller
//! alone has the same services, but no log dir with partitions: it opens only the folder of the
//! metadata log, registers no broker, and has no background task.

mod dirs;
mod folders;
pub mod report;
pub mod rules;
mod threads;

pub use self::dirs::NodeFault;

use self::folders::Folders;
use self::threads::TaskThread;
use crate::admin;
use crate::broker::{Broker, Node, replication, set_maxima, spawn_background};
use crate::config::{Address, Advertised, BrokerSettings, Effective, NodeConfig, Properties};
use crate::env::blocking::ThreadHandle;
use crate::env::{Env, watch};
use crate::net::{self, Bind, ConnectionThreads, Listening, Open, ThreadLoad};
use crate::peer::{Dial, Dials};
use crate::replica::session::FetchSessions;
use crate::replica::{self, Replicas, TopicSettings};
use crate::runtime::assignment_sender::AssignmentSender;
use crate::runtime::brokers::{OtherBrokers, OtherBrokersParts};
use crate::runtime::config_rules::{self, Rules};
use crate::runtime::controller::{
    self, ActiveController, ActiveControllerParts, ControllerHandle, ControllerParts, ElectionIntervals,
};
use crate::runtime::coordinator::{CoordinatorParts, NoEffects};
use crate::runtime::group::GroupCoordinators;
use crate::runtime::isr_sender::IsrSender;
use crate::runtime::limits::{ConnectionLimits, MemoryLimit};
use crate::runtime::loggers::Loggers;
use crate::runtime::lost_brokers::{LostBrokers, SearchParts};
use crate::runtime::metadata_log::Opened;
use crate::runtime::producer_ids::ProducerIds;
use crate::runtime::publisher::{self, Publication};
use crate::runtime::quorum::{QuorumPeers, QuorumPeersParts, SendRequest};
use crate::runtime::registration::{self, Endpoint, NotRegistered, Registration, StopSignals};
use crate::runtime::session::OwnSession;
use crate::runtime::transaction::{MarkerRoutes, MarkerWriter, TransactionCoordinators, TransactionEffects};
use crate::security::{Authorizer, Logins};
use crate::telemetry::{Complaints, FilterHandle, Metrics};
use anyhow::Context as _;
use arc_swap::ArcSwap;
use metadata::VersionedRecord;
use metadata::decide::Settings;
use metadata::image::Image;
use model::{BrokerEpoch, DirectoryId, Offset};
use raft::snapshot::retention::Limits;
use records::Codec;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use storage::LogDir;
use storage::disk::Disk;
use tokio::sync::mpsc as channel;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

/// How long connections may take to finish their requests when the node stops.
const CONNECTIONS_END: Duration = Duration::from_secs(10);

/// How long connections of other controllers may take to end once this one has handed over.
const CONTROLLERS_END: Duration = Duration::from_secs(1);

/// Why a node did not start. One line: what was found, where, and what to do about it.
pub type StartError = anyhow::Error;

/// The arguments of [`start`].
pub struct Start {
    /// The node's configuration.
    pub config: Arc<NodeConfig>,
    /// Changes the log level.
    pub filter: Option<FilterHandle>,
    /// The address of the HTTP endpoint for operators.
    pub http: Option<Address>,
    /// The environment.
    pub env: Env,
    /// Binds the listeners.
    pub bind: Bind,
    /// Opens connections to other nodes.
    pub dial: Dial,
    /// The disk that holds the node's files.
    pub disk: Arc<dyn Disk>,
    /// How many threads may serve connections.
    pub connection_threads: usize,
    /// The load of the thread that starts the node. That thread serves connections too.
    pub load: Arc<ThreadLoad>,
}

/// A running node.
pub struct Running {
    /// The node's services.
    pub broker: Arc<Broker>,
    /// The name of each listener and the address that it is bound to.
    pub addresses: Vec<(String, SocketAddr)>,
    /// The name of each listener and the address that clients are told to connect to.
    pub advertised: Vec<(String, Address)>,
    /// The bound address of the HTTP endpoint for operators.
    pub http: Option<SocketAddr>,
    metadata_log_dir: Option<LogDir>,
    connections: Connections,
    connection_threads: Arc<ConnectionThreads<Open>>,
    tasks: TaskTracker,
    threads: Vec<ThreadHandle>,
    peers: TaskThread,
    faults: channel::UnboundedReceiver<NodeFault>,
}

/// The open connections, and the tasks that serve them until the controller has handed over.
#[derive(Default)]
struct Connections {
    of_clients: TaskTracker,
    of_controllers: TaskTracker,
    serving: TaskTracker,
}

impl Connections {
    /// Accepts connections on all listeners. `tasks` has those that accept clients.
    fn accept(
        &self,
        listening: Vec<Listening>,
        (broker, faults): (&Arc<Broker>, &channel::UnboundedSender<NodeFault>),
        threads: &Arc<ConnectionThreads<Open>>,
        tasks: &TaskTracker,
    ) {
        self.serving.spawn(threads.clone().serve_first());
        for one in listening {
            let (accepting, open) = match one.listener.is_controller {
                true => (&self.serving, &self.of_controllers),
                false => (tasks, &self.of_clients),
            };
            let (address, faults) = (one.address, faults.clone());
            let accepted = one.accept(broker.clone(), threads.clone(), open.clone());
            accepting.spawn(async move {
                if let Err(error) = accepted.await {
                    // The send fails only after the node has stopped.
                    let _ = faults.send(NodeFault::Listener { address, error });
                }
            });
        }
    }

    /// Ends the connections of other controllers.
    async fn end(&self, broker: &Broker) {
        broker.controllers_stopping.cancel();
        self.of_controllers.close();
        if tokio::time::timeout(CONTROLLERS_END, self.of_controllers.wait()).await.is_err() {
            warn!("connections of controllers that did not end in time are closed");
        }
    }
}

/// Starts a node. Errors: what is wrong with its folders, its ports or its configuration.
pub async fn start(start: Start) -> Result<Running, StartError> {
    let (env, config) = (start.env, start.config);
    let folders = Folders::open(&config, start.disk, env)?;
    let mut listening = bind_listeners(&config, &start.bind).await?;
    let http = bind_http(start.http.as_ref()).await?;
    let previous_epoch = previous_epoch(&folders.log_dirs)?;
    let (controller, inbox) = ControllerHandle::new(env.clock());
    let (unfenced_in, unfenced) = watch::channel(false);
    let directory_ids = folders.log_dirs.iter().map(|(_, id)| *id).collect();
    let dirs = (folders.log_dirs, folders.lost);
    let (fault_in, faults) = channel::unbounded_channel();
    let peers = TaskThread::start("peers", &fault_in, env)?;
    let dials = Dials::new(start.dial, &config.sasl, env);
    let active = active_controller(&config, controller, &peers, &dials.controller);
    let (lost_brokers, suspects) = LostBrokers::new(env.clock());
    let identity = (folders.cluster_id.as_str(), lost_brokers);
    let broker = broker(&config, dirs, identity, active.clone(), unfenced, start.filter, (env, dials.inter_broker))?;
    // Before anything is written: no producer may get space that the disk does not have.
    broker.replicas.check_room();
    let dir_faults = dirs::faults_of(&broker, folders.metadata_log_dir.as_ref());
    let registration = Registration { previous_epoch, ..registration(&broker, &listening, directory_ids) };
    let advertised = advertised(&registration);
    let (published_in, published) = watch::channel(None);
    let (publications, received) = channel::unbounded_channel();
    broker.replicas.hold_roles();
    follow_leaderships(&broker);
    let isr_sender = replication::start(&broker);
    let mut threads = vec![publisher(&broker, &fault_in, received, published_in)?];
    let send = send_to_replicas(&broker, &peers, dials.controller);
    let metadata = (folders.metadata_directory_id, folders.metadata, folders.bootstrap);
    let parts = controller_parts(&broker, metadata, publications, send)?;
    let is_alone = parts.raft.voters().ids().eq([config.node_id]);
    listen(&mut listening, is_alone)?;
    threads.push(threads::vital("controller", &fault_in, env, controller::run(parts, inbox))?);
    let addresses = listening.iter().map(|one| (one.listener.name.clone(), one.address)).collect();
    let (connections, tasks) = (Connections::default(), TaskTracker::new());
    let connection_threads = net::connection_threads(start.connection_threads, start.load, env.clock());
    connections.accept(listening, (&broker, &fault_in), &connection_threads, &tasks);
    let http = http.map(|bound| serve_http(&broker, bound, &tasks));
    if config.roles.is_controller() {
        tasks.spawn_on(search(&broker, dials.probe).run(suspects), &peers.handle);
    }
    let registering = registration::run(
        registration,
        active.with_own_connection(),
        broker.image.clone(),
        published,
        unfenced_in,
        broker.replicas.dir_states(),
        broker.stop_signals.clone(),
    );
    threads.push(heartbeats(registering, &fault_in, &tasks, env)?);
    tasks.spawn(dirs::watch(broker.clone(), dir_faults, fault_in));
    if config.roles.is_broker() {
        spawn_tasks_of_broker(&broker, isr_sender, &tasks);
    }
    let metadata_log_dir = folders.metadata_log_dir;
    Ok(Running {
        broker,
        addresses,
        advertised,
        http,
        metadata_log_dir,
        connections,
        connection_threads,
        tasks,
        threads,
        peers,
        faults,
    })
}

async fn bind_http(address: Option<&Address>) -> Result<Option<admin::Bound>, StartError> {
    let Some(address) = address else { return Ok(None) };
    let bound = admin::bind(address).await;
    bound.map(Some).with_context(|| format!("the HTTP listener cannot use {address}"))
}

fn serve_http(broker: &Arc<Broker>, (socket, address): admin::Bound, tasks: &TaskTracker) -> SocketAddr {
    info!(%address, "serving /livez, /readyz and /metrics");
    tasks.spawn(admin::serve(broker.clone(), socket));
    address
}

/// Starts the thread that registers the node and sends the broker's heartbeats.
fn heartbeats(
    registering: impl Future<Output = Result<(), NotRegistered>> + Send + 'static,
    end: &channel::UnboundedSender<NodeFault>,
    tasks: &TaskTracker,
    env: Env,
) -> std::io::Result<ThreadHandle> {
    let failed = end.clone();
    threads::vital_task("heartbeats", end, tasks, env, async move {
        if let Err(fault) = registering.await {
            // The send fails only after the node has stopped.
            let _ = failed.send(fault.into());
        }
    })
}

/// Starts the tasks that only a broker has.
fn spawn_tasks_of_broker(broker: &Arc<Broker>, isr_sender: IsrSender, tasks: &TaskTracker) {
    tasks.spawn(assignment_sender(broker).run());
    tasks.spawn(isr_sender.run());
    spawn_background(broker, tasks);
}

/// Starts and stops coordinators where this broker begins or ends to lead their partitions.
fn follow_leaderships(broker: &Arc<Broker>) {
    let (leading, runtime) = (Arc::downgrade(broker), tokio::runtime::Handle::current());
    broker.replicas.set_leadership_listener(Box::new(move |partition| {
        let _entered = runtime.enter();
        if let Some(broker) = leading.upgrade() {
            broker.follow_leadership(partition);
        }
    }));
}

async fn bind_listeners(config: &NodeConfig, bind: &Bind) -> Result<Vec<Listening>, StartError> {
    let backlog = u32::try_from(config.settings.socket_listen_backlog_size).unwrap_or(u32::MAX);
    let mut listening = Vec::new();
    for listener in &config.listeners.all {
        let bound = bind(listener.clone(), backlog).await;
        listening.push(bound.with_context(|| {
            format!("listener {}://{}:{} cannot be bound", listener.name, listener.host, listener.port)
        })?);
    }
    Ok(listening)
}

/// Lets other nodes connect to controllers' listeners. Where this node is the whole quorum, clients
/// have nobody else to ask: theirs are queued until they are accepted.
fn listen(listening: &mut [Listening], is_alone: bool) -> Result<(), StartError> {
    for one in listening.iter_mut().filter(|one| is_alone || one.listener.is_controller) {
        let address = one.address;
        one.listen().with_context(|| format!("listener {}://{address} cannot be bound", one.listener.name))?;
    }
    Ok(())
}

/// Starts the publisher: the broker acts on each new image.
fn publisher(
    broker: &Arc<Broker>,
    end: &channel::UnboundedSender<NodeFault>,
    received: channel::UnboundedReceiver<Publication>,
    published: watch::Sender<Option<Offset>>,
) -> std::io::Result<ThreadHandle> {
    let (acting, runtime) = (broker.clone(), tokio::runtime::Handle::current());
    let listener: publisher::ImageListener = Box::new(move |image, changes| {
        let _entered = runtime.enter();
        acting.published(image, changes);
    });
    let (image, controller) = (broker.image.clone(), broker.controller.clone());
    let done = move || controller.published();
    threads::vital("publisher", end, broker.env, async move {
        publisher::run(received, image, published, done, listener).await;
        Ok::<(), NodeFault>(())
    })
}

/// Returns the writer of transaction markers on this broker.
fn markers(
    settings: &BrokerSettings,
    replicas: &Arc<Replicas>,
    groups: &Arc<GroupCoordinators>,
    image: &Arc<ArcSwap<Image>>,
    env: Env,
) -> Arc<MarkerWriter> {
    let timeout = Duration::from_millis(u64::try_from(settings.request_timeout_ms).unwrap_or(0));
    Arc::new(MarkerWriter::new(replicas.clone(), groups.clone(), image.clone(), timeout, env.clock()))
}

/// Creates the services. None of them runs yet.
fn broker(
    config: &Arc<NodeConfig>,
    (dirs, lost): (Vec<(LogDir, DirectoryId)>, Vec<PathBuf>),
    (cluster_id, lost_brokers): (&str, LostBrokers),
    controller: ActiveController,
    unfenced: watch::Receiver<bool>,
    filter: Option<FilterHandle>,
    (env, dial): (Env, Dial),
) -> Result<Arc<Broker>, StartError> {
    let effective = config.effective(&Properties::new(), &Properties::new());
    let settings = effective.settings.clone();
    // The features of the oldest version apply until the first image is published.
    let image = Arc::new(ArcSwap::from_pointee(Image::default()));
    let session = Arc::new(OwnSession::new(i64::from(settings.broker_session_timeout_ms), env.clock()));
    let groups = Arc::new(GroupCoordinators::new(CoordinatorParts {
        config: config_rules::group_config(&effective, image.load().features.version()),
        image: image.clone(),
        effects: Arc::new(NoEffects),
        codec: config_rules::offsets_codec(&effective),
        commit_timeout_ms: i64::from(settings.offsets_commit_timeout_ms),
        session: session.clone(),
        env,
    }));
    let transaction_config = config_rules::transaction_config(&effective);
    let effective = Arc::new(ArcSwap::from_pointee(effective));
    let metrics = Metrics::default();
    let replicas = replicas(config, (dirs, lost), &effective, &image, &metrics, env)?;
    let producer_ids = ProducerIds::new(config.node_id);
    let markers = markers(&settings, &replicas, &groups, &image, env);
    let other_brokers = Arc::new(other_brokers(config, &image, dial));
    let routes = MarkerRoutes { here: markers.clone(), others: other_brokers.clone() };
    let transactions = TransactionCoordinators::new(CoordinatorParts {
        config: transaction_config,
        image: image.clone(),
        effects: Arc::new(TransactionEffects::new(producer_ids.clone(), controller.clone(), routes)),
        codec: Codec::None,
        commit_timeout_ms: i64::from(settings.request_timeout_ms),
        session: session.clone(),
        env,
    });
    let slots = usize::try_from(settings.max_incremental_fetch_session_cache_slots).unwrap_or(0);
    let broker = Broker {
        node: Node { id: config.node_id, cluster_id: cluster_id.into(), incarnation_id: env.uuid() },
        env,
        session,
        clock: env.clock(),
        metrics,
        complaints: Complaints::default(),
        logins: Logins::new(config.sasl.clone(), env),
        limits: Arc::new(ConnectionLimits::default()),
        request_memory: MemoryLimit::new(settings.queued_max_request_bytes),
        stop_signals: StopSignals::default(),
        stopping: CancellationToken::new(),
        controllers_stopping: CancellationToken::new(),
        replicas,
        controller: controller.local().clone(),
        active_controller: controller,
        lost_brokers,
        groups,
        transactions: Arc::new(transactions),
        markers,
        other_brokers,
        fetch_sessions: Arc::new(FetchSessions::new(slots)),
        producer_ids,
        loggers: Loggers::new(filter),
        authorizer: config.authorizer.as_ref().map(Authorizer::new),
        config: config.clone(),
        effective,
        settings: ArcSwap::from_pointee(settings),
        image,
        unfenced,
        auto_creation: Default::default(),
    };
    set_maxima(env, &broker.limits, &broker.settings());
    broker.replicas.set_cordoned(&broker.settings().cordoned_log_dirs);
    Ok(Arc::new(broker))
}

/// Creates the connections to the other brokers. None is made yet.
fn other_brokers(config: &NodeConfig, image: &Arc<ArcSwap<Image>>, dial: Dial) -> OtherBrokers {
    OtherBrokers::new(OtherBrokersParts {
        node_id: config.node_id,
        image: image.clone(),
        listener: config.listeners.inter_broker.as_str().into(),
        dial,
        runtime: tokio::runtime::Handle::current(),
    })
}

/// Creates the partitions of this broker. None is open yet.
fn replicas(
    config: &NodeConfig,
    (dirs, lost): (Vec<(LogDir, DirectoryId)>, Vec<PathBuf>),
    effective: &Arc<ArcSwap<Effective>>,
    image: &Arc<ArcSwap<Image>>,
    metrics: &Metrics,
    env: Env,
) -> Result<Arc<Replicas>, StartError> {
    let shared: Arc<ArcSwap<Effective>> = effective.clone();
    let topic_settings: TopicSettings =
        Box::new(move |image, topic| config_rules::topic_settings(&shared.load(), image, topic));
    let threads = config.values.read::<i32>("num.recovery.threads.per.data.dir");
    let moving = config.values.read::<Option<i32>>("num.replica.alter.log.dirs.threads");
    let replicas = Replicas::new(replica::ReplicasParts {
        node_id: config.node_id,
        dirs,
        lost,
        reserve_bytes: config.log_dir_reserve_bytes,
        settings: topic_settings,
        image: image.clone(),
        // The default is the number of log dirs.
        move_threads: moving
            .and_then(|count| usize::try_from(count).ok())
            .filter(|count| *count > 0)
            .unwrap_or(config.log_dirs.len()),
        recovery_threads: usize::try_from(threads).unwrap_or(1),
        flushes: metrics.flushes.clone(),
        env,
    })?;
    Ok(Arc::new(replicas))
}

/// Returns the broker's epoch at its last stop. As in Kafka, it is `None` unless every log dir has
/// the marker of a clean stop and all markers agree.
fn previous_epoch(log_dirs: &[(LogDir, DirectoryId)]) -> Result<Option<BrokerEpoch>, StartError> {
    let mut epochs = Vec::new();
    for (dir, _) in log_dirs {
        let marker = match dir.clean_shutdown() {
            Err(_) if dir.fault().is_some() => None,
            read => read?,
        };
        epochs.push(marker.and_then(|marker| marker.broker_epoch));
    }
    let first = epochs.first().copied().flatten();
    Ok(first.filter(|_| epochs.iter().all(|epoch| *epoch == first)))
}

/// Creates the search for brokers whose process is gone.
fn search(broker: &Broker, dial: Dial) -> SearchParts {
    SearchParts {
        node_id: broker.node.id,
        controller: broker.controller.clone(),
        image: broker.image.clone(),
        dial,
        clock: broker.env.clock(),
        stopping: broker.stopping.clone(),
    }
}

/// Creates the task that tells the controller in which log dirs replicas are.
fn assignment_sender(broker: &Broker) -> AssignmentSender {
    AssignmentSender {
        assignments: broker.replicas.assignments().clone(),
        node_id: broker.node.id,
        controller: broker.active_controller.with_own_connection(),
        image: broker.image.clone(),
        unfenced: broker.unfenced.clone(),
        stopping: broker.stopping.clone(),
    }
}

/// Builds the registration of this node. A port of 0 becomes the port that the listener got.
fn registration(broker: &Broker, listening: &[Listening], log_dirs: Vec<DirectoryId>) -> Registration {
    let (config, node) = (&broker.config, &broker.node);
    let endpoint = |it: &Advertised| {
        let bound = listening.iter().find(|one| one.listener.name == it.name).map(|one| one.address);
        let host = if it.host.is_empty() { broker.env.host_name() } else { it.host.clone() };
        Endpoint {
            name: it.name.as_str().into(),
            host: host.into(),
            port: if it.port == 0 { bound.map_or(0, |address| address.port()) } else { it.port },
            security_protocol: it.protocol.id(),
        }
    };
    Registration {
        roles: config.roles,
        node_id: node.id.0,
        cluster_id: node.cluster_id.clone(),
        incarnation_id: node.incarnation_id,
        endpoints: config.listeners.advertised.iter().map(endpoint).collect(),
        controller_endpoints: config.listeners.advertised_controller.iter().map(endpoint).collect(),
        rack: config.settings.broker_rack.as_deref().map(Into::into),
        log_dirs,
        previous_epoch: None,
        session: broker.session.clone(),
        heartbeat_interval: config.settings.heartbeat_interval(),
        timeout: Duration::from_millis(
            u64::try_from(config.settings.initial_broker_registration_timeout_ms).unwrap_or(0),
        ),
    }
}

/// Returns the name of each listener and the address that clients are told to connect to. Of a
/// controller alone, it is the address for other nodes and for tools.
fn advertised(registration: &Registration) -> Vec<(String, Address)> {
    let address = |it: &Endpoint| (it.name.to_string(), Address { host: it.host.to_string(), port: it.port });
    let endpoints = match registration.roles.is_broker() {
        true => &registration.endpoints,
        false => &registration.controller_endpoints,
    };
    endpoints.iter().map(address).collect()
}

/// Returns the active controller as this node's services ask it.
fn active_controller(
    config: &NodeConfig,
    local: ControllerHandle,
    peers: &TaskThread,
    dial: &Dial,
) -> ActiveController {
    let timeout_ms = config.settings.broker_session_timeout_ms / 2;
    ActiveController::new(ActiveControllerParts {
        node_id: config.node_id,
        local,
        timeout: Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0)),
        dial: dial.clone(),
        runtime: peers.handle.clone(),
    })
}

/// Returns what sends the raft machine's requests. The connections' tasks run on a thread of their
/// own: elections do not wait while the main thread is busy.
fn send_to_replicas(broker: &Broker, peers: &TaskThread, dial: Dial) -> SendRequest {
    let mut replicas = QuorumPeers::new(QuorumPeersParts {
        node_id: broker.node.id,
        cluster_id: broker.node.cluster_id.clone(),
        timeout: Duration::from_millis(
            u64::try_from(broker.settings().controller_quorum_request_timeout_ms).unwrap_or(0),
        ),
        fetch_timeout: Duration::from_millis(broker.config.quorum_fetch_request_timeout_ms()),
        dial,
        runtime: peers.handle.clone(),
    });
    Box::new(move |to, request, answer| replicas.send(&to, request, answer))
}

/// Builds the parts of the controller's thread, with a raft machine that starts from the files on
/// disk.
fn controller_parts(
    broker: &Broker,
    (directory_id, metadata, bootstrap): (DirectoryId, Opened, Vec<VersionedRecord>),
    publisher: channel::UnboundedSender<Publication>,
    send: SendRequest,
) -> Result<ControllerParts, StartError> {
    let (config, settings, env) = (&broker.config, broker.settings(), broker.env);
    let (raft, actions) = rules::start_raft(config, directory_id, metadata.stored, env)?;
    rules::refuse_unreachable_quorum(&raft, config)?;
    Ok(ControllerParts {
        log: metadata.log,
        raft,
        actions,
        loader: metadata.loader,
        applied: metadata.applied,
        settings: Settings {
            node_id: config.node_id,
            cluster_id: broker.node.cluster_id.to_string(),
            default_partitions: settings.num_partitions,
            default_replication_factor: i16::try_from(settings.default_replication_factor).unwrap_or(i16::MAX),
            min_insync_replicas: settings.min_insync_replicas,
            unclean_leader_election: settings.unclean_leader_election_enable,
            delete_topic_enable: settings.delete_topic_enable,
            broker_session_timeout_ms: i64::from(settings.broker_session_timeout_ms),
        },
        rules: Arc::new(Rules::new(config.clone(), broker.effective.clone())),
        bootstrap,
        publisher,
        send,
        retention: Limits {
            max_bytes: u64::try_from(settings.metadata_max_retention_bytes).ok(),
            max_age_ms: u64::try_from(settings.metadata_max_retention_ms).ok(),
        },
        elections: election_intervals(&settings),
        stopping: broker.stopping.clone(),
        max_idle_ms: Some(i64::from(settings.metadata_max_idle_interval_ms)).filter(|ms| *ms > 0),
        env,
    })
}

/// Returns how often leaders are elected.
fn election_intervals(settings: &BrokerSettings) -> ElectionIntervals {
    let balance_ms = settings.leader_imbalance_check_interval_seconds.saturating_mul(1_000);
    ElectionIntervals {
        balance_ms: settings.auto_leader_rebalance_enable.then_some(balance_ms),
        unclean_ms: Some(settings.unclean_leader_election_interval_ms),
    }
}

impl Running {
    /// Waits until the node can no longer run, and returns why.
    pub async fn failed(&mut self) -> NodeFault {
        match self.faults.recv().await {
            Some(fault) => fault,
            // Every sender has ended, because the node is stopping.
            None => std::future::pending().await,
        }
    }

    /// Stops the node: answers waiting requests, closes the logs, and writes the marker of a clean
    /// stop.
    pub async fn stop(self) {
        let Running { broker, metadata_log_dir, connections, connection_threads, tasks, threads, peers, .. } = self;
        broker.stop_signals.leaving.cancel();
        if broker.image().cluster.brokers.len() > 1 {
            // The others lead first: a connection that ended before would leave its client without
            // anybody who serves it.
            broker.stop_signals.signed_off.cancelled().await;
        }
        broker.stopping.cancel();
        broker.replicas.interrupt();
        // Members that wait for a rebalance, and controller replies that wait for logs to open,
        // must not delay the stop.
        broker.groups.resign_all();
        broker.transactions.resign_all();
        connections.of_clients.close();
        if tokio::time::timeout(CONNECTIONS_END, connections.of_clients.wait()).await.is_err() {
            warn!("connections that did not end in time are closed");
        }
        tasks.close();
        tasks.wait().await;
        // A marker with the epoch of an earlier process would hide what a loss of power took.
        let epoch = broker.node.registered_epoch(&broker.image());
        let (replicas, env) = (broker.replicas.clone(), broker.env);
        if let Err(error) = env.run(move || replicas.close(epoch)).await {
            error!(%error, "the logs could not be closed");
        }
        broker.controller.stop();
        let joined = env.run(move || threads.into_iter().for_each(|thread| drop(thread.join()))).await;
        if let Err(error) = joined {
            error!(%error, "a thread did not end");
        }
        connections.end(&broker).await;
        connection_threads.end();
        connections.serving.close();
        connections.serving.wait().await;
        let joined = env.run(move || {
            connection_threads.join();
            peers.stop();
        });
        if let Err(error) = joined.await {
            error!(%error, "a thread did not end");
        }
        broker.replicas.unlock();
        if let Some(Err(error)) = metadata_log_dir.map(|dir| dir.unlock()) {
            error!(%error, "the lock of metadata.log.dir could not be removed");
        }
        info!("stopped");
    }
}
