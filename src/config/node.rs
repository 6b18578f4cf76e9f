//! A node's file, parsed and checked once at the start.

use super::broker::BROKER;
use super::checks::{self, REQUIREMENT};
use super::key::Values;
use super::listeners::Listeners;
use super::roles::Roles;
use super::rule::voter_of;
use super::sasl::SaslConfig;
use super::settings::max_connections_of_listeners;
use super::{
    Address, AuthorizerConfig, BrokerSettings, ConfigError, Properties, authorizer, file, properties, providers,
    startup,
};
use model::BrokerId;
use std::path::{Path, PathBuf};

/// An entry of `controller.quorum.voters`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voter {
    /// Its `node.id`.
    pub id: BrokerId,
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// The contents of a node's file. They do not change while the node runs.
#[derive(Clone)]
pub struct NodeConfig {
    /// The properties as text, including the values of config providers. If `node.id` or
    /// `broker.id` is set, both are present.
    pub properties: Properties,
    /// A value for every property.
    pub values: Values,
    /// The settings without dynamic configs.
    pub settings: BrokerSettings,
    /// `node.id`.
    pub node_id: BrokerId,
    /// `process.roles`.
    pub roles: Roles,
    /// The addresses that it listens on and advertises.
    pub listeners: Listeners,
    /// SASL of its listeners, and how it logs in at other nodes.
    pub sasl: SaslConfig,
    /// `log.dirs` in its order, or else `log.dir`.
    pub log_dirs: Vec<PathBuf>,
    /// `metadata.log.dir`, or else the first log dir.
    pub metadata_log_dir: PathBuf,
    /// `controller.quorum.voters`; empty if the voters are in the metadata log (KIP-853).
    pub voters: Vec<Voter>,
    /// `controller.quorum.bootstrap.servers`, as `host:port`.
    pub bootstrap_servers: Vec<String>,
    /// `max.connections` of single listeners, by listener name.
    pub max_connections_of_listeners: Vec<(String, i32)>,
    /// `gregor.http.listener`: the address for health and metrics.
    pub http_listener: Option<Address>,
    /// `gregor.log.dir.reserve.bytes`: the bytes of a log dir's disk that producers may not use.
    /// `None` means one percent of the disk, at most 1 GiB.
    pub log_dir_reserve_bytes: Option<u64>,
    /// `authorizer.class.name` and what belongs to it; `None` without an authorizer.
    pub authorizer: Option<AuthorizerConfig>,
    /// Warnings for the log.
    pub warnings: Vec<String>,
}

/// Properties may be secrets.
impl std::fmt::Debug for NodeConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeConfig").field("node_id", &self.node_id).field("roles", &self.roles).finish_non_exhaustive()
    }
}

impl NodeConfig {
    /// Reads a node's file. The `name=value` pairs override it. Errors: one line that names the
    /// property at fault.
    pub fn read(path: &Path, overrides: &[String]) -> Result<Self, ConfigError> {
        let text = file::latin1(path).map_err(|error| ConfigError(format!("{}: {error}", path.display())))?;
        Self::of_text(&text, overrides)
    }

    /// Parses the text of a node's file. The `name=value` pairs override it. Errors: as for
    /// [`Self::read`].
    pub fn of_text(text: &str, overrides: &[String]) -> Result<Self, ConfigError> {
        let mut properties = properties::parse(text)?;
        for text in overrides {
            let (name, value) = text
                .split_once('=')
                .filter(|(name, _)| !name.trim().is_empty())
                .ok_or_else(|| ConfigError(format!("--override {text}: it takes NAME=VALUE")))?;
            properties.insert(name.trim().to_string(), value.to_string());
        }
        Self::from_properties(&properties, &|name| std::env::var(name).ok())
    }

    /// Checks and types a node's properties. `environment` returns variables for config providers.
    /// Errors: one line that names the property at fault.
    pub fn from_properties(
        properties: &Properties,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        Self::typed(properties, environment).map_err(|ConfigError(message)| ConfigError(in_one_line(&message)))
    }

