//! The values that a property may have, and how Kafka describes them in an error and in its
//! documentation.

use super::value::Value;
use super::{Address, java};
use model::java_number;
use std::fmt;

/// The values that a property may have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// Any value of its type.
    Any,
    /// At least this.
    AtLeast(i64),
    /// From the first to the second.
    Between(i64, i64),
    /// From 0 to 0.5.
    UpToHalf,
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// One of these texts (in upper case), compared without case.
    OneOfAnyCase(&'static [&'static str]),
    /// Items from these texts (an empty list allows any). No item may be empty; a repeated item
    /// counts once.
    Items(&'static [&'static str], Emptiness),
    /// Text that is not empty.
    NotEmptyText,
    /// 1 to 9, or -1.
    GzipLevel,
    /// `id@host:port`.
    Voters,
    /// `host:port`.
    HostPorts,
    /// `host:port`, where the host may be empty.
    Address,
    /// `*`, or `partition:broker`.
    ThrottledReplicas,
    /// `earliest`, `latest` or `by_duration:` and an ISO-8601 duration (KIP-1106).
    OffsetReset,
}

/// Whether a list may be empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emptiness {
    /// The list may be empty.
    MayBeEmpty,
    /// The list may not be empty.
    NotEmpty,
}

impl Rule {
    /// Checks a value and removes repeated items. Errors: Kafka's message.
    pub(super) fn check(self, name: &str, value: Value) -> Result<Value, String> {
        match (self, &value) {
            (_, Value::Null) => {}
            (Rule::AtLeast(least), _) => at_least(name, &value, least)?,
            (Rule::Between(least, most), _) => {
                at_least(name, &value, least)?;
                at_most(name, &value, as_double(most), &most.to_string())?;
            }
            (Rule::UpToHalf, _) => {
                at_least(name, &value, 0)?;
                at_most(name, &value, 0.5, "0.5")?;
            }
            (Rule::OneOf(allowed), Value::Text(text)) => one_of(name, text, allowed)?,
            (Rule::OneOfAnyCase(allowed), Value::Text(text)) if !allowed.contains(&text.to_uppercase().as_str()) => {
                let allowed = allowed.join(", ");
                return Err(invalid(name, text, &format!("String must be one of (case insensitive): {allowed}")));
            }
            (Rule::Items(allowed, emptiness), Value::List(items)) => {
                return items_of(name, items, allowed, emptiness).map(Value::List);
            }
            (Rule::NotEmptyText, Value::Text(text)) if text.is_empty() => {
                return Err(invalid(name, text, "String must be non-empty"));
            }
            (Rule::GzipLevel, Value::Integer(level)) if *level != -1 && !(1..=9).contains(level) => {
                return Err(invalid(name, &level.to_string(), "Value must be between 1 and 9 or equal to -1"));
            }
            (Rule::Voters, Value::List(voters)) => voters.iter().try_for_each(|voter| voter_of(voter).map(drop))?,
            (Rule::HostPorts, Value::List(servers)) => {
                servers.iter().try_for_each(|server| host_port_of(name, server))?
            }
            (Rule::Address, Value::Text(text)) => {
                text.parse::<Address>().map(drop).map_err(|error| invalid(name, text, &error.to_string()))?
            }
            (Rule::ThrottledReplicas, Value::List(replicas)) => throttled(name, replicas)?,
            (Rule::OffsetReset, Value::Text(text)) if !is_offset_reset(text) => {
                let message = format!(
                    "Invalid value `{text}` for configuration {name}. The value must be either 'earliest', 'latest' or of the format \
                     'by_duration:<PnDTnHnMn.nS>'."
                );
                return Err(invalid(name, text, &message));
            }
            _ => {}
        }
        Ok(value)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rule::Any => Ok(()),
            Rule::AtLeast(least) => write!(f, "at least {least}"),
            Rule::Between(least, most) => write!(f, "{least} to {most}"),
            Rule::UpToHalf => f.write_str("0 to 0.5"),
            Rule::OneOf(allowed) | Rule::OneOfAnyCase(allowed) => f.write_str(&allowed.join(", ")),
            Rule::Items(allowed, Emptiness::MayBeEmpty) => f.write_str(&allowed.join(", ")),
            Rule::Items([], Emptiness::NotEmpty) | Rule::NotEmptyText => f.write_str("not empty"),
            Rule::Items(allowed, Emptiness::NotEmpty) => write!(f, "{}; not empty", allowed.join(", ")),
            Rule::GzipLevel => f.write_str("1 to 9, or -1"),
            Rule::Voters => f.write_str("id@host:port, ..."),
            Rule::HostPorts => f.write_str("host:port, ..."),
            Rule::Address => f.write_str("host:port; an empty host is every interface"),
            Rule::ThrottledReplicas => f.write_str("*, or partition:broker, ..."),
            Rule::OffsetReset => f.write_str("earliest, latest, by_duration:PnDTnHnMn.nS"),
        }
    }
}

