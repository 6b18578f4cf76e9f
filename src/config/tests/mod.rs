//! Tests of the configuration; what Apache Kafka 4.3.1 answered is in `testdata`.

mod alter;
mod describe;
mod files;
mod garbage;
mod startup;
mod tables;

use super::{NodeConfig, Properties};

/// Properties from pairs.
fn properties<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Properties {
    pairs.into_iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

/// The properties that the recorded broker of the alterations had in its file.
fn recorded_node() -> Properties {
    properties(
        include_str!("testdata/describe_file.tsv")
            .lines()
            .filter_map(|line| line.strip_prefix("static\t")?.split_once('\t')),
    )
}

/// A node with these properties.
fn node(properties: &Properties) -> NodeConfig {
    NodeConfig::from_properties(properties, &|_| None).expect("the node's properties are valid")
}
