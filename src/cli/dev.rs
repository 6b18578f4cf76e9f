//! `gregor dev`: a local cluster with one command. Each node is a process of its own, so that one
//! of them can be killed and the others seen to go on.
//!
//! The folder has one folder for each node, with what `gregor start` needs: `server.properties` and
//! a formatted log dir. Everything else follows from the first node: the cluster's id is in its
//! `meta.properties`, the number of nodes and the ports in its `server.properties`. So a first
//! start that is killed is completed by the next one.

use super::first_start::{NewFolder, PROPERTIES};
use super::signals::Signals;
use super::start::{check_log_dir, text_of};
use super::{Dev, output};
use crate::config::{Address, ClusterNode, NodeConfig, cluster_node_properties};
use crate::env::Env;
use crate::peer;
use crate::runtime::format::{FirstVoters, Format};
use anyhow::{Context as _, bail};
use metadata::MetadataVersion;
use model::{BrokerId, DirectoryId, Uuid};
use raft::{Endpoint, ReplicaKey, Voter};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;
use storage::disk::{Disk, RealDisk};
use storage::{META_PROPERTIES, MetaProperties};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

/// The nodes of a cluster, if the arguments do not say how many.
const NODES: u16 = 3;
/// The most nodes on one machine.
pub(super) const NODES_MAX: u16 = 9;
/// The port of the first node's clients.
const PORT: u16 = 9092;
/// The host of all nodes.
const HOST: &str = "127.0.0.1";
/// The log of a node, in its folder.
const LOG: &str = "gregor.log";
/// How often a node that starts is asked whether it serves clients.
const ASK_INTERVAL: Duration = Duration::from_millis(100);
/// An ApiVersions request in version 0, with its length: key 18, correlation id 0, no client id.
const API_VERSIONS: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

/// The size and the ports of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    nodes: u16,
    /// The port of the first node's clients. The ports of the other nodes' clients follow, and then
    /// those of the controllers.
    port: u16,
}

impl Shape {
    fn client_port(self, node: u16) -> u16 {
        self.port + node - 1
    }

    fn controller_port(self, node: u16) -> u16 {
        self.port + self.nodes + node - 1
    }
}

/// A node of the cluster.
struct DevNode {
    number: u16,
    folder: PathBuf,
    address: Address,
}

