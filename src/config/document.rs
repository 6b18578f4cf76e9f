//! Generates `docs/configuration.md` from the table.

use super::broker::BROKER;
use super::key::{Default, Importance, Key, Mode, Support};
use super::startup::OWN;
use std::fmt::Write as _;

const INTRODUCTION: &str = "# Configuration

`gregor start server.properties` reads the properties of Apache Kafka 4.3 by their names;
`--override name=value` overrides the file. Values may come from `config.providers`:
`FileConfigProvider`, `DirectoryConfigProvider` and `EnvVarConfigProvider` of
`org.apache.kafka.common.config.provider`, with `allowed.paths` and `allowlist.pattern`. Unknown
names are ignored with a warning. An invalid value stops the start with one line that says what is
wrong. Listeners are `PLAINTEXT` or `SASL_PLAINTEXT`. Any other security protocol stops the start.

*Changes* says how a property is changed: with a `restart`, or, while the broker runs, as a dynamic
config of one `broker` or of the whole `cluster`.

This page is generated from `src/config`.
";

/// Returns the page.
pub fn document() -> String {
    let mut page = INTRODUCTION.to_string();
    let sections = [
        (
            Support::Honoured,
            "Honoured",
            "They have the same effect as in Apache Kafka. Where `broker.session.timeout.ms` is short, it\n\
             shortens two more times: a broker sends a heartbeat at least three times in a session, and if\n\
             `controller.quorum.fetch.timeout.ms` is not set, voters wait for a silent controller for at most\n\
             60 % of a session, but at least 500 ms.",
        ),
        (
            Support::Refused,
            "Refused",
            "Any value except the default stops the start, because to ignore it would open access or change data.\n\
             The name of a class that does what Gregor does anyway is accepted.",
        ),
        (
            Support::NotYet,
            "Without effect yet",
            "They are checked and accepted. If a value differs from the default, a line is logged at the start,\n\
             or when the value is set. This also applies to `max.connections` of single listeners.",
        ),
        (
            Support::NoEffect,
            "Accepted without effect",
            "They tune mechanisms that Gregor does not have, or parts that nothing can enable yet. Nothing is\n\
             logged about them.",
        ),
    ];
    for (support, title, words) in sections {
        section(&mut page, title, words, BROKER.keys.iter().filter(|key| key.support == support && key.is_visible()));
    }
    section(
        &mut page,
        "Gregor's own",
        "Apache Kafka ignores them. No other name may begin with `gregor.`. While fewer bytes than\n\
         `gregor.log.dir.reserve.bytes` are free on a log dir's disk, producers are answered with\n\
         KAFKA_STORAGE_ERROR. The reserve is for work that frees space or cannot wait: metadata, group\n\
         offsets, checkpoints, compaction. `-1` means one percent of the disk, at most 1 GiB.",
        OWN.keys.iter(),
    );
    page
}

fn section<'a>(page: &mut String, title: &str, words: &str, keys: impl Iterator<Item = &'a Key>) {
    let mut keys: Vec<&Key> = keys.collect();
    keys.sort_by_key(|key| key.name);
    // Writing to a string cannot fail.
    let _ = write!(
        page,
        "\n## {title}\n{words}\n\n| property | type | default | allowed | importance | changes |\n| --- | --- | --- | --- | --- | --- |\n"
    );
    for key in keys {
        let default = match key.default {
            Default::Required => "(required)".to_string(),
            Default::Null | Default::Is("") => String::new(),
            Default::Is(text) => format!("`{text}`"),
        };
        let importance = match key.importance {
            Importance::High => "high",
            Importance::Medium => "medium",
            Importance::Low => "low",
        };
        let changes = match key.mode {
            Mode::ReadOnly | Mode::Internal => "restart",
            Mode::PerBroker => "broker",
            Mode::ClusterWide => "cluster",
        };
        let kind = key.kind.name().to_ascii_lowercase();
        let _ = writeln!(page, "| `{}` | {kind} | {default} | {} | {importance} | {changes} |", key.name, key.rule);
    }
}
