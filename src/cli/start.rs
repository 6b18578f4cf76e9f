//! `gregor start`: runs a node until it is told to stop.

use super::Start;
use super::first_start::{NewFolder, PROPERTIES};
use super::signals::Signals;
use crate::broker::Broker;
use crate::config::{
    ADVERTISED_OF_EVERY_INTERFACE, Address, Listener, NewNode, NodeConfig, NotAnAddress, moved_listener,
    new_node_properties,
};
use crate::env::Env;
use crate::net::{self, ThreadLoad, free_loopback_port, measured};
use crate::node::{self, Running};
use crate::peer;
use crate::runtime::format::{FirstVoters, Format};
use crate::runtime::limits;
use crate::telemetry::Logging;
use anyhow::{Context, bail};
use metadata::MetadataVersion;
use model::BrokerId;
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use storage::OPEN_FILES_DEFAULT;
use storage::disk::{Disk, RealDisk};
use tracing::{error, info, warn};

/// The default port of a new node's clients.
const PORT: u16 = 9092;

impl Start {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        if let Some(parent) = self.stop_with {
            stop_with(parent)?;
        }
        limits::use_small_pages();
        let mut logging = Logging::start(self.log.as_deref())?;
        let filter = logging.filter.take();
        let files = limits::raise_file_descriptor_limit();
        say_open_files(files);
        let (config, is_new) = self.config()?;
        let http = self.http(&config);
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let load = Arc::new(ThreadLoad::default());
        // When this thread is busy, connections get their own threads.
        let mut builder = tokio::runtime::Builder::new_current_thread();
        measured(&mut builder, &load, Env::default().clock());
        let runtime = builder.enable_all().build()?;
        runtime.block_on(async move {
            let mut signals = Signals::catch()?;
            let disk = Arc::new(RealDisk);
            let start = node::Start {
                env: Env::default(),
                bind: net::tcp(),
                dial: peer::tcp(),
                config: Arc::new(config),
                filter,
                http,
                disk,
                connection_threads: cores,
                load,
            };
            let mut running = node::start(start).await?;
            say_started(&running, files, is_new.then_some(&logging));
            let broker = running.broker.clone();
            let failed = tokio::select! {
                biased;
                signal = signals.stop(|| say_state(&broker)) => {
                    info!(signal, "stopping");
                    None
                }
                fault = running.failed() => Some(fault),
            };
            let code = match failed {
                None => ExitCode::SUCCESS,
                Some(fault) => {
                    error!("{fault}");
                    ExitCode::FAILURE
                }
            };
            running.stop().await;
            Ok(code)
        })
    }

    /// Returns the node's configuration, and whether its folder was just created.
    fn config(&self) -> anyhow::Result<(NodeConfig, bool)> {
        self.config_on(&(Arc::new(RealDisk) as Arc<dyn Disk>))
    }

    /// The same, with a new folder on the given disk.
    pub(super) fn config_on(&self, disk: &Arc<dyn Disk>) -> anyhow::Result<(NodeConfig, bool)> {
        if let Some(path) = &self.properties {
            return Ok((read(path, &self.overrides)?, false));
        }
        let path = self.data_dir.join(PROPERTIES);
        let new = NewFolder::find(&self.data_dir, disk)?;
        let is_new = new.is_some();
        if let Some(folder) = new {
            self.new_node(folder)?;
        }
        let config = read(&path, &self.overrides)?;
        let Some(address) = &self.listen else { return Ok((config, is_new)) };
        // A listener that is overridden by name wins over this address.
        let moved = moved_listener(&config.listeners, address);
        let overrides: Vec<String> = moved.iter().chain(&self.overrides).cloned().collect();
        Ok((if moved.is_empty() { config } else { read(&path, &overrides)? }, is_new))
    }

    /// Returns the address of the HTTP endpoint; `None` if there is none.
    fn http(&self, config: &NodeConfig) -> Option<Address> {
        self.http.as_ref().or(config.http_listener.as_ref()).cloned()
    }

    /// Creates the folder of a single node: `server.properties`, and a log dir formatted as by
    /// `format --standalone`. If that cannot work, nothing is created. If it fails, nothing is
    /// left.
    fn new_node(&self, folder: NewFolder) -> anyhow::Result<()> {
        let at = self.listen.clone().unwrap_or_else(|| Address { host: "127.0.0.1".into(), port: PORT });
        let log_dir = folder.log_dir();
        // A port that is free now. No other process is told of it, so it is still free a moment
        // later.
        let controller_port = free_loopback_port()?;
        let text = new_node_properties(&NewNode {
            host: &at.host,
            port: at.port,
            advertised_host: at.is_every_interface().then_some(ADVERTISED_OF_EVERY_INTERFACE),
            controller_port,
            log_dir: &text_of(&log_dir)?,
        });
        let config = NodeConfig::of_text(&text, &self.overrides)?;
        if !self.overrides.iter().any(|it| it.trim_start().starts_with("log.dir")) {
            check_log_dir(&self.data_dir, &config, &log_dir)?;
        }
        let format = Format {
            log_dirs: vec![log_dir.clone()],
            metadata_log_dir: log_dir,
            node_id: BrokerId(1),
            cluster_id: Env::default().uuid().to_string(),
            voters: FirstVoters::Standalone(vec![raft::Endpoint {
                listener: "CONTROLLER".into(),
                host: "127.0.0.1".into(),
                port: controller_port,
            }]),
            version: MetadataVersion::LATEST,
            features: BTreeMap::new(),
            ignore_formatted: false,
        };
        folder.create(&format, &text)
    }
}

