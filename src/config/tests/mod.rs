//! Tests of the configuration. `testdata` has the answers of Apache Kafka 4.3.1.

mod alter;
mod describe;
mod files;
mod garbage;
mod sasl;
mod startup;
mod tables;

use super::{NodeConfig, Properties};

/// Returns properties from pairs.
fn properties<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Properties {
    pairs.into_iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

/// Returns a node that is broker and controller, for tests of other modules.
pub(crate) fn combined_node(log_dirs: &str) -> NodeConfig {
    node(&properties([
        ("process.roles", "broker,controller"),
        ("node.id", "1"),
        ("controller.quorum.voters", "1@127.0.0.1:9093"),
        ("listeners", "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093"),
        ("controller.listener.names", "CONTROLLER"),
        ("log.dirs", log_dirs),
    ]))
}

/// Returns the properties in the file of the broker whose answers to changes were recorded.
fn recorded_node() -> Properties {
    properties(
        include_str!("testdata/describe_file.tsv")
            .lines()
            .filter_map(|line| line.strip_prefix("static\t")?.split_once('\t')),
    )
}

/// Returns a node with these properties.
fn node(properties: &Properties) -> NodeConfig {
    NodeConfig::from_properties(properties, &|_| None).expect("the node's properties are valid")
}
