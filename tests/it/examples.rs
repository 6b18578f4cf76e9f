//! The files that people start with: the configurations of `config/`, and the compose files of
//! `docker/`, whose variables a process of its own gets in the place of a container.

use crate::bad_input::Logged;
use crate::client::{Client, texts};
use gregor::net::free_loopback_port;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

type Variables = BTreeMap<String, String>;

fn repository(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

fn gregor() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gregor"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    command
}

/// The variables of each node in a compose file, by the service's name. It knows the YAML of our
/// files: two spaces for a level, one shared environment.
fn environments(file: &str) -> BTreeMap<String, Variables> {
    let text = std::fs::read_to_string(repository(file)).unwrap();
    let (mut services, mut shared) = (BTreeMap::<String, Variables>::new(), Variables::new());
    let (mut section, mut service, mut is_environment) = (String::new(), String::new(), false);
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
        let indent = line.len() - line.trim_start().len();
        let (name, value) = line.trim().split_once(':').unwrap_or((line.trim(), ""));
        let value = value.trim();
        match (indent, section.as_str()) {
            (0, _) => section = name.to_owned(),
            (2, "x-environment") => drop(shared.insert(name.into(), value.into())),
            (2, "services") => {
                service = name.into();
                services.insert(service.clone(), Variables::new());
            }
            (4, "services") => is_environment = name == "environment",
            (6, "services") if is_environment => {
                let variables = services.get_mut(&service).unwrap();
                if name == "<<" {
                    variables.extend(shared.clone());
                } else {
                    variables.insert(name.into(), value.into());
                }
            }
            _ => {}
        }
    }
    services
}

/// The nodes of a compose file as processes of this machine: on 127.0.0.1, on ports that are free.
struct Compose {
    home: tempfile::TempDir,
    nodes: BTreeMap<String, Variables>,
}

impl Compose {
    fn new(file: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut nodes = environments(file);
        // A port of a container is another one here.
        let mut ports: BTreeMap<(String, u16), u16> = BTreeMap::new();
        let names: Vec<String> = nodes.keys().cloned().collect();
        for (name, variables) in &mut nodes {
            let mut here = |host: &str, port: u16| {
                let of = if names.iter().any(|name| name == host) { host } else { name };
                *ports.entry((of.into(), port)).or_insert_with(|| free_loopback_port().unwrap())
            };
            for variable in ["KAFKA_CONTROLLER_QUORUM_VOTERS", "KAFKA_LISTENERS", "KAFKA_ADVERTISED_LISTENERS"] {
                let local = variables[variable].split(',').map(|entry| {
                    let (head, address) = entry.split_once("://").or_else(|| entry.split_once('@')).unwrap();
                    let (host, port) = address.rsplit_once(':').unwrap();
                    let separator = &entry[head.len()..entry.len() - address.len()];
                    format!("{head}{separator}127.0.0.1:{}", here(host, port.parse().unwrap()))
                });
                let local = local.collect::<Vec<_>>().join(",");
                variables.insert(variable.into(), local);
            }
            variables.insert("KAFKA_LOG_DIRS".into(), home.path().join(name).join("data").display().to_string());
        }
        Self { home, nodes }
    }