impl Dev {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let nodes = self.nodes_on(&(Arc::new(RealDisk) as Arc<dyn Disk>))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(supervise(&nodes))
    }

    /// Creates what is missing in the folder, and returns the nodes.
    fn nodes_on(&self, disk: &Arc<dyn Disk>) -> anyhow::Result<Vec<DevNode>> {
        let (cluster_id, shape) = match self.known(&**disk)? {
            Some(known) => known,
            None => (Env::default().uuid(), self.shape()?),
        };
        let mut nodes = Vec::new();
        for number in 1..=shape.nodes {
            let folder = self.folder(number);
            if let Some(new) = NewFolder::find(&folder, disk)? {
                self.create(new, cluster_id, (number, shape))?;
            }
            let address = Address { host: HOST.into(), port: shape.client_port(number) };
            nodes.push(DevNode { number, folder, address });
        }
        Ok(nodes)
    }

    fn folder(&self, node: u16) -> PathBuf {
        self.data_dir.join(format!("node-{node}"))
    }

    /// Returns the shape of a new cluster. Errors: it has no place among the ports.
    fn shape(&self) -> anyhow::Result<Shape> {
        let shape = Shape { nodes: self.nodes.unwrap_or(NODES), port: self.port.unwrap_or(PORT) };
        match shape.port.checked_add(2 * shape.nodes) {
            Some(_) if shape.port > 0 => Ok(shape),
            _ => bail!("--port {}: {} nodes need {} ports from there on", shape.port, shape.nodes, 2 * shape.nodes),
        }
    }

    /// Returns the id and the shape of a cluster that is there. Errors: the arguments want another
    /// one, or the folder is not from this command.
    fn known(&self, disk: &dyn Disk) -> anyhow::Result<Option<(Uuid, Shape)>> {
        let first = self.folder(1);
        let file = first.join(PROPERTIES);
        if !file.exists() {
            return Ok(None);
        }
        let config = NodeConfig::read(&file, &[])?;
        let meta = MetaProperties::read(disk, &config.metadata_log_dir.join(META_PROPERTIES))?;
        let cluster_id = meta.and_then(|meta| meta.cluster_id).and_then(|id| id.parse().ok());
        let listener = config.listeners.all.iter().find(|listener| !listener.is_controller);
        let nodes = u16::try_from(config.bootstrap_servers.len()).ok().filter(|nodes| (1..=NODES_MAX).contains(nodes));
        let (Some(cluster_id), Some(listener), Some(nodes)) = (cluster_id, listener, nodes) else {
            bail!("{} is not from `gregor dev`; name another folder with --data-dir", first.display());
        };
        let shape = Shape { nodes, port: listener.port };
        let wanted = Shape { nodes: self.nodes.unwrap_or(nodes), port: self.port.unwrap_or(shape.port) };
        if wanted != shape {
            bail!(
                "{} has {} nodes from port {} on; leave out --nodes and --port, or name another folder with --data-dir",
                self.data_dir.display(),
                shape.nodes,
                shape.port
            );
        }
        Ok(Some((cluster_id, shape)))
    }

    /// Creates the folder of one node.
    fn create(&self, folder: NewFolder, cluster_id: Uuid, (number, shape): (u16, Shape)) -> anyhow::Result<()> {
        let log_dir = folder.log_dir();
        let controllers: Vec<u16> = (1..=shape.nodes).map(|node| shape.controller_port(node)).collect();
        let text = cluster_node_properties(&ClusterNode {
            number,
            host: HOST,
            port: shape.client_port(number),
            controller_port: shape.controller_port(number),
            controller_ports: &controllers,
            log_dir: &text_of(&log_dir)?,
        });
        check_log_dir(&self.data_dir, &NodeConfig::of_text(&text, &[])?, &log_dir)?;
        let format = Format {
            log_dirs: vec![log_dir.clone()],
            metadata_log_dir: log_dir,
            node_id: BrokerId(i32::from(number)),
            cluster_id: cluster_id.to_string(),
            voters: FirstVoters::Initial(voters(cluster_id, shape)),
            version: MetadataVersion::LATEST,
            features: BTreeMap::new(),
            ignore_formatted: false,
        };
        folder.create(&format, &text)
    }
}

/// Returns the first voters. Their directory ids follow from the cluster's id, so that every start
/// gives each node the same.
fn voters(cluster_id: Uuid, shape: Shape) -> Vec<Voter> {
    let voter = |node: u16| {
        let mut id = cluster_id.0;
        id[15] ^= u8::try_from(node).unwrap_or(u8::MAX);
        let directory: DirectoryId = Uuid(id);
        let at = Endpoint { listener: "CONTROLLER".into(), host: HOST.into(), port: shape.controller_port(node) };
        Voter {
            key: ReplicaKey { id: BrokerId(i32::from(node)), directory_id: Some(directory) },
            endpoints: vec![at],
            kraft_versions: (0, 1),
        }
    };
    (1..=shape.nodes).map(voter).collect()
}

