//! The entries of DescribeConfigs for a resource: every config with its value, the source of the
//! value, and the synonyms.
//!
//! Entries are in Kafka's order, that of Java's hash maps. An entry never contains the value of a
//! secret, nor that of an unknown name, because it could be a secret. Synonyms and documentation
//! are always included; the caller removes what was not requested.

use super::broker::{BROKER, is_dynamic, key_of, synonyms};
use super::client_metrics::CLIENT_METRICS;
use super::dynamic::Effective;
use super::group::{self, GROUP};
use super::key::{Key, Table};
use super::node::NodeConfig;
use super::topic::{self, TOPIC};
use super::value::Kind;
use super::{Properties, java};

/// The source of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    /// Set on the topic.
    Topic,
    /// Set on this broker.
    DynamicBroker,
    /// Set on all brokers.
    DynamicDefaultBroker,
    /// Set in the node's file.
    StaticBroker,
    /// Not set.
    Default,
    /// Set on a logger of the broker.
    BrokerLogger,
    /// Set on the subscription.
    ClientMetrics,
    /// Set on the group.
    Group,
}

impl ConfigSource {
    /// Its number in DescribeConfigs and CreateTopics.
    pub fn to_wire(self) -> i8 {
        match self {
            ConfigSource::Topic => 1,
            ConfigSource::DynamicBroker => 2,
            ConfigSource::DynamicDefaultBroker => 3,
            ConfigSource::StaticBroker => 4,
            ConfigSource::Default => 5,
            ConfigSource::BrokerLogger => 6,
            ConfigSource::ClientMetrics => 7,
            ConfigSource::Group => 8,
        }
    }
}

/// A config whose value applies if those before it are not set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigSynonym {
    /// Its name.
    pub name: String,
    /// Its value as it was set; `None` for a secret.
    pub value: Option<String>,
    /// Where it is set.
    pub source: ConfigSource,
}

/// A config as clients see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    /// Its name.
    pub name: String,
    /// Its value; `None` for a secret, and if it has no value.
    pub value: Option<String>,
    /// Whether a change needs a restart.
    pub is_read_only: bool,
    /// Where the value comes from.
    pub source: ConfigSource,
    /// Whether it is a secret.
    pub is_sensitive: bool,
    /// The synonyms in order of precedence, starting with the value's own source.
    pub synonyms: Vec<ConfigSynonym>,
    /// Its type; `None` for an unknown name.
    pub kind: Option<Kind>,
    /// A short description.
    pub documentation: Option<String>,
}

impl ConfigEntry {
    /// Returns the number of its type in DescribeConfigs.
    pub fn kind_to_wire(&self) -> i8 {
        self.kind.map_or(0, Kind::to_wire)
    }
}

fn documentation(key: &Key) -> Option<String> {
    let mut text = key.kind.name().to_ascii_lowercase();
    let rule = key.rule.to_string();
    if !rule.is_empty() {
        text = format!("{text}: {rule}");
    }
    Some(text)
}

/// Returns the keys of a table in the order in which Kafka lists them.
fn in_order(table: &Table) -> Vec<&'static Key> {
    let mut keys: Vec<&Key> = table.keys.iter().filter(|key| key.is_visible()).collect();
    java::hash_order(&mut keys, table.keys.len(), |key| key.name);
    keys
}

/// Returns the configs that are set but are not visible keys of the table, in Kafka's order. `set`
/// is the number of all names that are set.
fn besides<'a>(
    table: &Table,
    configs: impl Iterator<Item = (&'a String, &'a String)>,
    set: usize,
) -> Vec<(&'a str, &'a str)> {
    let is_besides = |name: &str| table.get(name).is_none_or(|key| !key.is_visible());
    let mut names: Vec<(&str, &str)> =
        configs.map(|(name, value)| (name.as_str(), value.as_str())).filter(|(name, _)| is_besides(name)).collect();
    java::hash_order(&mut names, set, |(name, _)| name);
    names
}

