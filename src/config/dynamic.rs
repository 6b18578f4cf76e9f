//! Dynamic configs of the broker (KIP-226): they override a node's file, first those of all brokers
//! and then those of this one. Also checks whether a change is valid.

use super::broker::{BROKER, CLUSTER_WIDE_OF_A_LISTENER, is_dynamic, key_of, synonyms, without_listener};
use super::java::trim;
use super::key::{Mode, Values};
use super::listeners::Listeners;
use super::node::NodeConfig;
use super::startup::{has_no_effect, needs_a_restart};
use super::{BrokerSettings, ConfigError, Properties, checks, client_metrics, group, java, topic};
use model::java_number::{parse_int, parse_long};
use model::{ApiError, ErrorCode};

/// Resources whose configs the cluster stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceKind {
    /// A topic.
    Topic,
    /// A broker; all brokers if the name is empty.
    Broker,
    /// A group.
    Group,
    /// A subscription to clients' metrics.
    ClientMetrics,
}

/// A node's settings in force.
#[derive(Clone)]
pub struct Effective {
    /// The valid dynamic configs of all brokers.
    pub cluster: Properties,
    /// The valid dynamic configs of this broker.
    pub broker: Properties,
    /// The file's properties, overridden by both.
    pub properties: Properties,
    /// A value for every property.
    pub values: Values,
    /// The typed settings of the broker.
    pub settings: BrokerSettings,
    /// Log lines about stored configs that are invalid and therefore ignored.
    pub warnings: Vec<String>,
    /// Log lines about dynamic configs that have no effect yet.
    pub without_effect: Vec<String>,
}

/// Properties may be secrets.
impl std::fmt::Debug for Effective {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Effective").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Effective {
    /// Returns a replication quota in bytes per second: `leader.replication.throttled.rate` or
    /// `follower.replication.throttled.rate`, which count only as dynamic configs. `None` if it is
    /// not set.
    pub fn throttled_rate(&self, name: &str) -> Option<u64> {
        let text = self.broker.get(name).or_else(|| self.cluster.get(name))?;
        u64::try_from(parse_long(trim(text))?).ok().filter(|rate| *rate < i64::MAX as u64)
    }

    /// Returns `replica.alter.log.dirs.io.max.bytes.per.second` if it is set.
    pub fn move_bytes_per_second(&self) -> Option<u64> {
        let text = self.properties.get("replica.alter.log.dirs.io.max.bytes.per.second")?;
        u64::try_from(parse_long(trim(text))?).ok()
    }
}

impl NodeConfig {
    /// Returns the settings under the dynamic configs of all brokers and of this one. An invalid
    /// stored config is ignored. If the configs break a rule together, those of this broker are
    /// ignored, and if that is not enough, all of them.
    pub fn effective(&self, cluster: &Properties, broker: &Properties) -> Effective {
        let mut warnings = Vec::new();
        let cluster = valid(cluster, false, &mut warnings);
        let broker = valid(broker, true, &mut warnings);
        let inert =
            cluster.iter().chain(&broker).filter(|(name, text)| has_no_effect(name, text) || needs_a_restart(name));
        let without_effect: Vec<String> = inert.map(|(name, _)| name.clone()).collect();
        for (cluster, broker) in [(&cluster, &broker), (&cluster, &Properties::new())] {
            match self.combined(cluster, broker) {
                Ok((properties, values)) => {
                    let settings = BrokerSettings::new(&values);
                    let (cluster, broker) = (cluster.clone(), broker.clone());
                    return Effective { cluster, broker, properties, values, settings, warnings, without_effect };
                }
                Err(ConfigError(fault)) => warnings.push(fault),
            }
        }
        Effective {
            cluster: Properties::new(),
            broker: Properties::new(),
            properties: self.properties.clone(),
            values: self.values.clone(),
            settings: self.settings.clone(),
            warnings,
            without_effect,
        }
    }

    fn combined(&self, cluster: &Properties, broker: &Properties) -> Result<(Properties, Values), ConfigError> {
        let mut properties = self.properties.clone();
        for (name, value) in cluster.iter().chain(broker) {
            // A config that is set overrides all of its synonyms in the file.
            if without_listener(name).is_none() {
                for synonym in synonyms(name) {
                    properties.remove(synonym);
                }
            }
            properties.insert(name.clone(), value.clone());
        }
        let values = BROKER.parse(&properties)?;
        checks::check(&properties, &values, self.roles)?;
        Ok((properties, values))
    }