/// Starts the nodes, and runs them until a signal requests a stop or none of them runs any more.
async fn supervise(nodes: &[DevNode]) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::catch()?;
    let mut ended = JoinSet::new();
    let mut running = BTreeMap::new();
    for node in nodes {
        let child = node.start()?;
        running.insert(node.number, child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw));
        let number = node.number;
        ended.spawn(wait(number, child));
    }
    let ready = tell_when_ready(nodes, running.clone());
    tokio::pin!(ready);
    let mut is_ready = false;
    while !running.is_empty() {
        tokio::select! {
            biased;
            signal = signals.stop(|| output::remark(format_args!("{} nodes run", running.len()))) => {
                output::remark(format_args!("{signal}: stopping all nodes"));
                stop(&running);
                while ended.join_next().await.is_some() {}
                return Ok(ExitCode::SUCCESS);
            }
            Some(Ok((number, status))) = ended.join_next() => {
                running.remove(&number);
                if let Some(node) = nodes.iter().find(|node| node.number == number) {
                    output::remark(node.ended(status, is_ready));
                }
                if !is_ready {
                    stop(&running);
                    while ended.join_next().await.is_some() {}
                    return Ok(ExitCode::FAILURE);
                }
            }
            () = &mut ready, if !is_ready => is_ready = true,
        }
    }
    Ok(ExitCode::FAILURE)
}

async fn wait(number: u16, mut child: Child) -> (u16, Option<ExitStatus>) {
    (number, child.wait().await.ok())
}

fn stop(running: &BTreeMap<u16, Option<Pid>>) {
    for pid in running.values().flatten() {
        // It may have ended already.
        let _ = kill_process(*pid, Signal::TERM);
    }
}

/// Waits until every node serves clients, and prints how to use the cluster.
async fn tell_when_ready(nodes: &[DevNode], running: BTreeMap<u16, Option<Pid>>) {
    for node in nodes {
        while !node.serves().await {
            tokio::time::sleep(ASK_INTERVAL).await;
        }
    }
    let mut text = String::new();
    for node in nodes {
        let pid = running.get(&node.number).copied().flatten().map_or(0, Pid::as_raw_pid);
        let (number, address, log) = (node.number, &node.address, node.folder.join(LOG));
        let _ = writeln!(text, "node {number}  {address}  pid {pid}  {}", log.display());
    }
    if let Some(DevNode { address, .. }) = nodes.first() {
        let _ = write!(
            text,
            "\nThe cluster is ready; Ctrl-C stops all nodes. Try it:\n  echo hello | kcat -b {address} -t greetings -P\n  \
             kcat -b {address} -t greetings -C -e\n  kcat -b {address} -L\n  kafka-metadata-quorum.sh --bootstrap-server {address} describe --status\n"
        );
    }
    output::remark(text);
}