/// Returns Kafka's message about an invalid value.
pub(super) fn invalid(name: &str, value: &str, why: &str) -> String {
    format!("Invalid value {value} for configuration {name}: {why}")
}

/// Parses an entry of `controller.quorum.voters` into the node's id and address. Errors: Kafka's
/// message.
pub(super) fn voter_of(entry: &str) -> Result<(i32, String, u16), String> {
    let name = "controller.quorum.voters";
    let form = "Each entry should be in the form `{id}@{host}:{port}`.";
    let (id, address) =
        entry.split_once('@').ok_or_else(|| format!("Invalid configuration value for {name}. {form}"))?;
    let id = java_number::parse_int(id)
        .ok_or_else(|| format!("Failed to parse voter ID as an integer from {id}. {form}"))?;
    let (host, port) = host_port(address)
        .ok_or_else(|| format!("Failed to parse host name from entry {entry} for the configuration {name}. {form}"))?;
    Ok((id, host, port))
}

fn host_port_of(name: &str, entry: &str) -> Result<(), String> {
    let message = || {
        format!(
            "Failed to parse host name from {entry} for the configuration {name}. Each entry should be in the form \"{{host}}:{{port}}\""
        )
    };
    host_port(entry).map(drop).ok_or_else(message)
}

fn host_port(address: &str) -> Option<(String, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if host.is_empty() { None } else { Some((host.to_string(), port.parse().ok()?)) }
}

fn at_least(name: &str, value: &Value, least: i64) -> Result<(), String> {
    if number(value).is_some_and(|number| number < as_double(least)) {
        return Err(invalid(name, &value.to_text().unwrap_or_default(), &format!("Value must be at least {least}")));
    }
    Ok(())
}

fn at_most(name: &str, value: &Value, most: f64, printed: &str) -> Result<(), String> {
    if number(value).is_some_and(|number| number > most) {
        return Err(invalid(
            name,
            &value.to_text().unwrap_or_default(),
            &format!("Value must be no more than {printed}"),
        ));
    }
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "Kafka compares numbers as doubles too")]
fn as_double(number: i64) -> f64 {
    number as f64
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(number) => Some(as_double(*number)),
        Value::Double(number) => Some(*number),
        _ => None,
    }
}

fn one_of(name: &str, text: &str, allowed: &[&str]) -> Result<(), String> {
    if allowed.contains(&text) {
        return Ok(());
    }
    Err(invalid(name, text, &format!("String must be one of: {}", allowed.join(", "))))
}

fn items_of(name: &str, items: &[String], allowed: &[&str], emptiness: Emptiness) -> Result<Vec<String>, String> {
    if items.is_empty() && emptiness == Emptiness::NotEmpty {
        let valid = if allowed.is_empty() { "any non-empty value".into() } else { format!("[{}]", allowed.join(", ")) };
        return Err(format!("Configuration '{name}' must not be empty. Valid values include: {valid}"));
    }
    let mut distinct: Vec<String> = Vec::with_capacity(items.len());
    for item in items {
        if item.is_empty() {
            return Err(format!("Configuration '{name}' values must not be empty."));
        }
        if !allowed.is_empty() {
            one_of(name, item, allowed)?;
        }
        if !distinct.contains(item) {
            distinct.push(item.clone());
        }
    }
    Ok(distinct)
}

fn throttled(name: &str, replicas: &[String]) -> Result<(), String> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_replica =
        |text: &String| text.split_once(':').is_some_and(|(partition, broker)| digits(partition) && digits(broker));
    let mut named = replicas;
    // A trailing comma is allowed.
    while let [rest @ .., last] = named
        && last.is_empty()
        && !rest.is_empty()
    {
        named = rest;
    }
    let is_all = matches!(replicas, [all] if java::trim(all) == "*");
    if is_all || named.iter().all(is_replica) {
        return Ok(());
    }
    let why = format!(
        "{name} must be the literal '*' or a list of replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],..."
    );
    Err(invalid(name, &format!("[{}]", replicas.join(", ")), &why))
}

fn is_offset_reset(text: &str) -> bool {
    match text.strip_prefix("by_duration:") {
        Some(duration) => super::duration::parse_millis(duration).is_some(),
        None => matches!(text, "earliest" | "latest"),
    }
}
