//! Tests of the configuration. `testdata` has the answers of Apache Kafka 4.3.1.

mod alter;
mod describe;
mod files;
mod garbage;
mod startup;
mod tables;

use super::{NodeConfig, Properties};

/// Returns properties from pairs.
fn properties<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Properties {
    pairs.into_iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
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
