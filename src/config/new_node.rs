//! The properties of a node that is started without a configuration.
//!
//! They are what Apache Kafka needs to use the same folder: one node that is broker and only controller, with state topics of one replica, and a
//! quorum that can grow since its voters are in the metadata log (KIP-853).

use super::properties;

/// Where a new node listens and keeps its data.
#[derive(Clone, Debug)]
pub struct NewNode<'a> {
    /// The host of the clients' listener; empty for all interfaces.
    pub host: &'a str,
    /// The port of the clients' listener.
    pub port: u16,
    /// What clients are told instead of the host; needed where that is no address of its own, such as `0.0.0.0`.
    pub advertised_host: Option<&'a str>,
    /// The port of the controller's listener on 127.0.0.1.
    pub controller_port: u16,
    /// The log dir, as an absolute path.
    pub log_dir: &'a str,
}

/// The contents of `server.properties` for a new node.
pub fn new_node_properties(node: &NewNode) -> String {
    let bracketed = |host: &str| if host.contains(':') { format!("[{host}]") } else { host.to_string() };
    let controller = format!("127.0.0.1:{}", node.controller_port);
    let listeners = format!("PLAINTEXT://{}:{},CONTROLLER://{controller}", bracketed(node.host), node.port);
    let advertised = node.advertised_host.map(|host| format!("PLAINTEXT://{}:{}", bracketed(host), node.port));
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
