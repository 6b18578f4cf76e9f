//! The loggers whose levels can be changed while the broker runs, with the names of Kafka's
//! BROKER_LOGGER resource.
//!
//! Runbooks name Kafka's loggers, which are Java classes. [`LOGGERS`] maps each of them to the
//! modules of Gregor that log the same. A logger without a level has the level of its closest
//! ancestor by the dots in its name, and finally of `root`. A module has the most verbose level of
//! its loggers, `root` excluded. The `RUST_LOG` of the start applies to everything without a level,
//! until `root` gets one.

use crate::security::AUTHORIZER_TARGET;
use crate::telemetry::FilterHandle;
use model::{ApiError, BrokerId, ErrorCode};
use parking_lot::Mutex;
use protocol::messages::incremental_alter_configs_request::AlterConfigsResource;
use std::collections::BTreeMap;
use tracing_subscriber::EnvFilter;

/// The root logger.
pub const ROOT: &str = "root";
/// The module that logs one line per answered request, at DEBUG.
pub const REQUEST_TARGET: &str = "gregor::request";

/// Kafka's levels, in the order of its error message. `FATAL` is `ERROR` here.
const LEVELS: [&str; 6] = ["DEBUG", "ERROR", "FATAL", "INFO", "TRACE", "WARN"];
/// The levels, from the quietest to the most verbose.
const BY_VOLUME: [&str; 6] = ["FATAL", "ERROR", "WARN", "INFO", "DEBUG", "TRACE"];

/// Kafka's loggers, sorted, each with the modules that do the same here. They are those of its
/// log4j2.yaml, and the broker classes that log what a module here logs.
const LOGGERS: &[(&str, &[&str])] = &[
    ("kafka", &["gregor"]),
    ("kafka.authorizer.logger", &[AUTHORIZER_TARGET]),
    ("kafka.cluster.Partition", &["gregor::replica::partition"]),
    ("kafka.controller", &["gregor::runtime::controller"]),
    ("kafka.coordinator.group", &["gregor::runtime::group", "coordinator"]),
    ("kafka.log", &["gregor::replica", "storage"]),
    ("kafka.log.LogCleaner", &["gregor::replica::cleaner"]),
    ("kafka.log.LogManager", &["gregor::replica"]),
    ("kafka.network", &["gregor::net"]),
    ("kafka.network.ConnectionQuotas", &["gregor::net::listener"]),
    ("kafka.network.DataPlaneAcceptor", &["gregor::net::listener"]),
    ("kafka.network.Processor", &["gregor::net"]),
    ("kafka.network.RequestChannel$", &[REQUEST_TARGET]),
    ("kafka.network.SocketServer", &["gregor::net"]),
    ("kafka.request.logger", &[REQUEST_TARGET]),
    ("kafka.server.BrokerServer", &["gregor::node", "gregor::broker"]),
    ("kafka.server.ConfigAdminManager", &["gregor::api::incremental_alter_configs"]),
    ("kafka.server.ControllerApis", &["gregor::api"]),
    ("kafka.server.ControllerServer", &["gregor::runtime::controller"]),
    ("kafka.server.KafkaApis", &["gregor::api"]),
    ("kafka.server.KafkaRaftServer", &["gregor::node"]),
    ("kafka.server.KafkaRequestHandler", &["gregor::api"]),
    ("kafka.server.ReplicaManager", &["gregor::replica"]),
    ("kafka.server.ReplicaManager$LogDirFailureHandler", &["gregor::node::dirs"]),
    ("kafka.server.metadata.BrokerMetadataPublisher", &["gregor::runtime::publisher"]),
    ("kafka.server.metadata.DynamicConfigPublisher", &["gregor::runtime::config_rules"]),
    ("org.apache.kafka", &["gregor"]),
    ("org.apache.kafka.common.network.Selector", &["gregor::net"]),
    ("org.apache.kafka.controller", &["gregor::runtime::controller"]),
    ("org.apache.kafka.controller.QuorumController", &["gregor::runtime::controller"]),
    ("org.apache.kafka.controller.ReplicationControlManager", &["gregor::runtime::controller"]),
    ("org.apache.kafka.coordinator.common.runtime.CoordinatorRuntime", &["gregor::runtime::group"]),
    ("org.apache.kafka.coordinator.group", &["gregor::runtime::group", "coordinator"]),
    ("org.apache.kafka.coordinator.group.GroupCoordinatorService", &["gregor::runtime::group"]),
    ("org.apache.kafka.image.loader.MetadataLoader", &["gregor::runtime::publisher", "metadata"]),
    ("org.apache.kafka.raft", &["gregor::runtime::metadata_log", "raft"]),
    ("org.apache.kafka.raft.KafkaRaftClient", &["gregor::runtime::metadata_log", "raft"]),
    (
        "org.apache.kafka.server.AssignmentsManager",
        &["gregor::replica::assignments", "gregor::runtime::assignment_sender"],
    ),
    ("org.apache.kafka.server.BrokerLifecycleManager", &["gregor::runtime::registration"]),
    ("org.apache.kafka.storage.internals.log.LogCleaner", &["gregor::replica::cleaner"]),
    ("org.apache.kafka.storage.internals.log.LogDirFailureChannel", &["gregor::node::dirs"]),
    ("org.apache.kafka.storage.internals.log.LogLoader", &["gregor::replica::open", "gregor::replica::opening"]),
    ("org.apache.kafka.storage.internals.log.UnifiedLog", &["storage"]),
    (ROOT, &[]),
    ("state.change.logger", &["gregor::replica::apply", "gregor::runtime::publisher"]),
];