    fn folder(&self, node: &str, folder: &str) -> PathBuf {
        let path = self.home.path().join(node).join(folder);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    fn start(&self, node: &str) -> Logged {
        let mut command = gregor();
        command.arg("container").envs(&self.nodes[node]);
        command.arg("--final-configs-dir").arg(self.folder(node, "config"));
        command.arg("--mounted-configs-dir").arg(self.folder(node, "mounted"));
        Logged::of(command)
    }

    /// Whether the health check of the container succeeds.
    fn is_healthy(&self, node: &str) -> bool {
        let status = gregor().arg("health").arg(self.folder(node, "config").join("server.properties")).status();
        status.unwrap().success()
    }

    /// The address of the listener for clients outside the containers.
    fn address(&self, node: &str) -> SocketAddr {
        let listeners = &self.nodes[node]["KAFKA_LISTENERS"];
        let own = listeners.split(',').find_map(|listener| listener.strip_prefix("PLAINTEXT_HOST://"));
        own.unwrap().parse().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node_of_the_compose_file_starts_is_healthy_and_starts_again() {
    let compose = Compose::new("docker/compose.yaml");
    let node = compose.start("broker");
    node.line("Gregor has started");
    let mut client = Client::connect(compose.address("broker")).await;
    assert!(compose.is_healthy("broker"));
    client.metadata("t", true).await;
    client.await_leaders("t").await;
    assert_eq!(client.produce("t", 0, &["a"]).await.error_code, 0);
    drop(client);
    let (rest, code) = node.stop();
    assert_eq!(code, Some(0), "{rest}");
    assert!(!compose.is_healthy("broker"));

    let node = compose.start("broker");
    node.line("Gregor has started");
    let mut client = Client::connect(compose.address("broker")).await;
    assert_eq!(texts(&client.read("t", 0).await), ["a"]);
    drop(client);
    assert_eq!(node.stop().1, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_nodes_of_the_compose_file_of_a_cluster_find_each_other() {
    let compose = Compose::new("docker/compose-cluster.yaml");
    let nodes: Vec<(String, Logged)> = compose.nodes.keys().map(|name| (name.clone(), compose.start(name))).collect();
    assert_eq!(nodes.len(), 3);
    for (_, node) in &nodes {
        node.line("Gregor has started");
    }
    for (name, _) in &nodes {
        let mut client = Client::connect(compose.address(name)).await;
        assert!(compose.is_healthy(name));
        crate::client::until("three brokers", async || {
            (client.metadata("none", false).await.brokers.len() == 3).then_some(())
        })
        .await;
    }
    // They stop together: alone, the last one waits for a controller.
    let stopped: Vec<_> = nodes.into_iter().map(|(_, node)| std::thread::spawn(|| node.stop().1)).collect();
    assert!(stopped.into_iter().all(|stopped| stopped.join().unwrap() == Some(0)));
}

/// Formats and starts the nodes of configurations in `config/`, each with its first comment's
/// command, on other ports and folders.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_configurations_start() {
    let id = "AAAAAAAAAAAAAAAAAAAAAQ";
    let home = tempfile::tempdir().unwrap();
    let (clients, controllers) = (free_loopback_port().unwrap(), free_loopback_port().unwrap());
    let localized = |name: &str| {
        let text = std::fs::read_to_string(repository("config").join(name)).unwrap();
        let text = text.replace("localhost:9092", &format!("127.0.0.1:{clients}"));
        let text = text.replace("localhost:9093", &format!("127.0.0.1:{controllers}"));
        let file = home.path().join(name);
        let data = home.path().join(format!("{name}-data"));
        let text = text.lines().map(|line| match line.strip_prefix("log.dirs=") {
            Some(_) => format!("log.dirs={}\n", data.display()),
            None => format!("{line}\n"),
        });
        std::fs::write(&file, text.collect::<String>()).unwrap();
        file
    };
    let start = |name: &str, is_first_controller: bool| {
        let file = localized(name);
        let mut format = gregor();
        format.args(["format", "--cluster-id", id, "--config"]).arg(&file);
        if is_first_controller {
            format.arg("--standalone");
        }
        assert!(format.status().unwrap().success(), "{name}");
        let mut command = gregor();
        command.arg("start").arg(file);
        let node = Logged::of(command);
        node.line("Gregor has started");
        node
    };
    for names in [&["server.properties"][..], &["controller.properties", "broker.properties"]] {
        let nodes: Vec<Logged> = names.iter().enumerate().map(|(index, name)| start(name, index == 0)).collect();
        let mut client = Client::connect(SocketAddr::from(([127, 0, 0, 1], clients))).await;
        client.metadata("t", true).await;
        client.await_leaders("t").await;
        assert_eq!(client.produce("t", 0, &["a"]).await.error_code, 0, "{names:?}");
        drop(client);
        for node in nodes.into_iter().rev() {
            assert_eq!(node.stop().1, Some(0), "{names:?}");
        }
    }
}
