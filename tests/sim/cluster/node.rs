//! A node: the whole of Gregor on a simulated disk, on a runtime of its own with paused time. It is
//! started, stopped, paused, killed, or loses its power.

use crate::Check;
use crate::layout::{Layout, Quorum, Roles};
use crate::net::{Host, Net};
use crate::random::Random;
use crate::time::{HostClock, HostTime};
use gregor::broker::Broker;
use gregor::config::NodeConfig;
use gregor::env::Env;
use gregor::node::{Start, start};
use gregor::runtime::format::{FirstVoters, Format};
use metadata::MetadataVersion;
use model::{BrokerId, Uuid};
use parking_lot::Mutex;
use raft::{Endpoint, ReplicaKey, Voter};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::disk::{Crash, Disk, SimDisk};
use storage::{META_PROPERTIES, MetaProperties};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

pub const CLUSTER_ID: &str = "AAAAAAAAAAAAAAAAAAAAAQ";
const LOG_DIR: &str = "/data";
/// Where the metadata log is if a node with both roles may lose it.
const METADATA_DIR: &str = "/metadata";

/// What the tasks of a running node tell the course.
#[derive(Default)]
struct Told {
    broker: Mutex<Option<Arc<Broker>>>,
    /// Why the node ended by itself.
    fault: Mutex<Option<String>>,
    is_stopped: Mutex<bool>,
}

/// A node that runs.
struct Running {
    runtime: Runtime,
    clock: HostClock,
    told: Arc<Told>,
    stop: CancellationToken,
    /// Until when the process is paused.
    paused_until: u64,
}

/// A node, whether it runs or not.
pub struct Node {
    pub host: Host,
    pub disk: SimDisk,
    config: Arc<NodeConfig>,
    metadata_dir: &'static str,
    work_max_ms: usize,
    running: Option<Running>,
    starts: u64,
}

fn metadata_dir(host: Host, layout: &Layout) -> &'static str {
    match layout.roles_of(host) {
        Roles::Both if layout.is_dynamic() => METADATA_DIR,
        _ => LOG_DIR,
    }
}

/// Returns the voters that a new node is formatted with.
fn first_voters(host: Host, layout: &Layout) -> FirstVoters {
    let endpoint =
        |id: Host| Endpoint { listener: "CONTROLLER".into(), host: format!("n{id}").as_str().into(), port: 9093 };
    let voter = |id: &Host| Voter {
        key: ReplicaKey { id: BrokerId(*id as i32), directory_id: Some(Uuid([*id as u8; 16])) },
        endpoints: vec![endpoint(*id)],
        kraft_versions: (0, 1),
    };
    let controllers = layout.controllers();
    match layout.quorum {
        Quorum::Static => FirstVoters::Configured,
        Quorum::Initial => FirstVoters::Initial(controllers.iter().map(voter).collect()),
        Quorum::Standalone if controllers[0] == host => FirstVoters::Standalone(vec![endpoint(host)]),
        Quorum::Standalone => FirstVoters::None,
    }
}

/// Returns the configuration of a node.
fn config(host: Host, layout: &Layout) -> NodeConfig {
    let voters: Vec<String> = layout.controllers().iter().map(|id| format!("{id}@n{id}:9093")).collect();
    let (clients, controllers) = (format!("PLAINTEXT://n{host}:9092"), format!("CONTROLLER://n{host}:9093"));
    let (roles, listeners) = match layout.roles_of(host) {
        Roles::Both => ("broker,controller", format!("{clients},{controllers}")),
        Roles::Broker => ("broker", clients),
        Roles::Controller => ("controller", controllers),
    };
    let quorum = match layout.is_dynamic() {
        false => ("controller.quorum.voters", voters.join(",")),
        true => {
            let servers: Vec<String> = layout.controllers().iter().map(|id| format!("n{id}:9093")).collect();
            ("controller.quorum.bootstrap.servers", servers.join(","))
        }
    };
    let joins = layout.joins && layout.roles_of(host) != Roles::Broker;
    let properties = [
        ("process.roles", roles),
        ("node.id", &host.to_string()),
        ("listeners", &listeners),
        ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"),
        ("controller.listener.names", "CONTROLLER"),
        (quorum.0, &quorum.1),
        ("controller.quorum.auto.join.enable", &joins.to_string()),
        ("log.dirs", LOG_DIR),
        ("metadata.log.dir", metadata_dir(host, layout)),
        ("controller.quorum.fetch.timeout.ms", "1000"),
        ("controller.quorum.election.timeout.ms", "500"),
        ("controller.quorum.request.timeout.ms", &layout.request_timeout_ms.to_string()),
        ("metadata.log.max.record.bytes.between.snapshots", &layout.snapshot_bytes.to_string()),
        ("metadata.max.retention.bytes", "20000"),
        ("broker.session.timeout.ms", "2000"),
        ("broker.heartbeat.interval.ms", "300"),
        ("replica.lag.time.max.ms", "2000"),
        ("replica.fetch.wait.max.ms", "300"),
        ("replica.fetch.backoff.ms", "200"),
        ("replica.socket.timeout.ms", "3000"),
        ("offsets.topic.num.partitions", "1"),
        ("offsets.topic.replication.factor", "3"),
        ("transaction.state.log.num.partitions", "1"),
        ("transaction.state.log.replication.factor", "3"),
        ("transaction.state.log.min.isr", "2"),
        ("transaction.max.timeout.ms", "100000000"),
        ("min.insync.replicas", "2"),
        ("default.replication.factor", "3"),
        ("group.initial.rebalance.delay.ms", "0"),
        ("log.cleaner.enable", "false"),
        ("log.segment.bytes", "1048576"),
        ("replica.high.watermark.checkpoint.interval.ms", "1000"),
    ];
    let properties = properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    NodeConfig::from_properties(&properties, &|_| None).unwrap()
}