/// Asks the system for SIGTERM when the process that started this one ends. Errors: it has ended.
fn stop_with(parent: i32) -> anyhow::Result<()> {
    set_parent_process_death_signal(Some(Signal::TERM))?;
    match getppid().map(Pid::as_raw_pid) {
        Some(now) if now == parent => Ok(()),
        _ => bail!("the process {parent} that started this node has ended"),
    }
}

/// Returns a path as the text of a property. Errors: no property can contain it.
pub(super) fn text_of(path: &Path) -> anyhow::Result<String> {
    let text = path.to_str().map(str::to_owned);
    text.with_context(|| format!("--data-dir {}: a path in {PROPERTIES} must be UTF-8; name another", path.display()))
}

/// Checks that the properties of a new node read its log dir as it was written.
pub(super) fn check_log_dir(data_dir: &Path, config: &NodeConfig, log_dir: &Path) -> anyhow::Result<()> {
    if config.log_dirs == [log_dir] {
        return Ok(());
    }
    bail!("--data-dir {}: {}", data_dir.display(), why_not(log_dir));
}

/// Returns why `log.dirs` cannot contain a path.
fn why_not(log_dir: &Path) -> &'static str {
    match log_dir.to_string_lossy().contains(',') {
        true => "log.dirs treats a comma as the end of a path; name a folder without a comma",
        false => "log.dirs would read another path; name a folder with plain letters",
    }
}

/// Parses the argument of `--listen`.
pub(super) fn listen_address(text: &str) -> Result<Address, NotAnAddress> {
    Address::parse_or(text, PORT)
}

fn read(path: &Path, overrides: &[String]) -> anyhow::Result<NodeConfig> {
    let config = NodeConfig::read(path, overrides)?;
    for warning in &config.warnings {
        warn!("{warning}");
    }
    Ok(config)
}

/// The number of files that a process should be able to open: those of segments, and the same
/// number of connections.
const OPEN_FILES_WANTED: u64 = 2 * OPEN_FILES_DEFAULT as u64;

fn say_open_files(files: Option<u64>) {
    if let Some(open_files_max) = files.filter(|files| *files < OPEN_FILES_WANTED) {
        warn!(
            open_files_max,
            "this process may open only a few files, which limits its connections: raise the hard limit (ulimit -Hn, LimitNOFILE=) to {OPEN_FILES_WANTED} or more"
        );
    }
}