/// The levels in force.
#[derive(Debug)]
pub struct Loggers {
    handle: Option<FilterHandle>,
    levels: Mutex<Levels>,
}

/// The levels that were set, and the ones from the start.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Levels {
    /// The directives of the start; empty once `root` was set.
    start: String,
    root: &'static str,
    set: BTreeMap<&'static str, &'static str>,
}

impl Loggers {
    /// Creates loggers that change the filter behind this handle. Without a handle, changes are
    /// only reported to clients.
    pub fn new(handle: Option<FilterHandle>) -> Self {
        let start = handle.as_ref().and_then(|handle| handle.with_current(ToString::to_string).ok());
        let start = start.unwrap_or_else(|| "info".into());
        let level = |word: &str| BY_VOLUME.into_iter().find(|level| word.eq_ignore_ascii_case(level));
        // Without a default directive, only errors are logged.
        let root = start.split(',').rev().find_map(|word| level(word.trim())).unwrap_or("ERROR");
        Self { handle, levels: Mutex::new(Levels { start, root, set: BTreeMap::new() }) }
    }

    /// Returns every logger with its level.
    pub fn all(&self) -> Vec<(&'static str, &'static str)> {
        let levels = self.levels.lock();
        LOGGERS.iter().map(|(name, _)| (*name, levels.set_above(name).unwrap_or(levels.root))).collect()
    }

    /// Changes levels of this `node`: all of them or none. Errors: INVALID_CONFIG for an unknown
    /// logger or level, INVALID_REQUEST for another node and for an operation that levels do not
    /// support.
    pub fn alter(&self, node: BrokerId, resource: &AlterConfigsResource, validate_only: bool) -> Result<(), ApiError> {
        const SET: i8 = 0;
        const DELETE: i8 = 1;
        check_node(node, &resource.resource_name)?;
        let mut levels = self.levels.lock();
        let mut changed = levels.clone();
        for config in &resource.configs {
            let known = LOGGERS.iter().map(|(name, _)| *name).find(|name| *name == config.name);
            match (config.config_operation, known) {
                (SET | DELETE, None) => {
                    let message = format!("Logger {} does not exist!", config.name);
                    return Err(ApiError::new(ErrorCode::InvalidConfig, message));
                }
                (SET, Some(name)) => changed.set(name, level_of(name, config.value.as_deref().unwrap_or_default())?),
                (DELETE, Some(ROOT)) => {
                    let message = format!("Removing the log level of the {ROOT} logger is not allowed");
                    return Err(ApiError::new(ErrorCode::InvalidRequest, message));
                }
                (DELETE, Some(name)) => drop(changed.set.remove(name)),
                (other, _) => {
                    let operation = if other == 2 { "APPEND" } else { "SUBTRACT" };
                    let message = format!("{operation} operation is not allowed for the BROKER_LOGGER resource");
                    return Err(ApiError::new(ErrorCode::InvalidRequest, message));
                }
            }
        }
        if !validate_only && *levels != changed {
            if let Some(handle) = &self.handle {
                // The subscriber lives as long as the process.
                let _ = handle.reload(EnvFilter::new(changed.directives()));
            }
            *levels = changed;
        }
        Ok(())
    }
}