impl DevNode {
    /// Starts the node. Its log is a file in its folder. It stops when this process ends.
    fn start(&self) -> anyhow::Result<Child> {
        let log = self.folder.join(LOG);
        let file = OpenOptions::new().create(true).append(true).open(&log);
        let file = file.with_context(|| format!("{} cannot be written", log.display()))?;
        let binary = std::env::current_exe().context("the path of this program is not known")?;
        Command::new(binary)
            .arg("start")
            .arg(self.folder.join(PROPERTIES))
            .args(["--stop-with", &std::process::id().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .with_context(|| format!("node {} cannot be started", self.number))
    }

    /// Whether the node answers clients.
    async fn serves(&self) -> bool {
        let asked = async {
            let mut stream = peer::tcp()(&self.address.host, self.address.port).await?;
            stream.write_all(&API_VERSIONS).await?;
            stream.read_u32().await
        };
        tokio::time::timeout(ASK_INTERVAL * 10, asked).await.is_ok_and(|answered| answered.is_ok())
    }

    /// Returns the line about a node that ended.
    fn ended(&self, status: Option<ExitStatus>, is_ready: bool) -> String {
        let status = status.map_or_else(|| "it is gone".to_owned(), |status| status.to_string());
        let (number, shown) = (self.number, self.folder.display());
        match is_ready {
            true => format!(
                "node {number} has ended ({status}); the others go on. It comes back with: gregor start {shown}/{PROPERTIES}"
            ),
            false => format!("node {number} did not start: {}", last_error(&self.folder.join(LOG)).unwrap_or(status)),
        }
    }
}

/// Returns the last line of a log.
fn last_error(log: &Path) -> Option<String> {
    let text = fs::read(log).ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let last = text.lines().rfind(|line| line.contains("ERROR") || line.starts_with("gregor: "));
    last.or_else(|| text.lines().last()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dev(data_dir: &Path) -> Dev {
        Dev { nodes: None, port: None, data_dir: data_dir.to_path_buf() }
    }

    fn disk() -> Arc<dyn Disk> {
        Arc::new(RealDisk)
    }

    fn of(nodes: &[DevNode]) -> Vec<(u16, u16)> {
        nodes.iter().map(|node| (node.number, node.address.port)).collect()
    }

    #[test]
    fn a_cluster_folder_is_created_once_and_kept() {
        let home = tempfile::tempdir().unwrap();
        let data_dir = home.path().join("cluster");
        let nodes = dev(&data_dir).nodes_on(&disk()).unwrap();
        assert_eq!(of(&nodes), [(1, 9092), (2, 9093), (3, 9094)]);
        let mut clusters = Vec::new();
        for node in &nodes {
            let config = NodeConfig::read(&node.folder.join(PROPERTIES), &[]).unwrap();
            assert_eq!(config.warnings, Vec::<String>::new());
            assert_eq!(config.bootstrap_servers, ["127.0.0.1:9095", "127.0.0.1:9096", "127.0.0.1:9097"]);
            assert_eq!(config.settings.default_replication_factor, 3);
            let meta =
                MetaProperties::read(&RealDisk, &config.metadata_log_dir.join(META_PROPERTIES)).unwrap().unwrap();
            clusters.push((meta.cluster_id.unwrap(), meta.directory_id.unwrap()));
        }
        assert!(clusters.iter().all(|(id, _)| *id == clusters[0].0));
        let voters = voters(clusters[0].0.parse().unwrap(), Shape { nodes: 3, port: 9092 });
        let ids: Vec<DirectoryId> = voters.iter().filter_map(|voter| voter.key.directory_id).collect();
        assert_eq!(clusters.iter().map(|(_, id)| *id).collect::<Vec<_>>(), ids);
        assert_eq!(of(&dev(&data_dir).nodes_on(&disk()).unwrap()), of(&nodes));
        let more = Dev { nodes: Some(5), ..dev(&data_dir) };
        let error = more.nodes_on(&disk()).err().unwrap().to_string();
        assert!(error.contains("has 3 nodes from port 9092 on"), "{error}");
    }

    /// Whatever node was created last, the next start creates the others for the same cluster.
    #[test]
    fn a_first_start_that_was_killed_is_completed() {
        let home = tempfile::tempdir().unwrap();
        let five = Dev { nodes: Some(5), port: Some(10_000), ..dev(home.path()) };
        let nodes = five.nodes_on(&disk()).unwrap();
        let meta = |node: &DevNode| fs::read_to_string(node.folder.join("logs").join(META_PROPERTIES)).unwrap();
        let ids =
            |text: String| text.lines().filter(|line| line.contains("id=")).map(str::to_owned).collect::<Vec<_>>();
        let before: Vec<_> = nodes.iter().map(|node| ids(meta(node))).collect();
        for node in &nodes[2..] {
            fs::remove_dir_all(&node.folder).unwrap();
        }
        let nodes = dev(home.path()).nodes_on(&disk()).unwrap();
        assert_eq!(of(&nodes).last(), Some(&(5, 10_004)));
        assert_eq!(nodes.iter().map(|node| ids(meta(node))).collect::<Vec<_>>(), before);
    }

    #[test]
    fn a_cluster_without_room_among_the_ports_is_refused_before_any_change() {
        let home = tempfile::tempdir().unwrap();
        for port in [0, 65_531] {
            let at = Dev { port: Some(port), ..dev(&home.path().join("c")) };
            assert!(at.nodes_on(&disk()).err().unwrap().to_string().contains("need 6 ports"));
        }
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    }
}
