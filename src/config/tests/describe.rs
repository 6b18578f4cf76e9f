//! Tests of every entry that DescribeConfigs and CreateTopics answered, in order: value, source,
//! synonyms, kind.

use crate::config::{ConfigEntry, NodeConfig, Properties, describe_client_metrics};

struct Resource {
    kind: String,
    name: String,
    only_changed: bool,
    configs: Properties,
    entries: Vec<String>,
}

fn check(recording: &str) {
    let (mut file, mut cluster, mut broker) = (Properties::new(), Properties::new(), Properties::new());
    let mut resources: Vec<Resource> = Vec::new();
    for line in recording.lines() {
        let (what, rest) = line.split_once('\t').expect("a tab");
        let pair = || rest.split_once('\t').map(|(name, value)| (name.to_string(), value.to_string())).expect("a pair");
        match what {
            "static" => file.extend([pair()]),
            "cluster" => cluster.extend([pair()]),
            "broker" => broker.extend([pair()]),
            "set" => resources.last_mut().expect("a resource").configs.extend([pair()]),
            "entry" => resources.last_mut().expect("a resource").entries.push(rest.to_string()),
            _ => {
                let mut parts = rest.split('\t');
                let mut part = || parts.next().expect("three parts").to_string();
                let (kind, name) = (part(), part());
                let only_changed = part() == "changed";
                resources.push(Resource { kind, name, only_changed, configs: Properties::new(), entries: Vec::new() });
            }
        }
    }
    let node = super::node(&file);
    let now = node.effective(&cluster, &broker);
    assert_eq!(now.warnings, Vec::<String>::new());
    for resource in resources {
        let mut entries = describe(&node, &now, &resource);
        entries.retain(|entry| !resource.only_changed || entry.source.to_wire() != 5);
        let printed: Vec<String> = entries.iter().map(|entry| print(entry, &resource.kind)).collect();
        for (ours, recorded) in printed.iter().zip(&resource.entries) {
            assert_eq!(ours, recorded, "{} {}", resource.kind, resource.name);
        }
        assert_eq!(printed.len(), resource.entries.len(), "{} {}", resource.kind, resource.name);
    }
}

fn describe(node: &NodeConfig, now: &crate::config::Effective, resource: &Resource) -> Vec<ConfigEntry> {
    match (resource.kind.as_str(), resource.name.as_str()) {
        ("topic", _) => node.describe_topic(now, &resource.configs),
        ("new-topic", _) => node.describe_new_topic(now, &resource.configs),
        ("broker", "") => node.describe_all_brokers(now),
        ("broker", _) => node.describe_broker(now),
        ("group", _) => node.describe_group(now, &resource.configs),
        (kind, _) => {
            assert_eq!(kind, "client-metrics");
            describe_client_metrics(&resource.configs)
        }
    }
}

fn print(entry: &ConfigEntry, kind: &str) -> String {
    let value = |value: &Option<String>, none: &str| value.clone().unwrap_or_else(|| none.into());
    let synonyms: Vec<String> = entry
        .synonyms
        .iter()
        .map(|synonym| format!("{}:{}={}", synonym.source.to_wire(), synonym.name, value(&synonym.value, "null")))
        .collect();
    let columns = [
        entry.name.clone(),
        value(&entry.value, "<null>"),
        if entry.is_read_only { "ro" } else { "rw" }.into(),
        entry.source.to_wire().to_string(),
        if entry.is_sensitive { "sensitive" } else { "-" }.into(),
        if kind == "new-topic" { "?".into() } else { entry.kind_to_wire().to_string() },
        synonyms.join(" | "),
    ];
    columns.join("\t")
}

#[test]
fn a_file_alone_is_described_as_kafka_describes_it() {
    check(include_str!("testdata/describe_file.tsv"));
}

#[test]
fn configs_of_all_brokers_are_described_as_kafka_describes_them() {
    check(include_str!("testdata/describe_cluster.tsv"));
}

#[test]
fn configs_of_one_broker_are_described_as_kafka_describes_them() {
    check(include_str!("testdata/describe_broker.tsv"));
}

#[test]
fn groups_and_new_topics_are_described_as_kafka_describes_them() {
    check(include_str!("testdata/describe_more.tsv"));
}