fn entry(name: &str, key: Option<&Key>, value: Option<String>, synonyms: Vec<ConfigSynonym>) -> ConfigEntry {
    let is_sensitive = key.is_none_or(Key::is_sensitive);
    ConfigEntry {
        name: name.to_string(),
        value: value.filter(|_| !is_sensitive),
        is_read_only: false,
        source: synonyms.first().map_or(ConfigSource::Default, |first| first.source),
        is_sensitive,
        synonyms,
        kind: key.map(|key| key.kind),
        documentation: key.and_then(documentation),
    }
}

impl NodeConfig {
    /// Returns the values that apply to a property of the broker, in order of precedence: those of
    /// `names`, starting with `name`.
    fn chain(&self, now: &Effective, name: &str, names: &[&str], is_sensitive: bool) -> Vec<ConfigSynonym> {
        let mut chain = Vec::new();
        let mut push = |name: &str, value: &str, source| {
            let value = (!is_sensitive).then(|| value.to_string());
            chain.push(ConfigSynonym { name: name.to_string(), value, source });
        };
        let set = [
            (&now.broker, ConfigSource::DynamicBroker),
            (&now.cluster, ConfigSource::DynamicDefaultBroker),
            (&self.properties, ConfigSource::StaticBroker),
        ];
        for (properties, source) in set {
            for name in names {
                if let Some(value) = properties.get(*name) {
                    push(name, value, source);
                }
            }
        }
        for name in names {
            if let Some(value) = BROKER.get(name).and_then(Key::default_text) {
                push(name, value, ConfigSource::Default);
            }
        }
        chain.into_iter().skip_while(|synonym| synonym.name != name).collect()
    }

    fn broker_entry(&self, now: &Effective, name: &str, value: Option<String>) -> ConfigEntry {
        let key = key_of(name);
        let chain = self.chain(now, name, &synonyms(name), key.is_none_or(Key::is_sensitive));
        let mut entry = entry(name, key, value, chain);
        entry.is_read_only = !is_dynamic(name);
        if BROKER.get(name).is_none() {
            entry.documentation = None;
        }
        entry
    }

    /// Returns this broker's configs.
    pub fn describe_broker(&self, now: &Effective) -> Vec<ConfigEntry> {
        let others = besides(&BROKER, now.properties.iter(), now.properties.len());
        let others = others.into_iter().map(|(name, value)| self.broker_entry(now, name, Some(value.to_string())));
        let known = in_order(&BROKER).into_iter();
        others.chain(known.map(|key| self.broker_entry(now, key.name, now.values.get(key.name).to_text()))).collect()
    }

    /// Returns the configs that are set on all brokers.
    pub fn describe_all_brokers(&self, now: &Effective) -> Vec<ConfigEntry> {
        let mut configs: Vec<(&String, &String)> = now.cluster.iter().collect();
        java::hash_order(&mut configs, now.cluster.len(), |(name, _)| name);
        let describe = |(name, value): (&String, &String)| {
            let mut entry = self.broker_entry(now, name, Some(value.clone()));
            entry.synonyms.retain(|synonym| synonym.source == ConfigSource::DynamicDefaultBroker);
            entry.source = ConfigSource::DynamicDefaultBroker;
            entry
        };
        configs.into_iter().map(describe).collect()
    }