/// Returns the filter of a log with these levels of these loggers, and the loggers that do not
/// exist. Errors: INVALID_CONFIG for a level that does not exist.
pub fn filter_of<'a>(wanted: &[(&'a str, &str)]) -> Result<(String, Vec<&'a str>), ApiError> {
    let mut levels = Levels { start: "info".into(), root: "INFO", set: BTreeMap::new() };
    let mut unknown = Vec::new();
    for (name, level) in wanted {
        let level = level_of(name, level.trim())?;
        match LOGGERS.iter().map(|(known, _)| *known).find(|known| known == name) {
            Some(name) => levels.set(name, level),
            None => unknown.push(*name),
        }
    }
    Ok((levels.directives(), unknown))
}

impl Levels {
    fn set(&mut self, name: &'static str, level: &'static str) {
        if name == ROOT {
            self.root = level;
            self.start.clear();
        } else {
            self.set.insert(name, level);
        }
    }

    /// Returns the level that was set on a logger or its closest ancestor, `root` excluded.
    fn set_above(&self, name: &str) -> Option<&'static str> {
        let mut name = name;
        loop {
            if let Some(level) = self.set.get(name) {
                return Some(level);
            }
            name = name.rsplit_once('.')?.0;
        }
    }

    /// Builds the filter's text. Of two directives for a module, the later one wins; a longer name
    /// wins over a shorter one.
    fn directives(&self) -> String {
        let mut modules: BTreeMap<&str, usize> = BTreeMap::new();
        for (name, targets) in LOGGERS {
            let Some(level) = self.set_above(name) else { continue };
            let volume = BY_VOLUME.iter().position(|known| *known == level).unwrap_or(0);
            for target in *targets {
                let loudest = modules.entry(target).or_insert(volume);
                *loudest = volume.max(*loudest);
            }
        }
        let first = if self.start.is_empty() { filter_level(self.root).into() } else { self.start.clone() };
        let modules =
            modules.into_iter().map(|(target, volume)| format!("{target}={}", filter_level(BY_VOLUME[volume])));
        std::iter::once(first).chain(modules).collect::<Vec<_>>().join(",")
    }
}

/// Returns the filter's name of a level.
fn filter_level(level: &str) -> &str {
    match level {
        "FATAL" => "error",
        "ERROR" => "error",
        "WARN" => "warn",
        "INFO" => "info",
        "DEBUG" => "debug",
        _ => "trace",
    }
}

fn level_of(logger: &str, wanted: &str) -> Result<&'static str, ApiError> {
    LEVELS.into_iter().find(|known| *known == wanted).ok_or_else(|| {
        let message = format!(
            "Cannot set the log level of {logger} to {wanted} as it is not a supported log level. Valid log levels are {}",
            LEVELS.join(", ")
        );
        ApiError::new(ErrorCode::InvalidConfig, message)
    })
}

