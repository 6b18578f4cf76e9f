//! What stops a node's start or makes it warn: properties that Gregor does not honour, and names that nobody knows.
//!
//! A property whose absence would open access or change data is never ignored. A class is a name here: those of Kafka's own that do what Gregor
//! does anyway are accepted, any other one cannot be run.

use super::broker::{BROKER, DYNAMIC_ONLY, key_of, without_listener};
use super::key::{Support, Table, rows};
use super::listeners::{Listeners, SecurityProtocol};
use super::value::{Kind, Value};
use super::{Address, ConfigError, Properties, rule};

/// Gregor's own properties; Apache Kafka ignores them.
pub(super) static OWN: Table = Table::new(rows! {
    "gregor.http.listener", Text, super::key::Default::Null, super::rule::Rule::Address, Medium, ReadOnly, Honoured;
    "gregor.log.dir.reserve.bytes", Long, super::key::Default::Is("-1"), super::rule::Rule::AtLeast(-1), Medium, ReadOnly, Honoured;
});

/// Where health and metrics are served.
const HTTP_LISTENER: &str = "gregor.http.listener";

/// How many bytes of a log dir's disk are kept from producers.
const LOG_DIR_RESERVE: &str = "gregor.log.dir.reserve.bytes";

/// Values besides the default that a property which is refused or has no effect may have, since Gregor does what they say.
const EQUIVALENT: &[(&str, &[&str])] = &[
    ("metric.reporters", &[""]),
    (
        "group.consumer.assignors",
        &[
            "uniform",
            "range",
            "org.apache.kafka.coordinator.group.assignor.UniformAssignor",
            "org.apache.kafka.coordinator.group.assignor.RangeAssignor",
        ],
    ),
    ("group.share.assignors", &["simple", "org.apache.kafka.coordinator.group.assignor.SimpleAssignor"]),
    ("replica.selector.class", &["org.apache.kafka.common.replica.LeaderSelector"]),
];

/// Properties that are honoured for the whole node, and not yet for one listener.
const NOT_YET_OF_A_LISTENER: &[&str] = &["max.connections"];

/// Beginnings of names that belong to plugins and are passed to them; where a plugin matters, its class is refused.
const OF_PLUGINS: &[&str] = &[
    "config.providers.",
    "rsm.config.",
    "rlmm.config.",
    "remote.log.metadata.",
    "super.users",
    "allow.everyone.if.no.acl.found",
];

/// Refuses properties that are not honoured. Errors: one line that names the first of them.
pub(super) fn refuse(properties: &Properties) -> Result<(), ConfigError> {
    for (name, text) in properties {
        let Some(key) = key_of(name).filter(|key| key.support == Support::Refused) else { continue };
        let is_default = match (key.parse(text), key.default_value()) {
            (Ok(Value::Text(text)), Value::Null) => text.is_empty(),
            (Ok(value), default) => value == default,
            (Err(_), _) => false,
        };
        if text.trim().is_empty() && key.kind == Kind::Class {
            return Err(ConfigError(rule::invalid(name, "", "Class  could not be found.")));
        }
        if is_default || text.trim().is_empty() || is_equivalent(key.name, text) {
            continue;
        }
        let instead = match key.default_text() {
            Some(default) if !default.is_empty() => format!("leave it at {default}"),
            _ => "leave it out".into(),
        };
        return Err(ConfigError(format!("{name}={} is not supported; {instead}", text.trim())));
    }
    refuse_roles(properties)
}

fn is_equivalent(name: &str, text: &str) -> bool {
    let allowed = EQUIVALENT.iter().find(|(property, _)| *property == name).map_or(&[][..], |(_, allowed)| allowed);
    text.split(',').all(|item| allowed.contains(&item.trim()))
}

/// A node is broker and controller in one, and the only voter.
fn refuse_roles(properties: &Properties) -> Result<(), ConfigError> {
    if let Some(roles) = properties.get("process.roles") {
        let has = |wanted: &str| roles.split(',').any(|role| role.trim() == wanted);
        if has("broker") != has("controller") {
            return Err(ConfigError(format!(
                "process.roles={} is not supported yet; a node is broker,controller",
                roles.trim()
            )));
        }
    }
    let voters = properties.get("controller.quorum.voters").map_or("", |voters| voters.as_str());
    let mut distinct: Vec<&str> =
        voters.split(',').map(|voter| voter.trim().split('@').next().unwrap_or_default()).collect();
    distinct.sort_unstable();
    distinct.dedup();
    if distinct.len() > 1 {
        return Err(ConfigError(format!(
            "controller.quorum.voters={} is not supported yet; a node is its only voter",
            voters.trim()
        )));
    }
    Ok(())
}

/// Refuses listeners that are secured in a way that is not served. Errors: one line that names the first of them.
pub(super) fn refuse_listeners(listeners: &Listeners) -> Result<(), ConfigError> {
    let secured = listeners.all.iter().find(|listener| listener.protocol != SecurityProtocol::Plaintext);
    match secured {
        None => Ok(()),
        Some(listener) => Err(ConfigError(format!(
            "listeners: {} is secured by {} (listener.security.protocol.map), which is not supported yet; only PLAINTEXT is",
            listener.name,
            listener.protocol.name()
        ))),
    }
}

/// Where health and metrics are to be served; `None` where they are not. Errors: one line that names the property.
pub(super) fn http_listener(properties: &Properties) -> Result<Option<Address>, ConfigError> {
    let parse = |text: &String| {
        text.parse::<Address>().map_err(|error| ConfigError(rule::invalid(HTTP_LISTENER, text, &error.to_string())))
    };
    properties.get(HTTP_LISTENER).map(parse).transpose()
}

/// How many bytes of a log dir's disk are kept from producers; `None` for a share of the disk.
pub(super) fn log_dir_reserve_bytes(properties: &Properties) -> Result<Option<u64>, ConfigError> {
    let bytes: i64 = OWN.parse(properties)?.read(LOG_DIR_RESERVE);
    Ok(u64::try_from(bytes).ok())
}

/// Checks Gregor's own properties and says what else is worth a line in the log.
pub(super) fn warnings(properties: &Properties) -> Result<Vec<String>, ConfigError> {
    let mut warnings = Vec::new();
    for (name, text) in properties {
        if name.starts_with("gregor.") {
            let key = OWN.get(name).ok_or_else(|| {
                let names: Vec<&str> = OWN.keys.iter().map(|key| key.name).collect();
                ConfigError(format!("{name} is no property of Gregor; there are {}", names.join(", ")))
            })?;
            key.parse(text).map_err(ConfigError)?;
            continue;
        }
        if BROKER.get(name).is_none() && DYNAMIC_ONLY.get(name).is_some() {
            warnings.push(format!("{name} counts only as a dynamic config of the broker, and is ignored here"));
        } else if has_no_effect(name, text) {
            warnings.push(format!("{name} has no effect yet"));
        } else if key_of(name).is_none() && !OF_PLUGINS.iter().any(|prefix| name.starts_with(prefix)) {
            warnings.push(format!("{name} is not known, and is ignored"));
        }
    }
    Ok(warnings)
}

/// Whether a property asks for something that Gregor does not do yet: a file's, or a dynamic config.
pub(super) fn has_no_effect(name: &str, text: &str) -> bool {
    if without_listener(name).is_some_and(|base| NOT_YET_OF_A_LISTENER.contains(&base)) {
        return true;
    }
    key_of(name)
        .filter(|key| key.support == Support::NotYet && !is_equivalent(key.name, text))
        .is_some_and(|key| key.parse(text).is_ok_and(|value| value != key.default_value()))
}
