//! Properties that stop a node's start or cause a warning: properties that Gregor does not honour,
//! and unknown names.
//!
//! A property is never ignored if that would open access or change data. Classes cannot be loaded:
//! those of Kafka that do what Gregor does anyway are accepted, and any other class is refused.

use super::broker::{BROKER, DYNAMIC_ONLY, key_of, without_listener};
use super::key::{Support, Table, rows};
use super::listeners::{Listeners, SecurityProtocol};
use super::settings::RACK_AWARE_SELECTOR;
use super::value::{Kind, Value};
use super::{Address, ConfigError, Properties, rule};

/// Gregor's own properties; Apache Kafka ignores them.
pub(super) static OWN: Table = Table::new(rows! {
    "gregor.http.listener", Text, super::key::Default::Null, super::rule::Rule::Address, Medium, ReadOnly, Honoured;
    "gregor.log.dir.reserve.bytes", Long, super::key::Default::Is("-1"), super::rule::Rule::AtLeast(-1), Medium, ReadOnly, Honoured;
});

/// The address for health and metrics.
const HTTP_LISTENER: &str = "gregor.http.listener";

/// The bytes of a log dir's disk that producers may not use.
const LOG_DIR_RESERVE: &str = "gregor.log.dir.reserve.bytes";

/// Accepted values, besides the default, of properties that are refused or have no effect. Gregor
/// already does what they say.
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
];

/// Kafka's classes whose work Gregor does, by the properties that choose between them.
const CLASSES: &[(&str, &[&str])] = &[("replica.selector.class", &[LEADER_SELECTOR, RACK_AWARE_SELECTOR])];
const LEADER_SELECTOR: &str = "org.apache.kafka.common.replica.LeaderSelector";

/// Properties that are honoured for the whole node, but not yet for one listener.
const NOT_YET_OF_A_LISTENER: &[&str] = &["max.connections"];

/// Prefixes of names that are passed to plugins. If a plugin matters, its class is refused.
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
    refuse_classes(properties)
}

/// Refuses classes that Gregor does not stand for.
fn refuse_classes(properties: &Properties) -> Result<(), ConfigError> {
    for (name, classes) in CLASSES {
        let Some(class) = properties.get(*name).map(|text| text.trim()) else { continue };
        if !class.is_empty() && !classes.contains(&class) {
            let known = classes.join(" or ");
            return Err(ConfigError(format!("{name}={class} is not supported; use {known}")));
        }
    }
    Ok(())
}

fn is_equivalent(name: &str, text: &str) -> bool {
    let allowed = EQUIVALENT.iter().find(|(property, _)| *property == name).map_or(&[][..], |(_, allowed)| allowed);
    text.split(',').all(|item| allowed.contains(&item.trim()))
}

/// Whether listeners and connections to other nodes may have this protocol.
fn is_served(protocol: SecurityProtocol) -> bool {
    matches!(protocol, SecurityProtocol::Plaintext | SecurityProtocol::SaslPlaintext)
}

/// Refuses listeners with an unsupported security protocol. Errors: one line that names the first
/// of them.
pub(super) fn refuse_listeners(listeners: &Listeners) -> Result<(), ConfigError> {
    let own = listeners.all.iter().map(|listener| ("listeners", &listener.name, listener.protocol));
    // A broker alone has no listener of this name, but connects to it.
    let controllers = listeners.controller_protocols.iter();
    let controllers = controllers.map(|(name, protocol)| ("controller.listener.names", name, *protocol));
    match own.chain(controllers).find(|(_, _, protocol)| !is_served(*protocol)) {
        None => Ok(()),
        Some((property, name, protocol)) => Err(ConfigError(format!(
            "{property}: {name} is secured by {} (listener.security.protocol.map), which is not supported yet; PLAINTEXT and SASL_PLAINTEXT are",
            protocol.name()
        ))),
    }
}

/// Returns the address for health and metrics; `None` if it is not set. Errors: one line that names
/// the property.
pub(super) fn http_listener(properties: &Properties) -> Result<Option<Address>, ConfigError> {
    let parse = |text: &String| {
        text.parse::<Address>().map_err(|error| ConfigError(rule::invalid(HTTP_LISTENER, text, &error.to_string())))
    };
    properties.get(HTTP_LISTENER).map(parse).transpose()
}

/// Returns the bytes of a log dir's disk that producers may not use; `None` for a share of the
/// disk.
pub(super) fn log_dir_reserve_bytes(properties: &Properties) -> Result<Option<u64>, ConfigError> {
    let bytes: i64 = OWN.parse(properties)?.read(LOG_DIR_RESERVE);
    Ok(u64::try_from(bytes).ok())
}

/// Checks Gregor's own properties and returns all warnings for the log.
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

/// Whether a dynamic config counts only once it is in the file and the node starts again.
pub(super) fn needs_a_restart(name: &str) -> bool {
    const OF_SASL: &[&str] = &["sasl.enabled.mechanisms", "sasl.jaas.config", "sasl.mechanism.inter.broker.protocol"];
    key_of(name).is_some_and(|key| OF_SASL.contains(&key.name))
}

/// Whether a property, in a file or as a dynamic config, requests a function that Gregor does not
/// have yet.
pub(super) fn has_no_effect(name: &str, text: &str) -> bool {
    if without_listener(name).is_some_and(|base| NOT_YET_OF_A_LISTENER.contains(&base)) {
        return true;
    }
    key_of(name)
        .filter(|key| key.support == Support::NotYet && !is_equivalent(key.name, text))
        .is_some_and(|key| key.parse(text).is_ok_and(|value| value != key.default_value()))
}