fn check_node(node: BrokerId, name: &str) -> Result<(), ApiError> {
    let message = match model::java_number::parse_int(name) {
        Some(id) if BrokerId(id) == node => return Ok(()),
        Some(_) => format!("Unexpected node id. Expected {node}, but received {name}"),
        None => format!("Node id must be an integer, but it is: {name}"),
    };
    Err(ApiError::new(ErrorCode::InvalidRequest, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::messages::incremental_alter_configs_request::AlterableConfig;

    const SET: i8 = 0;
    const DELETE: i8 = 1;

    fn resource(name: &str, configs: &[(&str, i8, &str)]) -> AlterConfigsResource {
        let config = |(logger, operation, level): &(&str, i8, &str)| AlterableConfig {
            name: (*logger).into(),
            config_operation: *operation,
            value: Some((*level).into()),
            ..Default::default()
        };
        AlterConfigsResource {
            resource_name: name.into(),
            configs: configs.iter().map(config).collect(),
            ..Default::default()
        }
    }

    fn alter(loggers: &Loggers, configs: &[(&str, i8, &str)]) -> Result<(), String> {
        let altered = loggers.alter(BrokerId(1), &resource("1", configs), false);
        altered.map_err(|error| format!("{:?}: {}", error.code, error.message.unwrap_or_default()))
    }

    fn level(loggers: &Loggers, name: &str) -> &'static str {
        loggers.all().into_iter().find(|(known, _)| *known == name).unwrap().1
    }

    #[test]
    fn the_node_is_checked_before_the_operation_the_name_and_the_level() {
        let refused = |name, logger, operation, level| {
            let altered = Loggers::new(None)
                .alter(BrokerId(1), &resource(name, &[(logger, operation, level)]), false)
                .unwrap_err();
            format!("{:?}: {}", altered.code, altered.message.unwrap_or_default())
        };
        assert_eq!(refused("7", "x", 2, "LOUD"), "INVALID_REQUEST: Unexpected node id. Expected 1, but received 7");
        assert_eq!(refused("one", "x", 2, "LOUD"), "INVALID_REQUEST: Node id must be an integer, but it is: one");
        let append = "INVALID_REQUEST: APPEND operation is not allowed for the BROKER_LOGGER resource";
        assert_eq!(refused("1", "x", 2, "LOUD"), append);
        assert_eq!(refused("1", "x", 0, "LOUD"), "INVALID_CONFIG: Logger x does not exist!");
        let loud = "INVALID_CONFIG: Cannot set the log level of root to LOUD as it is not a supported log level. \
                    Valid log levels are DEBUG, ERROR, FATAL, INFO, TRACE, WARN";
        assert_eq!(refused("1", ROOT, 0, "LOUD"), loud);
    }

    #[test]
    fn kafkas_loggers_are_described_altered_and_inherit() {
        let loggers = Loggers::new(None);
        let names: Vec<&str> = loggers.all().iter().map(|(name, _)| *name).collect();
        assert!(names.is_sorted());
        assert!(loggers.all().iter().all(|(_, level)| *level == "INFO"));
        alter(&loggers, &[("kafka.server.KafkaApis", SET, "DEBUG"), ("org.apache.kafka", SET, "WARN")]).unwrap();
        let levels = |names: [&str; 4]| names.map(|name| level(&loggers, name));
        let some = ["kafka.server.KafkaApis", "org.apache.kafka.controller", "state.change.logger", ROOT];
        assert_eq!(levels(some), ["DEBUG", "WARN", "INFO", "INFO"]);
        alter(&loggers, &[(ROOT, SET, "FATAL")]).unwrap();
        assert_eq!(levels(some), ["DEBUG", "WARN", "FATAL", "FATAL"]);
        // An invalid change leaves all levels unchanged.
        alter(&loggers, &[("kafka.server.KafkaApis", SET, "TRACE"), (ROOT, DELETE, "")]).unwrap_err();
        assert_eq!(levels(some), ["DEBUG", "WARN", "FATAL", "FATAL"]);
        alter(&loggers, &[("kafka.server.KafkaApis", DELETE, ""), ("org.apache.kafka", DELETE, "")]).unwrap();
        assert_eq!(levels(some), ["FATAL"; 4]);
        alter(&loggers, &[("kafka.server.KafkaApis", DELETE, "")]).unwrap();
    }

    #[test]
    fn a_level_reaches_the_modules_of_its_logger() {
        let loggers = Loggers::new(None);
        let directives = || loggers.levels.lock().directives();
        assert_eq!(directives(), "info");
        alter(&loggers, &[("kafka.request.logger", SET, "DEBUG")]).unwrap();
        assert_eq!(directives(), "info,gregor::request=debug");
        alter(&loggers, &[("kafka.server.KafkaApis", SET, "FATAL"), (ROOT, SET, "WARN")]).unwrap();
        assert_eq!(directives(), "warn,gregor::api=error,gregor::request=debug");
        // A quiet logger does not silence a verbose one of the same module.
        alter(&loggers, &[("kafka.server.ControllerApis", SET, "TRACE")]).unwrap();
        assert_eq!(directives(), "warn,gregor::api=trace,gregor::request=debug");
        for (_, targets) in LOGGERS {
            for target in *targets {
                assert!(EnvFilter::try_new(format!("{target}=debug")).is_ok(), "{target}");
            }
        }
    }

    #[test]
    fn the_directives_of_the_start_hold_until_root_is_set() {
        use tracing_subscriber::layer::SubscriberExt as _;
        let (layer, handle) = tracing_subscriber::reload::Layer::new(EnvFilter::new("warn,gregor::net=debug"));
        let _registry = tracing_subscriber::registry().with(layer);
        let loggers = Loggers::new(Some(handle.clone()));
        let filter = || {
            let text = handle.with_current(ToString::to_string).unwrap();
            text.split(',').map(str::to_owned).collect::<std::collections::BTreeSet<String>>()
        };
        let expected = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        assert_eq!(level(&loggers, ROOT), "WARN");
        alter(&loggers, &[("kafka.server.KafkaApis", SET, "DEBUG")]).unwrap();
        assert_eq!(filter(), expected(&["gregor::api=debug", "gregor::net=debug", "warn"]));
        alter(&loggers, &[(ROOT, SET, "INFO")]).unwrap();
        assert_eq!(filter(), expected(&["gregor::api=debug", "info"]));
    }
}