/// Logs that the node has started. A new node has hints, which are printed.
fn say_started(running: &Running, files: Option<u64>, hints: Option<&Logging>) {
    let listeners: Vec<String> =
        running.addresses.iter().map(|(name, address)| format!("{name}://{address}")).collect();
    let advertised: Vec<String> =
        running.advertised.iter().map(|(name, address)| format!("{name}://{address}")).collect();
    let dirs: Vec<PathBuf> = node::rules::folders_of(&running.broker.config);
    info!(
        version = env!("CARGO_PKG_VERSION"),
        node_id = %running.broker.node.id,
        process_roles = running.broker.config.roles.names(),
        listeners = listeners.join(","),
        advertised_listeners = advertised.join(","),
        log_dirs = ?dirs,
        cluster_id = %running.broker.node.cluster_id,
        open_files_max = files,
        "Gregor has started"
    );
    for line in unreachable(&running.broker.config.listeners.all, &running.advertised) {
        warn!("{line}");
    }
    if let (Some(logging), Some((_, address))) = (hints, running.advertised.first()) {
        logging.remark(format_args!(
            "\nTry it:\n  echo hello | kcat -b {address} -t greetings -P\n  kcat -b {address} -t greetings -C -e\n  kafka-topics.sh --bootstrap-server {address} --list\n"
        ));
    }
}

/// Returns a remark for each listener that other machines can reach, but whose advertised address
/// leads them to themselves.
fn unreachable(listeners: &[Listener], advertised: &[(String, Address)]) -> Vec<String> {
    let is_open = |listener: &Listener| {
        let address = Address { host: listener.host.clone(), port: listener.port };
        !address.is_loopback() && !listener.is_controller
    };
    let open = listeners.iter().filter(|listener| is_open(listener));
    let lines = open.filter_map(|listener| {
        let (name, address) = advertised.iter().find(|(name, _)| *name == listener.name)?;
        address.is_loopback().then(|| {
            format!(
                "clients on other machines are told to connect to {address}, which is their own machine: to serve them, set the \
                 address of this node with --override advertised.listeners={name}://HOST:{}",
                address.port
            )
        })
    });
    lines.collect()
}