impl Node {
    /// Creates the formatted folder of a node, and does not start it.
    pub fn new(host: Host, layout: &Layout, seed: u64) -> Self {
        let metadata_dir = metadata_dir(host, layout);
        let mut node = Self {
            host,
            disk: SimDisk::new(),
            config: Arc::new(config(host, layout)),
            metadata_dir,
            work_max_ms: layout.work_max_ms,
            running: None,
            starts: 0,
        };
        node.format(first_voters(host, layout), seed);
        node
    }

    /// Formats the folders that are not formatted.
    fn format(&mut self, voters: FirstVoters, seed: u64) {
        let formatted: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let mut log_dirs = vec![PathBuf::from(LOG_DIR), PathBuf::from(self.metadata_dir)];
        log_dirs.dedup();
        let format = Format {
            log_dirs,
            metadata_log_dir: PathBuf::from(self.metadata_dir),
            node_id: BrokerId(self.host as i32),
            cluster_id: CLUSTER_ID.into(),
            voters,
            version: MetadataVersion::LATEST,
            features: BTreeMap::new(),
            ignore_formatted: true,
        };
        let runtime = paused_runtime();
        let env = runtime.block_on(async { Env::simulated(HostTime::start(0, seed, 0, 0)) });
        format.run(&formatted, env).unwrap();
    }

    /// Returns the directory id of the metadata log.
    pub fn directory_id(&self) -> Uuid {
        let path = Path::new(self.metadata_dir).join(META_PROPERTIES);
        MetaProperties::read(&self.disk, &path).unwrap().unwrap().directory_id.unwrap()
    }

    /// Replaces the disk of the metadata log by an empty one, which gets a new directory id. The
    /// node must not run.
    pub fn swap_metadata_disk(&mut self, seed: u64) {
        let dir = Path::new(self.metadata_dir);
        empty(&self.disk, dir);
        self.format(FirstVoters::None, seed);
    }

    /// Starts the node.
    pub fn start(&mut self, net: &Net, now_ms: u64, random: &mut Random) {
        let runtime = paused_runtime();
        let (seed, skew_ms) = (random.next(), random.within(-500, 500));
        let clock = runtime.block_on(async { HostTime::start(now_ms, seed, skew_ms, self.work_max_ms) });
        let (told, stop) = (Arc::new(Told::default()), CancellationToken::new());
        let start = Start {
            env: Env::simulated(clock),
            bind: net.bind(self.host, clock),
            dial: net.dial(self.host, clock),
            config: self.config.clone(),
            filter: None,
            http: None,
            disk: Arc::new(self.disk.clone()),
            connection_threads: 1,
            load: Arc::default(),
        };
        runtime.spawn(run(start, told.clone(), stop.clone()));
        self.starts += 1;
        self.running = Some(Running { runtime, clock, told, stop, paused_until: 0 });
    }

    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Runs the node until a time of the course. Returns how the node ended, if it did by itself.
    pub fn run_until(&mut self, at_ms: u64, now_ms: u64) -> Option<String> {
        let running = self.running.as_ref()?;
        if running.paused_until > now_ms {
            return None;
        }
        let at = running.clock.instant(at_ms);
        running.runtime.block_on(async { tokio::time::sleep_until(at).await });
        if *running.told.is_stopped.lock() {
            return Some("stopped".into());
        }
        running.told.fault.lock().clone()
    }