    /// Checks all of a resource's dynamic configs after a change. `current` is the configuration in
    /// force. Errors: the code and message of Kafka.
    ///
    /// The caller has checked the resource's name, that no value is null, and that the resource
    /// exists.
    pub fn validate(
        &self,
        current: &Effective,
        kind: ResourceKind,
        name: &str,
        configs: &Properties,
    ) -> Result<(), ApiError> {
        let invalid = |ConfigError(message)| ApiError::new(ErrorCode::InvalidConfig, message);
        match kind {
            ResourceKind::Topic => topic::validate(configs, &current.values).map_err(invalid),
            ResourceKind::Group => group::validate(configs, &current.values).map_err(invalid),
            ResourceKind::ClientMetrics => client_metrics::validate(configs),
            ResourceKind::Broker => self
                .validate_broker(current, !name.is_empty(), configs)
                .map_err(|ConfigError(message)| ApiError::new(ErrorCode::InvalidRequest, message)),
        }
    }

    fn validate_broker(&self, current: &Effective, per_broker: bool, configs: &Properties) -> Result<(), ConfigError> {
        check_names(configs)?;
        check_types(configs)?;
        if !per_broker {
            let refused = names(configs, is_per_broker);
            if !refused.is_empty() {
                return Err(ConfigError(format!(
                    "Cannot update these configs at default cluster level, broker id must be specified: [{}]",
                    refused.join(", ")
                )));
            }
        }
        let (cluster, broker) = if per_broker { (&current.cluster, configs) } else { (configs, &current.broker) };
        let (properties, values) = self.combined(cluster, broker)?;
        check_changes(current, configs, &values)?;
        self.check_listeners(&properties, &values)
    }

    /// Checks that listeners do not change while the node runs.
    fn check_listeners(&self, properties: &Properties, values: &Values) -> Result<(), ConfigError> {
        let listeners = Listeners::new(properties, values, self.roles)?;
        let changed = self.listeners.all.iter().find(|listener| !listeners.all.contains(listener));
        if let Some(changed) = changed {
            return Err(dynamic_fault(&format!(
                "Configs cannot be updated dynamically for existing listener ListenerName({}), restart broker or create a new listener for \
                 update",
                changed.name
            )));
        }
        match listeners.all.iter().find(|listener| !self.listeners.all.contains(listener)) {
            Some(added) => Err(dynamic_fault(&format!("Listener {} cannot be added before a restart", added.name))),
            None => Ok(()),
        }
    }
}

/// Returns names in the order in which Kafka lists them.
fn names(configs: &Properties, matches: impl Fn(&str) -> bool) -> Vec<&str> {
    let mut names: Vec<&str> = configs.keys().map(String::as_str).filter(|name| matches(name)).collect();
    let count = names.len();
    java::hash_order(&mut names, count, |name| name);
    names
}

fn is_per_broker(name: &str) -> bool {
    match without_listener(name) {
        Some(base) => !CLUSTER_WIDE_OF_A_LISTENER.contains(&base),
        None => BROKER.get(name).is_some_and(|key| key.mode == Mode::PerBroker),
    }
}

/// Whether the name is a TLS config, which belongs to one listener. Only those that Kafka can
/// reload are included.
fn is_security_of_a_listener(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "ssl.keystore.type",
        "ssl.keystore.location",
        "ssl.keystore.password",
        "ssl.key.password",
        "ssl.keystore.key",
        "ssl.keystore.certificate.chain",
        "ssl.truststore.type",
        "ssl.truststore.location",
        "ssl.truststore.password",
        "ssl.truststore.certificates",
    ];
    NAMES.contains(&name)
}

fn check_names(configs: &Properties) -> Result<(), ConfigError> {
    let refused = names(configs, |name| BROKER.get(name).is_some() && !is_dynamic(name));
    if !refused.is_empty() {
        return Err(ConfigError(format!("Cannot update these configs dynamically: [{}]", refused.join(", "))));
    }
    let refused = names(configs, is_security_of_a_listener);
    if !refused.is_empty() {
        return Err(ConfigError(format!(
            "These security configs can be dynamically updated only per-listener using the listener prefix: [{}]",
            refused.join(", ")
        )));
    }
    Ok(())
}

fn check_types(configs: &Properties) -> Result<(), ConfigError> {
    for (name, text) in configs {
        let Some(key) = key_of(name).filter(|key| is_dynamic(key.name)) else { continue };
        key.parse(text).map_err(ConfigError)?;
        if key.kind == super::Kind::Class {
            check_class(key.name, text.trim(), key.default_text())?;
        }
    }
    Ok(())
}

/// Refuses a class other than Kafka's default, because it cannot be loaded here.
fn check_class(name: &str, class: &str, default: Option<&str>) -> Result<(), ConfigError> {
    if Some(class) == default {
        return Ok(());
    }
    Err(ConfigError(format!("Invalid value {class} for configuration {name}: Class {class} could not be found.")))
}