    fn typed(properties: &Properties, environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let (mut properties, mut warnings) = providers::resolve(properties, environment)?;
        startup::refuse(&properties)?;
        join_ids(&mut properties)?;
        let values = BROKER.parse(&properties)?;
        let node_id = values.read::<i32>("node.id");
        let roles = Roles::new(&values);
        warnings.extend(startup::warnings(&properties)?);
        let voters = voters(&values)?;
        if !roles.is_controller() {
            check_quorum_of_broker(&values, &voters, node_id)?;
        }
        let listeners = Listeners::new(&properties, &values, roles)?;
        if roles.is_controller() {
            check_voter(&voters, node_id)?;
        }
        startup::refuse_listeners(&listeners)?;
        let sasl = SaslConfig::new(&properties, &values, (&listeners, roles), environment)?;
        checks::check(&properties, &values, roles)?;
        warnings.extend(unused_controllers(&listeners, roles));
        let log_dirs = log_dirs(&values);
        let metadata_log_dir: Option<String> = values.read("metadata.log.dir");
        Ok(Self {
            settings: BrokerSettings::new(&values),
            node_id: BrokerId(node_id),
            roles,
            listeners,
            sasl,
            metadata_log_dir: metadata_log_dir
                .filter(|dir| !dir.is_empty())
                .map(PathBuf::from)
                .or_else(|| log_dirs.first().cloned())
                .unwrap_or_default(),
            log_dirs,
            voters,
            bootstrap_servers: values.read("controller.quorum.bootstrap.servers"),
            max_connections_of_listeners: max_connections_of_listeners(&properties),
            http_listener: startup::http_listener(&properties)?,
            log_dir_reserve_bytes: startup::log_dir_reserve_bytes(&properties)?,
            authorizer: authorizer::authorizer(&properties)?,
            warnings,
            properties,
            values,
        })
    }
}

/// The part of `broker.session.timeout.ms` after which a voter stands for election.
const FETCH_TIMEOUT_PERCENT: i64 = 60;
/// Short sessions do not make the fetch timeout shorter than this. Even a quiet leader answers
/// several fetches in that time.
const FETCH_TIMEOUT_MIN_MS: i64 = 500;

impl NodeConfig {
    /// How long a voter follows a leader that does not answer: `controller.quorum.fetch.timeout.ms`
    /// where it is set, else its default, but not longer than 60 % of `broker.session.timeout.ms`.
    /// Sessions of a second are kept by nobody while the controller may be gone for two. Kafka
    /// waits for its default there, too.
    pub fn quorum_fetch_timeout_ms(&self) -> u64 {
        let BrokerSettings { controller_quorum_fetch_timeout_ms: set_ms, broker_session_timeout_ms, .. } =
            self.settings;
        let is_set = self.properties.contains_key("controller.quorum.fetch.timeout.ms");
        let most_ms = (i64::from(broker_session_timeout_ms) * FETCH_TIMEOUT_PERCENT / 100).max(FETCH_TIMEOUT_MIN_MS);
        let ms = if is_set { i64::from(set_ms) } else { i64::from(set_ms).min(most_ms) };
        u64::try_from(ms).unwrap_or(0)
    }

    /// How long a fetch of the metadata log may take: `controller.quorum.request.timeout.ms`, but
    /// not longer than a leader may be silent. A broker that does not vote then asks others who
    /// leads, as in Kafka.
    pub fn quorum_fetch_request_timeout_ms(&self) -> u64 {
        let request_ms = u64::try_from(self.settings.controller_quorum_request_timeout_ms).unwrap_or(0);
        request_ms.min(self.quorum_fetch_timeout_ms().max(FETCH_TIMEOUT_MIN_MS.unsigned_abs()))
    }

    /// The log dirs that hold partitions; none on a controller alone.
    pub fn partition_dirs(&self) -> &[PathBuf] {
        if self.roles.is_broker() { &self.log_dirs } else { &[] }
    }
}