    /// Pauses the process.
    pub fn pause(&mut self, until_ms: u64) {
        if let Some(running) = &mut self.running {
            running.paused_until = until_ms;
        }
    }

    /// Whether the process is paused at a time of the course.
    pub fn is_paused(&self, now_ms: u64) -> bool {
        self.running.as_ref().is_some_and(|running| running.paused_until > now_ms)
    }

    /// Lets the wall clock jump.
    pub fn set_skew(&self, skew_ms: i64) {
        if let Some(running) = &self.running {
            running.clock.set_skew(skew_ms);
        }
    }

    /// Begins a clean stop.
    pub fn begin_stop(&self) {
        if let Some(running) = &self.running {
            running.stop.cancel();
        }
    }

    /// Ends the process at once. What it has written is kept, or, after a power cut, what it has
    /// synced.
    pub fn end(&mut self, net: &Net, now_ms: u64, crash: Crash) {
        let Some(running) = self.running.take() else { return };
        running.clock.die();
        net.lose(self.host, now_ms, crash == Crash::Process);
        drop(running.told.broker.lock().take());
        running.runtime.shutdown_background();
        self.disk.crash(crash);
    }

    /// Returns the services of the node, once it runs.
    pub fn broker(&self) -> Option<Arc<Broker>> {
        self.running.as_ref()?.told.broker.lock().clone()
    }

    /// Whether the node has stopped cleanly.
    pub fn is_stopped(&self) -> bool {
        self.running.as_ref().is_some_and(|running| *running.told.is_stopped.lock())
    }

    /// Whether the node has ended because the disk of its metadata log is full. A real one waits
    /// for room, but the only thread of the simulation must not.
    pub fn has_no_room(&self) -> bool {
        let Some(running) = &self.running else { return false };
        running.told.fault.lock().as_ref().is_some_and(|fault| fault.contains("no storage space"))
    }

    /// Whether the node has refused to start because a part of its metadata log is lost.
    pub fn is_rotten(&self) -> bool {
        let Some(running) = &self.running else { return false };
        running.told.fault.lock().as_ref().is_some_and(|fault| fault.contains("remove every file of the folder except"))
    }

    /// Does what the line of that refusal says, so that the node copies its metadata log again. The
    /// node must not run.
    pub fn remove_metadata_log(&self) {
        let folder = Path::new(self.metadata_dir).join("__cluster_metadata-0");
        for entry in self.disk.list(&folder).unwrap() {
            if entry.name != "quorum-state" {
                self.disk.remove_file(&folder.join(entry.name)).unwrap();
            }
        }
        self.disk.sync_dir(&folder).unwrap();
    }

    /// Returns how often it was started.
    pub fn starts(&self) -> u64 {
        self.starts
    }

    /// Whether the disk has stopped, as planned.
    pub fn has_stopped_disk(&self) -> bool {
        self.running.is_some() && self.disk.has_stopped()
    }

    /// Fails if the node refuses to start or ended for a reason that no fault explains.
    pub fn unexpected(&self, fault: &str) -> Check {
        Err(format!("node {} ended by itself after start {}: {fault}", self.host, self.starts))
    }
}

/// Removes all that is in a folder.
fn empty(disk: &SimDisk, dir: &Path) {
    for entry in disk.list(dir).unwrap() {
        let path = dir.join(&entry.name);
        if entry.is_dir {
            empty(disk, &path);
            disk.remove_dir(&path).unwrap();
        } else {
            disk.remove_file(&path).unwrap();
        }
    }
    disk.sync_dir(dir).unwrap();
}

async fn run(start_of: Start, told: Arc<Told>, stop: CancellationToken) {
    let mut running = match start(start_of).await {
        Ok(running) => running,
        Err(error) => {
            *told.fault.lock() = Some(format!("it did not start: {error:#}"));
            return;
        }
    };
    *told.broker.lock() = Some(running.broker.clone());
    tokio::select! {
        biased;
        fault = running.failed() => {
            *told.fault.lock() = Some(fault.to_string());
            return;
        }
        () = stop.cancelled() => {}
    }
    running.stop().await;
    *told.is_stopped.lock() = true;
}

/// Returns a runtime whose time moves only when everything waits.
pub fn paused_runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}