/// Returns the valid configs of all brokers or of one. Each of the others is dropped with a log
/// line.
fn valid(configs: &Properties, per_broker: bool, warnings: &mut Vec<String>) -> Properties {
    let mut valid = Properties::new();
    for (name, value) in configs {
        let one = Properties::from([(name.clone(), value.clone())]);
        let checked = check_names(&one).and_then(|()| check_types(&one));
        let fault = match checked {
            Ok(()) if !per_broker && is_per_broker(name) => Some(format!("{name} can be set for single brokers only")),
            Ok(()) => None,
            Err(ConfigError(fault)) => Some(fault),
        };
        match fault {
            Some(fault) => warnings.push(format!("a stored dynamic config is ignored: {fault}")),
            None => {
                valid.insert(name.clone(), value.clone());
            }
        }
    }
    valid
}

/// Wraps a message as Kafka does if a running component rejects its new configs.
fn dynamic_fault(message: &str) -> ConfigError {
    ConfigError(format!(
        "Invalid value org.apache.kafka.common.config.ConfigException: {message} for configuration Invalid dynamic configuration"
    ))
}

/// Thread pools in Kafka. A change may at most double or halve them.
const THREADS: &[&str] = &[
    "num.io.threads",
    "num.replica.fetchers",
    "num.recovery.threads.per.data.dir",
    "background.threads",
    "num.network.threads",
    "remote.log.reader.threads",
    "remote.log.manager.copier.thread.pool.size",
    "remote.log.manager.follower.thread.pool.size",
    "remote.log.manager.expiration.thread.pool.size",
];

/// Checks a change as Kafka's running components do.
fn check_changes(current: &Effective, configs: &Properties, values: &Values) -> Result<(), ConfigError> {
    for name in THREADS {
        check_threads(name, current.values.integer(name), values.integer(name))?;
    }
    for (name, text) in configs {
        let Some(base) = without_listener(name) else { continue };
        let Some(new) = BROKER.get(base).and_then(|key| key.parse(text).ok()) else { continue };
        if let (true, super::Value::Integer(new)) = (THREADS.contains(&base), &new) {
            check_threads(base, current.values.integer(base), *new)?;
        }
    }
    check_cleaners(current.values.integer("log.cleaner.threads"), values.integer("log.cleaner.threads"))?;
    for name in ["max.connections", "max.connection.creation.rate"] {
        let of_listeners = configs.iter().filter(|(config, _)| without_listener(config) == Some(name));
        let set = configs.get(name).into_iter().chain(of_listeners.map(|(_, text)| text));
        if set.map(|text| trim(text)).any(|text| parse_int(text) == Some(0)) {
            return Err(dynamic_fault(&format!("Invalid {name} 0")));
        }
    }
    let reporters: Vec<String> = values.read("metric.reporters");
    let known = BROKER.get("metric.reporters").and_then(super::Key::default_text);
    if configs.contains_key("metric.reporters") && reporters.iter().any(|reporter| Some(reporter.as_str()) != known) {
        return Err(dynamic_fault(
            "Validation of dynamic config update of Set(metric.reporters) failed with class class kafka.server.DynamicMetricsReporters",
        ));
    }
    check_local_retention("ms", values)?;
    check_local_retention("bytes", values)
}

fn check_threads(name: &str, old: i64, new: i64) -> Result<(), ConfigError> {
    let fault = if new == old {
        return Ok(());
    } else if new < old / 2 {
        format!("value should be at least half the current value {old}")
    } else if new > old * 2 {
        format!("value should not be greater than double the current value {old}")
    } else {
        return Ok(());
    };
    Err(dynamic_fault(&format!("Dynamic thread count update validation failed for {name}={new}, {fault}")))
}

fn check_cleaners(old: i64, new: i64) -> Result<(), ConfigError> {
    if new < old / 2 {
        return Err(dynamic_fault(&format!(
            "Log cleaner threads cannot be reduced to less than half the current value {old}"
        )));
    }
    if new > old * 2 {
        return Err(dynamic_fault(&format!(
            "Log cleaner threads cannot be increased to more than double the current value {old}"
        )));
    }
    Ok(())
}

/// Checks that local retention does not exceed total retention; -2 means the same.
fn check_local_retention(unit: &str, values: &Values) -> Result<(), ConfigError> {
    let (name, whole) = (format!("log.local.retention.{unit}"), format!("log.retention.{unit}"));
    let local = values.integer(&name);
    let all = match topic::from_broker(&format!("retention.{unit}"), values) {
        super::Value::Integer(all) => all,
        _ => -1,
    };
    let fault = if all == -1 || local == -2 {
        return Ok(());
    } else if local == -1 {
        format!("Value must not be -1 as {whole} value is set as {all}.")
    } else if local > all {
        format!("Value must not be more than {whole} property value: {all}")
    } else {
        return Ok(());
    };
    Err(dynamic_fault(&super::rule::invalid(&name, &local.to_string(), &fault)))
}
