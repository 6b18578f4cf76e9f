//! A node in this process, with its own folder and a free port.

use crate::client::{Client, until};
use gregor::config::{NewNode, NodeConfig, new_node_properties};
use gregor::env::Env;
use gregor::node::{Running, Start, start};
use gregor::runtime::format::{FirstVoters, Format};
use gregor::{net, peer};
use metadata::MetadataVersion;
use model::BrokerId;
use protocol::messages::metadata_request::MetadataRequest;
use protocol::messages::metadata_response::MetadataResponse;
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::disk::{Disk, RealDisk};
use tempfile::TempDir;

/// The cluster of all tests.
pub const CLUSTER_ID: &str = "AAAAAAAAAAAAAAAAAAAAAQ";

/// A formatted folder with its configuration.
pub struct Home {
    dir: TempDir,
}

impl Home {
    /// Creates the folder of a new node, formatted as `gregor format --standalone` does.
    pub fn new() -> Self {
        Self::on(&(Arc::new(RealDisk) as Arc<dyn Disk>))
    }

    /// Creates such a folder on the given disk.
    pub fn on(disk: &Arc<dyn Disk>) -> Self {
        let endpoint = raft::Endpoint { listener: "CONTROLLER".into(), host: "127.0.0.1".into(), port: 9093 };
        Self::formatted(disk, 1, (FirstVoters::Standalone(vec![endpoint]), MetadataVersion::LATEST))
    }

    /// Creates the folder of a node whose voters are in its configuration.
    pub fn of_voter(node_id: i32) -> Self {
        Self::of_voter_at(MetadataVersion::LATEST, node_id)
    }

    /// Creates such a folder for a new cluster at an older `metadata.version`.
    pub fn of_voter_at(version: MetadataVersion, node_id: i32) -> Self {
        Self::formatted(&(Arc::new(RealDisk) as Arc<dyn Disk>), node_id, (FirstVoters::Configured, version))
    }

    /// Creates the folder of a node whose voters are in its configuration, on the given disk.
    pub fn of_voter_on(disk: &Arc<dyn Disk>, node_id: i32) -> Self {
        Self::formatted(disk, node_id, (FirstVoters::Configured, MetadataVersion::LATEST))
    }

    fn formatted(disk: &Arc<dyn Disk>, node_id: i32, (voters, version): (FirstVoters, MetadataVersion)) -> Self {
        let this = Self::unformatted();
        let log_dir = this.log_dir();
        let format = Format {
            log_dirs: vec![log_dir.clone()],
            metadata_log_dir: log_dir,
            node_id: BrokerId(node_id),
            cluster_id: CLUSTER_ID.into(),
            voters,
            version,
            features: BTreeMap::new(),
            ignore_formatted: false,
        };
        format.run(disk, Env::default()).unwrap();
        this
    }

    pub fn unformatted() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log_dir = dir.path().join("logs");
        let node = NewNode {
            host: "127.0.0.1",
            port: 0,
            advertised_host: None,
            controller_port: 9093,
            log_dir: log_dir.to_str().unwrap(),
        };
        fs::write(dir.path().join("server.properties"), new_node_properties(&node)).unwrap();
        Self { dir }
    }

    /// Copies the folder as the system sees it now. This is what a killed process would leave.
    pub fn copied(&self) -> Self {
        let copy = Self::unformatted();
        copy_files(&self.log_dir(), &copy.log_dir());
        copy
    }

    pub fn log_dir(&self) -> PathBuf {
        self.dir.path().join("logs")
    }

    pub fn properties(&self) -> PathBuf {
        self.dir.path().join("server.properties")
    }

    /// Starts a node on the folder. Fails with the line that a user would see.
    pub async fn start(&self, overrides: &[&str]) -> Result<Node, String> {
        self.start_on(Arc::new(RealDisk), overrides).await
    }

    /// Starts a node on the folder, with its files on the disk of the test.
    pub async fn start_on(&self, disk: Arc<dyn Disk>, overrides: &[&str]) -> Result<Node, String> {
        let ports = "listeners=PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0";
        let overrides: Vec<String> = [ports].iter().chain(overrides).map(|text| (*text).to_owned()).collect();
        let config = NodeConfig::read(&self.properties(), &overrides).map_err(|error| error.to_string())?;
        let http = Some("localhost:0".parse().unwrap());
        let config = Arc::new(config);
        let (connection_threads, load) = (2, Arc::default());
        let running = start(Start {
            env: Env::default(),
            bind: net::tcp(),
            dial: peer::tcp(),
            config,
            filter: None,
            http,
            disk,
            connection_threads,
            load,
        })
        .await;
        Ok(Node { running: running.map_err(|error| format!("{error:#}"))? })
    }

    /// Starts a node on the folder and waits until it serves every partition that is not offline.
    pub async fn ready(&self, overrides: &[&str]) -> Node {
        self.ready_on(Arc::new(RealDisk), overrides).await
    }

    pub async fn ready_on(&self, disk: Arc<dyn Disk>, overrides: &[&str]) -> Node {
        let node = self.start_on(disk, overrides).await.unwrap();
        let mut client = node.client().await;
        until("a broker that serves its partitions", async || {
            // Each round sends a request, so this is not a busy loop.
            let request = MetadataRequest { topics: Some(Vec::new()), ..Default::default() };
            let _: MetadataResponse = client.call(&request, 12).await;
            node.running.broker.not_ready_because().is_none().then_some(())
        })
        .await;
        node
    }
}

/// Copies a folder with all its content.
pub fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        match path.is_dir() {
            true => copy_files(&path, &to),
            false => match fs::copy(&path, &to) {
                // A checkpoint that is being replaced.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                copied => drop(copied.unwrap()),
            },
        }
    }
}

/// A running node.
pub struct Node {
    pub running: Running,
}

impl Node {
    /// The address for clients.
    pub fn address(&self) -> SocketAddr {
        self.running.addresses[0].1
    }

    pub async fn client(&self) -> Client {
        Client::connect(self.address()).await
    }

    /// Stops it as SIGTERM does.
    pub async fn stop(self) {
        self.running.stop().await;
    }
}
