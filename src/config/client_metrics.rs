//! Subscriptions to client metrics (KIP-714): the table of their configs, and the checks.

use super::key::Default::Is;
use super::key::{Table, rows};
use super::rule::Emptiness::MayBeEmpty;
use super::rule::Rule::{Any, Items};
use super::{ConfigError, Properties, java};
use model::{ApiError, ErrorCode};
use regex_lite::Regex;

/// The configs of a subscription.
pub static CLIENT_METRICS: Table = Table::new(rows! {
    "metrics", List, Is(""), Items(&[], MayBeEmpty), Medium, ClusterWide, NotYet;
    "interval.ms", Int, Is("300000"), Any, Medium, ClusterWide, NotYet;
    "match", List, Is(""), Items(&[], MayBeEmpty), Medium, ClusterWide, NotYet;
});

const INTERVAL_MS_MIN: i64 = 100;
const INTERVAL_MS_MAX: i64 = 3_600_000;

/// The client attributes that a subscription can match.
const MATCHED: &[&str] = &[
    "client_instance_id",
    "client_id",
    "client_software_name",
    "client_software_version",
    "client_source_address",
    "client_source_port",
];

/// Checks all configs of a subscription together. Errors: INVALID_REQUEST or INVALID_CONFIG, with
/// Kafka's message.
pub fn validate(configs: &Properties) -> Result<(), ApiError> {
    let mut names: Vec<&String> = configs.keys().filter(|name| CLIENT_METRICS.get(name).is_none()).collect();
    java::hash_order(&mut names, configs.len(), |name| name);
    if let Some(unknown) = names.first() {
        return Err(ApiError::new(
            ErrorCode::InvalidRequest,
            format!("Unknown client metrics configuration: {unknown}"),
        ));
    }
    let invalid = |ConfigError(message)| ApiError::new(ErrorCode::InvalidConfig, message);
    let values = CLIENT_METRICS.parse(configs).map_err(invalid)?;
    let interval = values.integer("interval.ms");
    if !(INTERVAL_MS_MIN..=INTERVAL_MS_MAX).contains(&interval) {
        return Err(ApiError::new(
            ErrorCode::InvalidRequest,
            format!(
                "Invalid value {interval} for interval.ms, interval must be between {INTERVAL_MS_MIN} and {INTERVAL_MS_MAX} (1 hour)"
            ),
        ));
    }
    for pattern in values.read::<Vec<String>>("match") {
        pattern_of(&pattern).map_err(invalid)?;
    }
    Ok(())
}

/// Returns the attribute of a `match` entry, and the expression that must match all of it. Errors:
/// Kafka's message.
pub fn pattern_of(entry: &str) -> Result<(&str, Regex), ConfigError> {
    let illegal = || ConfigError(format!("Illegal client matching pattern: {entry}"));
    let mut parts = entry.split('=');
    let (Some(name), Some(expression), None) = (parts.next(), parts.next(), parts.next()) else {
        return Err(illegal());
    };
    let (name, expression) = (java::trim(name), java::trim(expression));
    if !MATCHED.contains(&name) || expression.is_empty() {
        return Err(illegal());
    }
    let whole = format!("^(?:{expression})$");
    Regex::new(&whole).map(|regex| (name, regex)).map_err(|_| illegal())
}
