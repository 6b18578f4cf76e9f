//! Tests that the tables agree with themselves, with the settings, and with the generated page.

use crate::config::startup::OWN;
use crate::config::{
    BROKER, BrokerSettings, CLIENT_METRICS, DYNAMIC_ONLY, Default, GROUP, GroupSettings, Support, TOPIC, Table,
    TopicSettings, Value, document,
};

const ALL: &[&Table] = &[&BROKER, &DYNAMIC_ONLY, &TOPIC, &GROUP, &CLIENT_METRICS, &OWN];

#[test]
fn every_default_is_valid_and_printed_unchanged() {
    for key in ALL.iter().flat_map(|table| table.keys) {
        if let Default::Is(text) = key.default {
            assert_eq!(key.parse(text).map(|value| value.to_text()), Ok(Some(text.to_string())), "{}", key.name);
        }
    }
}

#[test]
fn no_name_stands_twice() {
    for table in ALL {
        let mut names: Vec<&str> = table.keys.iter().map(|key| key.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), table.keys.len());
    }
    assert_eq!(BROKER.keys.iter().filter(|key| key.is_visible()).count(), 340, "as many as a broker describes");
}

#[test]
fn every_field_of_the_settings_is_a_property_of_its_type() {
    let fields = [(&BROKER, BrokerSettings::FIELDS), (&TOPIC, TopicSettings::FIELDS), (&GROUP, GroupSettings::FIELDS)];
    for (table, fields) in fields {
        for (field, can_read) in fields {
            let name = field.replace('_', ".");
            let key = table.get(&name).unwrap_or_else(|| panic!("{name} is no property"));
            assert!(can_read(&key.default_value()), "{name} is not of the field's type");
        }
    }
}

#[test]
fn every_field_that_the_broker_reads_is_honoured() {
    for (field, _) in BrokerSettings::FIELDS {
        let name = field.replace('_', ".");
        assert_eq!(BROKER.get(&name).map(|key| key.support), Some(Support::Honoured), "{name}");
    }
}

#[test]
fn every_honoured_property_is_read() {
    // Properties that become listeners, SASL, folders, voters or a topic's settings, or are
    // synonyms.
    const ELSEWHERE: &[&str] = &[
        "advertised.listeners",
        "broker.id",
        "config.providers",
        "connections.max.reauth.ms",
        "controller.listener.names",
        "controller.quorum.bootstrap.servers",
        "authorizer.class.name",
        "controller.quorum.voters",
        "inter.broker.listener.name",
        "listener.security.protocol.map",
        "listeners",
        "log.dir",
        "log.dirs",
        "metadata.log.dir",
        "node.id",
        "num.recovery.threads.per.data.dir",
        "num.replica.alter.log.dirs.threads",
        "process.roles",
        "sasl.enabled.mechanisms",
        "sasl.jaas.config",
        "sasl.mechanism.controller.protocol",
        "sasl.mechanism.inter.broker.protocol",
        "security.inter.broker.protocol",
    ];
    let behind_topics: Vec<&str> = TOPIC
        .keys
        .iter()
        .flat_map(|key| crate::config::topic::broker_properties(key.name))
        .map(|(property, _)| *property)
        .collect();
    let fields: Vec<String> = BrokerSettings::FIELDS.iter().map(|(field, _)| field.replace('_', ".")).collect();
    for key in BROKER.keys.iter().filter(|key| key.support == Support::Honoured) {
        let is_read = ELSEWHERE.contains(&key.name)
            || behind_topics.contains(&key.name)
            || fields.iter().any(|field| field == key.name);
        assert!(is_read, "{} is honoured, and nothing reads it", key.name);
    }
}

#[test]
fn every_refused_property_is_harmless_by_default() {
    for key in BROKER.keys.iter().filter(|key| key.support == Support::Refused) {
        assert_ne!(key.default_value(), Value::Boolean(true), "{}", key.name);
    }
}

#[test]
fn the_page_is_fresh() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, document()).expect("the page can be written");
    }
    let page = std::fs::read_to_string(path).expect("the page exists");
    assert!(
        page == document(),
        "docs/configuration.md is stale; UPDATE_DOCS=1 cargo test -p gregor --lib config writes it"
    );
}