/// Logs the state of the node in one line: the answer to SIGQUIT.
fn say_state(broker: &Broker) {
    let not_ready_because = broker.not_ready_because();
    info!(
        connections = broker.metrics.connections.get(),
        partitions = broker.replicas.len(),
        offline_log_dirs = broker.replicas.offline_dirs().len(),
        not_ready_because,
        "this node is running (SIGQUIT)"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Arguments, Command};
    use clap::Parser as _;
    use std::fs;

    fn start(words: &[&str]) -> Start {
        match Arguments::try_parse_from(["gregor", "start"].iter().chain(words)).map(|it| it.command) {
            Ok(Some(Command::Start(start))) => start,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_folder_listens_on_the_address_of_the_last_start() {
        let home = tempfile::tempdir().unwrap();
        let data_dir = home.path().join("data");
        let data_dir = data_dir.to_str().unwrap();
        let config = |words: &[&str]| {
            let words = [&["--data-dir", data_dir], words].concat();
            let (config, is_new) = start(&words).config().unwrap();
            let (listens, told) = (&config.listeners.all[0], &config.listeners.advertised[0]);
            let addresses = [(&listens.host, listens.port), (&told.host, told.port)];
            (addresses.map(|(host, port)| format!("{host}:{port}")), is_new)
        };
        let both = |text: &str| [text.to_owned(), text.to_owned()];
        assert_eq!(config(&[]), (both("127.0.0.1:9092"), true));
        assert_eq!(config(&[]), (both("127.0.0.1:9092"), false));
        assert_eq!(config(&["--listen", "box:1"]), (both("box:1"), false));
        assert_eq!(config(&["--listen=:1"]), (["", "localhost"].map(|host| format!("{host}:1")), false));
        // A start without the argument listens where the folder was created to listen.
        assert_eq!(config(&[]), (both("127.0.0.1:9092"), false));
        let by_name = ["--listen=box:1", "--override", "advertised.listeners=PLAINTEXT://x:2"];
        assert_eq!(config(&by_name), (["box:1", "x:2"].map(str::to_owned), false));
    }

    #[test]
    fn a_folder_of_any_name_works_or_is_refused_before_any_change() {
        use std::os::unix::ffi::OsStrExt as _;
        let home = tempfile::tempdir().unwrap();
        let names: [&[u8]; 13] = [
            b"plain",
            b" blanks around ",
            b"a\tb\n",
            b"back\\slash",
            b"u\\u0041",
            b"#hash!",
            b"a=b:c",
            "n\u{f6}\u{1f600}".as_bytes(),
            b"${env:HOME}",
            b"quote\"'",
            b"%41",
            b"a;b",
            b"\x01control\x7f",
        ];
        for name in names {
            let data_dir = home.path().join(std::ffi::OsStr::from_bytes(name)).join("deep");
            let start = Start { data_dir: data_dir.clone(), ..Start::default() };
            let (config, is_new) = start.config().unwrap();
            assert_eq!((config.log_dirs, is_new), (vec![fs::canonicalize(&data_dir).unwrap().join("logs")], true));
            assert_eq!(start.config().unwrap().0.log_dirs, [data_dir.join("logs")]);
            fs::remove_dir_all(home.path().join(std::ffi::OsStr::from_bytes(name))).unwrap();
        }
        for (name, named) in [(&b"a, b"[..], "without a comma"), (b",", "without a comma"), (b"\xff", "must be UTF-8")]
        {
            let data_dir = home.path().join(std::ffi::OsStr::from_bytes(name)).join("deep");
            let error = Start { data_dir, ..Start::default() }.config().unwrap_err().to_string();
            assert!(error.contains(named) && error.starts_with("--data-dir "), "{error}");
        }
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_first_start_that_fails_leaves_nothing_behind() {
        let home = tempfile::tempdir().unwrap();
        let data_dir = home.path().join("a").join("b");
        let overrides = vec!["num.partitions=many".to_owned()];
        let start = Start { data_dir: data_dir.clone(), overrides, ..Start::default() };
        assert!(start.config().unwrap_err().to_string().contains("num.partitions"));
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    }

    #[test]
    fn an_advertised_loopback_address_of_a_reachable_listener_is_reported() {
        let lines = |listens: &str, advertised: &[&str]| {
            let home = tempfile::tempdir().unwrap();
            let data_dir = home.path().to_str().unwrap();
            let listen = format!("--listen={listens}");
            let (config, _) = start(&[&["--data-dir", data_dir, &listen], advertised].concat()).config().unwrap();
            let told = config.listeners.advertised.iter();
            let told = told.map(|it| (it.name.clone(), Address { host: it.host.clone(), port: it.port }));
            unreachable(&config.listeners.all, &told.collect::<Vec<_>>())
        };
        for listens in ["0.0.0.0:19092", ":19092", "[::]:19092"] {
            let [line] = lines(listens, &[]).try_into().unwrap();
            assert!(line.contains("localhost:19092,") && line.ends_with("PLAINTEXT://HOST:19092"), "{line}");
        }
        let chosen = ["--override", "advertised.listeners=PLAINTEXT://box.example:19092"];
        assert!(lines("0.0.0.0:19092", &chosen).is_empty());
        assert!(lines("127.0.0.1:19092", &[]).is_empty());
        assert!(lines("[::1]:19092", &[]).is_empty());
        assert!(lines("localhost:19092", &[]).is_empty());
    }

    #[test]
    fn http_is_served_where_the_command_line_says_and_else_where_the_file_does() {
        let home = tempfile::tempdir().unwrap();
        let data_dir = home.path().to_str().unwrap();
        let http = |words: &[&str]| {
            let start = start(&[&["--data-dir", data_dir], words].concat());
            let (config, _) = start.config().unwrap();
            start.http(&config).map(|address| address.to_string())
        };
        assert_eq!(http(&[]), None);
        assert_eq!(http(&["--override", "gregor.http.listener=:9644"]).as_deref(), Some(":9644"));
        let both = ["--override", "gregor.http.listener=:9644", "--http", "localhost:1"];
        assert_eq!(http(&both).as_deref(), Some("localhost:1"));
    }

    #[test]
    fn an_invalid_address_is_an_error_of_one_line() {
        let cases = [
            ("--listen", "19092", 19092),
            ("--listen", "box", 9092),
            ("--http", "8080", 8080),
            ("--http", "box", 9644),
        ];
        for (word, text, port) in cases {
            let error = Arguments::try_parse_from(["gregor", "start", word, text]).unwrap_err().to_string();
            let line = error.lines().next().unwrap_or_default();
            let wanted = format!(
                "error: invalid value '{text}' for '{word} <HOST:PORT>': it takes HOST:PORT, such as 127.0.0.1:{port} or :{port}"
            );
            assert_eq!(line, wanted);
        }
    }
}