    /// Returns a topic's configs, given those that are set on it. A config that an older release
    /// stored and this one does not know is omitted (KAFKA-19851).
    pub fn describe_topic(&self, now: &Effective, configs: &Properties) -> Vec<ConfigEntry> {
        let describe = |name: &str, raw: Option<&str>| {
            let key = TOPIC.get(name);
            let value = match key {
                Some(key) if key.is_visible() => topic::effective(name, configs, &now.values).to_text(),
                _ => raw.map(str::to_string),
            };
            let own = configs.get(name).map(|_| ConfigSynonym {
                name: name.to_string(),
                value: value.clone().filter(|_| key.is_some()),
                source: ConfigSource::Topic,
            });
            let behind = topic::broker_properties(name).first();
            let behind =
                behind.map_or_else(Vec::new, |(property, _)| self.chain(now, property, &synonyms(property), false));
            entry(name, key, value, own.into_iter().chain(behind).collect())
        };
        let known = configs.keys().filter(|name| TOPIC.get(name).is_some()).count();
        let others = besides(&TOPIC, configs.iter().filter(|(name, _)| TOPIC.get(name).is_some()), known);
        let others = others.into_iter().map(|(name, value)| describe(name, Some(value)));
        others.chain(in_order(&TOPIC).into_iter().map(|key| describe(key.name, None))).collect()
    }

    /// Returns a topic's configs as in the answer of CreateTopics: sorted, with the values as they
    /// were set, and with every broker property as a synonym.
    pub fn describe_new_topic(&self, now: &Effective, configs: &Properties) -> Vec<ConfigEntry> {
        let describe = |key: &Key| {
            let layers = [
                (&now.broker, ConfigSource::DynamicBroker),
                (&now.cluster, ConfigSource::DynamicDefaultBroker),
                (&self.properties, ConfigSource::StaticBroker),
            ];
            let behind = || {
                layers.into_iter().find_map(|(properties, source)| {
                    let mut set = topic::broker_properties(key.name).iter();
                    set.find_map(|(property, unit)| Some((unit.convert_text(properties.get(*property)?), source)))
                })
            };
            let own = configs.get(key.name).map(|value| (value.clone(), ConfigSource::Topic));
            let (value, source) = match own.or_else(behind) {
                Some((value, source)) => (Some(value), source),
                None => (key.default_text().map(str::to_string), ConfigSource::Default),
            };
            ConfigEntry { source, ..entry(key.name, Some(key), value, Vec::new()) }
        };
        let shown = TOPIC.keys.iter().filter(|key| key.is_visible() || configs.contains_key(key.name));
        let mut entries: Vec<ConfigEntry> = shown.map(describe).collect();
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        entries
    }

    /// Returns a group's configs, given those that are set on it.
    pub fn describe_group(&self, now: &Effective, configs: &Properties) -> Vec<ConfigEntry> {
        let describe = |key: &Key| {
            let own = configs.get(key.name);
            let value =
                own.and_then(|text| key.parse(text).ok()).unwrap_or_else(|| group::from_broker(key, &now.values));
            let value = value.to_text();
            let own =
                own.map(|_| ConfigSynonym { name: key.name.into(), value: value.clone(), source: ConfigSource::Group });
            let behind = match (group::broker_property(key.name), key.default_text()) {
                (Some(property), _) => self.chain(now, &property, &synonyms(&property), false),
                (None, Some(default)) => {
                    vec![ConfigSynonym {
                        name: key.name.into(),
                        value: Some(default.into()),
                        source: ConfigSource::Default,
                    }]
                }
                (None, None) => Vec::new(),
            };
            entry(key.name, Some(key), value, own.into_iter().chain(behind).collect())
        };
        in_order(&GROUP).into_iter().map(describe).collect()
    }
}

/// Returns a subscription's configs, given those that are set on it.
pub fn client_metrics(configs: &Properties) -> Vec<ConfigEntry> {
    let describe = |key: &'static Key| {
        let own = configs.get(key.name).and_then(|text| key.parse(text).ok());
        let value = own.clone().unwrap_or_else(|| key.default_value()).to_text();
        let own = own.map(|_| ConfigSynonym {
            name: key.name.into(),
            value: value.clone(),
            source: ConfigSource::ClientMetrics,
        });
        entry(key.name, Some(key), value, own.into_iter().collect())
    };
    in_order(&CLIENT_METRICS).into_iter().map(describe).collect()
}
