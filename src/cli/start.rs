//! `gregor start`: runs a node until it is told to stop.

use super::Start;
use crate::config::{NewNode, NodeConfig, new_node_properties};
use crate::net::free_loopback_port;
use crate::node::{self, Running};
use crate::runtime::clock::Clock;
use crate::runtime::format::{FirstVoters, Format};
use crate::runtime::{limits, random};
use crate::telemetry::init_logging;
use anyhow::{Context, bail};
use metadata::MetadataVersion;
use model::BrokerId;
use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use storage::disk::{Disk, RealDisk};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};

/// The configuration that a folder of its own gets.
const PROPERTIES: &str = "server.properties";
/// Threads of the runtime, at most: more than cores gain nothing.
const WORKERS_MAX: usize = 16;

impl Start {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let filter = init_logging();
        let files = limits::raise_file_descriptor_limit();
        let (config, is_new) = self.config()?;
        let http = self.http(&config)?;
        let workers = std::thread::available_parallelism().map_or(2, usize::from).min(WORKERS_MAX);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
        runtime.block_on(async move {
            let mut terminate = signal(SignalKind::terminate())?;
            let mut interrupt = signal(SignalKind::interrupt())?;
            let mut running = node::start(node::Start { config: Arc::new(config), filter, http }).await?;
            say_started(&running, files, is_new);
            let failed = tokio::select! {
                _ = terminate.recv() => None,
                _ = interrupt.recv() => None,
                fault = running.failed() => Some(fault),
            };
            let code = match failed {
                None => ExitCode::SUCCESS,
                Some(fault) => {
                    error!(error = %fault, "the metadata log failed, and with it this node");
                    ExitCode::FAILURE
                }
            };
            running.stop().await;
            Ok(code)
        })
    }

    /// The node's configuration, and whether its folder was made just now.
    fn config(&self) -> anyhow::Result<(NodeConfig, bool)> {
        if let Some(path) = &self.properties {
            return Ok((read(path, &self.overrides)?, false));
        }
        let path = self.data_dir.join(PROPERTIES);
        if path.exists() {
            let mut config = read(&path, &self.overrides)?;
            self.move_listener(&path, &mut config)?;
            return Ok((config, false));
        }
        self.new_node(&path)?;
        Ok((read(&path, &self.overrides)?, true))
    }

    /// A folder that listens elsewhere than it is told to now goes on where it is told to.
    fn move_listener(&self, path: &Path, config: &mut NodeConfig) -> anyhow::Result<()> {
        let (host, port) = host_and_port(&self.listen)?;
        let clients = config.listeners.all.iter().find(|listener| !listener.is_controller);
        let moved = clients.is_some_and(|listener| listener.host != host || listener.port != port);
        if !moved || std::env::args().all(|word| !word.starts_with("--listen")) {
            return Ok(());
        }
        let Some(controller) = config.listeners.all.iter().find(|listener| listener.is_controller) else {
            return Ok(());
        };
        let listeners = format!(
            "listeners=PLAINTEXT://{}:{port},{}://{}:{}",
            bracketed(&host),
            controller.name,
            controller.host,
            controller.port
        );
        let overrides: Vec<String> = self.overrides.iter().cloned().chain([listeners]).collect();
        *config = read(path, &overrides)?;
        Ok(())
    }

    /// Makes a folder for a node alone: `server.properties`, and the log dir formatted as `format --standalone` does.
    fn new_node(&self, path: &Path) -> anyhow::Result<()> {
        let (host, port) = host_and_port(&self.listen)?;
        let folder = &self.data_dir;
        fs::create_dir_all(folder).with_context(|| format!("{} cannot be created", folder.display()))?;
        if fs::read_dir(folder)?.next().is_some() {
            bail!(
                "{} is not empty and has no {PROPERTIES}; name an empty folder with --data-dir, or a configuration: gregor start server.properties",
                folder.display()
            );
        }
        let folder = fs::canonicalize(folder)?;
        let log_dir = folder.join("logs");
        // A port that is free now; nobody else is told of it, so it is still free in a moment.
        let controller_port = free_loopback_port()?;
        let text = new_node_properties(&NewNode {
            host: &host,
            port,
            advertised_host: matches!(host.as_str(), "" | "0.0.0.0" | "::").then_some("localhost"),
            controller_port,
            log_dir: &log_dir.display().to_string(),
        });
        let format = Format {
            log_dirs: vec![log_dir.clone()],
            metadata_log_dir: log_dir,
            node_id: BrokerId(1),
            cluster_id: random::uuid().to_string(),
            voters: FirstVoters::Standalone(vec![raft::Endpoint {
                listener: "CONTROLLER".into(),
                host: "127.0.0.1".into(),
                port: controller_port,
            }]),
            version: MetadataVersion::LATEST,
            features: BTreeMap::new(),
            ignore_formatted: false,
        };
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        format.run(&disk, Clock)?;
        // Last, since a folder with it is taken for complete.
        fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
    }

    fn http(&self, config: &NodeConfig) -> anyhow::Result<Option<SocketAddr>> {
        match (&self.http, &config.http_listener) {
            (Some(address), _) => Ok(Some(*address)),
            (None, Some(text)) => {
                Ok(Some(text.parse().with_context(|| format!("gregor.http.listener={text} is no address and port"))?))
            }
            (None, None) => Ok(None),
        }
    }
}

fn read(path: &Path, overrides: &[String]) -> anyhow::Result<NodeConfig> {
    let config = NodeConfig::read(path, overrides)?;
    for warning in &config.warnings {
        warn!("{warning}");
    }
    Ok(config)
}

fn host_and_port(text: &str) -> anyhow::Result<(String, u16)> {
    let wanted = || format!("--listen {text}: it takes HOST:PORT");
    let (host, port) = text.rsplit_once(':').with_context(wanted)?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Ok((host.to_string(), port.parse().with_context(wanted)?))
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_string() }
}

fn say_started(running: &Running, files: Option<u64>, is_new: bool) {
    let listeners: Vec<String> =
        running.addresses.iter().map(|(name, address)| format!("{name}://{address}")).collect();
    let dirs: Vec<PathBuf> = running.broker.config.log_dirs.clone();
    info!(
        version = env!("CARGO_PKG_VERSION"),
        node_id = %running.broker.node.id,
        listeners = listeners.join(","),
        log_dirs = ?dirs,
        cluster_id = %running.broker.node.cluster_id,
        open_files_max = files,
        "Gregor has started"
    );
    let clients = running.broker.config.listeners.all.iter().position(|listener| !listener.is_controller);
    if let (true, Some((_, address))) = (is_new, clients.and_then(|index| running.addresses.get(index))) {
        eprintln!(
            "\nTry it:\n  echo hello | kcat -b {address} -t greetings -P\n  kcat -b {address} -t greetings -C -e\n  kafka-topics.sh --bootstrap-server {address} --list\n"
        );
    }
}
