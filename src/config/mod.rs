//! Configuration: parses Kafka's property files and dynamic configs into typed settings, and
//! describes them for DescribeConfigs.
//!
//! Four tables define all properties: [`BROKER`], [`TOPIC`], [`GROUP`] and [`CLIENT_METRICS`].
//! Parsing, defaults, checks with Kafka's messages, DescribeConfigs and `docs/configuration.md`
//! derive from them. [`NodeConfig`] is a node's file and never changes. [`Effective`] is that file
//! overridden by the cluster's dynamic configs, and is built again when they change.
//!
//! Invariants: no text makes this module panic; an invalid value never reaches settings; a secret
//! never reaches a message or a description.

mod address;
mod authorizer;
mod broker;
mod checks;
mod client_metrics;
mod describe;
mod document;
mod duration;
mod dynamic;
mod file;
mod group;
mod java;
mod key;
mod listeners;
mod new_node;
mod node;
mod properties;
mod providers;
mod roles;
mod rule;
mod sasl;
mod settings;
mod startup;
#[cfg(test)]
mod tests;
mod topic;
mod value;

pub use address::{Address, NotAnAddress};
pub use authorizer::AuthorizerConfig;
pub use broker::{BROKER, DYNAMIC_ONLY, is_dynamic};
pub use client_metrics::{CLIENT_METRICS, pattern_of};
pub use describe::{ConfigEntry, ConfigSource, ConfigSynonym, client_metrics as describe_client_metrics};
pub use document::document;
pub use duration::parse_millis as parse_duration_millis;
pub use dynamic::{Effective, ResourceKind};
pub use group::{GROUP, GroupSettings};
pub use java::double as java_double;
pub use key::{Default, Importance, Key, Mode, Support, Table, Values};
pub use listeners::{Advertised, Listener, Listeners, SecurityProtocol};
pub use new_node::{
    ADVERTISED_OF_EVERY_INTERFACE, ClusterNode, NewNode, cluster_node_properties, moved_listener, new_node_properties,
};
pub use node::{NodeConfig, Voter};
pub use properties::{parse as parse_properties, write as write_properties};
pub use roles::Roles;
pub use rule::{Emptiness, Rule};
pub use sasl::{SaslConfig, SaslListener, SaslLogin};
pub use settings::BrokerSettings;
#[cfg(test)]
pub(crate) use tests::combined_node;
pub use topic::{TOPIC, TopicSettings};
pub use value::{FromValue, Kind, Value};

use settings::settings_struct;
use std::collections::BTreeMap;

/// Properties by name, as text.
pub type Properties = BTreeMap<String, String>;

/// A fault in a configuration, in one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);