/// Converts a message for the user who starts a node: without Kafka's prefixes, and with the
/// property's name if Kafka omits it.
fn in_one_line(message: &str) -> String {
    let message = message.strip_prefix(REQUIREMENT).unwrap_or(message);
    let message = match message {
        "/ by zero" => "log.cleaner.threads must be at least 1",
        "The provided listener name is null or empty string" => {
            "inter.broker.listener.name and listener.security.protocol.map must not have an empty name"
        }
        message => message,
    };
    let named = if message.starts_with("For input string") {
        format!("max.connections.per.ip.overrides: {message}")
    } else if let Some((property, _)) = message.split_once("': begin 0, end -1") {
        format!("{property}': an entry has no colon")
    } else {
        message.to_string()
    };
    named.replace(['\n', '\r'], " ")
}

/// Sets `broker.id`, the older name of `node.id`, and `node.id` to the same value.
fn join_ids(properties: &mut Properties) -> Result<(), ConfigError> {
    let (node, broker) = (properties.get("node.id").cloned(), properties.get("broker.id").cloned());
    match (node, broker) {
        (Some(node), None) => properties.insert("broker.id".into(), node),
        (None, Some(broker)) => properties.insert("node.id".into(), broker),
        (Some(node), Some(broker)) if node.trim() != broker.trim() => {
            return Err(ConfigError("You must set `node.id` to the same value as `broker.id`.".into()));
        }
        _ => None,
    };
    if let (Some(text), Some(key)) = (properties.get("node.id"), BROKER.get("node.id")) {
        key.parse(text).map_err(ConfigError)?;
    }
    Ok(())
}

fn voters(values: &Values) -> Result<Vec<Voter>, ConfigError> {
    let mut voters: Vec<Voter> = Vec::new();
    for entry in values.read::<Vec<String>>("controller.quorum.voters") {
        let (id, host, port) = voter_of(&entry).map_err(ConfigError)?;
        voters.retain(|voter| voter.id != BrokerId(id));
        voters.push(Voter { id: BrokerId(id), host, port });
    }
    let servers: Vec<String> = values.read("controller.quorum.bootstrap.servers");
    if voters.is_empty() && servers.is_empty() {
        return Err(ConfigError(
            "If using process.roles, either controller.quorum.bootstrap.servers must contain the set of bootstrap controllers or \
             controller.quorum.voters must contain a parseable set of controllers."
                .into(),
        ));
    }
    Ok(voters)
}

/// Checks that a broker alone is not meant to be a voter.
fn check_quorum_of_broker(values: &Values, voters: &[Voter], node_id: i32) -> Result<(), ConfigError> {
    if voters.iter().any(|voter| voter.id == BrokerId(node_id)) {
        return Err(ConfigError(format!(
            "{REQUIREMENT}If process.roles contains just the 'broker' role, the node id {node_id} must not be included in the set of \
             voters controller.quorum.voters=Set({})",
            ids_of(voters)
        )));
    }
    if values.read("controller.quorum.auto.join.enable") {
        return Err(ConfigError(format!(
            "{REQUIREMENT}controller.quorum.auto.join.enable is only supported when process.roles contains the 'controller' role."
        )));
    }
    Ok(())
}

/// Checks that a controller is one of the configured voters.
fn check_voter(voters: &[Voter], node_id: i32) -> Result<(), ConfigError> {
    if voters.is_empty() || voters.iter().any(|voter| voter.id == BrokerId(node_id)) {
        return Ok(());
    }
    Err(ConfigError(format!(
        "{REQUIREMENT}If process.roles contains the 'controller' role, the node id {node_id} must be included in the set of voters \
         controller.quorum.voters=Set({})",
        ids_of(voters)
    )))
}

fn ids_of(voters: &[Voter]) -> String {
    let mut ids: Vec<BrokerId> = voters.iter().map(|voter| voter.id).collect();
    ids.sort_unstable();
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A broker alone connects to the first of several controller listeners.
fn unused_controllers(listeners: &Listeners, roles: Roles) -> Option<String> {
    (roles == Roles::Broker && listeners.controller_names.len() > 1).then(|| {
        format!(
            "controller.listener.names has multiple entries; only the first will be used since process.roles=broker: {}",
            listeners.controller_names.join(",")
        )
    })
}

fn log_dirs(values: &Values) -> Vec<PathBuf> {
    let dirs: Option<Vec<String>> = values.read("log.dirs");
    dirs.unwrap_or_else(|| values.read("log.dir")).into_iter().map(PathBuf::from).collect()
}
