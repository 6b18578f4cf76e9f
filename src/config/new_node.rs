//! The properties of a node that is started without a configuration: alone, or as one of a local
//! cluster.
//!
//! Apache Kafka can use the same folder with them. Those of a lone node define one node that is
//! broker and the only controller, state topics with one replica, and a quorum that can grow
//! because its voters are in the metadata log (KIP-853). A later start may change the address that
//! such a node listens on.

use super::{Address, Listener, Listeners, properties};

/// The addresses and the folder of a new node.
#[derive(Clone, Debug)]
pub struct NewNode<'a> {
    /// The host of the clients' listener; empty for all interfaces.
    pub host: &'a str,
    /// The port of the clients' listener.
    pub port: u16,
    /// The host that is advertised to clients. Needed if the listener's host is not an address,
    /// such as `0.0.0.0`.
    pub advertised_host: Option<&'a str>,
    /// The port of the controller's listener on 127.0.0.1.
    pub controller_port: u16,
    /// The log dir, as an absolute path.
    pub log_dir: &'a str,
}

/// Returns the contents of `server.properties` for a new node.
pub fn new_node_properties(node: &NewNode) -> String {
    let controller = format!("127.0.0.1:{}", node.controller_port);
    let listeners = format!("{},CONTROLLER://{controller}", endpoint("PLAINTEXT", node.host, node.port));
    let advertised = node.advertised_host.map(|host| endpoint("PLAINTEXT", host, node.port));
    let first = [("process.roles", "broker,controller"), ("node.id", "1"), ("listeners", listeners.as_str())];
    let rest = [
        ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"),
        ("controller.listener.names", "CONTROLLER"),
        ("controller.quorum.bootstrap.servers", controller.as_str()),
        ("log.dirs", node.log_dir),
    ];
    let one_node = [
        ("offsets.topic.replication.factor", "1"),
        ("transaction.state.log.replication.factor", "1"),
        ("transaction.state.log.min.isr", "1"),
        ("share.coordinator.state.topic.replication.factor", "1"),
        ("share.coordinator.state.topic.min.isr", "1"),
        ("group.initial.rebalance.delay.ms", "0"),
    ];
    let advertised = advertised.as_deref().map(|advertised| ("advertised.listeners", advertised));
    format!(
        "# Written by Gregor for a new node. Apache Kafka reads it too.\n{}\n# One node has one replica of everything, and no other member to wait for.\n{}",
        properties::write(first.into_iter().chain(advertised).chain(rest)),
        properties::write(one_node)
    )
}

/// A node of a local cluster, in which every node is broker and controller.
#[derive(Clone, Debug)]
pub struct ClusterNode<'a> {
    /// Its number from 1 on, which is its `node.id`.
    pub number: u16,
    /// The host of all listeners of all nodes.
    pub host: &'a str,
    /// The port of the clients' listener.
    pub port: u16,
    /// The port of the controller's listener.
    pub controller_port: u16,
    /// The ports of all controllers.
    pub controller_ports: &'a [u16],
    /// The log dir, as an absolute path.
    pub log_dir: &'a str,
}

/// The most replicas of a topic that is created without a number of them.
const REPLICAS_MAX: usize = 3;

/// Returns the contents of `server.properties` for a node of a local cluster. With three nodes or
/// more, each partition has three replicas, and two of them acknowledge a record.
pub fn cluster_node_properties(node: &ClusterNode) -> String {
    let servers: Vec<String> = node.controller_ports.iter().map(|port| format!("{}:{port}", node.host)).collect();
    let listeners =
        [endpoint("PLAINTEXT", node.host, node.port), endpoint("CONTROLLER", node.host, node.controller_port)];
    let (number, listeners, servers) = (node.number.to_string(), listeners.join(","), servers.join(","));
    let replicas = servers.split(',').count().min(REPLICAS_MAX);
    let (replicas, in_sync) = (replicas.to_string(), replicas.div_ceil(2).to_string());
    let own = [
        ("process.roles", "broker,controller"),
        ("node.id", &number),
        ("listeners", &listeners),
        ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"),
        ("controller.listener.names", "CONTROLLER"),
        ("controller.quorum.bootstrap.servers", &servers),
        ("log.dirs", node.log_dir),
    ];
    let replication = [
        ("default.replication.factor", replicas.as_str()),
        ("min.insync.replicas", &in_sync),
        ("offsets.topic.replication.factor", &replicas),
        ("transaction.state.log.replication.factor", &replicas),
        ("transaction.state.log.min.isr", &in_sync),
        ("share.coordinator.state.topic.replication.factor", &replicas),
        ("share.coordinator.state.topic.min.isr", &in_sync),
        ("group.initial.rebalance.delay.ms", "0"),
    ];
    format!(
        "# Written by `gregor dev` for a node of a local cluster. Apache Kafka reads it too.\n{}\n{}",
        properties::write(own),
        properties::write(replication)
    )
}

/// The advertised host of a node that listens on every interface, if no other is known.
pub const ADVERTISED_OF_EVERY_INTERFACE: &str = "localhost";

/// Moves the clients' first listener to another address. Returns `name=value` pairs that override
/// the file's; empty if the listener is there already.
///
/// The advertised address moves too if it was the old address or the default of a new node. An
/// address that the user chose stays.
pub fn moved_listener(listeners: &Listeners, to: &Address) -> Vec<String> {
    let Some(old) = listeners.all.iter().find(|listener| !listener.is_controller) else { return Vec::new() };
    if old.host == to.host && old.port == to.port {
        return Vec::new();
    }
    let listens = |it: &Listener| match it.name == old.name {
        true => endpoint(&it.name, &to.host, to.port),
        false => endpoint(&it.name, &it.host, it.port),
    };
    let is_told_apart = |name: &str, host: &str, port: u16| {
        listeners.all.iter().any(|it| it.name == name && (it.host != host || it.port != port))
    };
    let controllers = listeners.advertised_controller.iter().filter(|it| is_told_apart(&it.name, &it.host, it.port));
    let advertised = listeners.advertised.iter().chain(controllers).map(|it| {
        let is_chosen = it.host != old.host && it.host != ADVERTISED_OF_EVERY_INTERFACE;
        let host = match (it.name == old.name && !is_chosen, to.is_every_interface()) {
            (false, _) => &it.host,
            (true, false) => &to.host,
            (true, true) => ADVERTISED_OF_EVERY_INTERFACE,
        };
        let port = if it.name == old.name && it.port == old.port { to.port } else { it.port };
        endpoint(&it.name, host, port)
    });
    let joined = |property: &str, endpoints: Vec<String>| format!("{property}={}", endpoints.join(","));
    vec![
        joined("listeners", listeners.all.iter().map(listens).collect()),
        joined("advertised.listeners", advertised.collect()),
    ]
}

fn endpoint(name: &str, host: &str, port: u16) -> String {
    format!("{name}://{}", Address { host: host.into(), port })
}
